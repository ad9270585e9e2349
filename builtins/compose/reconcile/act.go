package reconcile

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/erlmcp/runner/builtins/compose/shape"
	"github.com/erlmcp/runner/runtime/host"
	"github.com/erlmcp/runner/runtime/op"
	"golang.org/x/sync/errgroup"
)

// Site is where a plan is acted on.
type Site struct {
	Engine *Engine
	Clock  host.Clock
}

// NotReady is the error of a container that will not come to be as it should.
type NotReady struct {
	Title, Name, ID string
	Why             string
}

func (n *NotReady) Error() string { return n.Title + " " + n.Why }

// doing is a plan while it is acted on.
type doing struct {
	Site
	plan     *Plan
	watch    *watch
	deadline time.Time
	going    bool // back: what is made keeps its labels, and an act that fails stops no other

	mu    sync.Mutex
	ids   map[string]string // the containers that bear, or are to bear, a name
	ended []chan struct{}   // by act
	step  error             // an op.Half said to stop: nothing more is done
	count int
	fails []error // when going back
	met   []error // likewise: conflicts
}

// Act does what a plan says, each act as soon as those before it have ended, and waits until everything is ready. It
// decides nothing. What it was doing when ctx ends is brought to the end of the request; nothing new is begun.
func (s Site) Act(ctx context.Context, p *Plan, within time.Duration) ([]Stands, error) {
	limited, cancel := s.Clock.Timeout(ctx, within, errors.New("time is up"))
	defer cancel()
	d, err := s.begin(limited, p, s.Clock.Now().Add(within))
	if err != nil {
		return nil, err
	}
	defer d.watch.close()
	if err := d.acts(limited); err != nil {
		return nil, d.explain(ctx, err, within)
	}
	out, err := d.settled(limited)
	return out, d.explain(ctx, err, within)
}

// begin subscribes to the engine's events and takes stock.
func (s Site) begin(ctx context.Context, p *Plan, deadline time.Time) (*doing, error) {
	w, err := newWatch(ctx, s.Engine, p.Project, s.Clock)
	if err != nil {
		return nil, err
	}
	d := &doing{Site: s, plan: p, watch: w, deadline: deadline, ids: map[string]string{}, ended: make([]chan struct{}, len(p.Acts))}
	for i, a := range p.Acts {
		d.ended[i] = make(chan struct{})
		if a.Have != nil && a.Want != nil {
			d.ids[a.Want.Name] = a.Have.ID
		}
	}
	for _, c := range p.Stay {
		d.ids[c.Name] = c.ID
	}
	return d, nil
}

// explain says of a deadline what was waited for.
func (d *doing) explain(ctx context.Context, err error, within time.Duration) error {
	if err == nil || ctx.Err() != nil || !d.Clock.Now().After(d.deadline) {
		return err
	}
	return fmt.Errorf("%w (%s is what it may take)", err, op.Duration(within))
}

// acts runs every act of the plan.
func (d *doing) acts(ctx context.Context) error {
	g, in := errgroup.WithContext(ctx)
	for i := range d.plan.Acts {
		g.Go(func() error {
			a := &d.plan.Acts[i]
			err := d.comesTo(in, a)
			if err == nil {
				err = d.perform(in, a)
			}
			if err != nil && !d.goesOn(in, err) {
				return err
			}
			d.mu.Lock()
			d.count++
			op.Progress(ctx, int64(d.count), int64(len(d.plan.Acts)), "acts")
			d.mu.Unlock()
			close(d.ended[i])
			return nil
		})
	}
	err := g.Wait()
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.step != nil {
		return d.step
	}
	return errors.Join(append(d.fails, err)...)
}

// goesOn notes a failure that stops no other act.
func (d *doing) goesOn(ctx context.Context, err error) bool {
	d.mu.Lock()
	defer d.mu.Unlock()
	if !d.going || d.step != nil || ctx.Err() != nil {
		return false
	}
	if conflict := new(op.Conflict); errors.As(err, &conflict) {
		d.met = append(d.met, err)
	} else {
		d.fails = append(d.fails, err)
	}
	return true
}

// comesTo waits for what comes before an act.
func (d *doing) comesTo(ctx context.Context, a *Act) error {
	for _, id := range a.After {
		select {
		case <-d.ended[id-1]:
		case <-ctx.Done():
			return context.Cause(ctx)
		}
	}
	for _, u := range a.Until {
		err := d.wait(ctx, u)
		if err == nil {
			continue
		}
		if !u.Optional || ctx.Err() != nil {
			return d.because(err, a)
		}
		d.say(ctx, "%s: goes on, though %v", a.title(), err)
	}
	return nil
}

// because adds what did not come about.
func (d *doing) because(err error, a *Act) error {
	var n *NotReady
	if errors.As(err, &n) && a.Want != nil && n.Name != a.Want.Name {
		return fmt.Errorf("cannot start %s: it needs %s, which %w", a.title(), n.Title, &which{err, n.Why})
	}
	return err
}

// which is a NotReady in the middle of a sentence about another container.
type which struct {
	error
	why string
}

func (w *which) Error() string { return w.why }
func (w *which) Unwrap() error { return w.error }

// wait waits for one container.
func (d *doing) wait(ctx context.Context, u Until) error {
	d.mu.Lock()
	id := d.ids[u.Name]
	d.mu.Unlock()
	if id == "" {
		return &NotReady{Title: u.Title, Name: u.Name, Why: "is not there"}
	}
	if state, since, known := d.watch.known(id); !known || Judge(state, since, u.Condition).Outcome == Wait {
		op.Waiting(ctx, awaited(u), d.deadline)
	}
	v, err := d.watch.await(ctx, id, u.Condition, func(line string) { d.say(ctx, "%s: its check fails: %s", u.Title, line) })
	switch {
	case err != nil && v.Why != "":
		return fmt.Errorf("%s %s: %w", u.Title, v.Why, err)
	case err != nil:
		return err
	case v.Outcome == Doomed && v.Memory:
		return op.Hint(&NotReady{Title: u.Title, Name: u.Name, ID: id, Why: v.Why}, "mem_limit of the service, or deploy.resources.limits.memory, says how much memory it may have")
	case v.Outcome == Doomed:
		return &NotReady{Title: u.Title, Name: u.Name, ID: id, Why: v.Why}
	}
	return nil
}

func awaited(u Until) string {
	switch u.Condition {
	case completed:
		return u.Title + " to complete"
	case healthy:
		return u.Title + " to be healthy"
	}
	return u.Title + " to be ready"
}

// Stands is a container as it stands at the end.
type Stands struct {
	shape.Container
	Why string // "healthy", "completed", "started; it has no health check"
}

// settled waits until every container of the plan is ready, side by side: the first that will not be is the error.
func (d *doing) settled(ctx context.Context) ([]Stands, error) {
	var all []shape.Container
	for _, a := range d.plan.Acts {
		if a.Want != nil && !a.Want.Stopped {
			all = append(all, *a.Want)
		}
	}
	all = append(all, d.plan.Stay...)
	out := make([]Stands, len(all))
	g, in := errgroup.WithContext(ctx)
	for i, c := range all {
		g.Go(func() error {
			u := Until{Name: c.Name, Title: title(c), Condition: ready}
			if err := d.wait(in, u); err != nil {
				return err
			}
			state, since, _ := d.watch.known(d.ids[c.Name])
			c.ID = d.ids[c.Name]
			out[i] = Stands{c, Judge(state, since, ready).Why}
			if i < len(all)-len(d.plan.Stay) {
				d.say(in, "%s: %s", title(c), out[i].Why)
			}
			return nil
		})
	}
	if err := g.Wait(); err != nil {
		return nil, err
	}
	slices.SortFunc(out, func(a, b Stands) int { return strings.Compare(a.Name, b.Name) })
	return out, nil
}

func (d *doing) say(ctx context.Context, format string, args ...any) {
	w := op.Output(ctx)
	fmt.Fprintf(w, format+"\n", args...)
	w.Close()
}

// patience is how long one request that changes something may take, once it is sent.
const patience = time.Minute

// send sends a request that changes something. It is not cut off in the middle: whether the engine has done it would be
// known to nobody. It is not begun when ctx has ended, or a step of another act said to stop.
func (d *doing) send(ctx context.Context, request func(ctx context.Context) error) error {
	d.mu.Lock()
	step := d.step
	d.mu.Unlock()
	if step != nil {
		return step
	}
	if ctx.Err() != nil {
		return context.Cause(ctx)
	}
	whole, cancel := d.Clock.Timeout(context.WithoutCancel(ctx), patience, fmt.Errorf("the engine does not answer within %s", patience))
	defer cancel()
	defer d.slowly(ctx, "the engine", patience)()
	err := request(whole)
	if err != nil && whole.Err() != nil {
		return context.Cause(whole)
	}
	return plain(err)
}

// silence is how long the engine may take without a line: less than the second after which an op must have spoken.
const silence = 500 * time.Millisecond

// slowly announces a wait for the engine that is not over at once.
func (s Site) slowly(ctx context.Context, what string, within time.Duration) (stop func()) {
	return op.WaitingIf(ctx, func(ctx context.Context) error { return s.Clock.Sleep(ctx, silence) }, what, s.Clock.Now().Add(within))
}

// half marks a durable step. After one that said to stop no other is taken, in any act.
func (d *doing) half(ctx context.Context, format string, args ...any) error {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.step == nil {
		d.step = op.Half(ctx, fmt.Sprintf(format, args...))
	}
	return d.step
}

// id is the container that bears a name, or is to.
func (d *doing) id(name string) string {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.ids[name]
}

func (d *doing) is(name, id string) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.ids[name] = id
}

package trial

import (
	"context"
	"fmt"
	"slices"
	"sync"
	"time"

	"github.com/erlmcp/runner/runtime/engine"
	"github.com/erlmcp/runner/runtime/event"
	"github.com/erlmcp/runner/runtime/journal"
	"github.com/erlmcp/runner/runtime/op"
	"github.com/erlmcp/runner/runtime/script"
)

// world is what the fakes of one test act on. It remembers which changes are in effect, and nothing else.
type world struct {
	config    *Config
	clock     *clock
	registry  *op.Registry
	answering sync.Mutex // one function of the test is asked at a time

	mu      sync.Mutex
	homes   map[string]*home
	fakes   map[string]script.Fake
	faults  []*fault
	marks   []mark // the changes in effect, in their order
	marked  int
	runs    []*running
	mistake error // in the test
	said    []string
	kill    kill
}

// mark is one change, or one final, that is in effect.
type mark struct {
	id                 int
	op, at, label, why string
	final              bool
}

type fault struct {
	script.Fault
	met int
}

// beginning is when every test begins.
func beginning() time.Time { return time.Date(2026, 1, 26, 12, 0, 0, 0, time.UTC) }

func newWorld(c *Config) (*world, error) {
	w := &world{config: c, clock: &clock{now: beginning()}, homes: map[string]*home{}, fakes: map[string]script.Fake{}}
	specs, values := map[string][]*op.Spec{"trial": {op.Undo(w, PutBack{})}}, map[string]any{}
	for _, f := range c.Options.Families {
		for _, s := range f.Ops {
			specs[f.Name] = append(specs[f.Name], s.StoodIn(op.Stand{Do: func(ctx context.Context, params any) (any, error) {
				return w.do(ctx, w.current(), op.Bound{Spec: s, Params: params}, 0)
			}}))
		}
		for _, v := range f.Values {
			values[f.Call(v)] = v.Proto
		}
	}
	var err error
	w.registry, err = op.NewRegistry(specs, values)
	return w, err
}

// PutBack is the inverse of every change in a trial.
type PutBack struct {
	_    op.Doc `doc:"Takes back a change of a trial."`
	Mark int    `json:"mark" doc:"Which."`
	What string `json:"what" doc:"What it was."`
}

// Summary implements op.Op.
func (p PutBack) Summary() string { return "take back: " + p.What }

// Do implements op.Op.
func (p PutBack) Do(_ context.Context, w *world) (op.Restored, error) {
	if err := w.moment("before taking back " + p.What); err != nil {
		return op.Restored{}, err
	}
	w.mu.Lock()
	n := len(w.marks)
	w.marks = slices.DeleteFunc(w.marks, func(m mark) bool { return m.id == p.Mark })
	restored := op.Restored{Already: n == len(w.marks)}
	w.mu.Unlock()
	return restored, w.moment("behind taking back " + p.What)
}

// Fake implements script.Trial.
func (w *world) Fake(name string, f script.Fake) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.fakes[name] = f
}

// Fault implements script.Trial.
func (w *world) Fault(f script.Fault) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.faults = append(w.faults, &fault{Fault: f})
}

// Hold implements script.Trial.
func (w *world) Hold(target any, who, why string) error {
	_, home, err := w.homeOf(target)
	if err != nil {
		return err
	}
	var h *journal.Hold
	if why != "" {
		h = &journal.Hold{Who: who, Why: why, Since: w.clock.Now()}
	}
	return home.SwapHold(context.Background(), nil, h)
}

// Say implements script.Trial.
func (w *world) Say(text, at string) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.said = append(w.said, at+": "+text)
}

// Now implements script.Trial.
func (w *world) Now() time.Time { return w.clock.Now() }

// Advance implements script.Trial.
func (w *world) Advance(d time.Duration) { w.clock.pass(context.Background(), d) }

func (w *world) current() *running {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.runs[len(w.runs)-1]
}

// nextMark numbers the changes before their effect.
func (w *world) nextMark() int {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.marked++
	return w.marked
}

// do is every op of every run, and every check on undo.
func (w *world) do(ctx context.Context, r *running, b op.Bound, id int) (any, error) {
	what := b.FullName()
	if b.At != "" {
		what += " (" + b.At + ")"
	}
	if err := w.moment("before " + what); err != nil {
		return nil, err
	}
	class := b.Class()
	w.mu.Lock()
	n := len(r.ran.Calls)
	r.ran.Calls = append(r.ran.Calls, script.Called{Op: b.FullName(), Args: b.Params, Effect: string(class), Stage: r.stage, At: b.At, Summary: b.Summary()})
	if class == op.ClassChange || class == op.ClassFinal {
		w.marks = append(w.marks, mark{id, b.FullName(), b.At, b.Summary(), b.Why, class == op.ClassFinal})
	}
	fault := w.meets(b.FullName())
	fake, faked := w.fakes[b.FullName()]
	w.mu.Unlock()
	result, err := w.give(ctx, r, b, fault, fake, faked)
	if err != nil {
		w.mu.Lock()
		r.ran.Calls[n].Error = err.Error()
		w.mu.Unlock()
	}
	if err := w.moment("behind " + what); err != nil {
		return nil, err
	}
	return result, err
}

// meets is the fault that this call of an op meets, nil for none.
func (w *world) meets(name string) *fault {
	for _, f := range w.faults {
		if f.Op != name {
			continue
		}
		if f.met++; f.met == f.Nth {
			return f
		}
	}
	return nil
}

// give is what an op gives.
func (w *world) give(ctx context.Context, r *running, b op.Bound, fault *fault, fake script.Fake, faked bool) (any, error) {
	if fault != nil {
		switch fault.Kind {
		case script.FaultFail:
			return nil, fault.Err
		case script.FaultInterrupt:
			r.cancel(&engine.Stopped{Signal: "SIGINT", Code: engine.ExitInterrupted})
			if ctx.Err() != nil { // an undo goes on
				return nil, context.Cause(ctx)
			}
		case script.FaultLease:
			w.loseLeases()
		}
	}
	class := b.Class()
	switch {
	case faked:
	case class == op.ClassChange || class == op.ClassFinal:
		return script.NewUnsaid(b.Spec), nil
	default:
		return nil, w.unfaked(b)
	}
	if err := w.clock.Sleep(ctx, fake.Takes); err != nil {
		return nil, err
	}
	switch {
	case fake.Err != nil:
		return nil, fake.Err
	case fake.Func == nil:
		return fake.Result, nil
	}
	w.answering.Lock()
	defer w.answering.Unlock()
	result, err := fake.Func(ctx, b)
	return result, w.broke(err, false)
}

// unfaked is the mistake of a test that has not said what an op gives.
func (w *world) unfaked(b op.Bound) error {
	where := ""
	if b.At == "" {
		where = ", asked for on undo,"
	}
	return w.broke(&script.Mistaken{Err: script.NoFake(b.Spec, where)}, false)
}

func (w *world) loseLeases() {
	w.mu.Lock()
	defer w.mu.Unlock()
	for _, h := range w.homes {
		h.lose()
	}
}

// homeOf implements engine.Config.Home: the target's own id, and a home in memory.
func (w *world) homeOf(target any) (string, journal.Home, error) {
	id, err := w.config.Target(target)
	if err != nil {
		return "", nil, err
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.homes[id] == nil {
		w.homes[id] = &home{target: id, watch: w.recorded, logs: map[string][]event.Record{}, blobs: map[string][]byte{}}
	}
	return id, w.homes[id], nil
}

// recorded makes moments of the commits.
func (w *world) recorded(f event.Fact) (after func() error, err error) {
	c, ok := f.(event.Committed)
	if !ok {
		return func() error { return nil }, nil
	}
	what := "the commit"
	if c.At != "" {
		what = fmt.Sprintf("commit (%s)", c.At)
	}
	return func() error { return w.moment("behind " + what) }, w.moment("before " + what)
}

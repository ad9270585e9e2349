package engine

import (
	"cmp"
	"context"
	"fmt"
	"strings"
	"sync"

	"github.com/erlmcp/runner/runtime/event"
	"github.com/erlmcp/runner/runtime/op"
)

// Plan rehearses a script: it performs what only looks, foresees what it can of the rest, and writes, sends and waits
// for nothing. It has the methods of Run that scripts use.
type Plan struct {
	Config

	mu      sync.Mutex
	seq     int64
	counts  map[string]int
	made    string // the first Make that was left out: reads of anything but what serves are unknown behind it
	changed string // the first Change, Final or wait that was left out: every read is unknown behind it
	changes int
	refused int // lines that say what a run would fail by
}

// NewPlan makes a rehearsal. Its Config needs no Journal, and takes no lease.
func NewPlan(c Config) *Plan { return &Plan{Config: c, counts: map[string]int{}} }

func (p *Plan) emit(f event.Fact) {
	p.mu.Lock()
	defer p.mu.Unlock()
	f = op.MapStrings(f, p.Host.Secrets.Scrubber.String).(event.Fact)
	p.seq++
	rec := event.Record{Seq: p.seq, Time: p.Host.Clock.Now().UTC(), Run: p.ID, Fact: f}
	for _, s := range p.Sinks {
		s.Emit(rec)
	}
}

// Perform implements op.Performer.
func (p *Plan) Perform(ctx context.Context, b op.Bound) (any, error) {
	p.mu.Lock()
	p.counts[b.Branch]++
	b.Path = fmt.Sprintf("%s%d", b.Branch, p.counts[b.Branch])
	p.mu.Unlock()
	b = b.WithKey(op.Key(p.ID + "/" + b.Path))
	if b.Class() == op.ClassRead && !b.Sends && len(b.Unknown) == 0 && p.readable(b) {
		return guarded(func() (any, error) { return b.Do(ctx) })
	}
	return p.foresee(ctx, b)
}

// readable reports whether a read still tells how the world will be when the run comes to it.
func (p *Plan) readable(b op.Bound) bool { return p.changed == "" && (p.made == "" || b.Serving) }

func (p *Plan) foresee(ctx context.Context, b op.Bound) (any, error) {
	f := event.OpPlanned{Op: b.Path, Name: b.FullName(), Class: string(b.Class()), Summary: b.Summary(), At: b.At, Target: b.Target()}
	var result any = op.Unknown{After: b.FullName()}
	var err error
	if b.Class() == op.ClassRead {
		p.emit(f)
		return result, nil
	}
	if p.changed == "" {
		result, err = guarded(func() (any, error) { return b.Preview(ctx) })
		if err == nil {
			f.Difference, err = guarded(func() ([]string, error) { return b.Difference(ctx) })
		}
		if err != nil {
			return nil, err
		}
	}
	if _, unknown := result.(op.Unknown); !unknown {
		f.Result, _ = p.Registry.EncodeValue(result)
	}
	p.note(b, f.Difference)
	p.emit(f)
	return result, nil
}

func (p *Plan) note(b op.Bound, difference []string) {
	for _, line := range difference {
		if strings.HasPrefix(line, op.Fails) {
			p.refused++
		}
	}
	switch b.Class() {
	case op.ClassMake:
		if p.made == "" {
			p.made = b.FullName()
		}
	default:
		p.changes++
		if p.changed == "" {
			p.changed = b.FullName()
		}
	}
}

// Stage, Print and the rest are what scripts ask of a run, without its effects.

// Stage opens a named stretch.
func (p *Plan) Stage(name, at string) { p.emit(event.StageStarted{Name: name, At: at}) }

// Print prints.
func (p *Plan) Print(text, at string) { p.emit(event.Printed{Text: text, At: at}) }

// Recover does nothing: Lease says what it would meet.
func (p *Plan) Recover(context.Context, any) error { return nil }

// Held says that nobody does, so that the plan goes on: Lease says what a run would meet. A target that is not reached
// fails the plan where it fails the run.
func (p *Plan) Held(ctx context.Context, _ string, target any) (*op.Held, error) {
	_, home, err := p.Home(target)
	if err == nil {
		_, err = standing(ctx, p.Config, home)
	}
	if err != nil && !unreadable(err) {
		return nil, err
	}
	return nil, nil
}

// Unfinished gives the runs that have not ended, as a run does.
func (p *Plan) Unfinished(ctx context.Context, target any) ([]op.Dead, error) {
	return unfinished(ctx, p.Config, target)
}

// Lease takes nothing; it says what taking the lease would meet.
func (p *Plan) Lease(ctx context.Context, name string, target any, force, _ string) ([]op.Dead, error) {
	id, home, err := p.Home(target)
	if err != nil {
		return nil, err
	}
	states, err := logsOf(ctx, home)
	if err != nil {
		return nil, err
	}
	for _, s := range states {
		if s.Unfinished() {
			p.emit(event.Noted{Text: fmt.Sprintf("run %s on %s is unfinished; a run, unlike this plan, takes it back first", s.Run, id)})
		}
	}
	h, err := standing(ctx, p.Config, home)
	if text := heldText(p.Config, cmp.Or(name, id), h, err); text != "" && force == "" {
		p.emit(event.Noted{Text: text + "; a run, unlike this plan, is refused"})
	}
	return nil, nil
}

// Commit does nothing.
func (p *Plan) Commit(context.Context, string, string, string) error { return nil }

// OnUndo does nothing.
func (p *Plan) OnUndo(context.Context, op.Bound) error { return nil }

// Confirm says yes: the plan is of the run that goes on.
func (p *Plan) Confirm(_ context.Context, question, _ string) error {
	p.emit(event.Noted{Text: "the run asks: " + question})
	return nil
}

// Attempt runs fn.
func (p *Plan) Attempt(ctx context.Context, _ string, fn func(context.Context) error) (caught, err error) {
	failure := fn(ctx)
	if failure != nil && !p.Catchable(failure) {
		return nil, failure
	}
	return failure, nil
}

// Parallel runs the branches one after the other: a plan's lines have one order.
func (p *Plan) Parallel(ctx context.Context, _, branch string, names []string, _ int, fn func(context.Context, int, string) error) error {
	p.mu.Lock()
	p.counts[branch]++
	position := fmt.Sprintf("%s%d", branch, p.counts[branch])
	p.mu.Unlock()
	for i, name := range names {
		if err := fn(ctx, i, position+"/"+name+"/"); err != nil {
			return err
		}
	}
	return nil
}

// Main rehearses main. Unknown tells, of main's error, where the plan met a value that it cannot know and which; then
// the plan is known up to there, and that is no failure.
func (p *Plan) Main(ctx context.Context, main func(context.Context) error, unknown func(error) (at, why string, ok bool)) (event.PlanEnded, error) {
	p.emit(p.Started)
	_, err := guarded(func() (any, error) { return nil, main(ctx) })
	end := event.PlanEnded{Changes: p.changes, Refused: p.refused}
	if at, why, ok := unknown(err); ok {
		end.KnownTo, end.Why, err = at, why, nil
	}
	if err != nil {
		p.emit(p.Explain(err))
		return end, err
	}
	p.emit(end)
	return end, nil
}

// PlanExit is the exit code of a plan's error.
func (p *Plan) PlanExit(err error) int {
	return verdict{err: err}.exit(false, p.Mistake(err))
}

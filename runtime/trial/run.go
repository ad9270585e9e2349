package trial

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/erlmcp/runner/runtime/engine"
	"github.com/erlmcp/runner/runtime/event"
	"github.com/erlmcp/runner/runtime/host"
	"github.com/erlmcp/runner/runtime/journal"
	"github.com/erlmcp/runner/runtime/op"
	"github.com/erlmcp/runner/runtime/render"
	"github.com/erlmcp/runner/runtime/script"
	"github.com/erlmcp/runner/runtime/secret"
)

// running is one run of a trial: the engine's, with the ops stood in for.
type running struct {
	*engine.Run
	world  *world
	name   string
	cancel context.CancelCauseFunc

	// Under the world's lock.
	ran     script.Ran
	stage   string
	targets []leased
}

type leased struct {
	name   string
	target any
}

func (w *world) start(s script.Staging) *running {
	w.mu.Lock()
	defer w.mu.Unlock()
	r := &running{world: w, name: s.Name}
	w.runs = append(w.runs, r)
	r.Run = engine.New(engine.Config{
		ID:       fmt.Sprintf("trial-%d", len(w.runs)),
		Host:     &host.Host{Clock: w.clock, Secrets: &secret.Vault{Scrubber: &secret.Scrubber{}}},
		Registry: w.registry,
		Started:  event.RunStarted{Command: "run", Script: s.Name, Args: s.Args, Environment: s.Environment, Host: "nowhere", User: "a test"},
		Sinks:    []event.Sink{r},
		Home:     w.homeOf,
		Owner:    journal.Owner{User: "a test", Host: "nowhere", Script: s.Name},
		NoUndo:   s.NoUndo,
		Explain:  func(err error) event.RunFailed { return failed(s.Explain(err)) },
		Mistake:  script.IsMistake, Catchable: script.Catchable,
		Ask: func(context.Context, string) (bool, error) {
			if s.Yes {
				return true, nil
			}
			return false, errors.New("nobody can answer: the test does not say yes = True")
		},
	})
	return r
}

func failed(r script.Report) event.RunFailed {
	return event.RunFailed{Error: r.Message, At: r.At, Hint: r.Hint, Excerpt: r.Excerpt, Backtrace: r.Backtrace}
}

// perform has main run to its end, whatever that is.
func (r *running) perform(ctx context.Context, s script.Staging, main func(context.Context, script.Run) error) event.RunFinished {
	ctx, r.cancel = context.WithCancelCause(ctx)
	defer r.cancel(nil)
	if s.Deadline > 0 {
		var stop context.CancelFunc
		ctx, stop = r.world.clock.Timeout(ctx, s.Deadline.D(), &engine.Deadline{Flag: "--deadline " + s.Deadline.String()})
		defer stop()
	}
	end := r.Main(ctx, func(ctx context.Context) error { return r.world.broke(main(ctx, r), true) })
	r.world.mu.Lock()
	defer r.world.mu.Unlock()
	r.ran.Exit, r.ran.Verdict = end.Exit, strings.Join(render.Verdict(end), "\n")
	r.ran.Committed, r.ran.Message, r.ran.Live, r.ran.Finals, r.ran.Differs = end.Committed, end.Message, end.Live, end.Finals, end.Differs
	for _, m := range r.world.marks {
		r.ran.Left = append(r.ran.Left, m.op)
	}
	return end
}

// Run implements script.Trial.
func (w *world) Run(ctx context.Context, s script.Staging, main func(context.Context, script.Run) error) (script.Ran, error) {
	r := w.start(s)
	r.perform(ctx, s, main)
	w.mu.Lock()
	defer w.mu.Unlock()
	ran := r.ran
	ran.Calls = slices.Clone(ran.Calls)
	return ran, w.mistake
}

// broke keeps the first mistake of the test, however the script deals with the error; where main ends with it, the
// error knows the way there.
func (w *world) broke(err error, main bool) error {
	var m *script.Mistaken
	if !errors.As(err, &m) {
		return err
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.mistake == nil || main {
		w.mistake = err
	}
	return &op.Misuse{Err: err}
}

// Perform implements op.Performer: the op is stood in for, and the engine does what it always does around it.
func (r *running) Perform(ctx context.Context, b op.Bound) (any, error) {
	id, real := 0, b.Spec
	b.Spec = real.StoodIn(op.Stand{
		Do: func(ctx context.Context, params any) (any, error) {
			b.Spec, b.Params = real, params
			return r.world.do(ctx, r, b, id)
		},
		Inverse: func(_ context.Context, params any) (any, error) {
			id = r.world.nextMark()
			return PutBack{Mark: id, What: b.Summary()}, nil
		},
	})
	return r.Run.Perform(ctx, b)
}

// Lease implements script.Run, and remembers the target for a recovery.
func (r *running) Lease(ctx context.Context, name string, target any, force, at string) ([]op.Dead, error) {
	r.world.mu.Lock()
	r.targets = append(r.targets, leased{name, target})
	r.world.mu.Unlock()
	return r.Run.Lease(ctx, name, target, force, at)
}

// Emit implements event.Sink.
func (r *running) Emit(rec event.Record) error {
	r.world.mu.Lock()
	defer r.world.mu.Unlock()
	switch f := rec.Fact.(type) {
	case event.StageStarted:
		r.stage = f.Name
		r.ran.Stages = append(r.ran.Stages, f.Name)
	case event.Printed:
		r.ran.Printed = append(r.ran.Printed, f.Text)
	case event.Noted:
		r.ran.Noted = append(r.ran.Noted, f.Text)
	case event.RecoveryStarted:
		r.stage = "recover " + f.Dead
	case event.UndoStarted:
		r.stage = "undo"
	case event.OpUndone:
		r.ran.Undone = append(r.ran.Undone, script.Undone{Op: f.Name, Outcome: string(f.Outcome), Detail: f.Detail})
	case event.RunFailed:
		r.ran.Error, r.ran.Hint, r.ran.At = f.Error, f.Hint, f.At
	}
	return nil
}

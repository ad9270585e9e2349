package script

import (
	"context"
	"errors"
	"fmt"
	"time"

	startime "go.starlark.net/lib/time"
	"go.starlark.net/starlark"

	"github.com/erlmcp/runner/runtime/builtin"
	"github.com/erlmcp/runner/runtime/op"
)

// flow is what a thread runs in. Only its own thread changes it.
type flow struct {
	ctx    context.Context
	script *Script
	run    Run        // nil while loading
	branch string     // "7/web/"
	pure   string     // the op that the thread's function was given to: nothing may have an effect
	test   *testValue // of a test, outside of a run
	count  func()     // the steps that were taken
}

const flowKey = "flow"

func flowOf(t *starlark.Thread) *flow { return t.Local(flowKey).(*flow) }

// thread makes a thread that ends with the flow's context. Call stop when it is done.
func (s *Script) thread(f *flow, name string) (t *starlark.Thread, stop func()) {
	t = &starlark.Thread{Name: name, Load: s.loader.loadFor, Print: func(*starlark.Thread, string) {}}
	t.SetLocal(flowKey, f)
	startime.SetNow(t, func() (time.Time, error) { return s.options.Info.Now, nil })
	count, done := s.budget.meter(t, s.cancel)
	f.count = count
	ctx := f.ctx
	release := context.AfterFunc(ctx, func() { t.Cancel(context.Cause(ctx).Error()) })
	s.interpreting.Add(1)
	return t, func() {
		s.interpreting.Add(-1)
		release()
		done()
	}
}

// outside runs f, which is not the interpreter's work: the watchdog does not count its time. What other threads took
// meanwhile, the branches of parallel above all, counts against this one's steps.
func (f *flow) outside(do func()) {
	f.script.interpreting.Add(-1)
	defer func() {
		f.script.interpreting.Add(1)
		f.count()
	}()
	do()
}

// Stopped is the error of a script that was stopped from outside it: a request, a deadline, a limit. It wraps the cause.
type Stopped struct {
	Cause error
	eval  error // where
}

func (e *Stopped) Error() string { return e.Cause.Error() }

// Unwrap gives the cause, and the place.
func (e *Stopped) Unwrap() []error {
	if e.eval == nil {
		return []error{e.Cause}
	}
	return []error{e.Cause, e.eval}
}

// call1 is starlark.Call for every function of a script: panics are errors, and what stopped the thread is named.
func call1(t *starlark.Thread, fn starlark.Value, args starlark.Tuple, kwargs []starlark.Tuple) (v starlark.Value, err error) {
	f := flowOf(t)
	if f.ctx.Err() != nil {
		return nil, &Stopped{Cause: context.Cause(f.ctx)}
	}
	v, err = recovered(t, func() (starlark.Value, error) { return starlark.Call(t, fn, args, kwargs) })
	if err == nil || f.ctx.Err() == nil || happened(err) {
		return v, err
	}
	return nil, &Stopped{context.Cause(f.ctx), err}
}

func initialize(t *starlark.Thread, prog *starlark.Program, universe starlark.StringDict) (globals starlark.StringDict, err error) {
	_, err = recovered(t, func() (starlark.Value, error) {
		globals, err = prog.Init(t, universe)
		return starlark.None, err
	})
	if err != nil && flowOf(t).ctx.Err() != nil && !happened(err) {
		err = &Stopped{context.Cause(flowOf(t).ctx), err}
	}
	return globals, err
}

func recovered(t *starlark.Thread, f func() (starlark.Value, error)) (v starlark.Value, err error) {
	defer func() {
		if caught := builtin.Caught(recover()); caught != nil {
			v, err = nil, caught
		}
	}()
	return f()
}

// Performed is an error that came from outside the script: an op's, or a refusal of the run.
type Performed struct{ error }

// Unwrap gives the error itself.
func (p *Performed) Unwrap() error { return p.error }

// Failed is the error of fail().
type Failed struct{ Text string }

func (f *Failed) Error() string { return f.Text }

// happened reports whether an error came about in the world or was asked for by fail.
func happened(err error) bool {
	var p *Performed
	var f *Failed
	return (errors.As(err, &p) || errors.As(err, &f)) && !errors.As(err, new(*op.Misuse))
}

// Catchable reports whether attempt may catch an error: one that came about in the world, or that fail was asked for.
// The run adds what it knows: a stop, a deadline, a lost lease.
func Catchable(err error) bool {
	var f *op.Fault
	return happened(err) && !errors.As(err, &f)
}

// IsMistake reports whether an error is a mistake in the script: not an op's error, not fail, not a stop from outside,
// not an unknown of a plan, not a fault of runner.
func IsMistake(err error) bool {
	var s *Stopped
	var l *LimitError
	var u *builtin.UnknownUsed
	var f *op.Fault
	switch {
	case err == nil || happened(err) || errors.As(err, &u) || errors.As(err, &f):
		return false
	case errors.As(err, &s):
		return errors.As(err, &l)
	}
	return true
}

// perform is where every call of an op goes.
func perform(t *starlark.Thread, b op.Bound) (result any, err error) {
	f := flowOf(t)
	if err := f.mayAct(b.FullName()); err != nil {
		return nil, err
	}
	b.At, b.Branch = position(t), f.branch
	f.outside(func() { result, err = f.run.Perform(f.ctx, b) })
	if err != nil {
		return nil, &Performed{err}
	}
	return result, nil
}

// mayAct refuses what acts on the run while there is none.
func (f *flow) mayAct(name string) error {
	switch {
	case f.pure != "":
		return fmt.Errorf("%s has an effect and is called in a function given to %s", name, f.pure)
	case f.test != nil:
		return op.Hint(fmt.Errorf("%s has an effect and is called outside of a run", name), "call it in a function of the test: t.call(fn)")
	case f.run == nil:
		return op.Hint(fmt.Errorf("%s has an effect and is called while loading", name), "call it inside main")
	}
	return nil
}

// position is where the script called the running builtin: the start of the call.
func position(t *starlark.Thread) string {
	for d := 1; d < t.CallStackDepth(); d++ {
		pos := t.CallFrame(d).Pos
		if pos.Line > 0 && pos.Filename() != "<builtin>" {
			return flowOf(t).script.loader.start(pos).String()
		}
	}
	return ""
}

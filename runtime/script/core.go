package script

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"strings"

	"go.starlark.net/starlark"

	"github.com/erlmcp/runner/runtime/builtin"
	"github.com/erlmcp/runner/runtime/op"
)

// core is the builtins that act on the run itself.
type core struct{ kinds *builtin.Kinds }

// The parameters of each, as the reference shows them.
type (
	// Stage is stage(name).
	Stage struct {
		_    op.Doc `doc:"Opens a stretch of the run, which groups what follows in the output."`
		Name string `json:"name" doc:"What the run does now: \"Roll out\"."`
	}
	// Recover is recover(environment).
	Recover struct {
		_           op.Doc `doc:"Takes back what a run left that died on an environment's target, as lease does, and keeps no lease. Called first, what served serves again although this run may fail before it comes to its lease."`
		Environment any    `json:"environment" doc:"A value of environments.star."`
	}
	// Lease is lease(environment, force = "").
	Lease struct {
		_           op.Doc `doc:"Takes the lease of an environment's target, after recovering a run that died there. No other run changes the target until this one ends. It gives the runs that were recovered, the newest first; none in a plan."`
		Environment any    `json:"environment" doc:"A value of environments.star."`
		Force       string `json:"force,omitempty" doc:"Why to go on although somebody holds the target (runner hold); recorded. Left out, the run is refused."`
	}
	// Commit is commit(message).
	Commit struct {
		_       op.Doc `doc:"The point of no return: what was changed so far stays, whatever happens after."`
		Message string `json:"message" doc:"What holds from now on: \"1.4.2 serves production\"."`
	}
	// Confirm is confirm(question).
	Confirm struct {
		_        op.Doc `doc:"Asks the person at the terminal, and ends the run unless the answer is yes. With --yes it does not ask."`
		Question string `json:"question" doc:"A question to be answered by yes or no."`
	}
	// OnUndo is on_undo(op, **args).
	OnUndo struct {
		_  op.Doc `doc:"Has an op performed when the run is taken back, after everything that was changed later is undone. Its arguments follow it."`
		Op any    `json:"op" doc:"An op without its parentheses: on_undo(health.wait, environment.health)."`
	}
	// Attempt is attempt(fn, *args).
	Attempt struct {
		_  op.Doc `doc:"Calls a function; where it fails, what it changed is undone, and the script goes on. Gives struct(ok, value, error). Mistakes in the script, requests to stop and deadlines are not caught."`
		Fn any    `json:"fn" doc:"A function. Its arguments follow it."`
	}
	// Parallel is parallel(fns, limit = N).
	Parallel struct {
		_     op.Doc `doc:"Calls functions side by side and gives their results. What they share is frozen. The first error, by order, stops the others."`
		Fns   any    `json:"fns" doc:"A list of functions without parameters, or a dict of them by name."`
		Limit int    `json:"limit,omitempty" doc:"How many run at once; all, when left out."`
	}
	// Print is print(*values).
	Print struct {
		_ op.Doc `doc:"Shows values in the output of the run, with spaces between them."`
	}
	// Fail is fail(*values).
	Fail struct {
		_ op.Doc `doc:"Ends the run as failed: what was changed is taken back. The values say why."`
	}
)

// Core is the builtins that belong to no family, for the reference.
func Core() builtin.Family {
	return builtin.NewFamily("script", "What scripts say about the run itself; none of it has a prefix. Beside it stand json, math, time (whose now is the start of the run), struct, and run, with id, script and args.",
		builtin.Global(Stage{}), builtin.Global(Recover{}), leasePage(), heldPage(), unfinishedPage(), builtin.Global(Commit{}), builtin.Global(Confirm{}), builtin.Global(OnUndo{}),
		builtin.Global(Attempt{}), builtin.Global(Parallel{}), builtin.Global(Print{}), builtin.Global(Fail{}), builtin.Global(Refuse{}))
}

// act binds a call's arguments to p and has do act on the run.
func act[P any](c *core, t *starlark.Thread, b *starlark.Builtin, args starlark.Tuple, kwargs []starlark.Tuple,
	do func(f *flow, p P, at string) error) (starlark.Value, error) {
	f := flowOf(t)
	p, err := builtin.Bind[P](c.kinds, args, kwargs)
	if err != nil {
		return nil, err
	}
	if err := f.mayAct(b.Name()); err != nil {
		return nil, err
	}
	at := position(t)
	f.outside(func() { err = do(f, p, at) })
	if err != nil {
		return nil, &Performed{err}
	}
	return starlark.None, nil
}

func (c *core) stage(t *starlark.Thread, b *starlark.Builtin, args starlark.Tuple, kwargs []starlark.Tuple) (starlark.Value, error) {
	return act(c, t, b, args, kwargs, func(f *flow, p Stage, at string) error {
		f.run.Stage(p.Name, at)
		return nil
	})
}

func (c *core) commit(t *starlark.Thread, b *starlark.Builtin, args starlark.Tuple, kwargs []starlark.Tuple) (starlark.Value, error) {
	return act(c, t, b, args, kwargs, func(f *flow, p Commit, at string) error {
		return f.run.Commit(f.ctx, p.Message, at, f.branch)
	})
}

func (c *core) confirm(t *starlark.Thread, b *starlark.Builtin, args starlark.Tuple, kwargs []starlark.Tuple) (starlark.Value, error) {
	return act(c, t, b, args, kwargs, func(f *flow, p Confirm, at string) error {
		return f.run.Confirm(f.ctx, p.Question, at)
	})
}

func (c *core) recover(t *starlark.Thread, b *starlark.Builtin, args starlark.Tuple, kwargs []starlark.Tuple) (starlark.Value, error) {
	_, target, err := c.target(args, kwargs)
	if err != nil {
		return nil, err
	}
	return act(c, t, b, args, kwargs, func(f *flow, _ Recover, _ string) error { return f.run.Recover(f.ctx, target) })
}

// target is the name and the target of the environment among the arguments.
func (c *core) target(args starlark.Tuple, kwargs []starlark.Tuple) (string, any, error) {
	var given starlark.Value
	if len(args) > 0 {
		given = args[0]
	}
	for _, kv := range kwargs {
		if kv[0] == starlark.String("environment") {
			given = kv[1]
		}
	}
	if given == nil {
		return "", nil, nil // binding says what is wrong
	}
	if d, ok := given.(*builtin.Data); ok {
		name, unnamed := d.Attr("name")
		if t, err := d.Attr("target"); err == nil && unnamed == nil && t != starlark.None {
			target, err := c.kinds.Plain(t)
			return builtin.Print(name), target, err
		}
	}
	return "", nil, op.Hint(fmt.Errorf("environment: want an environment, got %s", given.Type()), "main(environment) is given one by its name")
}

// isKnown is known(value): False for what a plan does not know.
func isKnown(_ *starlark.Thread, b *starlark.Builtin, args starlark.Tuple, kwargs []starlark.Tuple) (starlark.Value, error) {
	var v starlark.Value
	if err := starlark.UnpackArgs(b.Name(), args, kwargs, "value", &v); err != nil {
		return nil, err
	}
	_, unknown := v.(builtin.Unknown)
	return starlark.Bool(!unknown), nil
}

func (c *core) print(t *starlark.Thread, _ *starlark.Builtin, args starlark.Tuple, kwargs []starlark.Tuple) (starlark.Value, error) {
	text, err := joined(args, kwargs)
	if err != nil {
		return nil, err
	}
	f := flowOf(t)
	if f.test != nil {
		f.test.trial.Say(text, position(t))
		return starlark.None, nil
	}
	if err := f.mayAct("print"); err != nil {
		return nil, err
	}
	f.run.Print(text, position(t))
	return starlark.None, nil
}

func (c *core) onUndo(t *starlark.Thread, b *starlark.Builtin, args starlark.Tuple, kwargs []starlark.Tuple) (starlark.Value, error) {
	f := flowOf(t)
	if err := f.mayAct(b.Name()); err != nil {
		return nil, err
	}
	if len(args) == 0 {
		return nil, op.Hint(errors.New("missing op"), "on_undo(health.wait, environment.health)")
	}
	o, ok := args[0].(*builtin.Op)
	if !ok {
		return nil, op.Hint(fmt.Errorf("op: want an op, got %s", args[0].Type()),
			"name the op without calling it: on_undo(health.wait, environment.health)")
	}
	bound, err := o.Bind(t, args[1:], kwargs)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", o.Name(), err)
	}
	bound.At, bound.Branch = position(t), f.branch
	f.outside(func() { err = f.run.OnUndo(f.ctx, bound) })
	if err != nil {
		return nil, &Performed{err}
	}
	return starlark.None, nil
}

// inside runs a function of the script on behalf of the run, which is outside: the watchdog counts its time again.
func (f *flow) inside(ctx context.Context, do func() error) error {
	outer := f.ctx
	f.ctx = ctx
	f.script.interpreting.Add(1)
	defer func() {
		f.ctx = outer
		f.script.interpreting.Add(-1)
	}()
	return do()
}

func (c *core) attempt(t *starlark.Thread, b *starlark.Builtin, args starlark.Tuple, kwargs []starlark.Tuple) (starlark.Value, error) {
	f := flowOf(t)
	if err := f.mayAct(b.Name()); err != nil {
		return nil, err
	}
	if len(args) == 0 {
		return nil, errors.New("missing fn, a function")
	}
	if _, ok := args[0].(starlark.Callable); !ok {
		return nil, op.Hint(fmt.Errorf("fn: want a function, got %s", args[0].Type()),
			"name the function without calling it: attempt(roll_out, environment, app)")
	}
	var value starlark.Value = starlark.None
	var caught, err error
	f.outside(func() {
		caught, err = f.run.Attempt(f.ctx, f.branch, func(ctx context.Context) error {
			return f.inside(ctx, func() error {
				v, err := call1(t, args[0], args[1:], kwargs)
				if err == nil {
					value = v
				}
				return err
			})
		})
	})
	if err == nil && caught != nil && !Catchable(caught) {
		err = caught
	}
	if err != nil {
		return nil, fromRun(err)
	}
	result := starlark.StringDict{"ok": starlark.Bool(caught == nil), "value": value, "error": starlark.None}
	if caught != nil {
		result["error"] = starlark.String(f.script.Diagnose(caught).Message)
	}
	return builtin.NewStruct(result), nil
}

// fromRun tells the run's own refusals from what the script's functions gave it.
func fromRun(err error) error {
	if innermost(err) != nil || errors.As(err, new(*Stopped)) {
		return err
	}
	return &Performed{err}
}

// branchError says which branch of parallel failed.
type branchError struct {
	name string
	error
}

func (e *branchError) Unwrap() error { return e.error }

func (c *core) parallel(t *starlark.Thread, b *starlark.Builtin, args starlark.Tuple, kwargs []starlark.Tuple) (starlark.Value, error) {
	f := flowOf(t)
	if err := f.mayAct(b.Name()); err != nil {
		return nil, err
	}
	names, fns, limit, err := branches(args, kwargs)
	if err != nil {
		return nil, err
	}
	args[0].Freeze()
	results := make([]starlark.Value, len(fns))
	at := position(t)
	f.outside(func() {
		err = f.run.Parallel(f.ctx, at, f.branch, names, limit, func(ctx context.Context, i int, branch string) error {
			thread, stop := f.script.thread(&flow{ctx: ctx, script: f.script, run: f.run, branch: branch}, branch)
			defer stop()
			v, err := call1(thread, fns[i], nil, nil)
			if err != nil {
				return &branchError{names[i], err}
			}
			results[i] = v
			return nil
		})
	})
	if err != nil {
		return nil, fromRun(err)
	}
	if _, ok := args[0].(*starlark.Dict); !ok {
		return starlark.NewList(results), nil
	}
	d := starlark.NewDict(len(names))
	for i, n := range names {
		if err := d.SetKey(starlark.String(n), results[i]); err != nil {
			return nil, err
		}
	}
	return d, nil
}

// branches reads the arguments of parallel.
func branches(args starlark.Tuple, kwargs []starlark.Tuple) (names []string, fns []starlark.Value, limit int, err error) {
	var given starlark.Value
	if err := starlark.UnpackArgs("parallel", args, kwargs, "fns", &given, "limit?", &limit); err != nil {
		return nil, nil, 0, errors.New(strings.TrimPrefix(err.Error(), "parallel: "))
	}
	if len(args) == 0 || limit < 0 {
		return nil, nil, 0, errors.New("takes functions by position, and a limit of 1 or more by name")
	}
	switch v := given.(type) {
	case *starlark.Dict:
		for _, kv := range v.Items() {
			name, ok := kv[0].(starlark.String)
			if !ok || name == "" || strings.ContainsAny(string(name), "/ \n") {
				return nil, nil, 0, fmt.Errorf("fns: want short names as keys, got %s", builtin.Repr(kv[0]))
			}
			names, fns = append(names, string(name)), append(fns, kv[1])
		}
	case starlark.Indexable:
		for i := range v.Len() {
			names, fns = append(names, strconv.Itoa(i)), append(fns, v.Index(i))
		}
	default:
		return nil, nil, 0, fmt.Errorf("fns: want a list or a dict of functions, got %s", given.Type())
	}
	for i, fn := range fns {
		if _, ok := fn.(starlark.Callable); !ok {
			return nil, nil, 0, op.Hint(fmt.Errorf("fns[%s]: want a function, got %s", names[i], fn.Type()),
				"name it without calling it, or put lambda: before the call")
		}
	}
	return names, fns, limit, nil
}

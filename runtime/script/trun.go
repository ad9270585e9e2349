package script

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"go.starlark.net/starlark"

	"github.com/erlmcp/runner/runtime/builtin"
	"github.com/erlmcp/runner/runtime/op"
)

func (t *testValue) run(th *starlark.Thread, p TestRun, args starlark.Tuple, kwargs []starlark.Tuple) (starlark.Value, error) {
	m, err := t.mainOf(th, p.Script, kwargs)
	if err != nil {
		return nil, err
	}
	return t.perform(th, Staging{Name: m.name, Args: m.words(), Environment: m.environment, Yes: p.Yes, NoUndo: p.NoUndo, Deadline: p.Deadline}, m.main, nil, m.kwargs)
}

func (t *testValue) callFn(th *starlark.Thread, p TestCall, args starlark.Tuple, kwargs []starlark.Tuple) (starlark.Value, error) {
	fn, ok := p.Fn.(starlark.Callable)
	if !ok {
		return nil, &builtin.ArgError{Param: "fn", Err: op.Hint(fmt.Errorf("fn: want a function, got %s", p.Fn.Type()),
			"name the function without calling it: t.call(roll_out, environment, app)")}
	}
	return t.perform(th, Staging{Name: fn.Name(), Yes: p.Yes, NoUndo: p.NoUndo, Deadline: p.Deadline}, fn, args, kwargs)
}

// perform has the trial run a function, and gives what became of it.
func (t *testValue) perform(th *starlark.Thread, s Staging, fn starlark.Callable, args starlark.Tuple, kwargs []starlark.Tuple) (starlark.Value, error) {
	f := flowOf(th)
	value, main := t.started(&s, fn, args, kwargs)
	var ran Ran
	var err error
	f.outside(func() { ran, err = t.trial.Run(f.ctx, s, main) })
	if err != nil {
		return nil, err
	}
	ran.Value = *value
	return t.kinds.Starlark(ran), nil
}

// started is the main of a run in the trial, and where it puts the function's value.
func (t *testValue) started(s *Staging, fn starlark.Callable, args starlark.Tuple, kwargs []starlark.Tuple) (*starlark.Value, func(context.Context, Run) error) {
	var value starlark.Value = starlark.None
	s.Explain = t.suite.Diagnose
	t.suite.options.Info.Now = t.trial.Now()
	return &value, func(ctx context.Context, run Run) error {
		th, stop := t.suite.thread(&flow{ctx: ctx, script: t.suite.Script, run: run}, "main")
		defer stop()
		v, err := call1(th, fn, args, kwargs)
		if err != nil {
			return err
		}
		value = v
		return nil
	}
}

func (t *testValue) killEverywhere(th *starlark.Thread, p TestKillEverywhere, _ starlark.Tuple, kwargs []starlark.Tuple) (starlark.Value, error) {
	for i, name := range p.Allow {
		if _, err := t.suite.spec(name); err != nil {
			return nil, &builtin.ArgError{Param: "allow", Index: -1, Err: fmt.Errorf("allow[%d]: %w", i, err)}
		}
	}
	m, err := t.mainOf(th, p.Script, kwargs)
	if err != nil {
		return nil, err
	}
	f := flowOf(th)
	s := Staging{Name: m.name, Args: m.words(), Environment: m.environment, Yes: p.Yes}
	_, main := t.started(&s, m.main, nil, m.kwargs)
	f.outside(func() { err = t.trial.KillEverywhere(f.ctx, s, p.Allow, main) })
	return starlark.None, err
}

// calledMain is a script's main with its arguments.
type calledMain struct {
	name, environment string
	main              *starlark.Function
	kwargs            []starlark.Tuple
}

// mainOf loads a script and fits the arguments to its main, as the command line would.
func (t *testValue) mainOf(th *starlark.Thread, name string, kwargs []starlark.Tuple) (calledMain, error) {
	m := calledMain{}
	to, err := t.suite.find(name)
	if err != nil {
		return m, &builtin.ArgError{Param: "script", Err: fmt.Errorf("script: %w", err)}
	}
	globals, err := t.suite.loader.load(th, to)
	if err != nil {
		return m, err
	}
	main, ok := globals["main"].(*starlark.Function)
	if !ok {
		return m, &builtin.ArgError{Param: "script", Err: fmt.Errorf("script: %s has no main%s", to, builtin.DidYouMean("main", globals.Keys()))}
	}
	sig, err := signature(main)
	if err != nil {
		return m, err
	}
	m.name, m.main = to, main
	for _, kv := range kwargs {
		if kv, err = t.argument(th, &m, sig, kv); err != nil {
			return m, err
		}
		m.kwargs = append(m.kwargs, kv)
	}
	for _, p := range sig.Params {
		given := func(kv starlark.Tuple) bool { return kv[0] == starlark.String(p.Name) }
		if p.Required && !slices.ContainsFunc(kwargs, given) {
			return m, op.Hint(fmt.Errorf("main of %s needs %s", to, p.Name), "t.run(%q, %s = ...)", name, p.Name)
		}
	}
	return m, nil
}

// words are the arguments as a command line has them.
func (m calledMain) words() []string {
	var out []string
	if m.environment != "" {
		out = append(out, m.environment)
	}
	for _, kv := range m.kwargs {
		name := string(kv[0].(starlark.String))
		flag := "--" + Param{Name: name}.Flag()
		switch {
		case name == "environment" || kv[1] == starlark.False:
		case kv[1] == starlark.True:
			out = append(out, flag)
		default:
			out = append(out, flag, builtin.Print(kv[1]))
		}
	}
	return out
}

// argument checks one argument of main, and puts the environment in the place of its name.
func (t *testValue) argument(th *starlark.Thread, m *calledMain, sig Signature, kv starlark.Tuple) (starlark.Tuple, error) {
	name, v := string(kv[0].(starlark.String)), kv[1]
	i := slices.IndexFunc(sig.Params, func(p Param) bool { return p.Name == name })
	wrong := func(hint, format string, args ...any) error {
		err := fmt.Errorf("%s: "+format, append([]any{name}, args...)...)
		return &builtin.ArgError{Param: name, Index: -1, Err: op.Hint(err, "%s", hint)}
	}
	if i < 0 {
		var names []string
		for _, p := range sig.Params {
			names = append(names, p.Name)
		}
		return nil, wrong("it takes "+strings.Join(names, ", "), "main of %s has no such parameter%s", m.name, builtin.DidYouMean(name, names))
	}
	if name == environmentParam {
		d, err := t.anEnvironment(th, v)
		if err != nil {
			return nil, &builtin.ArgError{Param: name, Index: -1, Err: fmt.Errorf("%s: %w", name, err)}
		}
		m.environment = nameOf(d)
		return starlark.Tuple{kv[0], d}, nil
	}
	text := func(t Type) bool { return t == TypeString || t == TypeDuration }
	if want, got := sig.Params[i].Type, typeOf(v); got != want && !(text(got) && text(want)) {
		return nil, wrong("the command line gives nothing else", "want a %s, got %s", want, v.Type())
	}
	return kv, nil
}

// anEnvironment is the one that a test means, which has a name from here on.
func (t *testValue) anEnvironment(th *starlark.Thread, v starlark.Value) (starlark.Value, error) {
	if name, ok := v.(starlark.String); ok {
		globals, err := t.suite.loader.load(th, environmentsFile)
		if err != nil {
			return nil, err
		}
		names := environmentNames(globals)
		if !slices.Contains(names, string(name)) {
			return nil, op.Hint(fmt.Errorf("there is no environment %s%s", string(name), builtin.DidYouMean(string(name), names)),
				"%s has %s", environmentsFile, strings.Join(names, ", "))
		}
		return globals[string(name)], nil
	}
	d, ok := v.(*builtin.Data)
	if !ok || !d.IsNamed() {
		return nil, op.Hint(fmt.Errorf("want an environment, got %s", v.Type()), `environment(app = ..., target = ...) makes one; "production" names one of environments.star`)
	}
	if nameOf(d) != "" {
		return d, nil
	}
	return d.WithName("test")
}

func nameOf(v starlark.Value) string {
	if d, ok := v.(*builtin.Data); ok {
		if n, err := d.Attr("name"); err == nil {
			return builtin.Print(n)
		}
	}
	return ""
}

func (t *testValue) environment(th *starlark.Thread, p TestEnvironment) (starlark.Value, error) {
	if p.Value == nil {
		return t.anEnvironment(th, starlark.String(p.Name))
	}
	d, ok := p.Value.(*builtin.Data)
	if !ok || !d.IsNamed() {
		return nil, &builtin.ArgError{Param: "value", Index: -1, Err: fmt.Errorf("value: want an environment, got %s", p.Value.Type())}
	}
	return d.WithName(p.Name)
}

func (t *testValue) hold(th *starlark.Thread, p TestHold) (starlark.Value, error) {
	d, err := t.anEnvironment(th, p.Environment)
	if err != nil {
		return nil, &builtin.ArgError{Param: environmentParam, Err: fmt.Errorf("environment: %w", err)}
	}
	_, target, err := (&core{t.kinds}).target(starlark.Tuple{d}, nil)
	if err != nil {
		return nil, err
	}
	return starlark.None, t.trial.Hold(target, cmp.Or(p.Who, "somebody"), p.Why)
}

// errAssert makes the error of an assertion that does not hold.
func errAssert(format string, args ...any) error { return fmt.Errorf(format, args...) }

func (t *testValue) equal(_ *starlark.Thread, p TestEqual) (starlark.Value, error) {
	same, err := starlark.Equal(p.Got, p.Want)
	if err != nil || same {
		return starlark.None, err
	}
	got, want := builtin.Repr(p.Got), builtin.Repr(p.Want)
	if got == want {
		got, want = got+" ("+p.Got.Type()+")", want+" ("+p.Want.Type()+")"
	}
	if len(got)+len(want) < 60 && !strings.Contains(got+want, "\n") {
		return nil, errAssert("got %s, want %s", got, want)
	}
	return nil, errAssert("they differ\n  got  %s\n  want %s", got, want)
}

func (t *testValue) isTrue(_ *starlark.Thread, p TestTrue) (starlark.Value, error) {
	switch {
	case bool(p.Value.Truth()):
		return starlark.None, nil
	case p.Because != "":
		return nil, errAssert("%s: got %s", p.Because, builtin.Repr(p.Value))
	}
	return nil, errAssert("got %s", builtin.Repr(p.Value))
}

func (t *testValue) contains(_ *starlark.Thread, p TestContains) (starlark.Value, error) {
	found := false
	switch whole := p.Whole.(type) {
	case starlark.String:
		part, ok := p.Part.(starlark.String)
		if !ok {
			return nil, errAssert("part: want a string, as the whole is one, got %s", p.Part.Type())
		}
		found = strings.Contains(string(whole), string(part))
	case starlark.Iterable:
		for v := range starlark.Elements(whole) {
			same, err := starlark.Equal(v, p.Part)
			if err != nil {
				return nil, err
			}
			found = found || same
		}
	default:
		return nil, errAssert("whole: want a string, a list or a dict, got %s", p.Whole.Type())
	}
	if !found {
		return nil, errAssert("%s is not in\n  %s", builtin.Repr(p.Part), builtin.Repr(p.Whole))
	}
	return starlark.None, nil
}

func (t *testValue) failedWith(_ *starlark.Thread, p TestError) (starlark.Value, error) {
	d, ok := p.Run.(*builtin.Data)
	var ran Ran
	if ok {
		ran, ok = d.Go().(Ran)
	}
	switch {
	case !ok:
		return nil, errAssert("run: want what t.run gives, got %s", p.Run.Type())
	case ran.Error == "":
		return nil, errAssert("the run did not fail: exit %d, want an error with %q", ran.Exit, p.Text)
	case !strings.Contains(ran.Error, p.Text):
		return nil, errAssert("the error does not say that\n  got  %s\n  want %s", ran.Error, p.Text)
	}
	return starlark.None, nil
}

func (t *testValue) fail(_ *starlark.Thread, p TestFail) (starlark.Value, error) {
	return nil, errors.New(builtin.Print(p.Text))
}

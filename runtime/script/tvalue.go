package script

import (
	"context"
	"errors"
	"fmt"
	"reflect"
	"strings"

	startime "go.starlark.net/lib/time"
	"go.starlark.net/starlark"

	"github.com/erlmcp/runner/runtime/builtin"
	"github.com/erlmcp/runner/runtime/op"
)

// testValue is what a test is given: t.
type testValue struct {
	suite *Suite
	trial Trial
	kinds *builtin.Kinds
}

var _ starlark.HasAttrs = (*testValue)(nil)

func (t *testValue) String() string        { return "<t>" }
func (t *testValue) Type() string          { return "t" }
func (t *testValue) Freeze()               {}
func (t *testValue) Truth() starlark.Bool  { return true }
func (t *testValue) Hash() (uint32, error) { return 0, errors.New("unhashable type: t") }

// testMethod is a method of t, or of t.clock.
type testMethod struct {
	name  string
	proto any
	call  func(*testValue, *starlark.Thread, starlark.Tuple, []starlark.Tuple) (starlark.Value, error)
}

// bound is a method whose parameters are a P.
func bound[P any](name string, do func(*testValue, *starlark.Thread, P) (starlark.Value, error)) testMethod {
	var proto P
	return testMethod{name, proto, func(t *testValue, th *starlark.Thread, args starlark.Tuple, kwargs []starlark.Tuple) (starlark.Value, error) {
		p, err := builtin.Bind[P](t.kinds, args, kwargs)
		if err != nil {
			return nil, err
		}
		return do(t, th, p)
	}}
}

// passing is a method whose parameters are a P, and then those of what it calls.
func passing[P any](name string, positional int, do func(*testValue, *starlark.Thread, P, starlark.Tuple, []starlark.Tuple) (starlark.Value, error)) testMethod {
	var proto P
	return testMethod{name, proto, func(t *testValue, th *starlark.Thread, args starlark.Tuple, kwargs []starlark.Tuple) (starlark.Value, error) {
		var mine, theirs []starlark.Tuple
		for _, kv := range kwargs {
			if hasField(proto, string(kv[0].(starlark.String))) {
				mine = append(mine, kv)
			} else {
				theirs = append(theirs, kv)
			}
		}
		n := min(positional, len(args))
		p, err := builtin.Bind[P](t.kinds, args[:n], mine)
		if err != nil {
			return nil, err
		}
		if f := flowOf(th); f.test == nil || f.pure != "" {
			return nil, errors.New("there is a run already: it is called by a test alone")
		}
		return do(t, th, p, args[n:], theirs)
	}}
}

func hasField(proto any, name string) bool {
	for _, f := range op.Fields(reflect.TypeOf(proto)) {
		if f.Name == name {
			return true
		}
	}
	return false
}

func testMethods() []testMethod {
	return []testMethod{
		passing("run", 1, (*testValue).run), passing("call", 1, (*testValue).callFn), passing("kill_everywhere", 1, (*testValue).killEverywhere),
		bound("fake", (*testValue).fake), bound("fail_at", (*testValue).failAt), bound("interrupt_at", (*testValue).interruptAt),
		bound("lose_lease_at", (*testValue).loseLeaseAt), bound("hold", (*testValue).hold), bound("environment", (*testValue).environment),
		bound("equal", (*testValue).equal), bound("true", (*testValue).isTrue), bound("contains", (*testValue).contains),
		bound("error", (*testValue).failedWith), bound("fail", (*testValue).fail),
		bound("clock.now", (*testValue).now), bound("clock.advance", (*testValue).advance),
	}
}

// AttrNames implements starlark.HasAttrs.
func (t *testValue) AttrNames() []string {
	var out []string
	for _, m := range testMethods() {
		if !strings.Contains(m.name, ".") {
			out = append(out, m.name)
		}
	}
	return append(out, "clock")
}

// Attr implements starlark.HasAttrs.
func (t *testValue) Attr(name string) (starlark.Value, error) {
	clock := starlark.StringDict{}
	for _, m := range testMethods() {
		b := starlark.NewBuiltin("t."+m.name, caught(func(th *starlark.Thread, _ *starlark.Builtin, args starlark.Tuple, kwargs []starlark.Tuple) (starlark.Value, error) {
			return m.call(t, th, args, kwargs)
		}))
		if m.name == name {
			return b, nil
		}
		if of, ok := strings.CutPrefix(m.name, "clock."); ok {
			clock[of] = b
		}
	}
	if name == "clock" {
		return builtin.NewModule("t.clock", clock), nil
	}
	return nil, op.Hint(fmt.Errorf("t has no %s%s", name, builtin.DidYouMean(name, t.AttrNames())), "runner doc test describes it")
}

// spec is the op that a test names, by a text or by the op itself.
func (t *testValue) spec(v starlark.Value) (*op.Spec, error) {
	switch v := v.(type) {
	case starlark.String:
		return t.suite.spec(string(v))
	case *builtin.Op:
		return t.suite.spec(v.Name())
	}
	return nil, &builtin.ArgError{Param: "op", Err: op.Hint(fmt.Errorf("op: want the name of an op, got %s", v.Type()), `t.fake("releases.current", ...)`)}
}

func (t *testValue) fake(th *starlark.Thread, p TestFake) (starlark.Value, error) {
	s, err := t.spec(p.Op)
	if err != nil {
		return nil, err
	}
	f := Fake{Takes: p.Takes.D(), Result: reflect.Zero(s.Result).Interface()}
	if p.Error != "" {
		f.Err = errors.New(p.Error)
		if p.Hint != "" {
			f.Err = op.Hint(f.Err, "%s", p.Hint)
		}
	}
	switch {
	case p.Error != "" && p.Result != nil:
		return nil, errors.New("takes a result or an error, got both")
	case p.Error == "" && p.Hint != "":
		return nil, errors.New("hint: there is no error for it")
	}
	if fn, ok := p.Result.(starlark.Callable); ok {
		f.Func = t.answer(s, fn, flowOf(th).ctx)
	} else if p.Result != nil {
		if f.Result, err = t.kinds.Result(s.Result, p.Result); err != nil {
			return nil, &builtin.ArgError{Param: "result", Index: -1, Err: fmt.Errorf("the result of %s: %w", s.FullName(), err)}
		}
	}
	t.trial.Fake(s.FullName(), f)
	return starlark.None, nil
}

// answer calls the test's function for each call of the op. The trial calls one such function at a time, while the
// test itself waits, so that they share what the test has made.
func (t *testValue) answer(s *op.Spec, fn starlark.Callable, outer context.Context) func(context.Context, op.Bound) (any, error) {
	n := 0
	return func(_ context.Context, b op.Bound) (any, error) {
		n++
		th, stop := t.suite.thread(&flow{ctx: outer, script: t.suite.Script, test: t, pure: "t.fake"}, "fake")
		defer stop()
		call := builtin.NewStruct(starlark.StringDict{"op": starlark.String(s.FullName()), "args": t.kinds.Starlark(b.Params), "n": starlark.MakeInt(n)})
		v, err := call1(th, fn, starlark.Tuple{call}, nil)
		var failed *Failed
		if errors.As(err, &failed) {
			return nil, errors.New(failed.Text)
		}
		if err != nil {
			return nil, &Mistaken{err}
		}
		r, err := t.kinds.Result(s.Result, v)
		if err != nil {
			return nil, &Mistaken{fmt.Errorf("the function of its fake gives what it cannot: %w", err)}
		}
		return r, nil
	}
}

func (t *testValue) fault(v starlark.Value, nth int, f Fault) (starlark.Value, error) {
	s, err := t.spec(v)
	if err != nil {
		return nil, err
	}
	f.Op, f.Nth = s.FullName(), max(nth, 1)
	t.trial.Fault(f)
	return starlark.None, nil
}

func (t *testValue) failAt(_ *starlark.Thread, p TestFailAt) (starlark.Value, error) {
	if p.Error == "" {
		p.Error = "it fails here, as the test has asked for"
	}
	return t.fault(p.Op, p.Nth, Fault{Kind: FaultFail, Err: errors.New(p.Error)})
}

func (t *testValue) interruptAt(_ *starlark.Thread, p TestInterruptAt) (starlark.Value, error) {
	return t.fault(p.Op, p.Nth, Fault{Kind: FaultInterrupt})
}

func (t *testValue) loseLeaseAt(_ *starlark.Thread, p TestLoseLeaseAt) (starlark.Value, error) {
	return t.fault(p.Op, p.Nth, Fault{Kind: FaultLease})
}

func (t *testValue) now(*starlark.Thread, TestNow) (starlark.Value, error) {
	return startime.Time(t.trial.Now()), nil
}

func (t *testValue) advance(_ *starlark.Thread, p TestAdvance) (starlark.Value, error) {
	t.trial.Advance(p.D.D())
	return starlark.None, nil
}

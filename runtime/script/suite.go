package script

import (
	"context"
	"errors"
	"fmt"
	"path"
	"slices"
	"strings"

	"go.starlark.net/starlark"

	"github.com/erlmcp/runner/runtime/builtin"
	"github.com/erlmcp/runner/runtime/op"
)

const (
	testSuffix = "_test.star"
	testPrefix = "test_"
)

// IsTest reports whether a file holds tests, by its name.
func IsTest(name string) bool { return strings.HasSuffix(name, testSuffix) }

// Suite is a file of tests, loaded.
type Suite struct {
	*Script
	tests []*starlark.Function
}

// OpenTests loads a file of tests by its canonical name. Every error is a mistake in the scripts, for Diagnose.
func OpenTests(ctx context.Context, p *Project, name string, o Options) (*Suite, error) {
	s := &Suite{Script: &Script{Name: name, project: p, options: o, budget: newBudget(o.Limits)}}
	s.loader = newLoader(p, s.Script)
	err := s.watched(ctx, func(ctx context.Context) error {
		t, stop := s.thread(&flow{ctx: ctx, script: s.Script}, "load")
		defer stop()
		globals, err := s.loader.load(t, name)
		if err != nil {
			return err
		}
		return s.collect(globals)
	})
	if err != nil {
		return nil, s.sourced(err)
	}
	return s, nil
}

// collect finds the tests, in the order in which they stand.
func (s *Suite) collect(globals starlark.StringDict) error {
	for _, name := range globals.Keys() {
		if !strings.HasPrefix(name, testPrefix) {
			continue
		}
		f, ok := globals[name].(*starlark.Function)
		switch {
		case !ok:
			return op.Hint(fmt.Errorf("%s of %s is no function, and so no test", name, s.Name), "def %s(t): makes it one", name)
		case f.NumParams() != 1 || f.HasVarargs() || f.HasKwargs():
			return atParam(f.Position(), op.Hint(fmt.Errorf("a test takes one parameter, t"), "def %s(t):", name))
		}
		s.tests = append(s.tests, f)
	}
	slices.SortFunc(s.tests, func(a, b *starlark.Function) int { return int(a.Position().Line) - int(b.Position().Line) })
	return nil
}

// Tests lists the names of the tests, in their order.
func (s *Suite) Tests() []string {
	var out []string
	for _, f := range s.tests {
		out = append(out, f.Name())
	}
	return out
}

// Test calls one test in a trial. The error is for Diagnose.
func (s *Suite) Test(ctx context.Context, name string, trial Trial) error {
	i := slices.IndexFunc(s.tests, func(f *starlark.Function) bool { return f.Name() == name })
	s.budget = newBudget(s.options.Limits)
	err := s.watched(ctx, func(ctx context.Context) error {
		t := &testValue{suite: s, trial: trial, kinds: builtin.NewKinds(s.options.Families)}
		th, stop := s.thread(&flow{ctx: ctx, script: s.Script, test: t}, name)
		defer stop()
		_, err := call1(th, s.tests[i], starlark.Tuple{t}, nil)
		return err
	})
	return s.sourced(err)
}

// Excerpt is the source line at a position such as "deploy.star:31:5", with a caret below it.
func (s *Suite) Excerpt(at string) string {
	parts := strings.Split(at, ":")
	if len(parts) < 3 {
		return ""
	}
	p := place{file: strings.Join(parts[:len(parts)-2], ":")}
	if _, err := fmt.Sscan(parts[len(parts)-2], &p.line); err != nil {
		return ""
	}
	if _, err := fmt.Sscan(parts[len(parts)-1], &p.col); err != nil {
		return ""
	}
	return s.loader.excerpt(p)
}

// Spec finds an op by its name; the error suggests the right one.
func (s *Suite) spec(name string) (*op.Spec, error) {
	var names []string
	for _, f := range s.options.Families {
		for _, o := range f.Ops {
			if o.Class == op.ClassUndo {
				continue
			}
			if o.FullName() == name {
				return o, nil
			}
			names = append(names, o.FullName())
		}
	}
	return nil, op.Hint(fmt.Errorf("there is no op %q%s", name, builtin.DidYouMean(name, names)), "runner doc lists them")
}

// find is the canonical name of a script that a test names: as seen from the test's file, else from the project.
func (s *Suite) find(name string) (string, error) {
	to, err := s.loader.follow(s.Name, name)
	if err == nil && s.project.exists(to) {
		return to, nil
	}
	if clean := path.Clean(name); err == nil && s.project.exists(clean) {
		return clean, nil
	}
	if err != nil {
		return "", err
	}
	return "", op.Hint(fmt.Errorf("there is no %s%s", name, builtin.DidYouMean(name, s.project.List())), "a script is seen from the test's file, then from the project")
}

// Enough ends a test that has nothing to say any more: one that is called again to be killed.
var Enough = errors.New("the trial is over")

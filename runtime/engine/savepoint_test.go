package engine

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"testing"

	"github.com/erlmcp/runner/runtime/event"
	"github.com/erlmcp/runner/runtime/journal"
	"github.com/erlmcp/runner/runtime/op"
)

// attempting is a step that attempts other steps and gives the caught error to check.
func (g *rig) attempting(check func(error), steps ...any) func(context.Context, *Run) error {
	return func(ctx context.Context, r *Run) error {
		caught, err := r.Attempt(ctx, "", func(ctx context.Context) error { return g.steps(ctx, r, "", steps...) })
		if err == nil {
			check(caught)
		}
		return err
	}
}

func TestAttemptTakesBackWhatItChanged(t *testing.T) {
	g := newRig(t)
	caught := func(err error) {
		if !errors.Is(err, errBoom) {
			t.Errorf("caught %v", err)
		}
		if g.w.get("b") != "" || g.w.get("a") != "1" {
			t.Errorf("behind attempt a is %q and b %q", g.w.get("a"), g.w.get("b"))
		}
	}
	f := g.script("lease", Set{Name: "a", Value: "1"}, g.attempting(caught, Set{Name: "b", Value: "1"}, errBoom), Set{Name: "c", Value: "1"})
	g.want(f, ExitHolds, values{"a": "1", "b": "", "c": "1"})
}

func TestAttemptOverAHalfDoneOp(t *testing.T) {
	g := newRig(t)
	g.w.fail["2"] = errBoom // its effect is there, its end is not
	f := g.script("lease", Set{Name: "a", Value: "1"}, g.attempting(func(error) {}, Set{Name: "a", Value: "2"}))
	g.want(f, ExitHolds, values{"a": "1"})
}

func TestAttemptCatchesNoMistakeAndNoEnd(t *testing.T) {
	for name, step := range map[string]any{
		"mistake": fmt.Errorf("deploy.star:3:1: %w", errMistake),
		"lost":    fmt.Errorf("cannot: %w", journal.ErrLost),
		"fault":   &op.Fault{ID: "1", Cause: errBoom},
		"stopped": func(ctx context.Context, r *Run) error {
			return context.Cause(ctx)
		},
	} {
		g := newRig(t)
		r := g.run()
		ctx, cancel := context.WithCancelCause(t.Context())
		if name == "stopped" {
			cancel(&Stopped{"SIGTERM", 143})
		}
		_, err := r.Attempt(ctx, "", func(ctx context.Context) error { return g.steps(ctx, r, "", step) })
		cancel(nil)
		if err == nil {
			t.Errorf("%s is caught", name)
		}
	}
}

func TestAttemptWhoseUndoFailsIsNotCaught(t *testing.T) {
	g := newRig(t)
	g.w.fail["undo a"] = errBoom
	f := g.script("lease", g.attempting(func(error) { t.Error("caught") }, Set{Name: "a", Value: "1"}, errBoom))
	g.want(f, ExitDiffers, nil)
}

func TestCommitInsideABranchOrAnAttempt(t *testing.T) {
	g := newRig(t)
	commit := func(ctx context.Context, r *Run) error { return r.Commit(ctx, "", "", "1/a/") }
	g.want(g.script("lease", Set{Name: "a", Value: "1"}, commit), ExitTakenBack, values{"a": ""})
	g.want(g.script("lease", g.attempting(func(err error) {
		if err == nil || !strings.Contains(err.Error(), "inside attempt") {
			t.Errorf("commit inside attempt: %v", err)
		}
	}, Set{Name: "a", Value: "1"}, "commit")), ExitHolds, values{"a": ""})
}

// parallel is the steps of branches a, b and c.
type parallel [][]any

func (g *rig) parallel(ctx context.Context, r *Run, branch string, p parallel) error {
	names := []string{"a", "b", "c"}[:len(p)]
	return r.Parallel(ctx, "", branch, names, 0, func(ctx context.Context, i int, branch string) error {
		return g.steps(ctx, r, branch, p[i]...)
	})
}

func TestParallelReportsTheFirstErrorByOrder(t *testing.T) {
	g := newRig(t)
	second := errors.New("second")
	f := g.script("lease", parallel{{Wait{}}, {second}})
	g.want(f, ExitFailed, nil)
	if !strings.Contains(g.story(), "second") || strings.Contains(g.story(), "Error:another branch failed At") {
		t.Error(g.story())
	}
}

// when is a step that waits for a fact that begins so.
func (g *rig) when(kind, op string) func(context.Context, *Run) error {
	met, before := make(chan struct{}), g.hear
	g.hear = func(f event.Fact) {
		if before != nil {
			before(f)
		}
		started, _ := f.(event.OpStarted)
		finished, _ := f.(event.OpFinished)
		if f.Kind() == kind && op == cmp.Or(started.Op, finished.Op) {
			close(met)
		}
	}
	return func(ctx context.Context, _ *Run) error {
		select {
		case <-met:
			return nil
		case <-ctx.Done():
			return context.Cause(ctx)
		}
	}
}

// Whatever the order in which two branches come to it, the second one is refused, and what the first did is taken back.
func TestBranchesThatChangeOneTargetAreRefused(t *testing.T) {
	a, b, hangs := Set{Name: "a", Value: "1"}, Set{Name: "b", Value: "1"}, Set{Name: "a", Value: "hangs"}
	for name, branches := range map[string]func(g *rig) parallel{
		"the first has ended":  func(g *rig) parallel { return parallel{{a}, {g.when("op_finished", "1/a/1"), b}} },
		"the second has ended": func(g *rig) parallel { return parallel{{g.when("op_finished", "1/b/1"), a}, {b}} },
		"the first is at work": func(g *rig) parallel { return parallel{{hangs}, {g.when("op_started", "1/a/1"), b}} },
		"both are in a third":  func(g *rig) parallel { return parallel{nil, {parallel{{a}, {g.when("op_finished", "1/b/1/a/1"), b}}}} },
		"one is in a branch's own": func(g *rig) parallel {
			return parallel{{parallel{{a}}}, {g.when("op_finished", "1/a/1/a/1"), parallel{{b}}}}
		},
		"behind a branch's own": func(g *rig) parallel {
			return parallel{{parallel{{a}}, a}, {g.when("op_finished", "1/a/2"), b}}
		},
	} {
		t.Run(name, func(t *testing.T) {
			g := newRig(t)
			g.w.fail["hangs"] = errHang
			f := g.script("lease", branches(g))
			g.want(f, ExitTakenBack, values{"a": "", "b": ""})
			if !strings.Contains(g.story(), "the branches a and b of one parallel both do") && !strings.Contains(g.story(), "the branches b and a of one parallel both do") {
				t.Error(g.story())
			}
		})
	}
}

// Two branches that ask at the same instant: one of them is told no.
func TestOneOfTwoBranchesIsRefused(t *testing.T) {
	r := newRig(t).run()
	for n := range 2000 {
		target := strconv.Itoa(n)
		refused := make(chan error)
		for _, branch := range []string{"1/a/", "1/b/"} {
			go func() { refused <- r.touch(target, branch) }()
		}
		if one, two := <-refused, <-refused; (one == nil) == (two == nil) {
			t.Fatalf("round %d: %v, %v", n, one, two)
		}
	}
}

func TestPathsThatPart(t *testing.T) {
	for _, c := range []struct{ a, b, want string }{
		{"", "", ""},
		{"", "7/web/", ""},
		{"7/web/", "7/web/", ""},
		{"7/web/", "7/db/", "web db"},
		{"7/web/", "8/db/", ""},
		{"7/web/", "77/db/", ""},
		{"7/web/", "7/webs/", "web webs"},
		{"7/web/", "7/web/2/a/", ""},
		{"7/web/2/a/", "7/db/", "web db"},
		{"7/web/2/a/", "7/db/2/a/", "web db"},
		{"7/web/2/a/", "7/web/2/b/", "a b"},
		{"7/web/2/a/", "7/web/3/b/", ""},
		{"7/web/2/a/1/x/", "7/web/2/b/9/x/", "a b"},
		{"7/web/2/a/1/x/", "7/web/2/a/1/y/", "x y"},
		{"7/2/3/4/", "7/2/3/5/", "4 5"},
	} {
		for _, turned := range []bool{false, true} {
			a, b := c.a, c.b
			if turned {
				a, b = b, a
			}
			first, second, part := parting(a, b)
			if turned {
				first, second = second, first
			}
			if got := strings.TrimSpace(first + " " + second); got != c.want || part != (c.want != "") {
				t.Errorf("%q and %q part in %q (%v), want %q", a, b, got, part, c.want)
			}
		}
	}
}

// One after the other is what a branch may do, and so are two parallels.
func TestOneTargetOneAfterTheOther(t *testing.T) {
	a, b := Set{Name: "a", Value: "1"}, Set{Name: "b", Value: "1"}
	for name, steps := range map[string][]any{
		"in a branch":                   {parallel{{a, b}}},
		"in two parallels":              {parallel{{a}}, parallel{nil, {b}}},
		"in two parallels of a branch":  {parallel{{parallel{{a}}, parallel{nil, {b}}}}},
		"in a branch, and in its own":   {parallel{{a, parallel{nil, {b}}}}},
		"in a branch, behind its own":   {parallel{{parallel{nil, {a}}, b}}},
		"before a parallel, and behind": {a, parallel{{Look{Name: "a"}}, {b}}, Set{Name: "a", Value: "1"}},
	} {
		t.Run(name, func(t *testing.T) {
			g := newRig(t)
			g.want(g.script(append([]any{"lease"}, steps...)...), ExitHolds, values{"a": "1", "b": "1"})
		})
	}
}

func TestPositionsArePaths(t *testing.T) {
	g := newRig(t)
	g.script("lease", Look{Name: "x"}, parallel{{Look{Name: "x"}, Look{Name: "x"}}}, Look{Name: "x"})
	var got []string
	for _, r := range g.facts {
		if s, ok := r.Fact.(event.OpStarted); ok {
			got = append(got, s.Op)
		}
	}
	if strings.Join(got, " ") != "1 2/a/1 2/a/2 3" {
		t.Errorf("positions %s", got)
	}
}

func TestTargetlessChangeIsInEveryLog(t *testing.T) {
	g := newRig(t)
	f := g.script("lease", Set{Name: "a", Value: "1", Bare: true}, errBoom)
	g.want(f, ExitTakenBack, values{"a": ""})
	home := journal.Root{Files: g.run().Host.Files, Path: g.w.root}
	records, err := home.Read(t.Context(), "run-1")
	if err != nil || !strings.Contains(fmt.Sprint(records), "toy.set") {
		t.Errorf("undo log: %v %v", records, err)
	}
}

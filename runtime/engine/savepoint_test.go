package engine

import (
	"context"
	"errors"
	"fmt"
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

func (g *rig) parallel(branches ...[]any) func(context.Context, *Run) error {
	return func(ctx context.Context, r *Run) error {
		names := []string{"a", "b", "c"}[:len(branches)]
		return r.Parallel(ctx, "", "", names, 0, func(ctx context.Context, i int, branch string) error {
			return g.steps(ctx, r, branch, branches[i]...)
		})
	}
}

func TestParallelReportsTheFirstErrorByOrder(t *testing.T) {
	g := newRig(t)
	second := errors.New("second")
	f := g.script("lease", g.parallel([]any{Wait{}}, []any{second}))
	g.want(f, ExitFailed, nil)
	if !strings.Contains(g.story(), "second") || strings.Contains(g.story(), "Error:another branch failed At") {
		t.Error(g.story())
	}
}

func TestBranchesThatChangeOneTargetAreRefused(t *testing.T) {
	g := newRig(t)
	f := g.script("lease", g.parallel([]any{Set{Name: "a", Value: "1"}}, []any{Set{Name: "b", Value: "1"}}))
	g.want(f, ExitTakenBack, values{"a": "", "b": ""})
	if !strings.Contains(g.story(), "of one parallel both do") {
		t.Error(g.story())
	}
	// One after the other is what a branch may do, and so are two parallels.
	f = g.script("lease", g.parallel([]any{Set{Name: "a", Value: "1"}, Set{Name: "b", Value: "1"}}), g.parallel(nil, []any{Set{Name: "b", Value: "2"}}))
	g.want(f, ExitHolds, values{"a": "1", "b": "2"})
}

func TestPositionsArePaths(t *testing.T) {
	g := newRig(t)
	g.script("lease", Look{Name: "x"}, g.parallel([]any{Look{Name: "x"}, Look{Name: "x"}}), Look{Name: "x"})
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

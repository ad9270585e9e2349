package engine

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/erlmcp/runner/runtime/event"
	"github.com/erlmcp/runner/runtime/op"
	"github.com/erlmcp/runner/runtime/secret"
)

func TestEndOfMainCommits(t *testing.T) {
	g := newRig(t)
	f := g.script("lease", Set{Name: "a", Value: "1"})
	g.want(f, 0, values{"a": "1"})
	if !f.Committed || f.Live != "1" {
		t.Errorf("verdict %+v", f)
	}
}

func TestFailureUndoesNewestFirst(t *testing.T) {
	g := newRig(t)
	g.script("lease", Set{Name: "a", Value: "1"})
	f := g.script("lease", Set{Name: "a", Value: "2"}, Set{Name: "b", Value: "2"}, errBoom)
	g.want(f, ExitTakenBack, values{"a": "1", "b": ""})
	if got := g.outcomes(); got != "2:restored 1:restored" {
		t.Errorf("outcomes %s", got)
	}
}

func TestFailureBehindEffectIsUndone(t *testing.T) {
	g := newRig(t)
	g.w.fail["2"] = errBoom
	g.want(g.script("lease", Set{Name: "a", Value: "2"}), ExitTakenBack, values{"a": ""})
}

func TestNothingToPutBackStays(t *testing.T) {
	g := newRig(t)
	g.script("lease", Set{Name: "a", Value: "1"})
	g.want(g.script("lease", Set{Name: "a", Value: "1"}, errBoom), ExitTakenBack, values{"a": "1"})
}

func TestAgainKeepsTheFirstInverse(t *testing.T) {
	g := newRig(t)
	g.script("lease", Set{Name: "a", Value: "1"})
	g.w.fail["2"] = &op.Again{Err: errBoom, Tries: 2}
	f := g.script("lease", Set{Name: "a", Value: "2"}, errBoom)
	g.want(f, ExitTakenBack, values{"a": "1"})
	if f.Changed != 1 {
		t.Errorf("%d changes, want 1: a second try is the same op", f.Changed)
	}
	// Also when the first inverse was: nothing to put back.
	g.w.fail["1"] = &op.Again{Err: errBoom, Tries: 2}
	g.want(g.script("lease", Set{Name: "a", Value: "1"}, errBoom), ExitTakenBack, values{"a": "1"})
}

func TestChangeWithoutLease(t *testing.T) {
	g := newRig(t)
	f := g.script(Set{Name: "a", Value: "1"})
	g.want(f, ExitFailed, values{"a": ""})
	if !strings.Contains(g.story(), "does not hold its lease") {
		t.Error(g.story())
	}
}

func TestCommitIsThePointOfNoReturn(t *testing.T) {
	g := newRig(t)
	f := g.script("lease", Set{Name: "a", Value: "1"}, "commit", Set{Name: "b", Value: "1"}, Tell{What: "all"}, errBoom)
	g.want(f, ExitStays, values{"a": "1", "b": ""})
	if len(f.Finals) != 1 || f.Message != "done" {
		t.Errorf("verdict %+v", f)
	}
}

func TestFinalBeforeCommitIsNamed(t *testing.T) {
	g := newRig(t)
	f := g.script("lease", Set{Name: "a", Value: "1"}, Tell{What: "all"}, errBoom)
	g.want(f, ExitDiffers, values{"a": ""})
	if len(f.Differs) != 1 || !strings.Contains(f.Differs[0], "tell all") {
		t.Errorf("differs %q", f.Differs)
	}
}

func TestNoUndoLeavesAndUndoByHand(t *testing.T) {
	g := newRig(t)
	g.cfg.NoUndo = true
	g.want(g.script("lease", Set{Name: "a", Value: "1"}, errBoom), ExitLeft, values{"a": "1"})
	r := g.run()
	f := r.Main(t.Context(), func(ctx context.Context) error { return r.UndoRun(ctx, nil, "", "") })
	g.want(f, ExitHolds, values{"a": ""})
	r = g.run()
	f = r.Main(t.Context(), func(ctx context.Context) error { return r.UndoRun(ctx, nil, "run-1", "") })
	g.want(f, ExitFailed, nil)
}

func TestUndoByHandRefusesWhatIsCommittedOrOverlaid(t *testing.T) {
	g := newRig(t)
	g.script("lease", Set{Name: "a", Value: "1"})
	for run, want := range map[string]string{"run-1": "is committed", "run-9": "no undo log of it", "": "is committed"} {
		r := g.run()
		g.want(r.Main(t.Context(), func(ctx context.Context) error { return r.UndoRun(ctx, nil, run, "") }), ExitFailed, values{"a": "1"})
		if !strings.Contains(g.story(), want) {
			t.Errorf("undo %q: %s", run, g.story())
		}
	}
}

func TestConflictIsLeftAlone(t *testing.T) {
	g := newRig(t)
	f := g.script("lease", Set{Name: "a", Value: "1"}, Set{Name: "b", Value: "1"}, func(context.Context, *Run) error {
		g.w.put("a", "by hand")
		return errBoom
	})
	g.want(f, ExitDiffers, values{"a": "by hand", "b": ""})
	if len(f.Differs) != 1 || !strings.Contains(f.Differs[0], "by hand") {
		t.Errorf("differs %q", f.Differs)
	}
	g.want(g.script("lease", Set{Name: "b", Value: "2"}), ExitHolds, values{"a": "by hand", "b": "2"})
}

func TestFailedInverseIsTriedByTheNextRun(t *testing.T) {
	g := newRig(t)
	g.w.fail["undo a"] = errBoom
	f := g.script("lease", Set{Name: "a", Value: "1"}, Set{Name: "b", Value: "1"}, errBoom)
	g.want(f, ExitDiffers, values{"a": "1", "b": ""})
	g.want(g.script("lease", Set{Name: "c", Value: "1"}), ExitHolds, values{"a": "", "c": "1"})
	if got := g.outcomes(); got != "1:restored" {
		t.Errorf("outcomes %s: what is put back is not put back twice", got)
	}
}

func TestChecksAskedForOnUndoRunLast(t *testing.T) {
	for want, exit := range map[string]int{"": ExitTakenBack, "other": ExitDiffers} {
		g := newRig(t)
		f := g.script("lease", func(ctx context.Context, r *Run) error {
			return r.OnUndo(ctx, g.bind(Look{Name: "a", Want: want}))
		}, Set{Name: "a", Value: "1"}, errBoom)
		g.want(f, exit, values{"a": ""})
		if got := g.outcomes(); !strings.HasPrefix(got, "2:restored 1:") || f.Healthy == nil || *f.Healthy != (want == "") {
			t.Errorf("outcomes %s, healthy %v", got, f.Healthy)
		}
	}
	g := newRig(t)
	f := g.script("lease", func(ctx context.Context, r *Run) error { return r.OnUndo(ctx, g.bind(Set{Name: "a"})) })
	g.want(f, ExitFailed, nil)
}

func TestPanicIsThatOpsError(t *testing.T) {
	g := newRig(t)
	f := g.script("lease", Set{Name: "b", Value: "1"}, Set{Name: "a", Value: "panic"})
	g.want(f, ExitFault, values{"a": "", "b": ""})
}

func TestStoppedBeforeAndBehindAChange(t *testing.T) {
	for _, changes := range []bool{false, true} {
		g := newRig(t)
		steps := []any{"lease"}
		want := 130
		if changes {
			steps, want = append(steps, Set{Name: "a", Value: "1"}), ExitTakenBack
		}
		ctx, cancel := context.WithCancelCause(t.Context())
		r := g.run()
		g.hear = func(f event.Fact) {
			if s, ok := f.(event.OpStarted); ok && s.Name == "toy.wait" {
				cancel(&Stopped{"SIGINT", 130})
			}
		}
		f := r.Main(ctx, func(ctx context.Context) error { return g.steps(ctx, r, "", append(steps, Wait{})...) })
		g.want(f, want, values{"a": ""})
		if !f.Interrupted {
			t.Error("not interrupted")
		}
	}
}

func TestAbandonedUndoIsTakenUpByTheNextRun(t *testing.T) {
	g := newRig(t)
	abandon := make(chan struct{})
	g.cfg.Abandon = abandon
	g.w.fail["undo b"] = errHang
	g.hear = func(f event.Fact) {
		if _, ok := f.(event.UndoStarted); ok {
			close(abandon)
		}
	}
	f := g.script("lease", Set{Name: "a", Value: "1"}, Set{Name: "b", Value: "1"}, errBoom)
	g.want(f, ExitDiffers, values{"a": "", "b": "1"})
	g.cfg.Abandon = nil
	g.want(g.script("lease"), ExitHolds, values{"a": "", "b": ""})
}

func TestUndoHasItsOwnTime(t *testing.T) {
	g := newRig(t)
	g.cfg.UndoTimeout = 30 * time.Millisecond
	g.w.fail["undo a"] = errHang
	g.want(g.script("lease", Set{Name: "a", Value: "1"}, errBoom), ExitDiffers, values{"a": "1"})
	if !strings.Contains(g.story(), "--undo-timeout") {
		t.Error(g.story())
	}
}

func TestSecretsAreScrubbedFromFactsAndResults(t *testing.T) {
	g := newRig(t)
	t.Setenv("TOKEN", "correct-horse-battery")
	r := g.run()
	f := r.Main(t.Context(), func(ctx context.Context) error {
		if _, err := r.Host.Secrets.Reveal(secret.Env("TOKEN")); err != nil {
			return err
		}
		g.w.put("t", "correct-horse-battery")
		got, err := r.Perform(ctx, g.bind(Look{Name: "t"}))
		if err == nil && got != "‹secret TOKEN›" {
			t.Errorf("the script sees %q", got)
		}
		return fmt.Errorf("no: %q %w", "correct-horse-battery", err)
	})
	g.want(f, ExitFailed, nil)
	if strings.Contains(g.story(), "correct-horse") {
		t.Error(g.story())
	}
}

// TestSecretIsPutBack: what is concealed in the records of a run is not lost to its undo.
func TestSecretIsPutBack(t *testing.T) {
	const was = "correct-horse-battery"
	g := newRig(t)
	t.Setenv("TOKEN", was)
	g.w.put("a", was)
	reveal := func(_ context.Context, r *Run) error {
		_, err := r.Host.Secrets.Reveal(secret.Env("TOKEN"))
		return err
	}
	g.want(g.script(reveal, "lease", Set{Name: "a", Value: "1"}, errBoom), ExitTakenBack, values{"a": was})
	if strings.Contains(g.story(), was) {
		t.Error(g.story())
	}
}

// TestContentsStandInNoRecord: an inverse that holds contents is a file of its own, however small.
func TestContentsStandInNoRecord(t *testing.T) {
	g := newRig(t)
	g.w.put("a", "an old configuration")
	g.want(g.script("lease", Set{Name: "a", Value: "1", Keep: true}, errBoom), ExitTakenBack, values{"a": "an old configuration"})
	for _, r := range g.facts {
		if f, ok := r.Fact.(event.OpStarted); ok && (len(f.Inverse) == 0 || strings.Contains(string(f.Inverse), "configuration")) {
			t.Errorf("the record says %s", f.Inverse)
		}
	}
}

// TestMigratedStays: behind a Final that says so, nothing is taken back unless a person asks.
func TestMigratedStays(t *testing.T) {
	g := newRig(t)
	migrate := Tell{What: "the schema", Keep: "its data is migrated"}
	f := g.script("lease", Set{Name: "a", Value: "1"}, migrate, Set{Name: "b", Value: "1"}, errBoom)
	g.want(f, ExitDiffers, values{"a": "1", "b": "1"})
	if want := "tell the schema: its data is migrated: what was changed stays"; len(f.Differs) != 1 || f.Differs[0] != want || f.Unfinished {
		t.Errorf("differs %q, want %q; unfinished %v", f.Differs, want, f.Unfinished)
	}
	if strings.Contains(g.story(), "undo_started") {
		t.Error(g.story())
	}
	g.want(g.script("lease", Set{Name: "b", Value: "2"}), ExitHolds, values{"a": "1", "b": "2"})

	f = g.script("lease", Set{Name: "a", Value: "3"}, migrate, errBoom)
	g.want(f, ExitDiffers, values{"a": "3"})
	r := g.run()
	f = r.Main(t.Context(), func(ctx context.Context) error { return r.UndoRun(ctx, nil, "", "") })
	g.want(f, ExitHolds, values{"a": "1"})
}

// TestMigratedStaysInAnAttempt: a savepoint does not go back behind it either.
func TestMigratedStaysInAnAttempt(t *testing.T) {
	g := newRig(t)
	try := func(ctx context.Context, r *Run) error {
		_, err := r.Attempt(ctx, "", func(ctx context.Context) error {
			return g.steps(ctx, r, "", Set{Name: "a", Value: "1"}, Tell{What: "the schema", Keep: "its data is migrated"}, errBoom)
		})
		return err
	}
	g.want(g.script("lease", try), ExitDiffers, values{"a": "1"})
}

// TestMigratedStaysBehindADeadRun: the next run goes on from the world as it is.
func TestMigratedStaysBehindADeadRun(t *testing.T) {
	g := newRig(t)
	g.script("lease", Set{Name: "a", Value: "1"}, Tell{What: "the schema", Keep: "its data is migrated"}, errBoom)
	log := filepath.Join(g.w.root, ".runner", "runs", "run-1.jsonl")
	b, err := os.ReadFile(log)
	if err != nil {
		t.Fatal(err)
	}
	finish := bytes.LastIndexByte(bytes.TrimRight(b, "\x00\n"), '\n') + 1
	if !bytes.Contains(b[finish:], []byte("run_finished")) {
		t.Fatalf("the last record is %s", b[finish:])
	}
	if err := os.WriteFile(log, b[:finish], 0o600); err != nil {
		t.Fatal(err)
	}
	g.want(g.script("lease", Set{Name: "b", Value: "2"}), ExitHolds, values{"a": "1", "b": "2"})
	if !strings.Contains(g.story(), "its data is migrated: what was changed stays") {
		t.Error(g.story())
	}
}

package engine

import (
	"context"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/erlmcp/runner/runtime/event"
	"github.com/erlmcp/runner/runtime/host"
	"github.com/erlmcp/runner/runtime/journal"
	"github.com/erlmcp/runner/runtime/op"
)

func (g *rig) home() journal.Root { return journal.Root{Files: host.OS{}, Path: g.w.root} }

func (g *rig) holds(h journal.Hold) {
	g.t.Helper()
	if err := g.home().SwapHold(g.t.Context(), nil, &h); err != nil {
		g.t.Fatal(err)
	}
}

// forced is a step that takes the lease with a reason.
func forced(ctx context.Context, r *Run) error {
	_, err := r.Lease(ctx, "production", nil, "the database is fine", "")
	return err
}

func ago(d time.Duration) time.Time { return time.Now().UTC().Add(-d) }

func TestAHoldRefusesBeforeAnyChange(t *testing.T) {
	for name, until := range map[string]time.Time{"for good": {}, "for an hour": ago(-time.Hour)} {
		t.Run(name, func(t *testing.T) {
			g := newRig(t)
			g.holds(journal.Hold{Who: "ana", Why: "database migration", Since: ago(time.Second), Until: until})
			var failed error
			f := g.script(func(ctx context.Context, r *Run) error {
				_, failed = r.Lease(ctx, "production", nil, "", "")
				return failed
			}, Set{Name: "a", Value: "1"})
			g.want(f, ExitRefused, values{"a": ""})
			if got := failed.Error(); !strings.HasPrefix(got, "refused: production is held by ana since ") || !strings.HasSuffix(got, "database migration") ||
				strings.Contains(got, "until") == until.IsZero() || !strings.Contains(op.HintOf(failed), "runner unhold production") {
				t.Errorf("it says %q, with the hint %q", got, op.HintOf(failed))
			}
			if logs, err := g.home().Logs(t.Context()); err != nil || len(logs) > 0 {
				t.Errorf("the refused run has left the logs %v (%v)", logs, err)
			}
			l, err := g.home().Take(t.Context(), journal.Owner{Run: "next"}, nil)
			if err != nil {
				t.Fatalf("the refused run keeps the lease: %v", err)
			}
			l.Release()
		})
	}
}

func TestAHoldThatIsOverDoesNotCount(t *testing.T) {
	g := newRig(t)
	g.holds(journal.Hold{Who: "ana", Why: "database migration", Since: ago(time.Hour), Until: ago(time.Second)})
	g.want(g.script("lease", Set{Name: "a", Value: "1"}), ExitHolds, values{"a": "1"})
}

// Another machine's clock may be ahead: what begins in the future holds now.
func TestAHoldFromTheFutureCounts(t *testing.T) {
	g := newRig(t)
	g.holds(journal.Hold{Who: "ana", Why: "database migration", Since: ago(-time.Hour)})
	g.want(g.script("lease", Set{Name: "a", Value: "1"}), ExitRefused, values{"a": ""})
}

func TestAReasonPassesAHoldAndIsRecorded(t *testing.T) {
	g := newRig(t)
	g.holds(journal.Hold{Who: "ana", Why: "database migration", Since: ago(time.Hour)})
	g.want(g.script(forced, Set{Name: "a", Value: "1"}), ExitHolds, values{"a": "1"})
	records, err := g.home().Read(t.Context(), "run-1")
	if err != nil {
		t.Fatal(err)
	}
	for _, where := range [][]event.Record{records, g.facts} {
		found := false
		for _, r := range where {
			n, ok := r.Fact.(event.Noted)
			found = found || ok && strings.HasPrefix(n.Text, "production is held by ana since ") && strings.HasSuffix(n.Text, "; this run goes on: the database is fine")
		}
		if !found {
			t.Errorf("nothing says why the hold was passed: %+v", where)
		}
	}
	if h, err := g.home().Hold(t.Context()); err != nil || h == nil {
		t.Errorf("the hold is %v (%v) behind a run that passed it", h, err)
	}
}

// A reason is no news where nothing holds.
func TestAReasonWithoutAHold(t *testing.T) {
	g := newRig(t)
	g.want(g.script(forced), ExitHolds, nil)
	if s := g.story(); strings.Contains(s, "goes on") {
		t.Error(s)
	}
}

func TestARecordThatSaysNothingHolds(t *testing.T) {
	for _, garbage := range []string{"", "{}", "held by ana", `{"who":"ana"`, "\x00\x00\x00", `{"who":"ana","since":"2026-01-26T12:00:00Z"}`} {
		g := newRig(t)
		name := filepath.Join(g.w.root, ".runner", "hold")
		if err := os.MkdirAll(filepath.Dir(name), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(name, []byte(garbage), 0o644); err != nil {
			t.Fatal(err)
		}
		g.want(g.script("lease", Set{Name: "a", Value: "1"}), ExitRefused, values{"a": ""})
		g.want(g.script(forced, Set{Name: "a", Value: "2"}), ExitHolds, values{"a": "2"})
		if b, err := os.ReadFile(name); err != nil || string(b) != garbage {
			t.Errorf("the record is %q now (%v)", b, err)
		}
	}
}

func TestAPlanSaysThatARunWouldBeRefused(t *testing.T) {
	g := newRig(t)
	g.holds(journal.Hold{Who: "ana", Why: "database migration", Since: ago(time.Hour)})
	g.facts = nil
	p := NewPlan(g.run().Config)
	for force, want := range map[string]int{"": 1, "the database is fine": 0} {
		g.facts = nil
		if _, err := p.Lease(t.Context(), "production", nil, force, ""); err != nil {
			t.Fatal(err)
		}
		if got := strings.Count(g.story(), "is held by ana"); got != want {
			t.Errorf("with the reason %q the plan notes the hold %d times, want %d:\n%s", force, got, want, g.story())
		}
	}
}

package journal_test

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/erlmcp/runner/runtime/host"
	"github.com/erlmcp/runner/runtime/host/hosttest"
	"github.com/erlmcp/runner/runtime/journal"
)

var noon = time.Date(2026, 1, 26, 12, 0, 0, 0, time.UTC)

func held(why string) *journal.Hold { return &journal.Hold{Who: "ana", Why: why, Since: noon} }

func TestHoldText(t *testing.T) {
	for _, c := range []struct {
		until, now time.Time
		why, want  string
	}{
		{time.Time{}, noon.Add(time.Hour), "database migration", "by ana since 12:00 UTC: database migration"},
		{noon.Add(2 * time.Hour), noon.Add(time.Hour), "database migration", "by ana since 12:00 UTC until 14:00 UTC: database migration"},
		{noon.Add(26 * time.Hour), noon.Add(time.Hour), "x", "by ana since 12:00 UTC until 2026-01-27 14:00 UTC: x"},
		{time.Time{}, noon.Add(24 * time.Hour), "x", "by ana since 2026-01-26 12:00 UTC: x"},
		{time.Time{}, noon.In(time.FixedZone("CET", 3600)), "two\nlines\tof it", "by ana since 12:00 UTC: two lines of it"},
		{time.Time{}, noon, "\x1b[2Jgone", "by ana since 12:00 UTC: [2Jgone"},
	} {
		h := *held(c.why)
		h.Until = c.until
		if got := h.Text(c.now); got != c.want {
			t.Errorf("%q, want %q", got, c.want)
		}
	}
}

func TestHoldIsOver(t *testing.T) {
	h := journal.Hold{Until: noon}
	for now, over := range map[time.Time]bool{noon.Add(-1): false, noon: true, noon.Add(1): true} {
		if h.Over(now) != over {
			t.Errorf("at %s: over is %v", now, !over)
		}
	}
	if (journal.Hold{}).Over(noon) {
		t.Error("a hold without an end is over")
	}
}

// A record that says nothing is neither read as no hold nor written over.
func TestGarbageHoldIsKept(t *testing.T) {
	for _, garbage := range []string{"", "{}", "null", "[1]", `{"who":"ana","why":"x"}`, strings.Repeat("x", 100<<10)} {
		h := home(t.TempDir())
		name := filepath.Join(h.Path, ".runner", "hold")
		must(t, os.Mkdir(filepath.Dir(name), 0o755), os.WriteFile(name, []byte(garbage), 0o644))
		var unreadable *journal.Unreadable
		if got, err := h.Hold(t.Context()); got != nil || !errors.As(err, &unreadable) || !strings.Contains(err.Error(), name) {
			t.Errorf("%.20q is read as %v, %v", garbage, got, err)
		}
		for _, now := range []*journal.Hold{nil, held("x")} {
			if err := h.SwapHold(t.Context(), held("y"), now); !errors.As(err, &unreadable) {
				t.Errorf("%.20q gives way to %v: %v", garbage, now, err)
			}
		}
		if err := h.SwapHold(t.Context(), nil, held("x")); !errors.As(err, &unreadable) {
			t.Errorf("%.20q gives way: %v", garbage, err)
		}
		if b, err := os.ReadFile(name); err != nil || string(b) != garbage {
			t.Errorf("the record is %.20q now, was %.20q (%v)", b, garbage, err)
		}
	}
}

// What a newer runner adds to the record does not make it garbage.
func TestHoldOfANewerRunner(t *testing.T) {
	h := home(t.TempDir())
	must(t, h.SwapHold(t.Context(), nil, held("x")))
	name := filepath.Join(h.Path, ".runner", "hold")
	b, err := os.ReadFile(name)
	must(t, err, os.WriteFile(name, []byte(strings.Replace(string(b), "{", `{"ticket":"OPS-7",`, 1)), 0o644))
	if got, err := h.Hold(t.Context()); err != nil || *got != *held("x") {
		t.Errorf("%+v, %v", got, err)
	}
}

// sealed is a file system on which nothing can be written.
type sealed struct{ host.FS }

func (s sealed) Open(name string, flag int, perm fs.FileMode) (host.File, error) {
	if flag != os.O_RDONLY {
		return nil, &fs.PathError{Op: "open", Path: name, Err: errors.New("read-only file system")}
	}
	return s.FS.Open(name, flag, perm)
}

func (s sealed) Mkdir(name string, _ fs.FileMode) error {
	return &fs.PathError{Op: "mkdir", Path: name, Err: errors.New("read-only file system")}
}

func TestHoldOnAReadOnlyRoot(t *testing.T) {
	for name, there := range map[string]bool{"fresh": false, "held": true} {
		t.Run(name, func(t *testing.T) {
			h := home(filepath.Join(t.TempDir(), "root"))
			var was *journal.Hold
			if there {
				was = held("x")
				must(t, h.SwapHold(t.Context(), nil, was))
			}
			h.Files = sealed{host.OS{}}
			if err := h.SwapHold(t.Context(), was, held("y")); err == nil || !strings.Contains(err.Error(), "read-only") {
				t.Errorf("%v", err)
			}
			if got, err := h.Hold(t.Context()); err != nil || (got != nil) != there {
				t.Errorf("it is read as %v, %v", got, err)
			}
		})
	}
}

// Killed at each call, then the power goes: a hold is there whole or not at all, one whose setting returned is there,
// one whose end returned is gone, and both can be done behind it.
func TestHoldKilledAtEveryCallThenPowerLoss(t *testing.T) {
	steps := []struct{ was, now *journal.Hold }{{nil, held("first")}, {held("first"), held("second")}, {held("second"), nil}}
	for n := 1; ; n++ {
		v, h := world(t)
		m := hosttest.NewMortal(&host.Host{Files: v})
		m.DieTornAt(n)
		mortal := journal.Root{Files: m.Host().Files, Path: h.Path}
		var err error
		done := 0
		for _, s := range steps {
			if err = mortal.SwapHold(t.Context(), s.was, s.now); err != nil {
				break
			}
			done++
		}
		if err == nil {
			if n < 10 {
				t.Errorf("the whole work are %d calls", n)
			}
			v.Crash()
			if got, err := h.Hold(t.Context()); err != nil || got != nil {
				t.Errorf("behind its end the hold is %+v (%v)", got, err)
			}
			return
		}
		t.Run(fmt.Sprint(n, " behind step ", done), func(t *testing.T) {
			if !errors.Is(err, hosttest.ErrDead) {
				t.Fatal(err)
			}
			v.Crash()
			got, err := h.Hold(t.Context())
			must(t, err)
			s := steps[done]
			is := func(want *journal.Hold) bool {
				return got == nil && want == nil || got != nil && want != nil && *got == *want
			}
			if !is(s.was) && !is(s.now) {
				t.Fatalf("killed at %s: the hold is %+v", m.Where(), got)
			}
			must(t, h.SwapHold(t.Context(), got, held("next")))
			must(t, h.SwapHold(t.Context(), held("next"), nil))
		})
	}
}

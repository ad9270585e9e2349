// Package homesuite is the suite that every journal.Home must pass: what a lease excludes, in which order runs wait for
// it, what an undo log gives back, and that a hold is one person's at a time. It knows the interface alone: how a home keeps its promises on a full disk, over
// a lost power or a killed process is for the home's own tests.
package homesuite

import (
	"context"
	"errors"
	"fmt"
	"testing"
	"time"

	"github.com/erlmcp/runner/runtime/event"
	"github.com/erlmcp/runner/runtime/host"
	"github.com/erlmcp/runner/runtime/journal"
)

// patience is how long the suite waits for what must happen.
const patience = 60 * time.Second

// Target makes a fresh target. Each open is another machine's view of it; steal does what takes the lease from its
// holder behind its back, and leaves it free.
type Target func(t *testing.T) (open func() journal.Home, steal func())

// Run holds a kind of home against the suite.
func Run(t *testing.T, target Target) {
	for _, c := range []struct {
		name string
		test func(*world)
	}{
		{"one holder at a time", exclusive},
		{"released twice", releasedTwice},
		{"those who wait come in the order of asking", order},
		{"the first in the queue leaves it", func(w *world) { leaves(w, 0) }},
		{"one in the middle of the queue leaves it", func(w *world) { leaves(w, 1) }},
		{"one who waits behind a free lease takes it at once", free},
		{"a lease is taken away", stolen},
		{"what was appended is read back", roundTrip},
		{"a record without limits", large},
		{"a log goes on on another machine", continues},
		{"a log is read while another writes", readWhileWritten},
		{"blobs", blobs},
		{"logs are listed and dropped", listed},
		{"what is not there", absent},
		{"held before anything else", heldFirst},
		{"held during a run", heldMeanwhile},
		{"held by somebody else", heldByOthers},
		{"held by many at once", heldAtOnce},
	} {
		t.Run(c.name, func(t *testing.T) {
			ctx, cancel := host.SystemClock{}.Timeout(t.Context(), patience, fmt.Errorf("nothing in %s", patience))
			t.Cleanup(cancel)
			w := &world{T: t, ctx: ctx}
			w.open, w.steal = target(t)
			c.test(w)
		})
	}
}

// world is a test with its target.
type world struct {
	*testing.T
	ctx   context.Context
	open  func() journal.Home
	steal func()
}

func (w *world) must(err error) {
	w.Helper()
	if err != nil {
		w.Fatal(err)
	}
}

func owner(run string) journal.Owner {
	return journal.Owner{Run: run, User: "ada", Host: "build-7", PID: 4711, Script: "deploy.star",
		Since: time.Date(2026, 1, 26, 12, 0, 0, 0, time.UTC)}
}

// take takes a lease that must be free.
func (w *world) take(h journal.Home, run string) journal.Lease {
	w.Helper()
	l, err := h.Take(w.ctx, owner(run), nil)
	w.must(err)
	w.Cleanup(func() { l.Release() })
	return l
}

func (w *world) log(l journal.Lease, run string) journal.Writer {
	w.Helper()
	log, err := l.Open(w.ctx, run)
	w.must(err)
	w.Cleanup(func() { log.Close() })
	return log
}

func note(run string, n int) event.Record {
	return event.Record{Time: time.Date(2026, 1, 26, 12, 0, n, 0, time.UTC), Run: run, Fact: event.Noted{Text: fmt.Sprint("note ", n)}}
}

// notes appends notes from..to to a run's log.
func (w *world) notes(log journal.Writer, run string, from, to int) {
	w.Helper()
	for n := from; n <= to; n++ {
		w.must(log.Append(w.ctx, note(run, n), n%2 == 0))
	}
}

// expect holds that a log consists of the notes 1..n.
func (w *world) expect(h journal.Home, run string, n int) {
	w.Helper()
	got, err := h.Read(w.ctx, run)
	w.must(err)
	if len(got) != n {
		w.Fatalf("%d records of run %s, want %d", len(got), run, n)
	}
	w.prefix(got, run)
}

func (w *world) prefix(got []event.Record, run string) {
	w.Helper()
	for i, r := range got {
		want := note(run, i+1)
		want.Seq = int64(i + 1)
		if r != want {
			w.Fatalf("record %d is %+v, want %+v", i+1, r, want)
		}
	}
}

func (w *world) held(err error, by string) {
	w.Helper()
	var held *journal.Held
	if !errors.As(err, &held) {
		w.Fatalf("the error of a lease that is held is %v", err)
	}
	if held.Target == "" || held.By != owner(by) {
		w.Errorf("held: %q by %+v, want %+v", held.Target, held.By, owner(by))
	}
}

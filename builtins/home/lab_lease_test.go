//go:build labs

package home

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/erlmcp/runner/runtime/host"
	"github.com/erlmcp/runner/runtime/host/hosttest"
	"github.com/erlmcp/runner/runtime/journal"
)

// asleep takes the lease on a machine that stands still from then on. Its clock is the test's.
func (s *site) asleep(run string) (*lease, *hosttest.Clock) {
	s.Helper()
	clock := fakeClock()
	l, err := newTaker(s.place(clock, host.SystemClock{}, nil), journal.Owner{Run: run}, nil).take(s.Context())
	s.must(err)
	l.stop()
	<-l.done
	s.Cleanup(func() { l.Release() })
	return l, clock
}

type taking struct {
	lease *lease
	err   error
}

// begin lets a run ask for the lease, on a clock of the test's.
func (s *site) begin(run string, hear func(journal.Owner, int)) (*hosttest.Clock, chan taking) {
	s.Helper()
	clock := fakeClock()
	t := newTaker(s.place(clock, host.SystemClock{}, nil), journal.Owner{Run: run}, hear)
	out := make(chan taking, 1)
	go func() {
		l, err := t.take(s.Context())
		out <- taking{l, err}
	}()
	return clock, out
}

// until lets time pass on a clock, at most so much, until the lease is taken.
func (s *site) until(clock *hosttest.Clock, most time.Duration, out chan taking) (*lease, time.Duration) {
	s.Helper()
	tick := time.NewTicker(50 * time.Millisecond)
	defer tick.Stop()
	for passed := time.Duration(0); passed <= most; passed += time.Second {
		select {
		case got := <-out:
			s.must(got.err)
			s.Cleanup(func() { got.lease.Release() })
			return got.lease, passed
		case <-tick.C:
			clock.Advance(time.Second)
		case <-s.Context().Done():
			s.Fatal("nothing")
		}
	}
	s.Fatalf("not taken in %s", most)
	return nil, 0
}

func (s *site) lost(l *lease) {
	s.Helper()
	if err := l.Check(s.Context()); !errors.Is(err, journal.ErrLost) {
		s.Fatalf("a lease that another has: %v", err)
	}
}

// A holder that stands still is given up after 15 s; when it wakes it has lost, and writes nothing.
func TestLabStale(t *testing.T) { everywhere(t, testStale) }

func testStale(t *testing.T, g ground) {
	for name, hear := range map[string]func(journal.Owner, int){"refused when held": nil, "in the queue": func(journal.Owner, int) {}} {
		t.Run(name, func(t *testing.T) {
			s := newSite(t, g)
			old, _ := s.asleep("old")
			w, err := old.Open(t.Context(), "old")
			s.must(err)
			s.must(w.Append(t.Context(), note("old", "1"), true))
			clock, out := s.begin("heir", hear)
			heir, passed := s.until(clock, time.Minute, out)
			if passed < 15*time.Second {
				t.Errorf("given up after %s", passed)
			}
			next, err := heir.Open(t.Context(), "old")
			s.must(err)
			if err := w.Append(t.Context(), note("old", "late"), true); !errors.Is(err, journal.ErrLost) {
				t.Errorf("the old holder writes: %v", err)
			}
			s.lost(old)
			s.must(next.Append(t.Context(), note("old", "2"), true))
			s.must(w.Close())
			s.must(next.Close())
			s.must(old.Release())
			s.must(heir.Check(t.Context()))
			if got := s.texts(s.machine(), "old"); !slices.Equal(got, []string{"1", "2"}) {
				t.Errorf("the log is %q", got)
			}
		})
	}
}

// What a lost holder writes before its successor opens the log is seen by that one.
func TestLabLateAppendIsSeen(t *testing.T) { everywhere(t, testLateAppendIsSeen) }

func testLateAppendIsSeen(t *testing.T, g ground) {
	s := newSite(t, g)
	old, _ := s.asleep("old")
	w, err := old.Open(t.Context(), "old")
	s.must(err)
	clock, out := s.begin("heir", nil)
	heir, _ := s.until(clock, time.Minute, out)
	s.must(w.Append(t.Context(), note("old", "late"), true))
	next, err := heir.Open(t.Context(), "old")
	s.must(err)
	s.must(next.Append(t.Context(), note("old", "undone"), true))
	s.must(next.Close())
	if got := s.texts(s.machine(), "old"); !slices.Equal(got, []string{"late", "undone"}) {
		t.Errorf("the log is %q", got)
	}
	s.lost(old)
}

// Between its last look and its renewal somebody else was: a holder that comes late has lost, and knows it.
func TestLabLateRenewal(t *testing.T) { everywhere(t, testLateRenewal) }

func testLateRenewal(t *testing.T, g ground) {
	s := newSite(t, g)
	old, clock := s.asleep("old")
	before := old.n
	clock.Advance(tired - time.Second)
	s.must(old.Check(t.Context()))
	if old.n != before {
		t.Errorf("renewed before it was tired")
	}
	clock.Advance(time.Second)
	s.must(old.Check(t.Context()))
	if old.n != before+1 {
		t.Errorf("tired, its term is %d, want %d", old.n, before+1)
	}
	v, err := old.look(t.Context())
	s.must(err)
	if len(v.terms) != 1 {
		t.Errorf("%d terms", len(v.terms))
	}
	// It has looked; another takes over and goes through terms, and removes those below; only then it renews.
	other := s.place(host.SystemClock{}, host.SystemClock{}, nil)
	heir := sign{ID: "heir", Owner: journal.Owner{Run: "heir"}}
	now := v
	for range 3 {
		var won bool
		if now, won, err = other.next(t.Context(), now, heir); err != nil || !won {
			t.Fatalf("%t, %v", won, err)
		}
		other.tidy(t.Context(), now)
	}
	if err := old.renew(t.Context(), v); !errors.Is(err, journal.ErrLost) {
		t.Errorf("renewed behind another's terms: %v", err)
	}
	if now, err = other.look(t.Context()); err != nil || len(now.terms) != 1 || now.top.ID != "heir" {
		t.Errorf("%d terms, the highest %+v: %v", len(now.terms), now.top, err)
	}
}

// Many who find the lease free, or its holder dead, take it at once: one has it.
func TestLabManyTakers(t *testing.T) { everywhere(t, testManyTakers) }

func testManyTakers(t *testing.T, g ground) {
	s := newSite(t, g)
	for round := range 4 {
		if round%2 == 1 {
			if _, err := newTaker(s.mortal(host.SystemClock{}, nil), journal.Owner{Run: "dead"}, nil).take(t.Context()); err != nil {
				t.Fatal(err)
			}
		}
		out := make(chan taking, 50)
		for range cap(out) {
			p := s.place(host.SystemClock{}, host.SystemClock{}, nil)
			go func() {
				l, err := newTaker(p, journal.Owner{Run: "x"}, nil).take(t.Context())
				out <- taking{l, err}
			}()
		}
		var winner *lease
		for range cap(out) {
			got := <-out
			held := (*journal.Held)(nil)
			switch {
			case got.lease != nil && winner == nil:
				winner = got.lease
			case got.lease != nil:
				t.Fatal("two have the lease")
			case !errors.As(got.err, &held):
				t.Fatal(got.err)
			}
		}
		s.must(winner.Check(t.Context()))
		s.must(winner.Release())
	}
}

// A run that died in the queue holds up nobody: at once where that can be seen, else when it has stood still for 15 s.
func TestLabDeadWaiter(t *testing.T) { everywhere(t, testDeadWaiter) }

func testDeadWaiter(t *testing.T, g ground) {
	s := newSite(t, g)
	holder := s.take(s.machine(), "holder")
	p := s.place(host.SystemClock{}, host.SystemClock{}, nil)
	p.here.PID = ended
	gone := newTaker(p, journal.Owner{Run: "gone"}, func(journal.Owner, int) {})
	s.must(gone.show(t.Context()))
	p.here = where{}
	still := newTaker(p, journal.Owner{Run: "still"}, func(journal.Owner, int) {})
	s.must(still.show(t.Context()))
	heard := make(chan int, 100)
	clock, out := s.begin("last", func(_ journal.Owner, ahead int) { heard <- ahead })
	if n := <-heard; n != 1 {
		t.Errorf("%d ahead, want the one that may live", n)
	}
	s.must(holder.Release())
	l, passed := s.until(clock, time.Minute, out)
	if passed < 14*time.Second {
		t.Errorf("passed one by after %s", passed)
	}
	s.must(l.Release())
	if got := s.names(); len(got) != 1 {
		t.Errorf("at rest there are %q", got)
	}
}

// A holder on a machine that others cannot see into answers who asks at once. On both clocks no time passes.
func TestLabAsked(t *testing.T) { everywhere(t, testAsked) }

func testAsked(t *testing.T, g ground) {
	s := newSite(t, g)
	l, err := newTaker(s.place(fakeClock(), host.SystemClock{}, nil), journal.Owner{Run: "holder"}, nil).take(t.Context())
	s.must(err)
	defer l.Release()
	for range 3 {
		_, err := newTaker(s.place(fakeClock(), host.SystemClock{}, nil), journal.Owner{Run: "b"}, nil).take(t.Context())
		if held := (*journal.Held)(nil); !errors.As(err, &held) || held.By.Run != "holder" {
			t.Errorf("%v", err)
		}
	}
	s.must(l.Check(t.Context()))
}

// By the machine's clock: who does not renew is given up between 15 and 30 s later, and who does keeps the lease.
func TestLabRealTime(t *testing.T) { everywhere(t, testRealTime) }

func testRealTime(t *testing.T, g ground) {
	s := newSite(t, g)
	old, _ := s.asleep("old")
	begun := time.Now()
	l := s.take(s.machine(), "heir")
	if passed := time.Since(begun); passed < 15*time.Second || passed > 30*time.Second {
		t.Errorf("taken over after %s", passed)
	}
	s.lost(old)
	if _, err := s.machine().Take(t.Context(), journal.Owner{}, nil); err == nil {
		t.Error("taken twice")
	}
	s.must(l.Check(t.Context()))
}

// Somebody prunes the engine's volumes during a run: the run goes on, and in the end everything is there.
func TestLabPruned(t *testing.T) { everywhere(t, testPruned) }

func testPruned(t *testing.T, g ground) {
	s := newSite(t, g)
	l := s.take(s.machine(), "a")
	w, err := l.Open(t.Context(), "a")
	s.must(err)
	s.must(w.Append(t.Context(), note("a", "1"), true))
	digest, err := w.Put(t.Context(), []byte("old"))
	s.must(err)
	l.(*lease).stop() // so that the run and not its keeper sees it
	<-l.(*lease).done
	s.wipe(t)
	s.must(l.Check(t.Context()))
	s.must(w.Append(t.Context(), note("a", "2"), true))
	if got := s.texts(s.machine(), "a"); !slices.Equal(got, []string{"1", "2"}) {
		t.Errorf("the log is %q", got)
	}
	if b, err := s.machine().Blob(t.Context(), digest); err != nil || string(b) != "old" {
		t.Errorf("the blob is %q, %v", b, err)
	}
	s.must(w.Close())
	s.must(l.Release())
}

// The stream of events breaks while a run waits: it listens again, and hears.
func TestLabEventsBreak(t *testing.T) { everywhere(t, testEventsBreak) }

func testEventsBreak(t *testing.T, g ground) {
	s := newSite(t, g)
	l := s.take(s.machine(), "holder")
	p := s.line(s.T, func(int) fault { return none })
	out := make(chan taking, 1)
	waiter := newTaker(s.place(fakeClock(), host.SystemClock{}, p), journal.Owner{Run: "w"}, func(journal.Owner, int) {})
	go func() {
		got, err := waiter.take(t.Context())
		out <- taking{got, err}
	}()
	for range 3 {
		(<-p.streams)()
	}
	stop := <-p.streams
	defer stop()
	s.must(l.Release())
	got := <-out
	s.must(got.err)
	s.must(got.lease.Release())
}

// The holder's process is killed while another run of its machine waits: that one has the lease at once. No time passes
// on its clock.
func TestLabHolderIsKilled(t *testing.T) { everywhere(t, testHolderIsKilled) }

func testHolderIsKilled(t *testing.T, g ground) {
	for name, hear := range map[string]func(journal.Owner, int){"refused when held": nil, "in the queue": func(journal.Owner, int) {}} {
		t.Run(name, func(t *testing.T) {
			s := newSite(t, g)
			child := exec.Command("cat")
			in, err := child.StdinPipe()
			s.must(err)
			defer in.Close()
			s.must(child.Start())
			stat, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", child.Process.Pid))
			s.must(err)
			p := s.place(fakeClock(), host.SystemClock{}, nil)
			p.here.PID = child.Process.Pid
			p.here.Start, err = strconv.ParseUint(strings.Fields(string(stat))[21], 10, 64)
			s.must(err)
			l, err := newTaker(p, journal.Owner{Run: "dead"}, nil).take(t.Context())
			s.must(err)
			l.stop()
			<-l.done
			proxied := s.line(s.T, func(int) fault { return none })
			heir := newTaker(s.place(fakeClock(), host.SystemClock{}, proxied), journal.Owner{Run: "heir"}, hear)
			out := make(chan taking, 1)
			go func() {
				got, err := heir.take(t.Context())
				out <- taking{got, err}
			}()
			<-proxied.streams // it waits
			s.must(child.Process.Kill())
			got := <-out
			s.must(got.err)
			s.must(got.lease.Release())
			child.Wait()
		})
	}
}

// What a deployment pays that changes nothing.
func TestLabCost(t *testing.T) { everywhere(t, testCost) }

func testCost(t *testing.T, g ground) {
	s := newSite(t, g)
	var whole []time.Duration
	h := s.machine()
	_, err := h.Logs(t.Context())
	s.must(err)
	for range 20 {
		begun := time.Now()
		l, err := h.Take(t.Context(), journal.Owner{Run: "a"}, nil)
		s.must(err)
		w, err := l.Open(t.Context(), "a")
		s.must(err)
		for range 3 {
			s.must(l.Check(t.Context()))
			s.must(w.Append(t.Context(), note("a", "x"), true))
		}
		s.must(w.Close())
		s.must(l.Release())
		whole = append(whole, time.Since(begun))
		l = s.take(h, "b")
		s.must(l.Drop(t.Context(), "a"))
		s.must(l.Release())
	}
	slices.Sort(whole)
	t.Logf("take, open, 3 durable records, close, release: p50 %s, max %s", whole[10], whole[19])
}

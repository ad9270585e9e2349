//go:build labs

package home

import (
	"errors"
	"fmt"
	"slices"
	"sync/atomic"
	"testing"
	"time"

	"github.com/erlmcp/runner/runtime/host"
	"github.com/erlmcp/runner/runtime/host/hosttest"
	"github.com/erlmcp/runner/runtime/journal"
)

// ended is the number of no process.
const ended = 1<<22 - 1

// mortal is a machine on which the process that takes the lease has ended already, for the others to see.
func (s *site) mortal(requests host.Clock, by *line) place {
	s.Helper()
	p := s.place(host.SystemClock{}, requests, by)
	p.here.PID = ended
	return p
}

func fakeClock() *hosttest.Clock {
	return hosttest.NewClock(time.Date(2026, 1, 26, 12, 0, 0, 0, time.UTC))
}

// story is a whole deployment's use of a home; it says how far it came before err.
type story struct {
	lease   *lease
	durable int    // how many notes are on the disk
	blob    string // the digest of one that is on the disk
	closed  bool
	err     error
}

const notes = 4

func (s *site) tell(p place) (st story) {
	l, err := newTaker(p, journal.Owner{Run: "a"}, nil).take(s.Context())
	if err != nil {
		return story{err: err}
	}
	st.lease = l
	w, err := l.Open(s.Context(), "a")
	for n := 1; err == nil && n <= notes; n++ {
		if err = l.Check(s.Context()); err != nil {
			break
		}
		if err = w.Append(s.Context(), note("a", fmt.Sprint(n)), n != 2); err == nil && n != 2 {
			st.durable = n
		}
		if err == nil && n == 2 {
			if st.blob, err = w.Put(s.Context(), []byte("an old config")); err != nil {
				st.blob = ""
			}
		}
	}
	if err == nil {
		err = w.Close()
		st.closed = err == nil
	}
	if err == nil {
		err = l.Release()
	}
	st.err = err
	return st
}

// inherit holds that another machine finds what st says, can go on with it, and gives the lease back.
func (s *site) inherit(st story) {
	s.Helper()
	l := s.take(s.machine(), "heir")
	logs, err := s.machine().Logs(s.Context())
	s.must(err)
	if !slices.Contains(logs, "a") && st.durable > 0 {
		s.Fatalf("the log is gone, of which %d notes were durable", st.durable)
	}
	var have []string
	if len(logs) > 0 {
		have = s.texts(s.machine(), "a")
	}
	for i, text := range have {
		if text != fmt.Sprint(i+1) {
			s.Fatalf("the notes are %q", have)
		}
	}
	if len(have) < st.durable {
		s.Fatalf("%d notes were durable, and %q are there", st.durable, have)
	}
	if st.blob != "" {
		if b, err := s.machine().Blob(s.Context(), st.blob); err != nil || string(b) != "an old config" {
			s.Fatalf("the blob is %q, %v", b, err)
		}
	}
	w, err := l.Open(s.Context(), "a")
	s.must(err)
	s.must(w.Append(s.Context(), note("a", "undone"), true))
	s.must(w.Close())
	if got := s.texts(s.machine(), "a"); !slices.Equal(got, append(have, "undone")) {
		s.Fatalf("behind %q, the heir's note makes %q", have, got)
	}
	s.must(l.Check(s.Context()))
	s.must(l.Drop(s.Context(), "a"))
	s.must(l.Release())
	if got := s.names(); len(got) != 1 {
		s.Fatalf("at rest there are %q", got)
	}
}

// A machine dies at its k-th request, which the engine has done or not; another one goes on.
func TestLabKilledAtEveryRequest(t *testing.T) { everywhere(t, testKilledAtEveryRequest) }

func testKilledAtEveryRequest(t *testing.T, g ground) {
	each(t, []fault{dropped, cut}, func(t *testing.T, last fault, k int) (reached bool) {
		s := newSite(t, g)
		p := s.line(s.T, func(n int) fault {
			switch {
			case n == k:
				reached = true
				return last
			case n > k:
				return dropped
			}
			return none
		})
		st := s.tell(s.mortal(fakeClock(), p))
		if st.lease != nil {
			st.lease.stop()
			<-st.lease.done
		}
		if reached && st.err == nil && p.asked() < k {
			t.Error("it did not notice")
		}
		s.inherit(st)
		return reached
	})
}

// each runs a test with every fault at the first request, the second, and so on until there is none of the number.
func each(t *testing.T, faults []fault, test func(t *testing.T, f fault, k int) (reached bool)) {
	for _, f := range faults {
		t.Run(fmt.Sprint(f), func(t *testing.T) {
			t.Parallel()
			for k, reached := 1, true; reached && !t.Failed(); k++ {
				t.Run(fmt.Sprint(k), func(t *testing.T) { reached = test(t, f, k) })
				if !reached {
					t.Logf("%d requests", k-1)
				}
			}
		})
	}
}

// One request fails, any one, in any way: nobody notices.
func TestLabOneRequestFails(t *testing.T) { everywhere(t, testOneRequestFails) }

func testOneRequestFails(t *testing.T, g ground) {
	each(t, []fault{dropped, cut, refused, halved}, func(t *testing.T, how fault, k int) (reached bool) {
		s := newSite(t, g)
		p := s.line(s.T, func(n int) fault {
			if n == k {
				reached = true
				return how
			}
			return none
		})
		st := s.tell(s.mortal(host.SystemClock{}, p))
		s.must(st.err)
		s.inherit(st)
		return reached
	})
}

// The engine is away while a record is written: the record's fate is settled before the next one.
func TestLabAppendGoesOn(t *testing.T) { everywhere(t, testAppendGoesOn) }

func testAppendGoesOn(t *testing.T, g ground) {
	for _, how := range []fault{dropped, cut, refused, halved} {
		s := newSite(t, g)
		var away atomic.Bool
		p := s.line(s.T, func(int) fault {
			if away.Load() {
				return how
			}
			return none
		})
		l, err := newTaker(s.place(host.SystemClock{}, fakeClock(), p), journal.Owner{Run: "a"}, nil).take(t.Context())
		s.must(err)
		w, err := l.Open(t.Context(), "a")
		s.must(err)
		s.must(w.Append(t.Context(), note("a", "1"), true))
		away.Store(true)
		if err := w.Append(t.Context(), note("a", "2"), true); err == nil || errors.Is(err, journal.ErrLost) {
			t.Errorf("without an engine: %v", err)
		}
		away.Store(false)
		s.must(w.Append(t.Context(), note("a", "3"), true))
		if got := s.texts(s.machine(), "a"); !slices.Equal(got, []string{"1", "2", "3"}) {
			t.Errorf("%d: %q", how, got)
		}
		s.must(w.Close())
		s.must(l.Release())
	}
}

// A machine dies while it drops a log that was never closed: the log is whole, or there is none.
func TestLabKilledWhileDropping(t *testing.T) { everywhere(t, testKilledWhileDropping) }

func testKilledWhileDropping(t *testing.T, g ground) {
	for _, last := range []fault{dropped, cut} {
		for k := 1; ; k++ {
			s := newSite(t, g)
			dead, err := newTaker(s.mortal(host.SystemClock{}, nil), journal.Owner{Run: "a"}, nil).take(t.Context())
			s.must(err)
			w, err := dead.Open(t.Context(), "a")
			s.must(err)
			for _, text := range []string{"1", "2", "3"} {
				s.must(w.Append(t.Context(), note("a", text), true))
			}
			dead.stop()
			<-dead.done
			var first atomic.Int64
			reached := false
			p := s.line(s.T, func(n int) fault {
				switch {
				case first.Load() == 0 || n < int(first.Load())+k:
					return none
				case n == int(first.Load())+k:
					reached = true
					return last
				}
				return dropped
			})
			heir, err := newTaker(s.mortal(fakeClock(), p), journal.Owner{Run: "b"}, nil).take(t.Context())
			s.must(err)
			heir.stop()
			<-heir.done
			first.Store(int64(p.asked()))
			err = heir.Drop(t.Context(), "a")
			logs, e := s.machine().Logs(t.Context())
			s.must(e)
			if len(logs) > 0 {
				if got := s.texts(s.machine(), "a"); !slices.Equal(got, []string{"1", "2", "3"}) {
					t.Fatalf("killed at request %d (%d), the log is %q", k, last, got)
				}
			}
			if !reached {
				s.must(err)
				if len(logs) > 0 {
					t.Errorf("dropped, %q are there", logs)
				}
				break
			}
		}
	}
}

//go:build labs

package home

import (
	"slices"
	"testing"
	"time"

	"github.com/erlmcp/runner/builtins/kube/kubetest"
	"github.com/erlmcp/runner/runtime/host"
	"github.com/erlmcp/runner/runtime/journal"
)

// The API server is gone for longer than a silent holder is waited for, in the middle of a run and with another one
// waiting: the run goes on when it is back, with its lease, and the other waits.
func TestLabAPIServerRestarts(t *testing.T) { t.Run("cluster", testAPIServerRestarts) }

func testAPIServerRestarts(t *testing.T) {
	s := newSite(t, &cluster{})
	l := s.take(s.machine(), "a")
	w, err := l.Open(t.Context(), "a")
	s.must(err)
	s.must(w.Append(t.Context(), note("a", "1"), true))
	heard, out := make(chan int, 10), make(chan journal.Lease, 1)
	go func() {
		got, err := s.machine().Take(t.Context(), journal.Owner{Run: "b"}, func(_ journal.Owner, ahead int) { heard <- ahead })
		if err != nil {
			t.Error(err)
		}
		out <- got
	}()
	<-heard
	lab := kubetest.Start(t)
	lab.KillAPIServer(t)
	back := make(chan struct{})
	go func() {
		defer close(back)
		time.Sleep(stale + time.Second)
		lab.RestartAPIServer(t)
	}()
	begun := time.Now()
	s.must(w.Append(t.Context(), note("a", "2"), true))
	if took := time.Since(begun); took < stale {
		t.Errorf("written after %s without a server", took)
	}
	<-back
	s.must(l.Check(t.Context()))
	s.must(w.Append(t.Context(), note("a", "3"), true))
	select {
	case <-out:
		t.Error("another run has taken the lease of one that lives")
	case <-time.After(stale / 2):
	}
	s.must(l.Check(t.Context()))
	if got := s.texts(s.machine(), "a"); !slices.Equal(got, []string{"1", "2", "3"}) {
		t.Errorf("the log is %q", got)
	}
	s.must(w.Close())
	s.must(l.Release())
	next := <-out
	s.must(next.Release())
}

// A server that does not answer for a while has heard of nobody: a holder gets its time anew.
func TestLabSilenceIsNoDeath(t *testing.T) { t.Run("cluster", testSilenceIsNoDeath) }

func testSilenceIsNoDeath(t *testing.T) {
	s := newSite(t, &cluster{})
	s.asleep("old")
	by := s.line(t, func(int) fault { return none })
	clock := fakeClock()
	waiter := newTaker(s.place(clock, host.SystemClock{}, by), journal.Owner{Run: "b"}, nil)
	free := func() bool {
		v, err := waiter.watch(t.Context())
		s.must(err)
		return waiter.free(v)
	}
	if free() {
		t.Error("free at the first look")
	}
	clock.Advance(stale - time.Second)
	asked := make(chan struct{})
	by.kube.Heal()
	by.kube.Fail(func(kubetest.Request) *kubetest.Fault {
		select {
		case asked <- struct{}{}:
			return &kubetest.Fault{Delay: time.Second}
		default:
			return nil
		}
	})
	slow := make(chan bool)
	go func() { slow <- free() }()
	<-asked
	clock.Advance(stale)
	if <-slow || free() {
		t.Error("given up because of a server that was silent")
	}
	clock.Advance(stale)
	if !free() {
		t.Error("a holder that stands still is not given up")
	}
}

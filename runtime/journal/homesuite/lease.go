package homesuite

import (
	"context"
	"errors"
	"fmt"

	"github.com/erlmcp/runner/runtime/journal"
)

func exclusive(w *world) {
	a, b := w.open(), w.open()
	l := w.take(a, "a")
	w.must(l.Check(w.ctx))
	for _, h := range []journal.Home{a, b} {
		_, err := h.Take(w.ctx, owner("b"), nil)
		w.held(err, "a")
	}
	w.must(l.Check(w.ctx))
	w.must(l.Release())
	l = w.take(b, "b")
	_, err := a.Take(w.ctx, owner("c"), nil)
	w.held(err, "b")
	w.must(l.Check(w.ctx))
}

func releasedTwice(w *world) {
	first := w.take(w.open(), "a")
	w.must(first.Release())
	second := w.take(w.open(), "b")
	w.must(first.Release())
	w.must(second.Check(w.ctx))
	if err := first.Check(w.ctx); !errors.Is(err, journal.ErrLost) {
		w.Errorf("a lease that was released is checked: %v", err)
	}
	_, err := w.open().Take(w.ctx, owner("c"), nil)
	w.held(err, "b")
}

// waiter is a run in the queue.
type waiter struct {
	w     *world
	run   string
	heard chan position
	taken chan taken
	leave context.CancelCauseFunc
}

type position struct {
	holder string
	ahead  int
}

type taken struct {
	lease journal.Lease
	err   error
}

var errLeft = errors.New("it has left the queue")

// queue lets a run ask for the lease on a machine of its own, and returns when it has begun to wait.
func (w *world) queue(run string) *waiter {
	w.Helper()
	ctx, leave := context.WithCancelCause(w.ctx)
	q := &waiter{w, run, make(chan position, 100), make(chan taken, 1), leave}
	home := w.open()
	go func() {
		l, err := home.Take(ctx, owner(run), func(by journal.Owner, ahead int) { q.heard <- position{by.Run, ahead} })
		q.taken <- taken{l, err}
	}()
	w.Cleanup(func() {
		leave(nil)
		if got := <-q.taken; got.err == nil && got.lease != nil {
			got.lease.Release()
		}
		close(q.taken)
	})
	return q
}

// hears returns when the run has heard that it waits behind holder, with so many before it.
func (q *waiter) hears(holder string, ahead int) {
	q.w.Helper()
	var last any = "nothing"
	for {
		select {
		case p := <-q.heard:
			if p == (position{holder, ahead}) {
				return
			}
			last = p
		case <-q.w.ctx.Done():
			q.w.Fatalf("%s has not heard that it waits behind %s with %d before it; last %v", q.run, holder, ahead, last)
		}
	}
}

// takes returns when the run has the lease.
func (q *waiter) takes() journal.Lease {
	q.w.Helper()
	got := <-q.taken
	q.taken <- taken{err: errLeft}
	q.w.must(got.err)
	q.w.must(got.lease.Check(q.w.ctx))
	q.w.Cleanup(func() { got.lease.Release() })
	return got.lease
}

// waits holds that the run has nothing yet.
func (q *waiter) waits() {
	q.w.Helper()
	if len(q.taken) > 0 {
		q.w.Fatalf("%s does not wait", q.run)
	}
}

func order(w *world) {
	l := w.take(w.open(), "holder")
	var line []*waiter
	for i := range 4 {
		q := w.queue(fmt.Sprint("w", i))
		q.hears("holder", i)
		line = append(line, q)
	}
	_, err := w.open().Take(w.ctx, owner("impatient"), nil)
	w.held(err, "holder")
	for i, q := range line {
		w.must(l.Release())
		l = q.takes()
		for j, behind := range line[i+1:] {
			behind.hears(q.run, j)
			behind.waits()
		}
	}
}

// leaves lets the n-th in the queue give up: it ends with its context's cause, and the others come in their order.
func leaves(w *world, n int) {
	l := w.take(w.open(), "holder")
	var line []*waiter
	for i := range 3 {
		q := w.queue(fmt.Sprint("w", i))
		q.hears("holder", i)
		line = append(line, q)
	}
	line[n].leave(errLeft)
	got := <-line[n].taken
	line[n].taken <- got
	if !errors.Is(got.err, errLeft) || got.lease != nil {
		w.Fatalf("one that left the queue has %v, %v", got.lease, got.err)
	}
	w.must(l.Check(w.ctx))
	for i, q := range line {
		if i != n {
			q.waits()
			w.must(l.Release())
			l = q.takes()
		}
	}
}

func free(w *world) {
	l, err := w.open().Take(w.ctx, owner("a"), func(by journal.Owner, ahead int) {
		w.Errorf("it waits behind %s with %d before it", by, ahead)
	})
	w.must(err)
	w.must(l.Release())
	w.must(w.take(w.open(), "b").Release())
}

func stolen(w *world) {
	old := w.take(w.open(), "old")
	log := w.log(old, "old")
	w.notes(log, "old", 1, 2)
	w.steal()
	lost := func() {
		w.Helper()
		_, err := old.Open(w.ctx, "old")
		for what, err := range map[string]error{"check": old.Check(w.ctx), "open": err, "drop": old.Drop(w.ctx, "old")} {
			if !errors.Is(err, journal.ErrLost) {
				w.Errorf("%s, with the lease lost: %v", what, err)
			}
		}
	}
	lost()
	heir := w.take(w.open(), "heir")
	lost()
	w.must(old.Release())
	w.must(old.Release())
	w.must(heir.Check(w.ctx))
	_, err := w.open().Take(w.ctx, owner("third"), nil)
	w.held(err, "heir")
	w.expect(w.open(), "old", 2)
}

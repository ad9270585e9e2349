package home

import (
	"context"
	"crypto/rand"
	"fmt"
	"sync"
	"time"

	"github.com/erlmcp/runner/runtime/journal"
)

// taker is a run that wants the lease. It waits for news of the register, never by asking again and again; only what
// does not happen, the next sign of life of another run, has a deadline.
type taker struct {
	place
	sign
	hear   func(journal.Owner, int) // nil for a run that does not queue
	known  map[string]sighting      // by ID
	first  int64                    // the term that it met
	heard  string
	n      int64 // its ticket's number, 0 without one
	count  int64
	stamp  time.Time // when its ticket was renewed
	leaves []string  // its tickets, or what it asked with
	bound  string    // the ID of the holder whose process is waited for
	ended  chan struct{}
}

// sighting is a count that a run has been seen with, and since when.
type sighting struct {
	count int64
	since time.Time
}

func newTaker(p place, o journal.Owner, hear func(journal.Owner, int)) *taker {
	return &taker{place: p, sign: sign{ID: rand.Text(), Owner: o, Where: p.here}, hear: hear, known: map[string]sighting{}}
}

// take does not pass those who wait already.
func (t *taker) take(ctx context.Context) (*lease, error) {
	v, err := t.watch(ctx)
	if err != nil {
		return nil, err
	}
	t.first = v.top.n
	if t.free(v) && (t.hear == nil || len(v.tickets) == 0) {
		if l, err := t.claim(ctx, v); l != nil || err != nil {
			return l, err
		}
	}
	return t.wait(ctx)
}

// watch looks, and remembers since when everybody has stood still. What came with the answer counts from then on. Where
// the answer took so long that a holder may have tried to move in vain, everybody is seen anew.
func (t *taker) watch(ctx context.Context) (view, error) {
	v, err := t.look(ctx)
	if err != nil {
		return v, err
	}
	away := v.answered.Sub(v.asked) >= beat
	note := func(id string, count int64) {
		if s, ok := t.known[id]; !ok || away || s.count != count {
			t.known[id] = sighting{count, v.answered}
		}
	}
	if v.top.held() {
		note(v.top.ID, v.top.n)
	}
	for _, other := range v.tickets {
		note("queue "+other.ID, other.count)
	}
	return v, nil
}

// dead reports that a run is gone: it can be seen, or it stood still too long before the question for this view.
func (t *taker) dead(id string, w where, v view) bool {
	return t.gone(w) || v.asked.Sub(t.known[id].since) >= stale
}

func (t *taker) free(v view) bool { return !v.top.held() || t.dead(v.top.ID, v.top.Where, v) }

// claim makes the next term. No lease and no error is another's lease.
func (t *taker) claim(ctx context.Context, v view) (*lease, error) {
	since := t.clock.Now()
	now, won, err := t.next(ctx, v, t.sign)
	if err != nil {
		t.giveUp(ctx)
		return nil, fmt.Errorf("cannot take the lease of %s: %w", t.target, err)
	}
	if !won {
		return nil, nil
	}
	return t.lease(t.sign, now.top.n, since), nil
}

// giveUp frees a term that this run may have made without hearing of it.
func (t *taker) giveUp(ctx context.Context) {
	ctx, cancel := t.clock.Timeout(context.WithoutCancel(ctx), retry, nil)
	defer cancel()
	if v, err := t.look(ctx); err == nil && v.top.ID == t.ID {
		t.reg.Put(ctx, sign{Owner: t.Owner}.record(termName(v.top.n+1)))
	}
}

// wait waits for the lease in the queue, or for a sign of life from who holds it.
func (t *taker) wait(ctx context.Context) (*lease, error) {
	listening, stop := context.WithCancel(ctx)
	news := t.reg.Watch(listening, leaseKind)
	defer t.leave(ctx)
	var watching sync.WaitGroup
	defer watching.Wait()
	defer stop()
	for {
		if err := t.show(ctx); err != nil {
			return nil, err
		}
		v, err := t.watch(ctx)
		if err != nil {
			return nil, err
		}
		before := t.ahead(ctx, v)
		if before == 0 && t.free(v) {
			if l, err := t.claim(ctx, v); l != nil || err != nil {
				return l, err
			}
			continue
		}
		if err := t.tell(v, before); err != nil {
			return nil, err
		}
		if news == nil {
			news = t.reg.Watch(listening, leaseKind)
			continue
		}
		if v.top.held() && v.top.ID != t.bound && t.seen(v.top.Where) {
			ended, proc := make(chan struct{}), t.process(v.top.Where)
			t.bound, t.ended = v.top.ID, ended
			watching.Go(func() {
				if t.procs.Wait(listening, proc) == nil {
					close(ended)
				}
			})
			continue // it may have ended since it was looked at
		}
		if news, err = t.pause(ctx, v, news); err != nil {
			return nil, err
		}
	}
}

// show asks the holder for a sign of life, or keeps this run's ticket alive.
func (t *taker) show(ctx context.Context) error {
	if t.hear == nil {
		if t.leaves != nil {
			return nil
		}
		t.leaves = []string{askKind + t.ID}
		_, err := t.reg.Put(ctx, t.sign.record(t.leaves[0]))
		return err
	}
	if t.n > 0 && t.clock.Now().Sub(t.stamp) < beat {
		return nil
	}
	for {
		v, err := t.watch(ctx)
		if err != nil {
			return err
		}
		n, count := t.n, t.count+1
		if n == 0 {
			for _, other := range v.tickets {
				n = max(n, other.n)
			}
			n++
		}
		stamp, name := t.clock.Now(), ticketName(n, count)
		t.leaves = append(t.leaves, name)
		won, err := t.reg.Put(ctx, t.sign.record(name))
		if err != nil {
			return err
		}
		if !won {
			t.leaves = t.leaves[:len(t.leaves)-1]
			if t.n > 0 {
				t.count++
			}
			continue
		}
		t.n, t.count, t.stamp = n, count, stamp
		t.drop(ctx, len(t.leaves)-1)
		return nil
	}
}

// drop removes the oldest of what this run has shown, best it can: others do so when it has stood still.
func (t *taker) drop(ctx context.Context, n int) {
	for _, name := range t.leaves[:n] {
		rec := t.sign.record(name)
		t.reg.Delete(ctx, rec)
	}
	t.leaves = t.leaves[n:]
}

func (t *taker) leave(ctx context.Context) {
	ctx, cancel := t.clock.Timeout(context.WithoutCancel(ctx), parting, nil)
	defer cancel()
	t.drop(ctx, len(t.leaves))
}

// ahead counts who waits before this run, and removes the tickets of the dead.
func (t *taker) ahead(ctx context.Context, v view) (n int) {
	for _, other := range v.tickets {
		switch {
		case t.hear == nil || other.ID == t.ID || !other.before(ticket{sign: t.sign, n: t.n}):
		case t.dead("queue "+other.ID, other.Where, v):
			for _, rec := range other.records {
				t.reg.Delete(ctx, rec)
			}
		default:
			n++
		}
	}
	return n
}

// tell says behind whom this run waits. One that does not queue is refused as soon as the holder has moved.
func (t *taker) tell(v view, ahead int) error {
	if !v.top.held() {
		return nil
	}
	if t.hear == nil {
		if v.top.n > t.first {
			return &journal.Held{Target: t.target, By: v.top.Owner}
		}
		return nil
	}
	if now := fmt.Sprint(v.top.ID, ahead); now != t.heard {
		t.heard = now
		t.hear(v.top.Owner, ahead)
	}
	return nil
}

// pause returns when something has changed, or when somebody may have died, or this run's ticket wants renewal. Where
// nothing is told any more, news is nil then.
func (t *taker) pause(ctx context.Context, v view, news <-chan string) (<-chan string, error) {
	now := t.clock.Now()
	rest := stale
	note := func(id string) { rest = min(rest, t.known[id].since.Add(stale).Sub(now)) }
	if v.top.held() {
		note(v.top.ID)
	}
	if t.hear != nil {
		rest = min(rest, t.stamp.Add(beat).Sub(now))
		for _, other := range v.tickets {
			if other.ID != t.ID {
				note("queue " + other.ID)
			}
		}
	}
	tick, cancel := t.clock.Timeout(ctx, max(rest, time.Millisecond), errTick)
	defer cancel()
	select {
	case _, ok := <-news:
		if ok {
			return news, nil
		}
		return nil, t.clock.Sleep(ctx, retry)
	case <-t.ended:
		t.ended = nil
		return news, nil
	case <-tick.Done():
		if ctx.Err() != nil {
			return nil, context.Cause(ctx)
		}
		return news, nil
	}
}

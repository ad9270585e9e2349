package home

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/erlmcp/runner/runtime/journal"
)

// lease is held while its sign is on the highest term.
type lease struct {
	place
	sign
	turn  chan struct{} // held by who looks at the lease or changes what follows
	n     int64         // the term
	since time.Time     // before it was asked for, so no taker can have seen it earlier
	over  error         // why the lease is not held any more
	kept  map[string]kept
	made  int // how often all records had vanished and the term was made anew

	stop context.CancelFunc
	done chan struct{}
}

// kept is a blob that this run has put.
type kept struct {
	run  string
	data []byte
}

var (
	errReleased = fmt.Errorf("%w: it was released", journal.ErrLost)
	errTick     = errors.New("the time has come")
)

func (p place) lease(s sign, n int64, since time.Time) *lease {
	ctx, stop := context.WithCancel(context.Background())
	l := &lease{place: p, sign: s, turn: make(chan struct{}, 1), n: n, since: since, kept: map[string]kept{}, stop: stop, done: make(chan struct{})}
	go l.keep(ctx)
	return l
}

// lock waits for its turn.
func (l *lease) lock(ctx context.Context) error {
	select {
	case l.turn <- struct{}{}:
		return nil
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}

func (l *lease) unlock() { <-l.turn }

// Check implements journal.Lease. A holder whose term is old may have been given up by a taker that has not made its own
// term yet; so it makes the next one itself before it goes on. Who of the two comes second has lost.
func (l *lease) Check(ctx context.Context) error {
	if err := l.lock(ctx); err != nil {
		return err
	}
	defer l.unlock()
	_, err := l.check(ctx)
	return err
}

// check wants the turn.
func (l *lease) check(ctx context.Context) (view, error) {
	if l.over != nil {
		return view{}, l.over
	}
	v, err := l.look(ctx)
	if err == nil {
		err = l.mine(v)
	}
	if err == nil && (v.top.n == 0 || v.answered.Sub(l.since) >= tired) {
		err = l.renew(ctx, v)
	}
	return v, err
}

// mine holds that the lease is still this run's. One of which nothing is left was taken by nobody: somebody has removed
// all records, and the run goes on and makes everything anew.
func (l *lease) mine(v view) error {
	switch {
	case v.top.n == 0 || v.top.ID == l.ID:
		return nil
	case v.top.held():
		l.over = fmt.Errorf("%w: %s took it", journal.ErrLost, v.top.Owner)
	default:
		l.over = fmt.Errorf("%w: another run took it, and gave it back", journal.ErrLost)
	}
	return l.over
}

// renew makes the next term. It wants the turn. Where this run's own earlier request has made it, which had seemed to
// fail, nobody knows when that was: then the one behind it is made.
func (l *lease) renew(ctx context.Context, v view) error {
	for {
		vanished := v.top.n == 0
		if vanished {
			v.top.n = l.n // a number that takers may have seen is not given twice
		}
		since := l.clock.Now()
		now, won, err := l.next(ctx, v, l.sign)
		if err != nil {
			return err
		}
		if won {
			if vanished {
				l.made++
			}
			l.n, l.since = now.top.n, since
			l.tidy(ctx, now)
			for _, ask := range now.asks {
				l.reg.Delete(ctx, ask)
			}
			return nil
		}
		if v, err = l.look(ctx); err != nil {
			return err
		}
		if err := l.mine(v); err != nil {
			return err
		}
	}
}

// keep renews the lease until it is lost or given back: in time, and at once when somebody asks for a sign of life or a
// term goes away.
func (l *lease) keep(ctx context.Context) {
	defer close(l.done)
	news := l.reg.Watch(ctx, leaseKind)
	pause := time.Duration(0)
	for ctx.Err() == nil {
		tick, cancel := l.clock.Timeout(ctx, pause, errTick)
		select {
		case _, ok := <-news:
			if !ok {
				news = nil
			}
		case <-tick.Done():
		}
		cancel()
		var lost bool
		if pause, lost = l.live(ctx); lost {
			return
		}
		if news == nil && ctx.Err() == nil {
			if pause = min(pause, retry); l.clock.Sleep(ctx, pause) == nil {
				news, pause = l.reg.Watch(ctx, leaseKind), 0
			}
		}
	}
}

// live renews the lease where that is needed, and says after which time to come again.
func (l *lease) live(ctx context.Context) (pause time.Duration, lost bool) {
	if l.lock(ctx) != nil {
		return 0, true
	}
	defer l.unlock()
	v, err := l.check(ctx)
	if err == nil && len(v.terms) > 1 {
		l.tidy(ctx, v)
	}
	if err == nil && (len(v.asks) > 0 || l.clock.Now().Sub(l.since) >= beat) {
		if v, err = l.look(ctx); err == nil {
			err = l.mine(v)
		}
		if err == nil {
			err = l.renew(ctx, v)
		}
	}
	if err != nil {
		return retry, l.over != nil
	}
	return max(beat-l.clock.Now().Sub(l.since), time.Millisecond), false
}

// Drop implements journal.Lease.
func (l *lease) Drop(ctx context.Context, run string) error {
	if err := l.Check(ctx); err != nil {
		return err
	}
	return l.drop(ctx, run)
}

// farewell is how long giving back the lease may take.
const farewell = 10 * time.Second

// Release implements journal.Lease. The lease is given back by a next term that is nobody's; that one stays, so that
// numbers go on from it.
func (l *lease) Release() error {
	l.stop()
	<-l.done
	ctx, cancel := l.clock.Timeout(context.Background(), farewell, l.deaf())
	defer cancel()
	if err := l.lock(ctx); err != nil {
		return err
	}
	defer l.unlock()
	for l.over == nil {
		v, err := l.look(ctx)
		if err == nil && l.mine(v) != nil {
			break
		}
		free := sign{Owner: l.Owner}
		if err == nil && v.top.n == 0 {
			v.top.n = l.n
		}
		won := false
		if err == nil {
			won, err = l.reg.Put(ctx, free.record(termName(v.top.n+1)))
		}
		if err != nil {
			return fmt.Errorf("cannot give back the lease of %s, which is free %s from now: %w", l.target, stale, err)
		}
		if won {
			l.over = errReleased
			for _, old := range v.terms {
				l.reg.Delete(ctx, old)
			}
		}
	}
	return nil
}

package hosttest

import (
	"context"
	"errors"
	"testing"
	"time"

	"github.com/erlmcp/runner/runtime/host"
)

var _ host.Clock = (*Clock)(nil)

func noon() time.Time { return time.Date(2026, 1, 26, 12, 0, 0, 0, time.UTC) }

func TestClockSleepsAtOnce(t *testing.T) {
	c := NewClock(noon())
	late := errors.New("late")
	ctx, cancel := c.Timeout(t.Context(), 10*time.Second, late)
	defer cancel()
	if d, _ := ctx.Deadline(); d != noon().Add(10*time.Second) {
		t.Errorf("deadline %s", d)
	}
	must(t, c.Sleep(ctx, 9*time.Second), ctx.Err())
	if err := c.Sleep(ctx, 2*time.Second); err != late || ctx.Err() == nil {
		t.Errorf("past its deadline: %v", err)
	}
	if err := c.Sleep(ctx, time.Second); err != late || c.Now() != noon().Add(11*time.Second) {
		t.Errorf("in an ended context: %v, %s", err, c.Now())
	}
	child, stop := c.Timeout(ctx, time.Hour, nil)
	defer stop()
	if context.Cause(child) != late {
		t.Errorf("a child of the ended: %v", context.Cause(child))
	}
}

func TestClockHeld(t *testing.T) {
	c := NewClock(noon()).Hold()
	woke := make(chan string, 3)
	for _, s := range []struct {
		name string
		d    time.Duration
	}{{"long", 3 * time.Second}, {"short", time.Second}} {
		go func() { c.Sleep(t.Context(), s.d); woke <- s.name }()
	}
	ctx, cancel := context.WithCancelCause(t.Context())
	stopped := make(chan error)
	go func() { stopped <- c.Sleep(ctx, time.Second) }()
	must(t, c.AwaitSleepers(t.Context(), 3))
	cancel(errors.New("stop"))
	if err := <-stopped; err == nil || err.Error() != "stop" {
		t.Errorf("stopped: %v", err)
	}
	c.Advance(2 * time.Second)
	if got := <-woke; got != "short" {
		t.Errorf("woke %s", got)
	}
	select {
	case got := <-woke:
		t.Errorf("%s woke early", got)
	default:
	}
	c.Advance(time.Second)
	<-woke
}

func TestClockGoesBack(t *testing.T) {
	c := NewClock(noon())
	ctx, cancel := c.Timeout(t.Context(), 10*time.Second, nil)
	defer cancel()
	c.Advance(time.Second)
	c.Set(noon().Add(-time.Hour))
	if c.Now() != noon().Add(-time.Hour) {
		t.Errorf("now %s", c.Now())
	}
	c.Advance(9 * time.Second)
	if context.Cause(ctx) != context.DeadlineExceeded || c.Now() != noon().Add(9*time.Second-time.Hour) {
		t.Errorf("the timeout went back too: %v, %s", context.Cause(ctx), c.Now())
	}
}

func TestClockForgetsWhatWasCancelled(t *testing.T) {
	c := NewClock(noon())
	ctx, cancel := c.Timeout(t.Context(), time.Second, errors.New("late"))
	cancel()
	c.Advance(time.Minute)
	if context.Cause(ctx) != context.Canceled || len(c.alarms) != 0 {
		t.Errorf("%v, %d alarms", context.Cause(ctx), len(c.alarms))
	}
}

package hosttest

import (
	"context"
	"sync"
	"time"
)

// Clock is a host.Clock that passes only when told. By itself a Sleep is what tells it: it returns at once, d later.
// With Hold, sleepers wait until a test calls Advance. Time that Now shows can be set, also back; sleeps and timeouts
// are measured by what passes and do not notice, as with a machine's monotonic clock.
type Clock struct {
	mu     sync.Mutex
	wall   time.Time     // what Now shows when nothing has passed
	passed time.Duration // since the start, never less
	held   bool
	alarms map[*alarm]bool
	news   chan struct{} // closed and replaced when alarms changes
}

type alarm struct {
	at    time.Duration
	sleep bool
	ring  func()
}

// NewClock starts at a time.
func NewClock(start time.Time) *Clock {
	return &Clock{wall: start.UTC(), alarms: map[*alarm]bool{}, news: make(chan struct{})}
}

// Hold makes sleepers wait for Advance.
func (c *Clock) Hold() *Clock {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.held = true
	return c
}

// Now implements host.Clock.
func (c *Clock) Now() time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.wall.Add(c.passed)
}

// Set makes Now show a time; nothing passes.
func (c *Clock) Set(now time.Time) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.wall = now.UTC().Add(-c.passed)
}

// Advance lets time pass: sleepers wake and timeouts end in their order.
func (c *Clock) Advance(d time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.pass(d)
}

func (c *Clock) pass(d time.Duration) {
	end := c.passed + d
	for {
		next := (*alarm)(nil)
		for a := range c.alarms {
			if a.at <= end && (next == nil || a.at < next.at) {
				next = a
			}
		}
		if next == nil {
			break
		}
		c.passed = max(c.passed, next.at)
		c.drop(next)
		next.ring()
	}
	c.passed = end
}

func (c *Clock) add(a *alarm) {
	c.alarms[a] = true
	c.tell()
}

func (c *Clock) drop(a *alarm) {
	delete(c.alarms, a)
	c.tell()
}

func (c *Clock) tell() {
	close(c.news)
	c.news = make(chan struct{})
}

// AwaitSleepers returns when at least n sleep, or when ctx ends, with its error.
func (c *Clock) AwaitSleepers(ctx context.Context, n int) error {
	for {
		c.mu.Lock()
		asleep, news := 0, c.news
		for a := range c.alarms {
			if a.sleep {
				asleep++
			}
		}
		c.mu.Unlock()
		if asleep >= n {
			return nil
		}
		select {
		case <-news:
		case <-ctx.Done():
			return context.Cause(ctx)
		}
	}
}

// Sleep implements host.Clock.
func (c *Clock) Sleep(ctx context.Context, d time.Duration) error {
	if ctx.Err() != nil {
		return context.Cause(ctx)
	}
	c.mu.Lock()
	if !c.held || d <= 0 {
		c.pass(max(d, 0))
		c.mu.Unlock()
		return context.Cause(ctx) // a timeout may have ended in that time
	}
	awake := make(chan struct{})
	a := &alarm{at: c.passed + d, sleep: true, ring: func() { close(awake) }}
	c.add(a)
	c.mu.Unlock()
	select {
	case <-awake:
		return nil
	case <-ctx.Done():
		c.mu.Lock()
		defer c.mu.Unlock()
		c.drop(a)
		return context.Cause(ctx)
	}
}

// Timeout implements host.Clock.
func (c *Clock) Timeout(ctx context.Context, d time.Duration, cause error) (context.Context, context.CancelFunc) {
	if cause == nil {
		cause = context.DeadlineExceeded
	}
	out, cancel := context.WithCancelCause(ctx)
	c.mu.Lock()
	defer c.mu.Unlock()
	a := &alarm{at: c.passed + d, ring: func() { cancel(cause) }}
	if d <= 0 {
		a.ring()
	} else {
		c.add(a)
	}
	deadline := c.wall.Add(a.at)
	if earlier, ok := ctx.Deadline(); ok && earlier.Before(deadline) {
		deadline = earlier
	}
	return timed{out, deadline}, func() {
		c.mu.Lock()
		defer c.mu.Unlock()
		c.drop(a)
		cancel(context.Canceled)
	}
}

// timed tells the clock's deadline. Its Err is context.Canceled also when time ended it; its cause tells which.
type timed struct {
	context.Context
	deadline time.Time
}

// Deadline implements context.Context.
func (t timed) Deadline() (time.Time, bool) { return t.deadline, true }

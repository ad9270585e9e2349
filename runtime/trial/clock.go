package trial

import (
	"context"
	"slices"
	"sync"
	"time"
)

// clock is a host.Clock on which nothing waits: a Sleep is what lets time pass.
type clock struct {
	mu     sync.Mutex
	now    time.Time
	alarms []*alarm
}

type alarm struct {
	at   time.Time
	ring func()
}

// Now implements host.Clock.
func (c *clock) Now() time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.now
}

// Sleep implements host.Clock.
func (c *clock) Sleep(ctx context.Context, d time.Duration) error {
	c.pass(ctx, d)
	return context.Cause(ctx)
}

// pass lets time go on from alarm to alarm until d has passed, or ctx ends.
func (c *clock) pass(ctx context.Context, d time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	end := c.now.Add(max(d, 0))
	for ctx.Err() == nil && len(c.alarms) > 0 && !c.alarms[0].at.After(end) {
		a := c.alarms[0]
		c.alarms = c.alarms[1:]
		c.now = a.at
		a.ring()
	}
	if ctx.Err() == nil {
		c.now = end
	}
}

// Timeout implements host.Clock.
func (c *clock) Timeout(ctx context.Context, d time.Duration, cause error) (context.Context, context.CancelFunc) {
	out, cancel := context.WithCancelCause(ctx)
	c.mu.Lock()
	defer c.mu.Unlock()
	a := &alarm{c.now.Add(d), func() { cancel(cause) }}
	c.alarms = append(c.alarms, a)
	slices.SortStableFunc(c.alarms, func(a, b *alarm) int { return a.at.Compare(b.at) })
	return out, func() {
		c.mu.Lock()
		defer c.mu.Unlock()
		c.alarms = slices.DeleteFunc(c.alarms, func(x *alarm) bool { return x == a })
		cancel(context.Canceled)
	}
}

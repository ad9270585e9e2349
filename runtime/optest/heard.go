package optest

import (
	"context"
	"errors"
	"sync"
	"time"

	"github.com/erlmcp/runner/runtime/host"
	"github.com/erlmcp/runner/runtime/op"
)

// errStopped is what an op gets that is to stop.
var errStopped = errors.New("stop here, as if killed")

// heard is a Speaker that notes when an op was silent for too long, and can stop it.
type heard struct {
	half    int    // stop at this Half, counted from 1
	waits   func() // called at the first Waiting
	stopped time.Time

	mu    sync.Mutex
	steps int
	at    string        // the Half at which it was stopped
	until time.Time     // it need not speak before
	spoke chan struct{} // at each word
	quiet bool
}

func newHeard() *heard { return &heard{spoke: make(chan struct{}, 1)} }

// watch notes a silence. It returns when ctx ends.
func (h *heard) watch(ctx context.Context) {
	for ctx.Err() == nil {
		silence, cancel := host.SystemClock{}.Timeout(ctx, h.patience(), nil)
		select {
		case <-h.spoke:
		case <-silence.Done():
			h.mu.Lock()
			h.quiet = h.quiet || ctx.Err() == nil
			h.mu.Unlock()
		}
		cancel()
	}
}

// patience is how long the op may be silent from now on.
func (h *heard) patience() time.Duration {
	h.mu.Lock()
	defer h.mu.Unlock()
	return max(0, h.until.Sub(host.SystemClock{}.Now())) + patience
}

func (h *heard) silent() bool {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.quiet
}

func (h *heard) word(until time.Time) {
	h.mu.Lock()
	h.until = until
	h.mu.Unlock()
	h.speak()
}

func (h *heard) speak() {
	select {
	case h.spoke <- struct{}{}:
	default:
	}
}

// Output implements op.Speaker. A line does not end the wait in which it comes.
func (h *heard) Output(string) { h.speak() }

// Progress implements op.Speaker.
func (h *heard) Progress(int64, int64, string) { h.word(time.Time{}) }

// Waiting implements op.Speaker.
func (h *heard) Waiting(_ string, until time.Time) {
	h.word(until)
	if h.waits != nil {
		h.waits()
		h.waits = nil
	}
}

// Child implements op.Speaker.
func (h *heard) Child(op.Child) error { return nil }

// Half implements op.Speaker.
func (h *heard) Half(step string) error {
	h.word(time.Time{})
	h.mu.Lock()
	defer h.mu.Unlock()
	h.steps++
	if h.steps == h.half {
		h.at = step
	}
	if h.at != "" {
		return errStopped
	}
	return nil
}

// Package patient announces a wait where it turns out to be one. Most that ask a program or a server are answered at
// once, and a line about each would hide the one that matters. It waits for nothing by itself.
package patient

import (
	"context"
	"time"

	"github.com/erlmcp/runner/runtime/host"
	"github.com/erlmcp/runner/runtime/op"
)

// silence is how long a wait goes without a line: less than the second after which an op must have spoken.
const silence = 500 * time.Millisecond

// Announce says what is waited for, and until when at most, unless stop is called before that is worth a line. Nothing is
// said after stop has returned; it must be called.
func Announce(ctx context.Context, h *host.Host, what string, limit time.Duration) (stop func()) {
	return op.WaitingIf(ctx, func(ctx context.Context) error { return h.Clock.Sleep(ctx, silence) }, what, h.Clock.Now().Add(limit))
}

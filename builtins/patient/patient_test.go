package patient

import (
	"testing"
	"time"

	"github.com/erlmcp/runner/runtime/host"
	"github.com/erlmcp/runner/runtime/op"
)

type ear struct {
	op.Silent
	heard chan string
}

func (e ear) Waiting(what string, _ time.Time) { e.heard <- what }

// A short wait is silent; of a long one there is a line before a second has passed.
func TestAnnounce(t *testing.T) {
	e := ear{heard: make(chan string, 9)}
	h := &host.Host{Clock: host.SystemClock{}}
	ctx := op.WithSpeaker(t.Context(), e)
	Announce(ctx, h, "a short one", time.Minute)()
	begun := time.Now()
	stop := Announce(ctx, h, "a long one", time.Minute)
	if what := <-e.heard; what != "a long one" || time.Since(begun) > 900*time.Millisecond {
		t.Errorf("%q after %s", what, time.Since(begun))
	}
	stop()
	if len(e.heard) > 0 {
		t.Errorf("heard also %q", <-e.heard)
	}
}

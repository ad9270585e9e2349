package kube

import (
	"context"
	"fmt"
	"strings"
	"time"

	"github.com/erlmcp/runner/builtins/kube/follow"
	"github.com/erlmcp/runner/builtins/kube/reconcile"
	"github.com/erlmcp/runner/runtime/op"
)

// live waits until objects are live, and says what is waited for and what becomes of each.
func (d *Kubernetes) live(ctx context.Context, at place, done []reconcile.Applied, until time.Time) error {
	if len(done) == 0 {
		return nil
	}
	items := make([]follow.Item, len(done))
	for i, a := range done {
		items[i] = follow.ItemOf(a.Object, a.Unchanged)
	}
	stop := op.WaitingIf(ctx, func(ctx context.Context) error { return d.Host.Clock.Sleep(ctx, silence) }, waitedFor(done), until)
	defer stop()
	_, err := await(ctx, at, items, follow.Options{})
	return err
}

// silence is how long a wait goes without a line.
const silence = 500 * time.Millisecond

// shown is how many objects a wait names.
const shown = 3

func waitedFor(done []reconcile.Applied) string {
	var names []string
	for i, a := range done {
		if i == shown {
			names = append(names, fmt.Sprintf("%d more", len(done)-shown))
			break
		}
		names = append(names, a.Ref.String())
	}
	return strings.Join(names, ", ") + " to be live"
}

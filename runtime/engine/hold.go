package engine

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/erlmcp/runner/runtime/event"
	"github.com/erlmcp/runner/runtime/journal"
	"github.com/erlmcp/runner/runtime/op"
)

// standing is the hold that counts now, and what is wrong with its record; both are nil where nothing holds.
func standing(ctx context.Context, c Config, home journal.Home) (*journal.Hold, error) {
	h, err := home.Hold(ctx)
	if err != nil || h == nil || h.Over(c.Host.Clock.Now()) {
		return nil, err
	}
	return h, nil
}

// Held says who holds an environment's target, nil where nobody does. Where nobody can tell, since the target is not
// reached, that is an error.
func (r *Run) Held(ctx context.Context, name string, target any) (*op.Held, error) {
	id, home, err := r.Home(target)
	if err != nil {
		return nil, err
	}
	h, err := standing(ctx, r.Config, home)
	if ctx.Err() != nil {
		return nil, context.Cause(ctx)
	}
	text := heldText(r.Config, cmp.Or(name, id), h, err)
	switch {
	case err != nil && !unreadable(err):
		return nil, err
	case err != nil:
		return &op.Held{Text: text, Why: err.Error()}, nil
	case h == nil:
		return nil, nil
	}
	held := &op.Held{Text: text, Who: h.Who, Why: h.Why, Since: h.Since.UTC().Format(time.RFC3339)}
	if !h.Until.IsZero() {
		held.Until = h.Until.UTC().Format(time.RFC3339)
	}
	return held, nil
}

// unreadable reports that there is a record of a hold which says nothing: somebody may hold the target.
func unreadable(err error) bool {
	var mute *journal.Unreadable
	return errors.As(err, &mute)
}

// heldText says who holds an environment, "" where nobody does.
func heldText(c Config, name string, h *journal.Hold, err error) string {
	switch {
	case err != nil:
		return fmt.Sprintf("%s may be held: %s", name, err)
	case h != nil:
		return fmt.Sprintf("%s is held %s", name, h.Text(c.Host.Clock.Now()))
	}
	return ""
}

// unheld refuses to change an environment that somebody holds, unless force is a reason to do so. The note of a hold
// that was passed stands in the undo log too.
func (r *Run) unheld(ctx context.Context, l *lease, name, force string) (passed string, err error) {
	h, err := standing(ctx, r.Config, l.home)
	text := heldText(r.Config, name, h, err)
	switch {
	case text == "":
		return "", nil
	case err != nil && !unreadable(err):
		return "", err
	case force != "":
		return fmt.Sprintf("%s; this run goes on: %s", text, force), nil
	case err != nil:
		return "", op.Hint(&op.Refused{Why: text}, "nobody knows who holds it: read the file, and move it away when it means nothing")
	}
	return "", op.Hint(&op.Refused{Why: text}, "runner unhold %s ends the hold; a deployment or a rollback goes on with --force REASON", name)
}

// passes records that a hold was passed, and why.
func (r *Run) passes(l *lease, text string) error {
	if text == "" {
		return nil
	}
	return r.emit(event.Noted{Text: text}, true, l)
}

package engine

import (
	"context"
	"errors"

	"github.com/erlmcp/runner/runtime/journal"
)

// Recover takes back what dead runs left on a target, and keeps no lease of it: a run that fails before it comes to its
// lease has then brought back what served. Where another run holds the lease, and where nothing can be read, it does
// nothing: taking the lease tells of that.
func (r *Run) Recover(ctx context.Context, target any) error {
	id, home, err := r.Home(target)
	if err != nil {
		return err
	}
	r.mu.Lock()
	mine := r.held[id] != nil
	r.mu.Unlock()
	if mine || !anyUnfinished(ctx, home) {
		return nil
	}
	l, err := home.Take(ctx, r.owner(), nil)
	if held := (*journal.Held)(nil); errors.As(err, &held) {
		return nil
	}
	if err != nil {
		return err
	}
	states, err := logsOf(ctx, home)
	if err == nil {
		err = r.recoverAll(ctx, &lease{Lease: l, home: home, target: id}, states)
	}
	return errors.Join(err, l.Release())
}

func anyUnfinished(ctx context.Context, home journal.Home) bool {
	states, err := logsOf(ctx, home)
	for _, s := range states {
		if s.Unfinished() {
			return err == nil
		}
	}
	return false
}

package engine

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/erlmcp/runner/runtime/journal"
	"github.com/erlmcp/runner/runtime/op"
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
		_, err = r.recoverAll(ctx, &lease{Lease: l, home: home, target: id}, states)
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

// Unfinished gives the runs on an environment's target that have not ended, the newest first: one of them may hold the
// lease, the others are dead.
func (r *Run) Unfinished(ctx context.Context, target any) ([]op.Dead, error) {
	return unfinished(ctx, r.Config, target)
}

func unfinished(ctx context.Context, c Config, target any) (out []op.Dead, err error) {
	_, home, err := c.Home(target)
	if err != nil {
		return nil, err
	}
	states, err := logsOf(ctx, home)
	if err != nil {
		return nil, err
	}
	for _, s := range slices.Backward(states) {
		if s.Unfinished() {
			out = append(out, deadRun(s))
		}
	}
	return out, nil
}

func deadRun(s journal.State) op.Dead {
	open := slices.DeleteFunc(s.Open(), func(c journal.Change) bool { return c.Check })
	return op.Dead{Run: s.Run, Script: s.Started.Script, Args: s.Started.Args, By: startedBy(s), Changes: len(open)}
}

func startedBy(s journal.State) string {
	return fmt.Sprintf("%s on %s at %s", s.Started.User, s.Started.Host, s.Since.Format(time.RFC3339))
}

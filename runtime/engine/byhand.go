package engine

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"github.com/erlmcp/runner/runtime/event"
	"github.com/erlmcp/runner/runtime/journal"
	"github.com/erlmcp/runner/runtime/op"
)

// UndoRun takes back the last uncommitted run of a target: the one named, or the latest where run is "". With a reason
// to abandon it, it takes nothing back and only settles the run, so that the next one goes on from the world as it is.
func (r *Run) UndoRun(ctx context.Context, target any, run, abandon string) error {
	id, home, err := r.Home(target)
	if err != nil {
		return err
	}
	l, err := home.Take(ctx, r.owner(), r.queue(id))
	if err != nil {
		return err
	}
	defer l.Release()
	states, err := logsOf(ctx, home)
	if err != nil {
		return err
	}
	s, err := lastUncommitted(states, run)
	if err != nil {
		return err
	}
	held := &lease{Lease: l, home: home, target: id}
	if abandon != "" {
		return r.settle(ctx, held, s, abandon)
	}
	return r.recover(ctx, held, s, true)
}

// lastUncommitted finds the run to undo. Only the last one that changed something can be: what came later stands on it.
func lastUncommitted(states []journal.State, run string) (journal.State, error) {
	for _, s := range slices.Backward(states) {
		changed := slices.ContainsFunc(s.Changes, func(c journal.Change) bool { return !c.Check })
		if !changed && s.Run != run {
			continue
		}
		switch {
		case run != "" && s.Run != run && slices.ContainsFunc(states, func(o journal.State) bool { return o.Run == run }):
			return s, op.Hint(fmt.Errorf("cannot undo run %s: run %s has changed the target since", run, s.Run), "go back with rollback.star")
		case run != "" && s.Run != run:
			return s, fmt.Errorf("cannot undo run %s: the target has no undo log of it", run)
		case s.Committed != nil && !slices.ContainsFunc(s.Open(), canBeTakenBack):
			return s, op.Hint(fmt.Errorf("cannot undo run %s: it is committed", s.Run), "go back with rollback.star")
		case len(s.Open()) == 0:
			return s, fmt.Errorf("cannot undo run %s: nothing of it is left to take back", s.Run)
		}
		return s, nil
	}
	return journal.State{}, errors.New("cannot undo: no run has changed this target")
}

// canBeTakenBack is false of a Final, such as the pruning behind a commit.
func canBeTakenBack(c journal.Change) bool { return c.Class != string(op.ClassFinal) }

func (r *Run) settle(ctx context.Context, l *lease, s journal.State, why string) error {
	log, err := l.Open(ctx, s.Run)
	if err != nil {
		return err
	}
	now := r.Host.Clock.Now().UTC()
	note := event.Noted{Text: fmt.Sprintf("the undo of run %s is abandoned: %s", s.Run, why)}
	done := event.RecoveryFinished{Dead: s.Run, Target: l.target, Complete: true}
	err = errors.Join(
		log.Append(ctx, event.Record{Time: now, Run: s.Run, Fact: note}, false),
		log.Append(ctx, event.Record{Time: now, Run: s.Run, Fact: done}, true),
		log.Close(),
	)
	r.emit(note, false)
	return err
}

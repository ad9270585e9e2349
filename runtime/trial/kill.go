package trial

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"github.com/erlmcp/runner/runtime/journal"
	"github.com/erlmcp/runner/runtime/op"
	"github.com/erlmcp/runner/runtime/script"
)

// kill is how a run is stopped dead. From then on its lease is lost, nothing that it does has an effect, and its undo
// log stands as it was: what follows is for the next run, as after kill -9.
type kill struct {
	at       int    // the moment, from 1; 0 for none
	counting bool   // the run that may be killed is at work
	moments  int    // that it has passed
	met      string // the one at which it was killed
	dead     bool
	called   bool
	complete []mark // what the whole run leaves
	found    []finding
}

// finding is what is wrong with the world after a kill and a recovery.
type finding struct {
	at, text, hint string
	moment         string
}

// errKilled ends a run as the loss of its lease does: without an undo.
var errKilled = fmt.Errorf("%w: the run is killed", journal.ErrLost)

// moment passes one of the moments at which a run can die.
func (w *world) moment(what string) error {
	w.mu.Lock()
	defer w.mu.Unlock()
	k := &w.kill
	if k.dead {
		return errKilled
	}
	if !k.counting {
		return nil
	}
	if k.moments++; k.moments != k.at {
		return nil
	}
	k.met, k.dead = what, true
	for _, h := range w.homes {
		h.lose()
	}
	return errKilled
}

// KillEverywhere implements script.Trial.
func (w *world) KillEverywhere(ctx context.Context, s script.Staging, allow []string, main func(context.Context, script.Run) error) error {
	if w.kill.called {
		return errors.New("a test calls it once: the whole test is called again for each kill")
	}
	w.kill.called = true
	before := slices.Clone(w.marks)
	w.kill.counting = true
	r := w.start(s)
	end := r.perform(ctx, s, main)
	w.kill.counting = false
	switch {
	case w.mistake != nil:
		return w.mistake
	case w.kill.at == 0 && end.Exit != 0:
		return op.Hint(fmt.Errorf("the run must succeed before it can be killed: exit %d: %s", end.Exit, r.ran.Error), "%s", r.ran.Hint)
	case w.kill.at == 0:
		w.kill.complete = w.marks
		return nil
	case w.kill.met == "":
		return fmt.Errorf("the run goes another way each time: the %dth moment at which to kill it never came", w.kill.at)
	}
	committed, err := w.committed(ctx, r.ID)
	if err != nil {
		return err
	}
	w.kill.dead = false
	if err := w.recover(ctx, r, s); err != nil {
		return err
	}
	w.judge(before, committed, allow)
	return script.Enough
}

// committed reports whether the undo logs of a run hold a commit.
func (w *world) committed(ctx context.Context, run string) (bool, error) {
	for _, h := range w.homes {
		records, err := h.Read(ctx, run)
		if err != nil {
			return false, err
		}
		if s := journal.Fold(records); s.Committed != nil {
			return true, nil
		}
	}
	return false, nil
}

// recover is the next run, which only takes the leases that the dead one held.
func (w *world) recover(ctx context.Context, dead *running, s script.Staging) error {
	s.Name = "recovery"
	r := w.start(s)
	end := r.perform(ctx, s, func(ctx context.Context, _ script.Run) error {
		for _, l := range dead.targets {
			if _, err := r.Lease(ctx, l.name, l.target, "", ""); err != nil {
				return err
			}
		}
		return nil
	})
	if w.mistake == nil && end.Exit != 0 {
		w.find("", "the recovery fails: "+r.ran.Error, r.ran.Hint)
	}
	return w.mistake
}

func (w *world) find(at, text, hint string) {
	w.kill.found = append(w.kill.found, finding{at, text, hint, w.kill.met})
}

// judge compares the world with what it may be: as before, or behind a commit as the whole run leaves it.
func (w *world) judge(before []mark, committed bool, allow []string) {
	counts := func(m mark) bool { return !slices.Contains(allow, m.op) }
	if !committed {
		for _, m := range w.marks {
			switch {
			case !counts(m) || slices.ContainsFunc(before, func(b mark) bool { return b.id == m.id }):
			case m.final:
				w.find(m.at, fmt.Sprintf("%s stays although nothing is committed: it cannot be taken back (%s)", m.op, m.why),
					"call it behind commit(), or say kill_everywhere(..., allow = [\""+m.op+"\"])")
			default:
				w.find(m.at, fmt.Sprintf("%s stays although nothing is committed", m.op), "")
			}
		}
		return
	}
	left := slices.Clone(w.marks)
	for _, m := range w.kill.complete {
		i := slices.IndexFunc(left, func(l mark) bool { return l.op == m.op && l.label == m.label })
		switch {
		case i >= 0:
			left = slices.Delete(left, i, i+1)
		case !m.final && counts(m):
			w.find(m.at, fmt.Sprintf("%s is lost although the run is committed: the world is neither the old one nor the new one", m.op),
				"call it before commit(), or say kill_everywhere(..., allow = [\""+m.op+"\"])")
		}
	}
}

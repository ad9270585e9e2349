package engine

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/erlmcp/runner/runtime/event"
	"github.com/erlmcp/runner/runtime/journal"
	"github.com/erlmcp/runner/runtime/op"
)

// Main runs a script's main and everything that follows from how it ends: evidence, undo, the verdict. It returns when
// every lease is given back.
func (r *Run) Main(ctx context.Context, main func(context.Context) error) event.RunFinished {
	r.begun = r.Host.Clock.Now()
	r.emit(r.Started, false)
	_, err := guarded(func() (any, error) { return nil, main(ctx) })
	if err == nil && ctx.Err() != nil {
		err = context.Cause(ctx)
	}
	if err == nil && r.uncommitted() {
		err = r.commit("", "")
	}
	v := verdict{err: err}
	if err != nil {
		v = r.fail(ctx, err)
	}
	f := r.conclude(v)
	if err := r.emit(f, !f.Unfinished, r.closing(f)...); err != nil {
		r.Note(fmt.Sprintf("the end of this run is not recorded, so the next run looks at it again: %s", err))
		r.emit(f, false)
	}
	for _, l := range r.leases() {
		l.log.Close()
		if err := l.Release(); err != nil {
			r.Note(err.Error())
		}
	}
	return f
}

// uncommitted reports whether something could still be taken back.
func (r *Run) uncommitted() bool {
	return slices.ContainsFunc(r.state.Open(), func(c journal.Change) bool { return !c.Check && c.Class != string(op.ClassFinal) })
}

// closing lists the logs in which the run's end is written: none where the next run has to go on undoing.
func (r *Run) closing(f event.RunFinished) []*lease {
	if f.Unfinished {
		return nil
	}
	return r.leases()
}

// fail explains the failure, gathers evidence and takes back what is not committed.
func (r *Run) fail(ctx context.Context, err error) verdict {
	failed := r.Explain(err)
	if lost := r.lost(ctx); lost != nil && !errors.Is(err, journal.ErrLost) {
		err = errors.Join(err, lost) // what failed may have been ended by the run that took the lease
		failed.Error += "\n" + lost.Error()
	}
	v := verdict{err: err, open: r.state.Open(), unsettled: errors.Is(err, journal.ErrLost)}
	r.emit(failed, false)
	var incomplete *Incomplete
	if errors.As(err, &incomplete) {
		v.differs, v.unsettled = incomplete.Differs, !incomplete.Settled
	}
	if v.unsettled && errors.Is(err, journal.ErrLost) || len(v.open) == 0 || r.NoUndo {
		return v
	}
	budget, cancel := r.undoContext(ctx)
	defer cancel()
	r.evidence(budget, v.open)
	t := r.own().all(budget, err.Error(), v.open)
	if t.lost != nil {
		v.err, v.unsettled = errors.Join(err, t.lost), true
		return v
	}
	v.undo, v.differs = true, append(append(v.differs, t.differs...), t.stays...)
	if r.state.Committed == nil { // behind the commit they did what the run was for
		v.differs = append(v.differs, t.finals...)
	}
	v.unsettled = v.unsettled || t.failed
	return v
}

// evidenceTime is how long the gathering of evidence may keep the undo waiting.
const evidenceTime = 5 * time.Second

// evidence asks the changes of this run, side by side, what explains the failure. What cannot be had is left out.
func (r *Run) evidence(ctx context.Context, changes []journal.Change) {
	ctx, cancel := r.Host.Clock.Timeout(ctx, evidenceTime, fmt.Errorf("no evidence within %s", evidenceTime))
	defer cancel()
	found := make([][]op.Evidence, len(changes))
	var wg sync.WaitGroup
	for i, c := range changes {
		b, err := r.Registry.Decode(fmt.Appendf(nil, `{"op":%q,"params":%s}`, c.Name, c.Params))
		if err != nil || c.Check {
			continue
		}
		wg.Go(func() {
			found[i], _ = guarded(func() ([]op.Evidence, error) { return b.Evidence(ctx) })
		})
	}
	wg.Wait()
	for i, list := range found {
		for _, e := range list {
			if strings.TrimSpace(e.Text) != "" {
				r.emit(event.EvidenceFound{Op: changes[i].Op, Title: e.Title, Text: e.Text}, false)
			}
		}
	}
}

package engine

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"slices"
	"syscall"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/erlmcp/runner/runtime/event"
	"github.com/erlmcp/runner/runtime/host"
	"github.com/erlmcp/runner/runtime/journal"
	"github.com/erlmcp/runner/runtime/op"
)

// keepLogs is how many settled undo logs stay with a target, for people to read.
const keepLogs = 20

// readLogs is how many undo logs are read at a time: where each is an answer of an engine, they take the time of few.
const readLogs = 8

// Lease takes the lease of an environment's target, takes back what a dead run left there, and opens this run's undo
// log. Asked again for a target that it has, it does nothing. A target on hold is refused, unless force says why not.
// It gives the runs that were taken back, the newest first.
func (r *Run) Lease(ctx context.Context, name string, target any, force, at string) ([]op.Dead, error) {
	id, home, err := r.Home(target)
	if err != nil {
		return nil, err
	}
	r.mu.Lock()
	mine := r.held[id] != nil
	r.mu.Unlock()
	if mine {
		return nil, nil
	}
	l, err := home.Take(ctx, r.owner(), r.queue(id))
	if errors.Is(err, fs.ErrPermission) {
		err = op.Hint(err, "run it as a user who may write there; \"runner setup %s\" once, as root, lets those deploy who shall", cmp.Or(name, "ENVIRONMENT"))
	}
	if err != nil {
		return nil, err
	}
	held := &lease{Lease: l, home: home, target: id}
	dead, err := r.enter(ctx, held, name, force, at)
	if err != nil {
		if held.log != nil {
			held.log.Close()
		}
		return nil, errors.Join(err, l.Release())
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	r.held[id] = held
	return dead, nil
}

func (r *Run) owner() journal.Owner {
	o := r.Owner
	o.Run, o.Since = r.ID, r.Host.Clock.Now().UTC()
	return o
}

func (r *Run) queue(target string) func(journal.Owner, int) {
	if !r.Queue {
		return nil
	}
	return func(holder journal.Owner, ahead int) {
		what := holder.String()
		if ahead > 0 {
			what += fmt.Sprintf(", with %d more before this one", ahead)
		}
		r.emit(event.LeaseWaited{Target: target, Holder: what}, false)
	}
}

func (r *Run) enter(ctx context.Context, l *lease, name, force, at string) ([]op.Dead, error) {
	states, err := logsOf(ctx, l.home)
	if err != nil {
		return nil, err
	}
	turn := int64(1)
	for _, s := range states {
		turn = max(turn, s.Turn+1)
	}
	dead, err := r.recoverAll(ctx, l, states)
	if err != nil {
		return nil, err
	}
	passed, err := r.unheld(ctx, l, cmp.Or(name, l.target), force)
	if err != nil {
		return nil, err
	}
	if err := r.forget(ctx, l, states); err != nil {
		return nil, err
	}
	if l.log, err = r.openLog(ctx, l, states); err != nil {
		return nil, err
	}
	// The run's own start stands in each of its undo logs, so that one of them tells who it was.
	start := event.Record{Time: r.begun.UTC(), Run: r.ID, Fact: r.Started}
	if err := l.log.Append(ctx, start, false); err != nil {
		return nil, fmt.Errorf("cannot open the undo log of %s: %w", l.target, err)
	}
	if err := r.emit(event.LeaseTaken{Target: l.target, Turn: turn, At: at}, true, l); err != nil {
		return nil, fmt.Errorf("cannot open the undo log of %s: %w", l.target, err)
	}
	return dead, r.passes(l, passed)
}

// openLog opens this run's undo log. A disk that is full keeps nobody from what may make room on it: the oldest settled
// logs, which are for people to read, give way.
func (r *Run) openLog(ctx context.Context, l *lease, states []journal.State) (journal.Writer, error) {
	log, err := l.Open(ctx, r.ID)
	for _, s := range states {
		if !errors.Is(err, syscall.ENOSPC) {
			break
		}
		if s.Run == r.ID || s.Unfinished() || l.Drop(ctx, s.Run) != nil {
			continue
		}
		log, err = l.Open(ctx, r.ID)
	}
	return log, err
}

// logsOf folds the undo logs of a target, in the order in which their runs held the lease.
func logsOf(ctx context.Context, home journal.Home) ([]journal.State, error) {
	runs, err := home.Logs(ctx)
	if err != nil {
		return nil, fmt.Errorf("cannot read the undo logs: %w", err)
	}
	out := make([]journal.State, len(runs))
	reading, limited := errgroup.WithContext(ctx)
	reading.SetLimit(readLogs)
	for i, run := range runs {
		reading.Go(func() error {
			records, err := home.Read(limited, run)
			if err == nil {
				out[i] = journal.Fold(records)
				out[i].Run = run
			}
			return err
		})
	}
	if err := reading.Wait(); err != nil {
		return nil, err
	}
	slices.SortStableFunc(out, func(a, b journal.State) int { return cmp.Compare(a.Turn, b.Turn) })
	return out, nil
}

// forget drops the oldest settled undo logs.
func (r *Run) forget(ctx context.Context, l *lease, states []journal.State) error {
	for i, s := range states {
		if len(states)-i > keepLogs && !s.Unfinished() {
			if err := l.Drop(ctx, s.Run); err != nil {
				return fmt.Errorf("cannot drop the undo log of run %s: %w", s.Run, err)
			}
		}
	}
	return nil
}

// recoverAll takes back the unfinished runs of a target, newest first, and gives them.
func (r *Run) recoverAll(ctx context.Context, l *lease, states []journal.State) (dead []op.Dead, err error) {
	for _, s := range slices.Backward(states) {
		if s.Unfinished() {
			dead = append(dead, deadRun(s))
			if err := r.recover(ctx, l, s, false); err != nil {
				return dead, err
			}
		}
	}
	return dead, nil
}

// recover takes one run back, into its own undo log: it ends the run's children, then undoes what is not committed.
// asked is a person who names this run.
func (r *Run) recover(ctx context.Context, l *lease, dead journal.State, asked bool) error {
	log, err := l.Open(ctx, dead.Run)
	if err != nil {
		return err
	}
	defer log.Close()
	theirs := &lease{Lease: l.Lease, log: log}
	both := func(f event.Fact, _ journal.Change) error {
		err := theirs.append(context.Background(), event.Record{Time: r.Host.Clock.Now().UTC(), Run: dead.Run, Fact: f}, true)
		r.emit(f, false)
		return err
	}
	what := fmt.Sprintf("%s by %s", dead.Started.Script, startedBy(dead))
	if err := both(event.RecoveryStarted{Dead: dead.Run, Target: l.target, What: what}, journal.Change{}); err != nil {
		return fmt.Errorf("cannot recover run %s: %w", dead.Run, err)
	}
	if err := r.endChildren(ctx, dead.Children); err != nil {
		return err
	}
	budget, cancel := r.recoveryContext(ctx)
	defer cancel()
	u := undoing{run: r, asked: asked, record: both, blob: func(ctx context.Context, digest string, _ journal.Change) ([]byte, error) {
		return l.home.Blob(ctx, digest)
	}}
	t := u.all(budget, "", dead.Open())
	for _, why := range t.stays {
		r.Note(why)
	}
	if t.lost != nil {
		return t.lost
	}
	if ctx.Err() != nil {
		return errors.Join(context.Cause(ctx), t.incomplete(dead.Run))
	}
	r.mu.Lock()
	live := r.live
	r.mu.Unlock()
	if err := both(event.RecoveryFinished{Dead: dead.Run, Target: l.target, Complete: !t.failed, Live: live}, journal.Change{}); err != nil {
		return fmt.Errorf("cannot recover run %s: %w", dead.Run, err)
	}
	return t.incomplete(dead.Run)
}

// incomplete is the error of a recovery that a person should hear of before anything else is changed: an inverse that
// failed or that met a conflict. A Final that ran, or an old version that is not healthy, is reported and no reason to
// stop: this run may be what mends it.
func (t tally) incomplete(run string) error {
	if t.failed || t.conflicts > 0 {
		return &Incomplete{Run: run, Differs: t.differs, Settled: !t.failed}
	}
	return nil
}

// recoveryContext ends with the run, unlike an undo's: the run itself has changed nothing yet, and what is left
// undone the next one takes back.
func (r *Run) recoveryContext(ctx context.Context) (context.Context, context.CancelFunc) {
	return r.Host.Clock.Timeout(ctx, r.UndoTimeout, fmt.Errorf("the time for undoing (--undo-timeout %s) has passed", r.UndoTimeout))
}

// endChildren ends the processes that a dead run left, so that none of them changes anything behind its undo.
func (r *Run) endChildren(ctx context.Context, children []event.ChildStarted) error {
	for _, c := range children {
		p := host.Proc{PID: c.PID, Start: c.Start, Boot: c.Boot}
		if r.Host.Procs.Alive(p) {
			r.Note(fmt.Sprintf("process %d (%s) of the dead run is ended", c.PID, c.Name))
		}
		if err := r.Host.Procs.Stop(ctx, p, syscall.SIGTERM, 2*time.Second); err != nil {
			return fmt.Errorf("cannot end process %d (%s) of the dead run: %w", c.PID, c.Name, err)
		}
	}
	return nil
}

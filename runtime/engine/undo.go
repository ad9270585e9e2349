package engine

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"

	"github.com/erlmcp/runner/runtime/event"
	"github.com/erlmcp/runner/runtime/journal"
	"github.com/erlmcp/runner/runtime/op"
)

// undoing takes changes back. It is one code for the end of a run, for attempt, for recovery and for undo by hand:
// they differ in where the records go.
type undoing struct {
	run    *Run
	asked  bool                                       // by a person, for this very run
	record func(f event.Fact, c journal.Change) error // durable where the change itself is recorded
	blob   func(ctx context.Context, digest string, c journal.Change) ([]byte, error)
}

// tally is how an undo ended.
type tally struct {
	undone    int
	differs   []string // what is not as it was
	failed    bool     // an inverse failed: it is worth trying again
	conflicts int
	finals    []string // what cannot be taken back
	stays     []string // why nothing was taken back
	lost      error    // the lease is: whoever took it goes on
}

// all takes changes back in the order given, because of why. It goes on past what fails, not past the loss of its lease.
// Where one of them says that the world must stay as it is, nothing is taken back unless a person asks.
func (u undoing) all(ctx context.Context, why string, changes []journal.Change) tally {
	var t tally
	for _, c := range changes {
		if c.Stays != "" && !u.asked {
			t.stays = append(t.stays, fmt.Sprintf("%s: %s: what was changed stays", c.Summary, c.Stays))
		}
	}
	if len(t.stays) > 0 {
		return t
	}
	if why != "" {
		u.run.emit(event.UndoStarted{Why: firstLine(why), Count: len(changes)}, false)
	}
	for _, c := range changes {
		f := u.one(ctx, c)
		f.Op, f.Name, f.Order = c.Op, c.Name, c.Order
		if f.Summary == "" {
			f.Summary = c.Summary
		}
		err := u.record(f, c)
		if errors.Is(err, journal.ErrLost) {
			t.lost = err
			return t
		}
		if err != nil {
			u.run.Note(fmt.Sprintf("the undo of %s %s is not recorded, so the next run looks at it again: %s", c.Op, c.Name, err))
		}
		switch f.Outcome {
		case event.Restored, event.Already:
			t.undone++
		case event.Conflict:
			t.conflicts++
			t.differs = append(t.differs, fmt.Sprintf("%s: wanted %s, found %s, left alone", c.Summary, f.Wanted, f.Found))
		case event.Failed:
			t.failed = true
			t.differs = append(t.differs, fmt.Sprintf("%s: not taken back: %s", c.Summary, firstLine(f.Detail)))
		case event.Final:
			t.finals = append(t.finals, fmt.Sprintf("%s: cannot be taken back", c.Summary))
		case event.Broken:
			t.differs = append(t.differs, fmt.Sprintf("%s: %s", c.Summary, firstLine(f.Detail)))
		}
	}
	return t
}

func (u undoing) one(ctx context.Context, c journal.Change) event.OpUndone {
	switch {
	case c.Class == string(op.ClassFinal):
		return event.OpUndone{Outcome: event.Final, Detail: c.NoInverse}
	case !c.Check && len(c.Inverse) == 0:
		return event.OpUndone{Outcome: event.Already, Detail: c.NoInverse}
	}
	b, err := u.decode(ctx, c)
	if err != nil {
		return event.OpUndone{Outcome: event.Failed, Detail: err.Error()}
	}
	b.Path = c.Op
	ctx = op.WithSpeaker(ctx, &speaker{u.run, c.Op})
	result, err := guarded(func() (any, error) { return b.Do(ctx) })
	if c.Check {
		return u.checked(b, result, err)
	}
	f := event.OpUndone{Outcome: event.Restored, Summary: b.Summary()}
	var conflict *op.Conflict
	switch restored, _ := result.(op.Restored); {
	case errors.As(err, &conflict):
		f.Outcome, f.Detail, f.Wanted, f.Found = event.Conflict, conflict.What, conflict.Wanted, conflict.Found
	case err != nil:
		f.Outcome, f.Detail = event.Failed, err.Error()
	default:
		if restored.Already {
			f.Outcome = event.Already
		}
		u.run.serves(restored.Live)
	}
	return f
}

// checked is the outcome of an op that on_undo asked for.
func (u undoing) checked(b op.Bound, result any, err error) event.OpUndone {
	ok := err == nil
	u.run.mu.Lock()
	u.run.healthy = &ok
	u.run.mu.Unlock()
	if err != nil {
		return event.OpUndone{Outcome: event.Broken, Detail: err.Error()}
	}
	u.run.mu.Lock()
	defer u.run.mu.Unlock()
	if l, is := result.(op.Live); is && l.LiveVersion() != "" {
		u.run.live = l.LiveVersion()
	}
	return event.OpUndone{Outcome: event.Passed}
}

func (u undoing) decode(ctx context.Context, c journal.Change) (op.Bound, error) {
	wire := c.Inverse
	if c.Check {
		wire = c.Params
	}
	var ref blobRef
	if err := json.Unmarshal(wire, &ref); err == nil && ref.Blob != "" {
		b, err := u.blob(ctx, ref.Blob, c)
		if err != nil {
			return op.Bound{}, err
		}
		wire = b
	}
	return u.run.Registry.Decode(wire)
}

// serves keeps what an undo says that serves now. One that does not say it leaves unknown what the run had made serve.
func (r *Run) serves(version string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if version == "" && r.live != r.wanted {
		return
	}
	r.live = version
}

// own is the undoing of this run's changes.
func (r *Run) own() undoing {
	return undoing{
		run: r,
		record: func(f event.Fact, c journal.Change) error {
			return r.emit(f, true, r.logs[c.Order]...)
		},
		blob: func(ctx context.Context, digest string, c journal.Change) ([]byte, error) {
			for _, l := range r.logs[c.Order] {
				return l.home.Blob(ctx, digest)
			}
			return nil, fmt.Errorf("cannot read the inverse: it is in no log")
		},
	}
}

// undoContext is the undo's own budget: what ended the run does not end its undo.
func (r *Run) undoContext(ctx context.Context) (context.Context, context.CancelFunc) {
	fresh, cancel := r.Host.Clock.Timeout(context.WithoutCancel(ctx), r.UndoTimeout,
		fmt.Errorf("the undo's own time (--undo-timeout %s) has passed", op.Duration(r.UndoTimeout)))
	give, abandon := context.WithCancelCause(fresh)
	done := make(chan struct{})
	go func() {
		defer close(done)
		select {
		case <-r.Abandon:
			abandon(errAbandoned)
		case <-give.Done():
		}
	}()
	return give, func() { abandon(nil); cancel(); <-done }
}

var errAbandoned = errors.New("the undo was given up by a second SIGINT at the terminal")

func firstLine(s string) string {
	for i, c := range s {
		if c == '\n' {
			return s[:i]
		}
	}
	return s
}

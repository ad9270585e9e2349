package journal

import (
	"cmp"
	"slices"
	"time"

	"github.com/erlmcp/runner/runtime/event"
)

// Change is one Change or Final of a run, or one check asked for on undo, as its records tell it.
type Change struct {
	event.OpStarted
	Check  bool // an op asked for by on_undo; Params holds the op on the wire
	Done   bool // its end is on record; without that it is in doubt
	Undone *event.OpUndone
}

// State is what the records of a run, in any of its logs, say about it.
type State struct {
	Run       string
	Since     time.Time
	Started   *event.RunStarted
	Target    string // of an undo log: whose lease it was written under
	Turn      int64  // of an undo log: how many runs held the lease before, whatever the clock says
	Changes   []Change
	Children  []event.ChildStarted
	Committed *event.Committed
	Finished  *event.RunFinished
	Recovered bool // by a later run
}

// Fold reads the state of a run from its records.
func Fold(records []event.Record) State {
	var s State
	for _, r := range records {
		s.Add(r)
	}
	return s
}

// Add takes the next record.
func (s *State) Add(r event.Record) {
	s.Run = r.Run
	switch f := r.Fact.(type) {
	case event.RunStarted:
		s.Started, s.Since = &f, r.Time
	case event.LeaseTaken:
		s.Target, s.Turn = f.Target, f.Turn
	case event.OpStarted:
		if f.Class == "change" || f.Class == "final" {
			s.Changes = append(s.Changes, Change{OpStarted: f})
		}
	case event.CheckAsked:
		s.Changes = append(s.Changes, Change{Check: true, OpStarted: event.OpStarted{
			Op: f.Op, Name: f.Name, Summary: f.Summary, At: f.At, Params: f.Params, Order: f.Order}})
	case event.OpFinished:
		if c := s.find(func(c *Change) bool { return c.Op == f.Op && !c.Check }); c != nil {
			c.Done = true
		}
	case event.OpUndone:
		if c := s.find(func(c *Change) bool { return c.Order == f.Order }); c != nil {
			c.Undone = &f
		}
	case event.ChildStarted:
		s.Children = append(s.Children, f)
	case event.Committed:
		if s.Committed != nil && f.Message == "" { // the end of main covers what came behind the script's own commit
			f.Message = s.Committed.Message
		}
		s.Committed = &f
	case event.RunFinished:
		s.Finished = &f
	case event.RecoveryStarted:
		if f.Dead == r.Run { // an undo by hand opens what --no-undo had closed: the next run goes on with it
			s.Finished = nil
		}
	case event.RecoveryFinished:
		s.Recovered = s.Recovered || f.Complete && f.Dead == r.Run
	}
}

func (s *State) find(is func(*Change) bool) *Change {
	for i := range slices.Backward(s.Changes) {
		if is(&s.Changes[i]) {
			return &s.Changes[i]
		}
	}
	return nil
}

// Open lists the changes that a failure now would take back, newest first: begun, not committed, not yet put back. One
// whose inverse failed is still open. Checks are open where there is, or was, a change that they follow.
func (s *State) Open() []Change {
	var out []Change
	changed := false
	for _, c := range s.Changes {
		if s.Committed != nil && c.Order <= s.Committed.Order {
			continue
		}
		changed = changed || !c.Check
		if c.Undone == nil || c.Undone.Outcome == event.Failed {
			out = append(out, c)
		}
	}
	if !changed {
		return nil
	}
	slices.SortStableFunc(out, func(a, b Change) int { return cmp.Compare(b.Order, a.Order) })
	return out
}

// Unfinished reports whether the run ended, if it did, without settling what it changed: the next run takes it back.
func (s *State) Unfinished() bool { return s.Started != nil && s.Finished == nil && !s.Recovered }

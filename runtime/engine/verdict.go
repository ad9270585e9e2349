package engine

import (
	"errors"

	"github.com/erlmcp/runner/runtime/event"
	"github.com/erlmcp/runner/runtime/journal"
	"github.com/erlmcp/runner/runtime/op"
)

// The exit codes, as DESIGN and README list them: how the world is, not why.
const (
	ExitHolds       = 0
	ExitFailed      = 1
	ExitUsage       = 2
	ExitChanges     = 3
	ExitTakenBack   = 10
	ExitDiffers     = 11
	ExitStays       = 12
	ExitLeft        = 13
	ExitHeld        = 17
	ExitRefused     = 18
	ExitFault       = 70
	ExitInterrupted = 130
)

// verdict is what a run's end is judged by.
type verdict struct {
	err       error
	open      []journal.Change // not committed when main failed
	undo      bool             // they were taken back, as far as differs does not say otherwise
	differs   []string
	unsettled bool // the next run goes on undoing
}

// exit is the first code that holds.
func (v verdict) exit(committed, mistake bool) int {
	var fault *op.Fault
	var refused *op.Refused
	var held *journal.Held
	var stopped *Stopped
	changed := len(v.open) > 0
	switch {
	case v.err == nil:
		return ExitHolds
	case errors.As(v.err, &fault):
		return ExitFault
	case errors.Is(v.err, journal.ErrLost):
		return ExitHeld
	case len(v.differs) > 0:
		return ExitDiffers
	case changed && !v.undo:
		return ExitLeft
	case committed:
		return ExitStays
	case changed:
		return ExitTakenBack
	case errors.As(v.err, &held):
		return ExitHeld
	case errors.As(v.err, &refused):
		return ExitRefused
	case errors.As(v.err, &stopped):
		return stopped.Code
	case mistake:
		return ExitUsage
	}
	return ExitFailed
}

// conclude writes the verdict from the records of the run.
func (r *Run) conclude(v verdict) event.RunFinished {
	var stopped *Stopped
	var held *journal.Held
	f := event.RunFinished{
		Exit:        v.exit(r.state.Committed != nil, v.err != nil && r.Mistake(v.err)),
		Seconds:     r.Host.Clock.Now().Sub(r.begun).Seconds(),
		Committed:   r.state.Committed != nil,
		Interrupted: errors.As(v.err, &stopped),
		Live:        r.live,
		Wanted:      r.wanted,
		Healthy:     r.healthy,
		Differs:     v.differs,
		Unfinished:  v.unsettled,
	}
	if errors.As(v.err, &held) {
		f.HeldBy = held.By.String()
	}
	if r.state.Committed != nil {
		f.Message = r.state.Committed.Message
	}
	for _, c := range r.state.Changes {
		if c.Check {
			continue
		}
		f.Changed++
		if c.Class == "final" {
			f.Finals = append(f.Finals, c.Summary)
		}
		if c.Undone != nil && (c.Undone.Outcome == event.Restored || c.Undone.Outcome == event.Already) {
			f.Undone++
		}
	}
	return f
}

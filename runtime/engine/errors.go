package engine

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"github.com/erlmcp/runner/runtime/journal"
)

// Refused is a run that somebody, or a gate, does not let change anything.
type Refused struct{ Why string }

func (e *Refused) Error() string { return "refused: " + e.Why }

// Stopped is the cause of a context that a signal ended.
type Stopped struct {
	Signal string // "SIGINT"
	Code   int    // the exit code where nothing was changed: 130, 143, 129
}

func (e *Stopped) Error() string { return "stopped by " + e.Signal }

// Deadline is the cause of a context that --deadline ended.
type Deadline struct{ Flag string }

func (e *Deadline) Error() string { return "the run's deadline has passed (" + e.Flag + ")" }

// Incomplete is a recovery, or an undo by hand, behind which something is not as it was.
type Incomplete struct {
	Run     string
	Differs []string
	Settled bool // a conflict, reported and left to people: the next run goes on
}

func (e *Incomplete) Error() string {
	return fmt.Sprintf("cannot take back run %s whole: %s", e.Run, strings.Join(e.Differs, "; "))
}

// Fault is an error of runner itself, such as a panic in an op.
type Fault struct {
	ID  string // names the place: the same fault has the same id
	Err error
}

func (e *Fault) Error() string { return fmt.Sprintf("a fault of runner itself (%s): %s", e.ID, e.Err) }

// Unwrap gives the cause.
func (e *Fault) Unwrap() error { return e.Err }

// catchable reports whether attempt may catch the error: not a script's mistake, an end from outside, a lost lease, a
// fault, or an undo that failed.
func (r *Run) catchable(ctx context.Context, err error) bool {
	var fault *Fault
	var incomplete *Incomplete
	return ctx.Err() == nil && !r.mistake(err) && !errors.Is(err, journal.ErrLost) && !errors.As(err, &fault) && !errors.As(err, &incomplete)
}

func (r *Run) mistake(err error) bool { return r.Mistake != nil && r.Mistake(err) }

package engine

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"github.com/erlmcp/runner/runtime/journal"
	"github.com/erlmcp/runner/runtime/op"
)

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

// misuse is the error of a script that asks for what cannot be right.
func misuse(hint, format string, args ...any) error {
	err := fmt.Errorf(format, args...)
	if hint != "" {
		err = op.Hint(err, "%s", hint)
	}
	return &op.Misuse{Err: err}
}

// catchable reports whether attempt may catch the error: what came about in the world, but no end from outside, lost
// lease, fault, or undo that failed.
func (r *Run) catchable(ctx context.Context, err error) bool {
	return ctx.Err() == nil && r.Catchable(err) && !errors.Is(err, journal.ErrLost) &&
		!errors.As(err, new(*op.Fault)) && !errors.As(err, new(*Incomplete))
}

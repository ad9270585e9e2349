package journal

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/erlmcp/runner/runtime/event"
)

// Home is where a target keeps its lease and the undo logs of its runs. A host root's is a folder; a Compose project's
// a volume; a cluster's Secrets and a Lease. All pass the same suite, homesuite.
type Home interface {
	// Take takes the lease. While another holds it: where queue is nil the error is a *Held; else the run waits, in the
	// order of asking, and queue hears behind whom at first and whenever the lease changes hands. When ctx ends the run
	// leaves the queue, and the error is its cause.
	Take(ctx context.Context, o Owner, queue func(holder Owner, ahead int)) (Lease, error)
	// Logs lists the runs that have an undo log here, oldest first.
	Logs(ctx context.Context) ([]string, error)
	// Read gives the records of a run's undo log, without a torn tail.
	Read(ctx context.Context, run string) ([]event.Record, error)
	// Blob gives what a Writer has put, by its digest.
	Blob(ctx context.Context, digest string) ([]byte, error)
	// Hold gives the hold on the target, nil where there is none; one whose time has passed is still given. The error of
	// a record that says nothing is an *Unreadable.
	Hold(ctx context.Context) (*Hold, error)
	// SwapHold puts now, nil for none, in the place of the hold was: ErrHoldChanged where the target has another one.
	// It needs no lease, so that it can be done during a run, and a home as yet; it is durable when it returns.
	SwapHold(ctx context.Context, was, now *Hold) error
}

// Lease is the right to change a target; only a lease writes undo logs. It ends with its process.
type Lease interface {
	// Check says, before each effect, whether the lease is still held: ErrLost where not.
	Check(ctx context.Context) error
	// Open opens a run's undo log for appending, and makes it where there is none. A torn tail is cut off first.
	Open(ctx context.Context, run string) (Writer, error)
	// Drop removes a finished run's undo log.
	Drop(ctx context.Context, run string) error
	// Release gives the lease back. Once is enough, twice is safe.
	Release() error
}

// Writer appends to one undo log, one call at a time. It numbers the records. After an Append that failed, the next one
// goes on or is refused; the log is readable in either case.
type Writer interface {
	// Append writes a record; durable means that it is on the disk when Append returns.
	Append(ctx context.Context, r event.Record, durable bool) error
	// Put stores contents that a record names by the digest returned, durably, readable by the owner alone.
	Put(ctx context.Context, data []byte) (digest string, err error)
	Close() error
}

// Owner is who holds a lease, or waits for it.
type Owner struct {
	Run    string    `json:"run"`
	User   string    `json:"user"`
	Host   string    `json:"host"`
	PID    int       `json:"pid"`
	Script string    `json:"script"`
	Since  time.Time `json:"since"`
}

func (o Owner) String() string {
	if o.Run == "" {
		return "a run that has not said its name yet"
	}
	return fmt.Sprintf("run %s (%s by %s on %s, process %d, since %s)",
		o.Run, o.Script, o.User, o.Host, o.PID, o.Since.UTC().Format("15:04:05"))
}

// Held is the error of a lease that another run holds.
type Held struct {
	Target string
	By     Owner
}

func (h *Held) Error() string { return fmt.Sprintf("%s is held by %s", h.Target, h.By) }

// ErrLost is a lease that another may have taken since.
var ErrLost = errors.New("the lease is lost")

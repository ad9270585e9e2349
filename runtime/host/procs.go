package host

import (
	"context"
	"io"
	"strconv"
	"syscall"
	"time"
)

// Proc names a process for ever: a recycled pid has another start time or another boot.
type Proc struct {
	PID   int    `json:"pid"`
	Start uint64 `json:"start"` // field 22 of /proc/PID/stat, in clock ticks since the boot
	Boot  string `json:"boot"`
}

// Cmd is a process to start, in a session of its own: no terminal is its, and no Ctrl-Z meets it.
type Cmd struct {
	Argv   []string
	Dir    string
	Env    []string // the whole environment
	Stdin  io.Reader
	Stdout io.Writer     // Run only
	Stderr io.Writer     // Run only
	Log    string        // Spawn only: the file that gets both outputs, appended to
	Grace  time.Duration // Run only: between asking to end and ending; 5 s when 0
	User   string        // whom the process is to be; root alone can say somebody else
	Leash  bool          // Run only: the kernel kills the process when the runner dies
}

// Exit is how a process ended: a code, or a signal.
type Exit struct {
	Code   int
	Signal string // "killed"; empty where the process exited by itself
}

func (e Exit) String() string {
	if e.Signal != "" {
		return "ended by signal: " + e.Signal
	}
	return "exit " + strconv.Itoa(e.Code)
}

// Procs starts, watches and ends processes.
//
// A process starts behind a gate: it exists, and waits. When started has returned without an error, after having
// recorded the process, it becomes the program; when the runner dies first, it exits. So no program ever runs that no
// record names.
type Procs interface {
	// Run starts a process, lets it go, and waits for its end. When ctx ends, its whole group is asked to end, and ended
	// after Grace.
	Run(ctx context.Context, c Cmd, started func(Proc) error) (Exit, error)
	// Spawn starts a process that outlives the runner.
	Spawn(ctx context.Context, c Cmd, started func(Proc) error) (Proc, error)
	// Alive reports whether the process runs. A zombie does not.
	Alive(p Proc) bool
	// Stop asks the process's group to end, by sig, waits, and kills it after grace. It returns when the process is gone;
	// at once when it is not there.
	Stop(ctx context.Context, p Proc, sig syscall.Signal, grace time.Duration) error
	// Find names the process that has a pid now. It is false where there is none.
	Find(pid int) (Proc, bool)
	// Wait returns when the process is gone.
	Wait(ctx context.Context, p Proc) error
	// PortOwner finds who listens on a TCP port of this machine; its PID is 0 where that may not be seen.
	PortOwner(port int) (PortOwner, bool)
}

// PortOwner is a process that listens on a port. Group is its process group.
type PortOwner struct {
	PID   int
	Name  string
	Group int
}

//go:build !windows

// Command runner executes Starlark deployment scripts: it checks, builds, rolls out, proves health, and takes back by
// itself what failed. This package is the composition root: it alone exits, and reads flags, environment and signals.
package main

import (
	"fmt"
	"os"
	"time"

	"github.com/erlmcp/runner/runtime/event"
	"github.com/erlmcp/runner/runtime/host"
)

// version is stamped by the Makefile.
var version = "0.0.0-dev"

// program is one invocation, with everything that it takes from the process.
type program struct {
	args   []string
	dir    string
	env    []string
	stdin  *os.File
	stdout *os.File
	stderr *os.File
	now    func() time.Time
	mask   string // the umask of what it starts

	// For tests, which put faults around the world or watch what happens.
	wrap     func(*host.Host) *host.Host
	sinks    []event.Sink
	patience time.Duration // of who has words completed; tabPatience when 0
}

func main() {
	os.Exit(invoke(os.Args[1:], nil))
}

// invoke runs the program with the process's own surroundings and gives its exit code.
func invoke(args []string, prepare func(*program)) int {
	dir, err := os.Getwd()
	if err != nil {
		fmt.Fprint(os.Stderr, "runner: cannot find the working directory: "+err.Error()+"\n")
		return 1
	}
	p := &program{args: args, dir: dir, env: os.Environ(), stdin: os.Stdin, stdout: os.Stdout, stderr: os.Stderr,
		now: host.SystemClock{}.Now, mask: host.OpenMask(), wrap: func(h *host.Host) *host.Host { return h }}
	if prepare != nil {
		prepare(p)
	}
	return p.run()
}

package hosttest

import (
	"io/fs"
	"strings"
	"sync"
	"syscall"

	"github.com/erlmcp/runner/runtime/host"
)

// Faults is a host.FS on which chosen calls fail. Faults can be added and taken away at any time.
type Faults struct {
	host.FS
	mu    sync.Mutex
	left  int64 // bytes that still fit; -1 for no limit
	rules []rule
	met   int
}

type rule struct {
	op, suffix string
	errno      syscall.Errno
}

// NewFaults stands before a file system and, so far, lets everything pass.
func NewFaults(under host.FS) *Faults {
	f := &Faults{left: -1}
	f.FS = guard{under, f.ask}
	return f
}

// FailAfterBytes makes the disk full after n more bytes: the write that does not fit writes what does and gives ENOSPC.
// Space set aside by descriptor is not counted.
func (f *Faults) FailAfterBytes(n int64) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.left = n
}

// Fail makes every call of an op on a path with that suffix fail. The ops are those of host.FS and host.File in lower
// case, "create" for an Open that may make or empty the file, and "*" for all that write.
func (f *Faults) Fail(op, suffix string, errno syscall.Errno) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.rules = append(f.rules, rule{op, suffix, errno})
}

// Heal takes every fault away.
func (f *Faults) Heal() {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.left, f.rules = -1, nil
}

// Met is how many calls have failed by a fault: a test in which none did has tested nothing.
func (f *Faults) Met() int {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.met
}

func (f *Faults) ask(c *call, do func() error) error {
	if err := f.fault(c); err != nil {
		if c.keep > 0 {
			do()
		}
		return &fs.PathError{Op: c.op, Path: c.path, Err: err}
	}
	return do()
}

// fault decides on a call; of a write that fails it also decides how much of it happens.
func (f *Faults) fault(c *call) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	for _, r := range f.rules {
		if (r.op == c.op || r.op == "*" && c.writes) && strings.HasSuffix(c.path, r.suffix) {
			c.keep = 0
			f.met++
			return r.errno
		}
	}
	if c.op != "write" || f.left < 0 {
		return nil
	}
	if int64(c.keep) <= f.left {
		f.left -= int64(c.keep)
		return nil
	}
	c.keep, f.left = int(f.left), 0
	f.met++
	return syscall.ENOSPC
}

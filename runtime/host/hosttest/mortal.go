package hosttest

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"strings"
	"sync"

	"github.com/erlmcp/runner/runtime/host"
)

// ErrDead is what every call gives once the runner is dead.
var ErrDead = errors.New("the runner is dead")

// Mortal is a runner that can be killed in process, as by kill -9: from that instant on every call gives ErrDead and has
// no effect, calls that wait return, and its open files are closed, so that locks on them are gone. Processes that it
// started live on.
//
// It numbers the calls that change the world: file system changes and syncs, processes started, let go and signalled.
// Calls to the file system happen one at a time, so that a single-threaded test meets the same numbers each time.
type Mortal struct {
	under host.Host
	life  context.Context
	end   context.CancelCauseFunc

	mu     sync.Mutex
	calls  int
	at     int
	only   string // the folder whose changes alone are counted
	torn   bool
	before string // the name of a call
	dead   bool
	last   string
	open   map[*mortalFile]bool
	left   sync.WaitGroup
}

// NewMortal stands around a host.
func NewMortal(h *host.Host) *Mortal {
	m := &Mortal{under: *h, open: map[*mortalFile]bool{}}
	m.life, m.end = context.WithCancelCause(context.Background())
	return m
}

// Host is the host as the mortal runner sees it.
func (m *Mortal) Host() *host.Host {
	h := m.under
	h.Files = guard{mortalFS{m.under.Files, m}, m.ask}
	h.Procs = mortalProcs{m.under.Procs, m}
	h.Net = mortalNet{m.under.Net, m}
	h.Clock = mortalClock{m.under.Clock, m}
	return &h
}

// DieAt kills the runner before its n-th call that changes the world, counted from 1.
func (m *Mortal) DieAt(n int) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.at, m.torn = n, false
}

// DieTornAt is DieAt, except that a write on which it falls has written its first half.
func (m *Mortal) DieTornAt(n int) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.at, m.torn = n, true
}

// DieBefore kills the runner before its first call of that name, as Where would give it.
func (m *Mortal) DieBefore(what string) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.before = what
}

// CountUnder leaves changes of files outside a folder out of the count; those of processes stay in it.
func (m *Mortal) CountUnder(folder string) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.only = folder
}

// Die kills the runner now. When it has returned, no call of the runner has an effect any more.
func (m *Mortal) Die() {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.die("told to")
}

func (m *Mortal) die(where string) {
	if m.dead {
		return
	}
	m.dead, m.last = true, where
	m.end(ErrDead)
	for f := range m.open {
		host.Unlock(f.File)
	}
	clear(m.open)
}

// Calls is how many calls have changed the world so far, the one at which the runner died not included.
func (m *Mortal) Calls() int {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.calls
}

// Dead is closed when the runner has died.
func (m *Mortal) Dead() <-chan struct{} { return m.life.Done() }

// Where names the call at which the runner died: "rename /opt/x/current"; "" while it lives.
func (m *Mortal) Where() string {
	m.mu.Lock()
	defer m.mu.Unlock()
	if !m.dead {
		return ""
	}
	return m.last
}

// Wait returns when nothing that the dead runner had begun is under way any more: its processes have ended.
func (m *Mortal) Wait() { m.left.Wait() }

// count is one call that changes the world; m.mu is held.
func (m *Mortal) count(what string) error {
	if m.dead {
		return ErrDead
	}
	if m.calls+1 == m.at || what == m.before {
		m.die(what)
		return ErrDead
	}
	m.calls++
	return nil
}

// step counts a call that is no file system's.
func (m *Mortal) step(what string) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.count(what)
}

func (m *Mortal) ask(c *call, do func() error) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.dead {
		return ErrDead
	}
	if !c.writes || m.only != "" && !strings.Contains(c.path, m.only) {
		return do()
	}
	if m.torn && m.calls+1 == m.at && c.op == "write" {
		c.keep /= 2
		do()
	}
	if err := m.count(fmt.Sprintf("%s %s", c.op, c.path)); err != nil {
		return err
	}
	return do()
}

// mortalFS remembers open files; its calls come through ask, which holds the lock.
type mortalFS struct {
	host.FS
	m *Mortal
}

// Open implements host.FS.
func (f mortalFS) Open(name string, flag int, perm fs.FileMode) (host.File, error) {
	file, err := f.FS.Open(name, flag, perm)
	if err != nil {
		return nil, err
	}
	mf := &mortalFile{file, f.m}
	f.m.open[mf] = true
	return mf, nil
}

type mortalFile struct {
	host.File
	m *Mortal
}

// Close implements host.File.
func (f *mortalFile) Close() error {
	delete(f.m.open, f)
	return f.File.Close()
}

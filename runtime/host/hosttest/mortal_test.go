package hosttest

import (
	"context"
	"errors"
	"io"
	"net"
	"os"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/erlmcp/runner/runtime/host"
)

// real is the machine, over a file system.
func real(f host.FS) *host.Host {
	boot, _ := host.BootID()
	return &host.Host{Files: f, Procs: host.Linux{Boot: boot}, Net: host.Internet{}, Clock: host.SystemClock{}, Env: os.Environ()}
}

func TestMortalDiesBeforeEachCall(t *testing.T) {
	whole := func(h *host.Host, root string) error {
		if err := h.Files.Mkdir(root+"/d", 0o755); err != nil {
			return err
		}
		if err := host.WriteFile(h.Files, root+"/d/f", []byte("new"), 0o600); err != nil {
			return err
		}
		return h.Files.Symlink("d", root+"/l")
	}
	m := NewMortal(real(host.OS{}))
	must(t, whole(m.Host(), t.TempDir()))
	total := m.Calls()
	if total != 9 { // mkdir; remove, create, write, chmod, sync, rename, syncdir; symlink. A remove of nothing counts too.
		t.Errorf("%d calls", total)
	}
	var wheres []string
	for n := 1; n <= total; n++ {
		root := t.TempDir()
		m := NewMortal(real(host.OS{}))
		m.DieAt(n)
		err := whole(m.Host(), root)
		if !errors.Is(err, ErrDead) || m.Calls() != n-1 {
			t.Errorf("at %d: %v after %d calls", n, err, m.Calls())
		}
		wheres = append(wheres, strings.ReplaceAll(m.Where(), root, ""))
		before := tree(t, root)
		h := m.Host()
		_, openErr := h.Files.Open(root+"/x", os.O_CREATE, 0o600)
		_, statErr := h.Files.Lstat(root)
		for _, err := range []error{openErr, statErr, h.Files.Mkdir(root+"/x", 0o755), h.Files.SyncDir(root)} {
			if !errors.Is(err, ErrDead) {
				t.Errorf("a dead runner: %v", err)
			}
		}
		if after := tree(t, root); after != before {
			t.Errorf("a dead runner wrote: %s", after)
		}
	}
	want := "mkdir /d,remove /d/.f.new,create /d/.f.new,write /d/.f.new,chmod /d/.f.new,sync /d/.f.new,rename /d/f,syncdir /d,symlink /l"
	if got := strings.Join(wheres, ","); got != want {
		t.Errorf("died at\n%s\nwant\n%s", got, want)
	}
}

func TestMortalTornWrite(t *testing.T) {
	for _, c := range []struct {
		die  func(m *Mortal, n int)
		want string
	}{{(*Mortal).DieAt, ""}, {(*Mortal).DieTornAt, "12"}} {
		root := t.TempDir()
		m := NewMortal(real(host.OS{}))
		c.die(m, 2)
		f, err := m.Host().Files.Open(root+"/f", os.O_WRONLY|os.O_CREATE, 0o600)
		must(t, err)
		if _, err := f.Write([]byte("1234")); !errors.Is(err, ErrDead) {
			t.Errorf("write: %v", err)
		}
		if got, _ := os.ReadFile(root + "/f"); string(got) != c.want {
			t.Errorf("left %q, want %q", got, c.want)
		}
	}
}

func TestMortalGivesItsLocksBack(t *testing.T) {
	name := t.TempDir() + "/lease"
	m := NewMortal(real(host.OS{}))
	f, err := m.Host().Files.Open(name, os.O_RDWR|os.O_CREATE, 0o600)
	must(t, err, unix.Flock(int(f.Fd()), unix.LOCK_EX))
	g, err := os.Open(name)
	must(t, err)
	defer g.Close()
	if err := unix.Flock(int(g.Fd()), unix.LOCK_EX|unix.LOCK_NB); !errors.Is(err, unix.EWOULDBLOCK) {
		t.Fatalf("not locked: %v", err)
	}
	m.Die()
	must(t, unix.Flock(int(g.Fd()), unix.LOCK_EX|unix.LOCK_NB))
}

// first is a writer that says when it is first written to.
func first(f func()) io.Writer {
	var once sync.Once
	return writer(func() { once.Do(f) })
}

type writer func()

func (w writer) Write(p []byte) (int, error) { w(); return len(p), nil }

func TestMortalLeavesItsProcesses(t *testing.T) {
	m := NewMortal(real(host.OS{}))
	procs := m.Host().Procs
	r, w, err := os.Pipe()
	must(t, err)
	var child host.Proc
	running, result := make(chan struct{}), make(chan error)
	ctx, cancel := context.WithCancel(t.Context())
	go func() {
		_, err := procs.Run(ctx, host.Cmd{Argv: []string{"/bin/sh", "-c", "echo runs; read line; echo x"}, Stdin: r, Stdout: first(func() { close(running) })},
			func(p host.Proc) error { child = p; return nil })
		result <- err
	}()
	<-running
	m.Die()
	if err := <-result; !errors.Is(err, ErrDead) {
		t.Errorf("run: %v", err)
	}
	cancel() // a dead runner's unwinding ends nobody, also not a little later
	time.Sleep(20 * time.Millisecond)
	if !(real(nil).Procs.Alive(child)) {
		t.Error("the process ended with its runner")
	}
	if procs.Alive(child) {
		t.Error("the dead see")
	}
	must(t, w.Close(), r.Close())
	m.Wait()
	if real(nil).Procs.Alive(child) {
		t.Error("Wait did not wait")
	}
}

// Killed between recording a process and letting it go, the runner leaves a process that has done nothing.
func TestMortalAtTheGate(t *testing.T) {
	for n, want := range map[int]bool{1: false, 2: false, 3: true} {
		name := t.TempDir() + "/made"
		m := NewMortal(real(host.OS{}))
		m.DieAt(n)
		recorded := false
		_, err := m.Host().Procs.Run(t.Context(), host.Cmd{Argv: []string{"/bin/sh", "-c", ": > " + name}},
			func(host.Proc) error { recorded = true; return nil })
		m.Wait()
		_, missing := os.Stat(name)
		if made := missing == nil; made != want || errors.Is(err, ErrDead) == want || recorded != (n > 1) {
			t.Errorf("killed at %d: made %v, recorded %v, %v", n, made, recorded, err)
		}
	}
}

func TestMortalEndsItsWaits(t *testing.T) {
	silent, err := net.Listen("tcp", "127.0.0.1:0")
	must(t, err)
	defer silent.Close()
	proc, err := real(nil).Procs.Spawn(t.Context(), host.Cmd{Argv: []string{"/bin/sleep", "60"}, Log: "/dev/null"},
		func(host.Proc) error { return nil })
	must(t, err)
	defer real(nil).Procs.Stop(context.Background(), proc, syscall.SIGKILL, time.Second)
	m := NewMortal(real(host.OS{}))
	h := m.Host()
	ctx, cancel := h.Clock.Timeout(t.Context(), time.Hour, errors.New("late"))
	defer cancel()
	waits := map[string]func() error{
		"sleep":   func() error { return h.Clock.Sleep(t.Context(), time.Hour) },
		"process": func() error { return h.Procs.Wait(t.Context(), proc) },
		"stop":    func() error { return h.Procs.Stop(t.Context(), proc, syscall.SIGURG, time.Hour) },
		"timeout": func() error { <-ctx.Done(); return context.Cause(ctx) },
		"request": func() error {
			_, err := h.Net.Do(t.Context(), host.Request{URL: "http://" + silent.Addr().String()})
			return err
		},
	}
	ends := make(chan struct{})
	for what, wait := range waits {
		go func() {
			if err := wait(); !errors.Is(err, ErrDead) {
				t.Errorf("%s: %v", what, err)
			}
			ends <- struct{}{}
		}()
	}
	m.Die()
	for range waits {
		<-ends
	}
	if !real(nil).Procs.Alive(proc) {
		t.Error("a dead runner ended a process")
	}
}

func TestMortalCountsUnderAFolder(t *testing.T) {
	root, beside := t.TempDir(), t.TempDir()
	m := NewMortal(real(host.OS{}))
	m.CountUnder(root)
	m.DieAt(2)
	files := m.Host().Files
	must(t, files.Mkdir(beside+"/a", 0o755), files.Mkdir(root+"/a", 0o755), files.Mkdir(beside+"/b", 0o755))
	if err := files.Mkdir(root+"/b", 0o755); !errors.Is(err, ErrDead) || m.Calls() != 1 {
		t.Errorf("%v after %d calls", err, m.Calls())
	}
	if err := files.Mkdir(beside+"/c", 0o755); !errors.Is(err, ErrDead) {
		t.Errorf("the dead write beside: %v", err)
	}
}

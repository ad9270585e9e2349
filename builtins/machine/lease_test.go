package machine

import (
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/erlmcp/runner/runtime/host"
	"github.com/erlmcp/runner/runtime/op"
)

// holdLock locks a file, as a run does, and signs it.
func holdLock(name string) {
	f, err := os.OpenFile(name, os.O_RDWR|os.O_CREATE, 0o644)
	if err == nil {
		err = unix.Flock(int(f.Fd()), unix.LOCK_EX)
	}
	if err != nil {
		panic(err)
	}
	if os.Getenv("RUNNER_TEST_UNSIGNED") == "" {
		f.Truncate(0)
		fmt.Fprintf(f, `{"run":"r1","user":"ana","host":"web1","pid":%d,"script":"deploy.star","since":"2026-01-26T12:00:00Z"}`, os.Getpid())
	}
	fmt.Println("held")
	time.Sleep(time.Hour) // select {} would be a deadlock without cgo, and end it
}

func leased(t testing.TB, h *host.Host) Leased {
	t.Helper()
	l, err := Lease{Root: "root"}.Do(t.Context(), h)
	must(t, err)
	return l
}

func TestLease(t *testing.T) {
	h := newHost(t)
	dir := filepath.Join(h.Project, "root", ".runner")
	if l := leased(t, h); l != (Leased{}) {
		t.Errorf("no root: %+v", l)
	}
	must(t, os.MkdirAll(dir, 0o755))
	name := filepath.Join(dir, "lease")
	c, _ := itself(t, "", holder+"="+name)
	l := leased(t, h)
	by := fmt.Sprintf("ana on web1, process %d (deploy.star)", c.Process.Pid)
	if !l.Held || l.Run != "r1" || l.By != by || !l.Since.Equal(time.Date(2026, 1, 26, 12, 0, 0, 0, time.UTC)) {
		t.Errorf("held: %+v", l)
	}
	c.Process.Kill()
	c.Wait()
	if l := leased(t, h); l != (Leased{}) {
		t.Errorf("its holder is dead: %+v", l)
	}
	c, _ = itself(t, "", holder+"="+name, "RUNNER_TEST_UNSIGNED=1")
	if l := leased(t, h); !l.Held || l.Run != "" || l.By != fmt.Sprintf("process %d", c.Process.Pid) {
		t.Errorf("signed by the one before: %+v", l)
	}
}

// A run that comes while somebody looks gets its lease.
func TestLookingAtALeaseDisturbsNobody(t *testing.T) {
	h := newHost(t)
	dir := filepath.Join(h.Project, "root", ".runner")
	must(t, os.MkdirAll(dir, 0o755))
	f, err := os.Create(filepath.Join(dir, "lease"))
	must(t, err)
	defer f.Close()
	stop, over := make(chan bool), make(chan int)
	go func() {
		n := 0
		for ; ; n++ {
			select {
			case <-stop:
				over <- n
				return
			default:
				Lease{Root: "root"}.Do(t.Context(), h)
			}
		}
	}()
	for range 20000 {
		if err := unix.Flock(int(f.Fd()), unix.LOCK_EX|unix.LOCK_NB); err != nil {
			t.Fatalf("refused: %v", err)
		}
		unix.Flock(int(f.Fd()), unix.LOCK_UN)
	}
	close(stop)
	if n := <-over; n < 10 {
		t.Errorf("looked only %d times", n)
	}
}

// The lock is also found where the list of locks does not tell.
func TestLockByItsProcess(t *testing.T) {
	h := newHost(t)
	name := filepath.Join(h.Project, "lease")
	c, _ := itself(t, "", holder+"="+name)
	info, err := os.Stat(name)
	must(t, err)
	blind := *h
	blind.Files = noLocks{host.OS{}}
	if pid, held := locker(&blind, name, info, c.Process.Pid); !held || pid != c.Process.Pid {
		t.Errorf("%d, %v", pid, held)
	}
	open, err := os.Open(name)
	must(t, err)
	defer open.Close()
	if pid, held := locker(&blind, name, info, os.Getpid()); held {
		t.Errorf("%d holds it", pid)
	}
}

type noLocks struct{ host.OS }

func (n noLocks) Open(name string, flag int, perm os.FileMode) (host.File, error) {
	if name == "/proc/locks" {
		return nil, os.ErrPermission
	}
	return n.OS.Open(name, flag, perm)
}

func TestHold(t *testing.T) {
	h := newHost(t)
	dir := filepath.Join(h.Project, "root", ".runner")
	must(t, os.MkdirAll(dir, 0o755))
	at := func(d time.Duration) string { return time.Now().Add(d).UTC().Format(time.RFC3339) }
	for _, c := range []struct{ text, who, problem string }{
		{`{"who":"ana","why":"migration","since":"2026-01-26T12:00:00Z"}`, "ana", ""},
		{`{"who":"ana","why":"migration","since":"2026-01-26T12:00:00Z","until":"` + at(time.Hour) + `"}`, "ana", ""},
		{`{"who":"ana","why":"migration","since":"2026-01-26T12:00:00Z","until":"` + at(-time.Hour) + `"}`, "none", ""},
		{`{"who":"ana","since":"2026-01-26T12:00:00Z"}`, "", "it does not say who, why and since when"},
		{"{", "", "it does not say who, why and since when"},
		{"", "", "it does not say who, why and since when"},
		{strings.Repeat("x", 1<<20), "", "larger than"},
	} {
		must(t, os.WriteFile(filepath.Join(dir, "hold"), []byte(c.text), 0o644))
		l := leased(t, h)
		switch {
		case c.who == "none":
			if l.Hold != nil {
				t.Errorf("%.80s: %+v", c.text, l.Hold)
			}
		case l.Hold == nil || l.Hold.Who != c.who || !strings.Contains(l.Hold.Problem, c.problem) || (c.problem == "") != (l.Hold.Problem == ""):
			t.Errorf("%.80s: %+v", c.text, l.Hold)
		}
	}
	must(t, os.Remove(filepath.Join(dir, "hold")), os.Mkdir(filepath.Join(dir, "hold"), 0o755))
	if l := leased(t, h); l.Hold == nil || !strings.HasSuffix(l.Hold.Problem, "is a directory") {
		t.Errorf("a folder: %+v", l.Hold)
	}
}

func FuzzLocks(f *testing.F) {
	f.Add("1: FLOCK  ADVISORY  WRITE 123 fe:01:4711 0 EOF\n1: -> FLOCK  ADVISORY  WRITE 124 fe:01:4711 0 EOF\n2: POSIX ADVISORY READ 1 00:2f:7 0 EOF\n")
	f.Add("1: FLOCK A W 1 : 0\n1: FLOCK A W x a:b:c 0 EOF")
	f.Fuzz(func(t *testing.T, table string) {
		for _, l := range flocks(table) {
			if l.device == "" {
				t.Errorf("%+v", l)
			}
		}
		kilobytes(table, "MemTotal")
	})
}

func TestWaitersHoldNothing(t *testing.T) {
	got := flocks("1: FLOCK  ADVISORY  WRITE 123 fe:01:4711 0 EOF\n1: -> FLOCK  ADVISORY  WRITE 124 fe:01:4711 0 EOF\n2: POSIX  ADVISORY  READ 1 00:2f:7 0 EOF\n3: OFDLCK ADVISORY  WRITE 5 00:2f:7 0 EOF\n")
	if len(got) != 1 || got[0] != (flock{123, "fe:01", 4711}) {
		t.Errorf("%+v", got)
	}
}

// closed is a file system that its user may not look at.
type closed struct{ host.OS }

func (closed) Stat(name string) (fs.FileInfo, error) {
	return nil, &fs.PathError{Op: "stat", Path: name, Err: fs.ErrPermission}
}

func TestALeaseThatMayNotBeLookedAt(t *testing.T) {
	h := newHost(t)
	h.Files = closed{}
	_, err := Lease{Root: "root"}.Do(t.Context(), h)
	if err == nil || err.Error() != "cannot look at the lease of root: permission denied" || !strings.Contains(op.HintOf(err), `"runner setup ENVIRONMENT" once, as root`) {
		t.Errorf("%v, hint %q", err, op.HintOf(err))
	}
}

package hosttest

import (
	"context"
	"errors"
	"fmt"
	"os"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/erlmcp/runner/runtime/host"
)

func TestFaultsFullDisk(t *testing.T) {
	name := t.TempDir() + "/f"
	f := NewFaults(host.OS{})
	f.FailAfterBytes(6)
	file, err := f.Open(name, os.O_WRONLY|os.O_CREATE, 0o600)
	must(t, err)
	defer file.Close()
	n, err := file.Write([]byte("1234"))
	must(t, err)
	if m, err := file.Write([]byte("5678")); n != 4 || m != 2 || !errors.Is(err, syscall.ENOSPC) {
		t.Errorf("wrote %d, then %d, %v", n, m, err)
	}
	if _, err := file.Write([]byte("9")); !errors.Is(err, syscall.ENOSPC) {
		t.Errorf("on a full disk: %v", err)
	}
	f.Heal()
	_, err = file.Write([]byte("7"))
	must(t, err)
	if got, _ := os.ReadFile(name); string(got) != "1234567" || f.Met() != 2 {
		t.Errorf("left %q, %d faults met", got, f.Met())
	}
}

func TestFaultsByOp(t *testing.T) {
	root := t.TempDir()
	f := NewFaults(host.OS{})
	f.Fail("rename", "/current", syscall.EACCES)
	f.Fail("sync", ".jsonl", syscall.EIO)
	must(t, host.ReplaceLink(f, "x", root+"/other"))
	err := host.ReplaceLink(f, "x", root+"/current")
	if !errors.Is(err, syscall.EACCES) || err.Error() != "rename "+root+"/current: permission denied" {
		t.Errorf("rename: %v", err)
	}
	file, err := f.Open(root+"/a.jsonl", os.O_WRONLY|os.O_CREATE, 0o600)
	must(t, err)
	if err := file.Sync(); !errors.Is(err, syscall.EIO) {
		t.Errorf("sync: %v", err)
	}
	must(t, file.Close())
	f.Fail("*", "", syscall.EROFS)
	_, err = f.Open(root+"/b", os.O_CREATE, 0o600)
	if _, look := f.ReadDir(root); !errors.Is(err, syscall.EROFS) || look != nil {
		t.Errorf("read-only: %v, %v", err, look)
	}
}

// noted hears a test's failures instead of failing it.
type noted struct {
	testing.TB
	lines []string
}

func (n *noted) Helper() {}
func (n *noted) Errorf(format string, args ...any) {
	n.lines = append(n.lines, fmt.Sprintf(format, args...))
}

func TestFrozen(t *testing.T) {
	root := t.TempDir()
	must(t, os.WriteFile(root+"/f", []byte("x"), 0o600))
	n := &noted{}
	h := Frozen(n, real(host.OS{}))
	if b, err := host.ReadFile(h.Files, root+"/f", 10); err != nil || string(b) != "x" {
		t.Errorf("reading: %q, %v", b, err)
	}
	h.Clock.Now()
	h.Procs.Alive(host.Proc{})
	if len(n.lines) > 0 {
		t.Errorf("looking fails: %q", n.lines)
	}
	ctx, cancel := h.Clock.Timeout(t.Context(), time.Minute, nil)
	defer cancel()
	_, run := h.Procs.Run(t.Context(), host.Cmd{Argv: []string{"touch", root + "/g"}}, nil)
	_, spawn := h.Procs.Spawn(t.Context(), host.Cmd{Argv: []string{"true"}}, nil)
	_, do := h.Net.Do(t.Context(), host.Request{URL: "http://127.0.0.1:1"})
	file, err := h.Files.Open(root+"/f", os.O_RDWR, 0)
	must(t, err)
	defer file.Close()
	_, write := file.Write([]byte("y"))
	refused := []error{
		context.Cause(ctx), run, spawn, do, write, file.Truncate(0), h.Files.Mkdir(root+"/d", 0o755), h.Files.Remove(root + "/f"),
		h.Net.Dial(t.Context(), "127.0.0.1:1"), h.Clock.Sleep(t.Context(), time.Second), h.Procs.Wait(t.Context(), host.Proc{}),
		h.Procs.Stop(t.Context(), host.Proc{}, syscall.SIGTERM, 0),
	}
	for i, err := range refused {
		if !errors.Is(err, ErrFrozen) {
			t.Errorf("%d passes: %v", i, err)
		}
	}
	if len(n.lines) != len(refused) || !strings.Contains(strings.Join(n.lines, "\n"), "mkdir "+root+"/d") {
		t.Errorf("said %q", n.lines)
	}
	if got := tree(t, root); got != "f 0600 x\n" {
		t.Errorf("changed: %s", got)
	}
}

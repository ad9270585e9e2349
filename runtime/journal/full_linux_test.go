package journal_test

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/erlmcp/runner/runtime/event"
	"github.com/erlmcp/runner/runtime/host"
	"github.com/erlmcp/runner/runtime/journal"
)

// tiny is a file system of 2 MB.
func tiny(t *testing.T) string {
	t.Helper()
	dir := t.TempDir()
	if err := unix.Mount("tmpfs", dir, "tmpfs", 0, "size=2m"); err != nil {
		t.Fatalf("cannot mount a tmpfs of 2 MB: %v; this test needs root, or a user namespace (unshare --user --map-root-user --mount)", err)
	}
	t.Cleanup(func() { unix.Unmount(dir, unix.MNT_DETACH) })
	return dir
}

// fill leaves no byte free.
func fill(t *testing.T, dir string) {
	t.Helper()
	f, err := os.OpenFile(filepath.Join(dir, "filler"), os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	must(t, err)
	defer f.Close()
	for size := 64 << 10; size > 0; size /= 2 {
		for err = nil; err == nil; _, err = f.Write(make([]byte, size)) {
		}
		if !errors.Is(err, syscall.ENOSPC) {
			t.Fatal(err)
		}
	}
	if err := os.WriteFile(filepath.Join(dir, "more"), []byte("x"), 0o600); !errors.Is(err, syscall.ENOSPC) {
		t.Fatalf("the disk is not full: %v", err)
	}
}

// undone is a record of an undo, a long one.
func undone(n int) event.Record {
	return event.Record{Time: moment, Run: "a", Fact: event.OpUndone{Op: fmt.Sprint(n), Name: "releases.activate",
		Outcome: event.Restored, Detail: strings.Repeat("d", 4000), Order: int64(n)}}
}

func undo(t *testing.T, log journal.Writer, when string) {
	t.Helper()
	for n := range 20 {
		if err := log.Append(t.Context(), undone(n), true); err != nil {
			t.Fatalf("%s: record %d of the undo finds no room: %v", when, n+1, err)
		}
	}
}

// The disk fills up behind the first change: the undo is still recorded, and after a crash so is the recovery, on a disk
// as full as before, with or without a torn tail.
func TestDiskFullAfterTheFirstChange(t *testing.T) {
	for _, torn := range []string{"", `{"crc":"`, strings.Repeat("torn", 3000)} {
		t.Run(fmt.Sprint("torn ", len(torn)), func(t *testing.T) {
			dir := tiny(t)
			l := take(t, home(dir), "a")
			log, err := l.Open(t.Context(), "a")
			must(t, err, log.Append(t.Context(), note(1, 500), true))
			fill(t, dir)
			undo(t, log, "in the run")
			must(t, log.Close(), l.Release())
			if torn != "" {
				f, err := os.OpenFile(filepath.Join(dir, ".runner", "runs", "a.jsonl"), os.O_APPEND|os.O_WRONLY, 0)
				must(t, err)
				_, err = f.WriteString(torn)
				must(t, err, f.Close())
			}
			l = take(t, home(dir), "the run with a longer name that takes it back")
			log, err = l.Open(t.Context(), "a")
			must(t, err)
			undo(t, log, "in the recovery")
			must(t, log.Close())
			if n := len(records(t, home(dir))); n != 41 {
				t.Errorf("%d records", n)
			}
			if _, err := l.Open(t.Context(), "b"); !errors.Is(err, syscall.ENOSPC) {
				t.Errorf("a new run begins on a full disk: %v", err)
			}
			runs, err := home(dir).Logs(t.Context())
			must(t, err)
			for _, run := range runs {
				_, err := home(dir).Read(t.Context(), run)
				must(t, err)
			}
		})
	}
}

// hungry is a disk on which something else takes what a cut file gives back.
type hungry struct {
	host.FS
	eat func()
}

type hungryFile struct {
	host.File
	eat func()
}

func (h hungry) Open(name string, flag int, perm fs.FileMode) (host.File, error) {
	f, err := h.FS.Open(name, flag, perm)
	if err != nil {
		return nil, err
	}
	return hungryFile{f, h.eat}, nil
}

func (h hungryFile) Truncate(size int64) error {
	defer h.eat()
	return h.File.Truncate(size)
}

// The dead run's log ends whole: the one who takes it back gives nothing of the disk away on the way.
func TestDiskFullAndContendedInTheRecovery(t *testing.T) {
	dir := tiny(t)
	l := take(t, home(dir), "a run whose name is so long that its owner is a longer text than that of the next")
	log, err := l.Open(t.Context(), "a")
	must(t, err, log.Append(t.Context(), note(1, 500), true), log.Close(), l.Release())
	fill(t, dir)
	h := journal.Root{Files: hungry{host.OS{}, func() { fill(t, dir) }}, Path: dir}
	log, err = take(t, h, "b").Open(t.Context(), "a")
	must(t, err)
	defer log.Close()
	undo(t, log, "in the recovery")
}

// Without space set aside the same undo finds no room: this is what the test above would see.
func TestDiskFullWithoutAReserve(t *testing.T) {
	dir := tiny(t)
	log, err := journal.Local{FS: host.OS{}, Dir: filepath.Join(dir, "runs")}.Create("a")
	must(t, err, log.Append(t.Context(), note(1, 500), true))
	defer log.Close()
	fill(t, dir)
	if err := log.Append(t.Context(), undone(1), true); !errors.Is(err, syscall.ENOSPC) {
		t.Errorf("on a full disk: %v", err)
	}
}

package host

import (
	"errors"
	"os"
	"path/filepath"
	"testing"

	"golang.org/x/sys/unix"
)

func TestBarrier(t *testing.T) {
	dir := t.TempDir()
	if _, err := (OS{}).Barrier(dir, -1); !errors.Is(err, errors.ErrUnsupported) {
		t.Errorf("where more is waiting for the disk: %v", err)
	}
	if _, err := (OS{}).Barrier("/proc", 1<<40); !errors.Is(err, errors.ErrUnsupported) {
		t.Errorf("where nothing is kept: %v", err)
	}
	if _, err := (OS{}).Barrier(filepath.Join(dir, "none"), 1<<40); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("of no folder: %v", err)
	}
	b, err := OS{}.Barrier(dir, 1<<40)
	if errors.Is(err, errors.ErrUnsupported) {
		var st unix.Statfs_t
		unix.Statfs(dir, &st)
		t.Logf("not run: %s lies on a file system of type %x", dir, st.Type)
		return
	}
	if err != nil {
		t.Fatal(err)
	}
	name := filepath.Join(dir, "f")
	if err := os.WriteFile(name, make([]byte, 1<<20), 0o644); err != nil {
		t.Fatal(err)
	}
	f, err := os.Open(name)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	Hasten(f)
	if err := errors.Join(b.Sync(), b.Close()); err != nil {
		t.Error(err)
	}
	if err := b.Sync(); !errors.Is(err, unix.EBADF) {
		t.Errorf("behind its end: %v", err)
	}
}

// What others are about to write is known, so that nobody waits for gigabytes of it.
func TestUnwritten(t *testing.T) {
	if n := unwritten(); n < 0 || n >= 1<<50 {
		t.Errorf("%d bytes wait for the disks", n)
	}
}

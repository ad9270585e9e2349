package host

import (
	"os"
	"path/filepath"
	"testing"

	"golang.org/x/sys/unix"
)

// A child between fork and exec has a copy of every file that its parent has open, also of one that is locked.
func TestUnlockLeavesNothingToACopy(t *testing.T) {
	name := filepath.Join(t.TempDir(), "lock")
	open := func() File {
		t.Helper()
		f, err := OS{}.Open(name, os.O_RDWR|os.O_CREATE, 0o600)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { f.Close() })
		return f
	}
	mine, theirs := open(), open()
	if got, err := TryLock(mine); !got || err != nil {
		t.Fatalf("locked: %v (%v)", got, err)
	}
	fork, err := unix.Dup(int(mine.Fd()))
	if err != nil {
		t.Fatal(err)
	}
	defer unix.Close(fork)
	if got, err := TryLock(theirs); got || err != nil {
		t.Fatalf("another has locked what is locked: %v (%v)", got, err)
	}
	if err := Unlock(mine); err != nil {
		t.Fatal(err)
	}
	if got, err := TryLock(theirs); !got || err != nil {
		t.Errorf("what was given back is locked still: %v (%v)", got, err)
	}
}

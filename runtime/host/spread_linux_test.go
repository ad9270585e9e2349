package host

import (
	"errors"
	"os"
	"path/filepath"
	"testing"

	"golang.org/x/sys/unix"
)

func TestSpread(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "releases")
	for range 2 {
		if err := MkdirSpread(OS{}, dir, 0o755); err != nil {
			t.Fatal(err)
		}
	}
	var st unix.Statfs_t
	if err := unix.Statfs(dir, &st); err != nil {
		t.Fatal(err)
	}
	err := OS{}.Spread(dir)
	if st.Type != unix.EXT4_SUPER_MAGIC {
		if err != nil && !errors.Is(err, errors.ErrUnsupported) {
			t.Error(err)
		}
		return
	}
	d, openErr := os.Open(dir)
	if openErr != nil {
		t.Fatal(openErr)
	}
	defer d.Close()
	if flags, getErr := unix.IoctlGetUint32(int(d.Fd()), unix.FS_IOC_GETFLAGS); err != nil || getErr != nil || flags&topDir == 0 {
		t.Errorf("flags %#x, %v, %v", flags, err, getErr)
	}
	if err := (OS{}).Spread(filepath.Join(dir, "none")); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("of no folder: %v", err)
	}
}

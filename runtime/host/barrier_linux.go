package host

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"slices"
	"strings"

	"golang.org/x/sys/unix"
)

// Barrier implements FS by syncfs(2). It waits for what other programs have written as well, so that there is none while
// that is much.
func (OS) Barrier(dir string, files int) (Barrier, error) {
	var st unix.Statfs_t
	if err := unix.Statfs(dir, &st); err != nil {
		return nil, &fs.PathError{Op: "statfs", Path: dir, Err: err}
	}
	known := []int64{unix.EXT4_SUPER_MAGIC, unix.XFS_SUPER_MAGIC, unix.BTRFS_SUPER_MAGIC}
	if !slices.Contains(known, int64(st.Type)) || !syncfsTells() || unwritten() > int64(files)*perFile {
		return nil, &fs.PathError{Op: "barrier", Path: dir, Err: errors.ErrUnsupported}
	}
	d, err := os.Open(dir) // syncfs tells of the errors since then
	if err != nil {
		return nil, err
	}
	return barrier{d}, nil
}

type barrier struct{ dir *os.File }

// Sync implements Barrier.
func (b barrier) Sync() error {
	if err := unix.Syncfs(int(b.dir.Fd())); err != nil {
		return &fs.PathError{Op: "syncfs", Path: b.dir.Name(), Err: err}
	}
	return nil
}

// Close implements Barrier.
func (b barrier) Close() error { return b.dir.Close() }

// syncfsTells reports whether syncfs is allowed, and tells of writes that failed: it does so since Linux 5.8.
func syncfsTells() bool {
	var name unix.Utsname
	var major, minor int
	if unix.Uname(&name) != nil || !errors.Is(unix.Syncfs(-1), unix.EBADF) {
		return false
	}
	_, err := fmt.Sscanf(unix.ByteSliceToString(name.Release[:]), "%d.%d", &major, &minor)
	return err == nil && (major > 5 || major == 5 && minor >= 8)
}

// unwritten is how many bytes wait in memory for the machine's disks.
func unwritten() int64 {
	b, err := os.ReadFile("/proc/meminfo")
	if err != nil {
		return 1 << 62
	}
	var all int64
	for line := range strings.Lines(string(b)) {
		var kb int64
		name, rest, _ := strings.Cut(line, ":")
		if name == "Dirty" || name == "Writeback" {
			fmt.Sscan(rest, &kb)
			all += kb << 10
		}
	}
	return all
}

// Hasten makes the kernel begin to write to the disk what of a file waits in memory. It promises nothing: Sync does.
func Hasten(f File) { unix.SyncFileRange(int(f.Fd()), 0, 0, unix.SYNC_FILE_RANGE_WRITE) }

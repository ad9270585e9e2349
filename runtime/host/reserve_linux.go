package host

import (
	"errors"

	"golang.org/x/sys/unix"
)

// Reserve sets disk space aside for the first n bytes of a file without changing its size. A file system that cannot
// is no error.
func Reserve(f File, n int64) error {
	err := unix.Fallocate(int(f.Fd()), unix.FALLOC_FL_KEEP_SIZE, 0, n)
	if errors.Is(err, unix.EOPNOTSUPP) || errors.Is(err, unix.ENOSYS) {
		return nil
	}
	return err
}

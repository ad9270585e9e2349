//go:build !linux

package host

import (
	"errors"
	"io/fs"
)

// Barrier implements FS: there is none here.
func (OS) Barrier(dir string, _ int) (Barrier, error) {
	return nil, &fs.PathError{Op: "barrier", Path: dir, Err: errors.ErrUnsupported}
}

// Hasten does nothing where the system has no sync_file_range(2).
func Hasten(File) {}

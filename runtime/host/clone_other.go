//go:build !linux

package host

import (
	"errors"
	"io/fs"
)

// Clone implements FS: there is none here.
func (OS) Clone(_, to string, _ fs.FileMode) error {
	return &fs.PathError{Op: "clone", Path: to, Err: errors.ErrUnsupported}
}

//go:build !linux

package host

import (
	"errors"
	"io/fs"
)

// Spread implements FS: there is none here.
func (OS) Spread(dir string) error {
	return &fs.PathError{Op: "spread", Path: dir, Err: errors.ErrUnsupported}
}

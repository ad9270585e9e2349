package host

import (
	"errors"
	"io/fs"
	"os"
)

// Entry is what a manifest tells of one thing in a tree.
type Entry struct {
	Path   string      `json:"path"` // inside the tree, with slashes
	Mode   fs.FileMode `json:"mode"`
	Size   int64       `json:"size"`
	SHA256 string      `json:"sha256,omitempty"` // of a file's content, as "sha256:…"
	Link   string      `json:"link,omitempty"`   // where a link leads

	// Installed is what came with an artifact, in a backup's manifest: a release holds other things beside it.
	Installed bool `json:"installed,omitempty"`
}

// Plainly is the cause of an error of the file system, without the path that the reader knows already.
func Plainly(err error) error {
	var p *fs.PathError
	var l *os.LinkError
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return errMissing{err}
	case errors.As(err, &p):
		return p.Err
	case errors.As(err, &l):
		return l.Err
	}
	return err
}

type errMissing struct{ error }

func (errMissing) Error() string   { return "it does not exist" }
func (e errMissing) Unwrap() error { return e.error }

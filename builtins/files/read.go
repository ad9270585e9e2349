package files

import (
	"context"
	"fmt"
	"path/filepath"
	"unicode/utf8"

	"github.com/erlmcp/runner/builtins/artifact"
	"github.com/erlmcp/runner/builtins/inside"
	"github.com/erlmcp/runner/runtime/host"
	"github.com/erlmcp/runner/runtime/op"
)

// Read gives a file's text.
type Read struct {
	_     op.Doc  `doc:"Gives a file's text. A file that is missing, too large or no text is an error."`
	Path  string  `json:"path" doc:"The file; a relative path starts at the project."`
	Limit op.Size `json:"limit" doc:"The most that it may hold."`
}

// Summary implements op.Op.
func (r Read) Summary() string { return "read " + r.Path }

// Do implements op.Op.
func (r Read) Do(_ context.Context, h *host.Host) (string, error) {
	b, err := read(h, r.Path, r.Limit)
	if err != nil {
		return "", err
	}
	if !utf8.Valid(b) {
		return "", fmt.Errorf("cannot read %s: it is no UTF-8 text", r.Path)
	}
	return string(b), nil
}

// Digest gives the digest of a file or a folder.
type Digest struct {
	_    op.Doc `doc:"Gives the digest of a file's content, as sha256sum does, or of a folder with all that is in it."`
	Path string `json:"path" doc:"The file or folder; a relative path starts at the project."`
}

// Summary implements op.Op.
func (d Digest) Summary() string { return "digest " + d.Path }

// Do implements op.Op.
func (d Digest) Do(_ context.Context, h *host.Host) (string, error) {
	digest, _, err := artifact.Digest(h.Files, h.Abs(d.Path))
	if err != nil {
		return "", lacking(h, "digest", d.Path, err)
	}
	return digest, nil
}

// Disk tells what a file system has left.
type Disk struct {
	_    op.Doc `doc:"Tells what the file system that holds a path has left for the user that runs this."`
	Path string `json:"path" doc:"A path; where it does not exist yet, its nearest parent that does is asked."`
}

// Space is what a file system has left.
type Space struct {
	_      op.Doc `doc:"What a file system has left."`
	Path   string `json:"path" doc:"The path that was asked."`
	Bytes  int64  `json:"bytes" doc:"The free bytes."`
	Inodes int64  `json:"inodes" doc:"How many more files it can hold, -1 where it sets no limit."`
}

// Summary implements op.Op.
func (d Disk) Summary() string { return "see what the disk of " + d.Path + " has left" }

// Do implements op.Op.
func (d Disk) Do(_ context.Context, h *host.Host) (Space, error) {
	name := h.Abs(d.Path)
	for {
		_, err := h.Files.Stat(name)
		if err == nil || name == "/" {
			break
		}
		if !inside.Absent(err) {
			return Space{}, lacking(h, "see the disk of", d.Path, err)
		}
		name = filepath.Dir(name)
	}
	s, err := h.Files.Space(name)
	if err != nil {
		return Space{}, lacking(h, "see the disk of", d.Path, err)
	}
	return Space{Path: name, Bytes: s.Bytes, Inodes: s.Inodes}, nil
}

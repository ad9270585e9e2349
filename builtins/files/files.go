// Package files reads the files of this machine, and writes those of the project and of the run's scratch folder. It
// refuses to write anywhere else, and through links: what lies under a root is changed by releases, which can take it back.
package files

import (
	"errors"
	"fmt"
	"io/fs"
	"path/filepath"

	"github.com/erlmcp/runner/builtins/artifact"
	"github.com/erlmcp/runner/runtime/builtin"
	"github.com/erlmcp/runner/runtime/host"
	"github.com/erlmcp/runner/runtime/op"
)

// Family is what scripts see as files.
func Family(h *host.Host) builtin.Family {
	return builtin.NewFamily("files", "Reads files, and writes those of the project.",
		op.Read(h, Read{Limit: 1 << 20}),
		op.Make(h, Write{}),
		op.Make(h, Remove{}),
		op.Make(h, Copy{}),
		op.Read(h, Glob{}),
		op.Read(h, Digest{}),
		op.Read(h, Template{}),
		op.Read(h, Disk{}),
	)
}

// File is a file that an op wrote.
type File struct {
	_      op.Doc  `doc:"A file or a folder as it was written."`
	Path   string  `json:"path" doc:"Where it is, as an absolute path."`
	Digest string  `json:"digest" doc:"The digest of its content, such as sha256:9f86d0…; empty for a secret, which could be guessed from it."`
	Size   op.Size `json:"size" doc:"The bytes in it."`
}

// read reads a text of at most limit bytes.
func read(h *host.Host, path string, limit op.Size) ([]byte, error) {
	name := h.Abs(path)
	info, err := h.Files.Stat(name)
	if err != nil {
		return nil, lacking(h, "read", path, err)
	}
	switch {
	case info.IsDir():
		return nil, op.Hint(fmt.Errorf("cannot read %s: it is a directory", path), "files.glob(%q) lists it", filepath.Join(path, "*"))
	case !info.Mode().IsRegular(): // a pipe would be waited for, a device may never end
		return nil, fmt.Errorf("cannot read %s: it is %s", path, artifact.Kind(info.Mode()))
	case info.Size() > int64(limit):
		return nil, fmt.Errorf("cannot read %s: it has %s, more than the limit of %s", path, op.Size(info.Size()), limit)
	}
	b, err := host.ReadFile(h.Files, name, int64(limit))
	if err != nil {
		return nil, lacking(h, "read", path, err)
	}
	return b, nil
}

// lacking is the error for a path that cannot be worked with; for one that does not exist it suggests a neighbour.
func lacking(h *host.Host, verb, path string, err error) error {
	out := fmt.Errorf("cannot %s %s: %w", verb, path, artifact.Plainly(err))
	if !errors.Is(err, fs.ErrNotExist) {
		return out
	}
	entries, _ := h.Files.ReadDir(filepath.Dir(h.Abs(path)))
	names := make([]string, 0, len(entries))
	for _, e := range entries {
		names = append(names, e.Name())
	}
	if near := builtin.Nearest(filepath.Base(path), names); near != "" {
		return op.Hint(out, "did you mean %s?", filepath.Join(filepath.Dir(path), near))
	}
	return out
}

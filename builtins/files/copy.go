package files

import (
	"context"
	"fmt"
	"path/filepath"

	"github.com/erlmcp/runner/builtins/artifact"
	"github.com/erlmcp/runner/builtins/inside"
	"github.com/erlmcp/runner/runtime/host"
	"github.com/erlmcp/runner/runtime/op"
)

// Copy copies a file or a folder.
type Copy struct {
	_      op.Doc `doc:"Copies a file or a folder into the project, as one step. A file in its place is replaced; a folder in its place is an error."`
	Source string `json:"source" doc:"The file or folder to copy; a relative path starts at the project. Links in a folder must not lead out of it."`
	To     string `json:"to" doc:"What the copy is called, inside the project or the scratch folder."`
}

// Summary implements op.Op.
func (c Copy) Summary() string { return "copy " + c.Source + " to " + c.To }

// Preview implements op.Previewer. The source may be something that an earlier op makes.
func (c Copy) Preview(_ context.Context, h *host.Host) (File, error) {
	name, err := c.target(h)
	if err != nil {
		return File{}, err
	}
	digest, size, err := artifact.Digest(h.Files, h.Abs(c.Source))
	if inside.Absent(err) {
		return File{}, op.ErrUnknown
	}
	if err != nil {
		return File{}, lacking(h, "copy", c.Source, err)
	}
	return File{Path: name, Digest: digest, Size: op.Size(size)}, nil
}

// Do implements op.Op.
func (c Copy) Do(ctx context.Context, h *host.Host) (File, error) {
	name, err := c.target(h)
	if err != nil {
		return File{}, err
	}
	dir, base := filepath.Split(name)
	tmp := filepath.Join(dir, "."+base+".new")
	err = host.MkdirAll(h.Files, filepath.Dir(name), 0o755)
	if err == nil {
		err = host.RemoveAll(h.Files, tmp) // what a killed run left
	}
	if err != nil {
		return File{}, fmt.Errorf("cannot write %s: %w", c.To, artifact.Plainly(err))
	}
	if err := artifact.Copy(ctx, h.Files, h.Abs(c.Source), tmp); err != nil {
		host.RemoveAll(h.Files, tmp)
		return File{}, lacking(h, "copy", c.Source, err)
	}
	return c.finish(h, tmp, name)
}

func (c Copy) finish(h *host.Host, tmp, name string) (File, error) {
	digest, size, err := artifact.Digest(h.Files, tmp)
	if err == nil {
		err = h.Files.Rename(tmp, name)
	}
	if err != nil {
		host.RemoveAll(h.Files, tmp)
		return File{}, fmt.Errorf("cannot write %s: %w", c.To, artifact.Plainly(err))
	}
	if err := h.Files.SyncDir(filepath.Dir(name)); err != nil {
		return File{}, fmt.Errorf("cannot write %s: %w", c.To, artifact.Plainly(err))
	}
	return File{Path: name, Digest: digest, Size: op.Size(size)}, nil
}

// target refuses what would be replaced with a loss, and a copy into itself, which would never end.
func (c Copy) target(h *host.Host) (string, error) {
	name, err := inside.Writable(h, "write", c.To)
	if err != nil {
		return "", err
	}
	if _, within := inside.Below(h.Abs(c.Source), name); within || h.Abs(c.Source) == name {
		return "", fmt.Errorf("cannot copy %s to %s: it would be a copy into itself", c.Source, c.To)
	}
	info, err := h.Files.Lstat(name)
	if err == nil && !info.Mode().IsRegular() {
		err := fmt.Errorf("cannot write %s: it is %s", c.To, artifact.Kind(info.Mode()))
		return "", op.Hint(err, "files.remove(%q) before it makes room", c.To)
	}
	return name, nil
}

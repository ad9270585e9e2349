package files

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"path/filepath"
	"strconv"

	"github.com/erlmcp/runner/builtins/artifact"
	"github.com/erlmcp/runner/builtins/inside"
	"github.com/erlmcp/runner/runtime/host"
	"github.com/erlmcp/runner/runtime/op"
	"github.com/erlmcp/runner/runtime/secret"
)

// Write replaces a file as one step.
type Write struct {
	_       op.Doc      `doc:"Writes a file of the project, as one step: whoever reads it sees the old content or the new. Missing folders are made."`
	Path    string      `json:"path" doc:"The file, inside the project or the scratch folder."`
	Content secret.Text `json:"content" doc:"What it holds then; a secret makes it a file that only its owner reads."`
	Mode    string      `json:"mode,omitempty" doc:"Its permissions in octal, 0644 when left out, 0600 for a secret."`
}

// Summary implements op.Op.
func (w Write) Summary() string { return "write " + w.Path }

// Check implements op.Checked.
func (w Write) Check() error {
	mode, err := w.mode()
	if err == nil && w.Content.IsSecret() && mode&0o077 != 0 {
		err = fmt.Errorf("mode: a file with a secret in it must be closed to group and others, got %s", w.Mode)
	}
	return err
}

func (w Write) mode() (fs.FileMode, error) {
	switch {
	case w.Mode == "" && w.Content.IsSecret():
		return 0o600, nil
	case w.Mode == "":
		return 0o644, nil
	}
	n, err := strconv.ParseUint(w.Mode, 8, 32)
	if err != nil || n > 0o777 || n&0o200 == 0 {
		return 0, fmt.Errorf("mode: want permissions in octal that let the owner write, such as \"0644\", got %q", w.Mode)
	}
	return fs.FileMode(n), nil
}

// Preview implements op.Previewer.
func (w Write) Preview(_ context.Context, h *host.Host) (File, error) {
	name, err := w.target(h)
	if err != nil || w.Content.IsSecret() {
		return File{Path: name}, err
	}
	text := w.Content.String()
	return File{Path: name, Digest: "sha256:" + host.SHA256([]byte(text)), Size: op.Size(len(text))}, nil
}

// Do implements op.Op.
func (w Write) Do(ctx context.Context, h *host.Host) (File, error) {
	file, err := w.Preview(ctx, h)
	if err != nil {
		return File{}, err
	}
	mode, err := w.mode()
	if err != nil {
		return File{}, err
	}
	text, err := h.Secrets.Reveal(w.Content)
	if err != nil {
		return File{}, err
	}
	err = host.MkdirAll(h.Files, filepath.Dir(file.Path), 0o755)
	if err == nil {
		err = host.WriteFile(h.Files, file.Path, []byte(text), mode)
	}
	if err != nil {
		return File{}, fmt.Errorf("cannot write %s: %w", w.Path, artifact.Plainly(err))
	}
	return file, nil
}

func (w Write) target(h *host.Host) (string, error) {
	name, err := inside.Writable(h, "write", w.Path)
	if err != nil {
		return "", err
	}
	info, err := h.Files.Lstat(name)
	if err == nil && !info.Mode().IsRegular() {
		return "", fmt.Errorf("cannot write %s: it is %s", w.Path, artifact.Kind(info.Mode()))
	}
	return name, nil
}

// Remove removes a file or a folder.
type Remove struct {
	_    op.Doc `doc:"Removes a file or a folder of the project, and gives whether there was one. It does not follow links."`
	Path string `json:"path" doc:"The file or folder, inside the project or the scratch folder."`
}

// Summary implements op.Op.
func (r Remove) Summary() string { return "remove " + r.Path }

// Preview implements op.Previewer.
func (r Remove) Preview(_ context.Context, h *host.Host) (bool, error) {
	name, err := inside.Writable(h, "remove", r.Path)
	if err != nil {
		return false, err
	}
	info, err := h.Files.Lstat(name)
	switch {
	case inside.Absent(err):
		return false, nil
	case err == nil && info.IsDir():
		err = r.holdsNoRoot(h, name)
	}
	if err != nil {
		return false, fmt.Errorf("cannot remove %s: %w", r.Path, artifact.Plainly(err))
	}
	return true, nil
}

// Do implements op.Op.
func (r Remove) Do(ctx context.Context, h *host.Host) (bool, error) {
	there, err := r.Preview(ctx, h)
	if err != nil || !there {
		return false, err
	}
	name := h.Abs(r.Path)
	err = host.RemoveAll(h.Files, name)
	if err == nil {
		err = h.Files.SyncDir(filepath.Dir(name))
	}
	if err != nil {
		return false, fmt.Errorf("cannot remove %s: %w", r.Path, artifact.Plainly(err))
	}
	return true, nil
}

var errHoldsState = errors.New("it holds what runner keeps about its runs")

// holdsNoRoot refuses a folder with a root, or a project, somewhere in it.
func (r Remove) holdsNoRoot(h *host.Host, dir string) error {
	entries, err := h.Files.ReadDir(dir)
	if err != nil {
		return err
	}
	for _, e := range entries {
		if e.Name() == inside.State {
			return errHoldsState
		}
		if e.IsDir() {
			if err := r.holdsNoRoot(h, filepath.Join(dir, e.Name())); err != nil {
				return err
			}
		}
	}
	return nil
}

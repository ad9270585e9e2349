// Package inside says which files a script may write: those of the project and of the run's scratch folder. What lies under a
// root, what runner keeps about its runs, and what is reached through a link is refused.
package inside

import (
	"errors"
	"fmt"
	"io/fs"
	"path/filepath"
	"strings"
	"syscall"

	"github.com/erlmcp/runner/runtime/host"
	"github.com/erlmcp/runner/runtime/op"
)

// State is the folder that runner keeps in a project and in every root.
const State = ".runner"

// Absent reports whether an error says that there is no such file.
func Absent(err error) bool {
	return errors.Is(err, fs.ErrNotExist) || errors.Is(err, syscall.ENOTDIR)
}

// Writable gives the absolute path of what may be written: it lies in the project or in the scratch folder, in no root
// and not in what runner keeps, and no directory on the way there is a link.
func Writable(h *host.Host, verb, path string) (string, error) {
	name := h.Abs(path)
	if rel, ok := Below(h.Scratch, name); ok {
		return name, noLinks(h, verb, path, h.Scratch, rel)
	}
	rel, ok := Below(h.Project, name)
	if !ok {
		err := fmt.Errorf("cannot %s %s: it is outside the project", verb, path)
		return "", op.Hint(err, "what lies under a root is changed by releases.install and releases.activate")
	}
	if strings.HasPrefix(rel+"/", State+"/") {
		return "", fmt.Errorf("cannot %s %s: %s holds what runner keeps about its runs", verb, path, State)
	}
	return name, noLinks(h, verb, path, h.Project, rel)
}

// Below is name as seen from dir, where it is in dir and not dir itself.
func Below(dir, name string) (string, bool) {
	if dir == "" {
		return "", false
	}
	rel, err := filepath.Rel(dir, name)
	return rel, err == nil && rel != "." && rel != ".." && !strings.HasPrefix(rel, "../")
}

func noLinks(h *host.Host, verb, path, base, rel string) error {
	parts := strings.Split(rel, "/")
	for i := range parts[1:] {
		dir := filepath.Join(base, filepath.Join(parts[:i+1]...))
		info, err := h.Files.Lstat(dir)
		switch {
		case Absent(err):
			return nil
		case err != nil:
			return fmt.Errorf("cannot %s %s: %w", verb, path, host.Plainly(err))
		case info.Mode()&fs.ModeSymlink != 0:
			return fmt.Errorf("cannot %s %s: %s is a symbolic link", verb, path, dir)
		case !info.IsDir():
			return fmt.Errorf("cannot %s %s: %s is no directory", verb, path, dir)
		}
		if isRoot(h, dir) {
			return inRoot(verb, path, dir)
		}
	}
	return nil
}

func isRoot(h *host.Host, dir string) bool {
	_, err := h.Files.Lstat(filepath.Join(dir, State))
	return err == nil
}

func inRoot(verb, path, root string) error {
	err := fmt.Errorf("cannot %s %s: %s is the root of a deployment", verb, path, root)
	return op.Hint(err, "what lies under a root is changed by releases.install and releases.activate")
}

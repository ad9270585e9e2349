package build

import (
	"context"
	"fmt"
	"io/fs"
	"path/filepath"
	"slices"
	"strings"

	"github.com/erlmcp/runner/builtins/artifact"
	"github.com/erlmcp/runner/builtins/command"
	"github.com/erlmcp/runner/runtime/host"
)

// sources adds every file below dir, but for the output, what runner and git keep, and what git ignores.
func (t tree) sources(ctx context.Context, h *host.Host, in *input) error {
	dir := h.Abs(t.dir)
	names, err := t.list(ctx, h, dir)
	if err != nil {
		return err
	}
	for _, name := range names {
		if ctx.Err() != nil {
			return context.Cause(ctx)
		}
		if err := t.source(h, dir, name, in); err != nil {
			return fmt.Errorf("%s: %w", name, artifact.Plainly(err))
		}
	}
	return nil
}

func (t tree) source(h *host.Host, dir, name string, in *input) error {
	if rel, err := filepath.Rel(t.output, name); err == nil && filepath.IsLocal(rel) {
		return nil
	}
	full := filepath.Join(dir, name)
	info, err := h.Files.Lstat(full)
	switch {
	case err == nil && info.Mode().Type() == fs.ModeSymlink:
		target, err := h.Files.Readlink(full)
		in.add("link", name, target)
		return err
	case err == nil && info.IsDir(): // another repository within this one
		names, err := walk(h.Files, dir, name)
		for _, n := range names {
			if err == nil {
				err = t.source(h, dir, n, in)
			}
		}
		return err
	case err == nil && !info.Mode().IsRegular(): // a socket
		return nil
	}
	return in.file(h.Files, name, full)
}

// list asks git for the files that it has or would take, and looks itself where git does not answer.
func (t tree) list(ctx context.Context, h *host.Host, dir string) ([]string, error) {
	argv := []string{"git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"}
	ran, err := ask(ctx, h, command.Cmd{Argv: argv, Dir: t.dir, Key: t.key})
	if ctx.Err() != nil {
		return nil, context.Cause(ctx)
	}
	names := strings.Split(strings.TrimSuffix(ran.Stdout, "\x00"), "\x00")
	if err != nil || names[0] == "" {
		names, err = walk(h.Files, dir, "")
	}
	roots := map[string]bool{}
	names = slices.DeleteFunc(names, func(n string) bool { return strings.HasPrefix(n, ".runner/") || underRoot(h.Files, dir, n, roots) })
	slices.Sort(names)
	return slices.Compact(names), err
}

// isRoot reports whether a folder is what a deployment changes: a host root that lies in the project is no source of it.
func isRoot(f host.FS, dir string) bool {
	_, err := f.Lstat(filepath.Join(dir, ".runner"))
	return err == nil
}

// underRoot reports whether a file lies in a root below dir; known remembers what was looked at.
func underRoot(f host.FS, dir, name string, known map[string]bool) bool {
	folder := filepath.Dir(name)
	if folder == "." {
		return false
	}
	is, seen := known[folder]
	if !seen {
		is = isRoot(f, filepath.Join(dir, folder)) || underRoot(f, dir, folder, known)
		known[folder] = is
	}
	return is
}

func walk(f host.FS, root, dir string) ([]string, error) {
	entries, err := f.ReadDir(filepath.Join(root, dir))
	if err != nil {
		return nil, artifact.Plainly(err)
	}
	var out []string
	for _, e := range entries {
		name := filepath.Join(dir, e.Name())
		switch {
		case e.Name() == ".git" || name == ".runner" || e.IsDir() && isRoot(f, filepath.Join(root, name)):
		case e.IsDir():
			below, err := walk(f, root, name)
			if err != nil {
				return nil, fmt.Errorf("%s: %w", name, err)
			}
			out = append(out, below...)
		default:
			out = append(out, name)
		}
	}
	return out, nil
}

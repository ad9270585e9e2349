package model

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"

	"github.com/compose-spec/compose-go/v2/cli"

	"github.com/erlmcp/runner/builtins/stack"
	"github.com/erlmcp/runner/runtime/host"
	"github.com/erlmcp/runner/runtime/op"
)

// Over is the host that a project's files are read from. Where one that is named is not there but a standard one, the
// standard files lie under the project: those that it names, and what images are built from. A project whose files are
// all its own has nothing under it.
func Over(h *host.Host, p stack.Project) *host.Host {
	if h.Standard == nil {
		return h
	}
	over := *h
	over.Files = host.Over{FS: h.Files, Dir: h.Project, Under: h.Standard}
	for _, f := range p.Files {
		_, own := h.Files.Stat(h.Abs(f))
		if _, err := over.Files.Stat(h.Abs(f)); absent(own) && err == nil {
			return &over
		}
	}
	return h
}

// find tells which files describe a project and the folder that its paths start from, as the reference would in that
// folder. It reads the files of variables on the way: they may name the others.
func find(h *host.Host, p stack.Project, vars *variables) (files []string, dir string, err error) {
	for _, f := range p.Files {
		files = append(files, h.Abs(f))
	}
	dir = h.Project
	switch {
	case p.Dir != "":
		dir = h.Abs(p.Dir)
	case len(files) > 0:
		dir = filepath.Dir(files[0])
	}
	if err := vars.load(h, p.EnvFiles, dir); err != nil {
		return nil, "", err
	}
	if named := vars.values["COMPOSE_FILE"]; len(files) == 0 && named != "" {
		separator := string(os.PathListSeparator)
		if s := vars.values["COMPOSE_PATH_SEPARATOR"]; s != "" {
			separator = s
		}
		for _, f := range strings.Split(named, separator) {
			files = append(files, h.Abs(f))
		}
		if p.Dir == "" && filepath.Dir(files[0]) != dir {
			dir = filepath.Dir(files[0])
			err = vars.load(h, p.EnvFiles, dir)
		}
	}
	if len(files) > 0 || err != nil {
		return files, dir, err
	}
	files = usual(h, dir)
	if len(files) == 0 {
		return nil, "", op.Hint(fmt.Errorf("there is no compose.yaml in %s", short(h, dir)), "files = in compose_project names its files")
	}
	return files, dir, nil
}

// usual are the files that a folder's project has when nothing names them: the first of the names that is there, and
// the first of those that go over it.
func usual(h *host.Host, dir string) (files []string) {
	for _, names := range [][]string{cli.DefaultFileNames, cli.DefaultOverrideFileNames} {
		for _, name := range names {
			path := filepath.Join(dir, name)
			if _, err := h.Files.Stat(path); err == nil {
				files = append(files, path)
				break
			}
		}
		if len(files) == 0 {
			return nil
		}
	}
	return files
}

// envFiles are the files of variables: those named, else .env in the project's folder where it is one.
func envFiles(h *host.Host, named []string, dir, disabled string) []string {
	if len(named) > 0 {
		out := make([]string, len(named))
		for i, f := range named {
			out[i] = h.Abs(f)
		}
		return out
	}
	path := filepath.Join(dir, ".env")
	off, _ := strconv.ParseBool(disabled)
	if info, err := h.Files.Stat(path); err != nil || info.IsDir() || off {
		return nil
	}
	return []string{path}
}

// short is a path as people write it: seen from the project where it lies there.
func short(h *host.Host, path string) string {
	if rel, err := filepath.Rel(h.Project, path); err == nil && filepath.IsLocal(rel) {
		if rel == "." {
			return "the project's folder"
		}
		return rel
	}
	return path
}

// absent reports whether an error says that a file is not there.
func absent(err error) bool { return errors.Is(err, os.ErrNotExist) }

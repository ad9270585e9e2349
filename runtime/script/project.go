package script

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strings"

	"github.com/erlmcp/runner/runtime/builtin"
	"github.com/erlmcp/runner/runtime/op"
)

const (
	environmentsFile = "environments.star"
	stdPrefix        = "@std/"
)

// Project is a folder with an environments.star, over the standard scripts: a file in the folder comes before the
// standard one of its name. Nothing outside the folder is read, by whatever path or link.
type Project struct {
	Dir string // absolute

	root     *os.Root
	inside   string // where the caller stands, relative to Dir, with slashes
	standard fs.FS
	std      fs.FS
}

// NoProject is the error where no folder upwards holds an environments.star.
type NoProject struct{ Dir string }

func (e *NoProject) Error() string {
	return fmt.Sprintf("cannot find a project: neither %s nor a folder above it holds %s", e.Dir, environmentsFile)
}

// Usage is a mistake on the command line, before anything was done.
type Usage struct{ error }

// Unwrap gives the error with its hint.
func (u *Usage) Unwrap() error { return u.error }

func usage(hint, format string, args ...any) error {
	err := fmt.Errorf(format, args...)
	if hint != "" {
		err = op.Hint(err, "%s", hint)
	}
	return &Usage{err}
}

// FindProject is the nearest project from dir upwards, over the standard scripts and the library of "@std/". Close it.
// The error is a *NoProject, or why a folder cannot be read.
func FindProject(dir string, standard, std fs.FS) (*Project, error) {
	dir, err := filepath.Abs(dir)
	if err != nil {
		return nil, err
	}
	for at := dir; ; at = filepath.Dir(at) {
		_, err := os.Stat(filepath.Join(at, environmentsFile))
		if err == nil {
			return openProject(at, dir, standard, std)
		}
		if !errors.Is(err, fs.ErrNotExist) {
			return nil, fmt.Errorf("cannot find the project: %w", err)
		}
		if at == filepath.Dir(at) {
			return nil, op.Hint(&NoProject{dir}, `run "runner init"`)
		}
	}
}

func openProject(at, from string, standard, std fs.FS) (*Project, error) {
	root, err := os.OpenRoot(at)
	if err != nil {
		return nil, fmt.Errorf("cannot open the project: %w", err)
	}
	inside, err := filepath.Rel(at, from)
	return &Project{Dir: at, root: root, inside: filepath.ToSlash(inside), standard: standard, std: std}, err
}

// Close lets the folder go.
func (p *Project) Close() error { return p.root.Close() }

// canonical is the name of the file that a path on the command line means: as seen from where the caller stands, else
// from the project's folder, else the standard script.
func (p *Project) canonical(name string) (string, error) {
	if strings.HasPrefix(name, stdPrefix) {
		return name, p.mustExist(name)
	}
	if filepath.IsAbs(name) {
		rel, err := filepath.Rel(p.Dir, name)
		if err != nil || !filepath.IsLocal(rel) {
			return "", usage("", "%s lies outside the project %s", name, p.Dir)
		}
		return filepath.ToSlash(rel), p.mustExist(filepath.ToSlash(rel))
	}
	slashed := filepath.ToSlash(name)
	near := path.Join(p.inside, slashed)
	if !filepath.IsLocal(near) {
		return "", usage("", "%s lies outside the project %s", name, p.Dir)
	}
	if p.exists(near) {
		return near, nil
	}
	return path.Clean(slashed), p.mustExist(path.Clean(slashed))
}

func (p *Project) mustExist(name string) error {
	if p.exists(name) {
		return nil
	}
	if why := p.refused(name); why != "" {
		return usage("", "cannot find the script %s: %s", name, why)
	}
	if p.exists(name + ".star") {
		return usage("", "cannot find the script %s (did you mean %s.star?)", name, name)
	}
	all := p.List()
	own := slices.DeleteFunc(slices.Clone(all), func(n string) bool { return strings.HasPrefix(n, stdPrefix) || n == environmentsFile })
	if len(own) > maxHinted {
		own = append(own[:maxHinted], "…")
	}
	return usage("there are "+strings.Join(own, ", "), "cannot find the script %s%s", name, builtin.DidYouMean(name, all))
}

// refused is why something of that name is no script that can be read, "" where there is nothing of that name.
func (p *Project) refused(name string) string {
	f, _, err := p.open(name)
	var in *fs.PathError
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return ""
	case errors.As(err, &in):
		return in.Err.Error()
	case err != nil:
		return err.Error()
	}
	defer f.Close()
	return "it is no file"
}

func (p *Project) exists(name string) bool {
	f, _, err := p.open(name)
	if err != nil {
		return false
	}
	defer f.Close()
	info, err := f.Stat()
	return err == nil && info.Mode().IsRegular()
}

// open gives a file by its canonical name, and whether it is built in.
func (p *Project) open(name string) (fs.File, bool, error) {
	if rest, ok := strings.CutPrefix(name, stdPrefix); ok {
		f, err := p.std.Open(rest)
		return f, true, err
	}
	f, err := p.root.Open(filepath.FromSlash(name))
	if err == nil {
		return f, false, nil
	}
	if !errors.Is(err, fs.ErrNotExist) {
		return nil, false, err
	}
	g, err := p.standard.Open(name)
	return g, true, err
}

// read gives a file's source, refusing one over limit bytes.
func (p *Project) read(name string, limit int64) (src []byte, standard bool, err error) {
	f, standard, err := p.open(name)
	if err != nil {
		return nil, false, err
	}
	defer f.Close()
	src, err = io.ReadAll(io.LimitReader(f, limit+1))
	if err == nil && int64(len(src)) > limit {
		err = op.Hint(&LimitError{What: fmt.Sprintf("%s is larger than %s", name, op.Size(limit))},
			"raise the limit with --max-source")
	}
	return src, standard, err
}

// maxListed and maxFolders bound a search for files to suggest; maxHinted is how many a hint names.
const (
	maxHinted  = 10
	maxListed  = 200
	maxFolders = 3
)

// isProject reports whether a folder is a project of its own.
func isProject(fsys fs.FS, dir string) bool {
	_, err := fs.Stat(fsys, path.Join(dir, environmentsFile))
	return err == nil
}

// List names the scripts that can be run or loaded: the project's, the standard ones, and the library's.
func (p *Project) List() []string { return p.list(maxListed, false) }

// list names at most so many, all where limit is negative; with the tests or without.
func (p *Project) list(limit int, tests bool) []string {
	var out []string
	add := func(fsys fs.FS, prefix string) {
		// What cannot be read is not suggested.
		_ = fs.WalkDir(fsys, ".", func(name string, d fs.DirEntry, err error) error {
			hidden := strings.HasPrefix(d.Name(), ".") && name != "."
			switch {
			case err != nil || limit >= 0 && len(out) >= limit:
				return fs.SkipAll
			case d.IsDir() && (hidden || strings.Count(name, "/") >= maxFolders || name != "." && isProject(fsys, name)):
				return fs.SkipDir
			case strings.HasSuffix(name, ".star") && (tests || !IsTest(name)) && !d.IsDir() && !hidden:
				out = append(out, prefix+name)
			}
			return nil
		})
	}
	add(p.root.FS(), "")
	add(p.standard, "")
	add(p.std, stdPrefix)
	slices.Sort(out)
	return slices.Compact(out)
}

package script

import (
	"errors"
	"fmt"
	"io/fs"
	"path"
	"path/filepath"
	"slices"
	"strings"

	"github.com/erlmcp/runner/runtime/builtin"
)

// OpenFolder is a project of a folder that needs no environments.star: tests that lie outside of any project. Close it.
func OpenFolder(dir string, standard, std fs.FS) (*Project, error) {
	dir, err := filepath.Abs(dir)
	if err != nil {
		return nil, err
	}
	return openProject(dir, dir, standard, std)
}

// Tests finds files of tests by what a person says: a file, a script that has tests beside it, a folder to be searched,
// "@std" for the library's. What is not in the project is looked for among the standard scripts. The error is a *Usage,
// or what cannot be read.
func (p *Project) Tests(arg string) ([]string, error) {
	if arg == strings.TrimSuffix(stdPrefix, "/") || arg == stdPrefix {
		return testsIn(p.std, ".", stdPrefix)
	}
	name, err := p.named(arg)
	if err != nil {
		return nil, err
	}
	if info, err := p.root.Stat(filepath.FromSlash(name)); err == nil && info.IsDir() {
		found, err := testsIn(p.root.FS(), name, "")
		if err == nil && len(found) == 0 {
			err = usage("tests are functions test_NAME(t) in files NAME"+testSuffix, "there are no tests in %s", filepath.Join(p.Dir, name))
		}
		return found, err
	}
	beside := name
	if !IsTest(name) {
		beside = strings.TrimSuffix(name, ".star") + testSuffix
	}
	if p.exists(beside) {
		return []string{beside}, nil
	}
	if why := p.refused(beside); why != "" {
		return nil, usage("", "cannot read the tests %s: %s", beside, why)
	}
	if beside != name && p.exists(name) {
		return nil, usage("its tests would be the functions test_NAME(t) of "+beside, "%s has no tests beside it", name)
	}
	return nil, p.noTests(arg)
}

// named is the canonical name of what an argument means.
func (p *Project) named(arg string) (string, error) {
	if strings.HasPrefix(arg, stdPrefix) {
		return arg, nil
	}
	near := path.Join(p.inside, filepath.ToSlash(arg))
	if filepath.IsAbs(arg) {
		rel, err := filepath.Rel(p.Dir, arg)
		if err != nil {
			return "", usage("", "%s lies outside the project %s", arg, p.Dir)
		}
		near = filepath.ToSlash(rel)
	}
	if !filepath.IsLocal(near) {
		return "", usage("", "%s lies outside the project %s", arg, p.Dir)
	}
	if _, err := p.root.Stat(filepath.FromSlash(near)); errors.Is(err, fs.ErrNotExist) && !filepath.IsAbs(arg) {
		return path.Clean(filepath.ToSlash(arg)), nil
	}
	return near, nil
}

func (p *Project) noTests(arg string) error {
	var all []string
	for _, in := range []struct {
		fsys   fs.FS
		prefix string
	}{{p.root.FS(), ""}, {p.standard, ""}, {p.std, stdPrefix}} {
		found, err := testsIn(in.fsys, ".", in.prefix)
		if err == nil {
			all = append(all, found...)
		}
	}
	return usage("a folder is searched for files NAME"+testSuffix+"; @std means the library's", "there is no file or folder %s%s", arg, builtin.DidYouMean(arg, all))
}

// testsIn lists the files of tests below a folder, but not those of another project in it, nor hidden ones.
func testsIn(fsys fs.FS, dir, prefix string) ([]string, error) {
	var out []string
	err := fs.WalkDir(fsys, dir, func(name string, d fs.DirEntry, err error) error {
		switch {
		case err != nil:
			return fmt.Errorf("cannot look for tests: %w", err)
		case !d.IsDir():
			if IsTest(name) && !strings.HasPrefix(d.Name(), ".") {
				out = append(out, prefix+name)
			}
		case name == dir:
		case strings.HasPrefix(d.Name(), "."):
			return fs.SkipDir
		default:
			if _, err := fs.Stat(fsys, path.Join(name, environmentsFile)); err == nil {
				return fs.SkipDir
			}
		}
		return nil
	})
	slices.Sort(out)
	return out, err
}

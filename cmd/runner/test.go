//go:build !windows

package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"strings"

	"github.com/erlmcp/runner/runtime/engine"
	"github.com/erlmcp/runner/runtime/host"
	"github.com/erlmcp/runner/runtime/script"
	"github.com/erlmcp/runner/runtime/trial"
	"github.com/erlmcp/runner/scripts"
	"github.com/erlmcp/runner/stdlib"
)

// tested is what "runner test" was asked for.
type tested struct {
	flags
	paths []string
	only  *regexp.Regexp
	cover *script.Cover
}

// testScripts is "runner test [PATHS] [-run REGEXP] [-cover]". Nothing is written, and no op touches the machine.
func (p *program) testScripts(f flags, args []string) (int, error) {
	t := &tested{flags: f}
	if err := t.read(args); err != nil {
		return 0, err
	}
	batches, err := p.testFiles(t.paths)
	if err != nil {
		return 0, err
	}
	out := newTestReport(p, t)
	for _, b := range batches {
		defer b.project.Close()
		if err := p.testBatch(t, b, out); err != nil {
			return 0, err
		}
	}
	return out.end()
}

// read takes the arguments. Both spellings of its flags are known: -run as go test has it, --run as runner has it.
func (t *tested) read(args []string) error {
	for i := 0; i < len(args); i++ {
		name, value, joined := strings.Cut(args[i], "=")
		switch {
		case name == "-cover" || name == "--cover":
			t.cover = script.NewCover()
		case name == "-run" || name == "--run":
			if !joined {
				if i++; i == len(args) {
					return &usage{name + " wants a value", "runner test -run REGEXP"}
				}
				value = args[i]
			}
			var err error
			if t.only, err = regexp.Compile(value); err != nil {
				return &usage{fmt.Sprintf("%s: %s", name, strings.TrimPrefix(err.Error(), "error parsing regexp: ")), "it is a regular expression that the names of tests match"}
			}
		case args[i] == "--":
		case strings.HasPrefix(args[i], "-"):
			return &usage{"there is no flag " + args[i] + suggest(args[i], []string{"-run", "-cover", "-v", "--output"}), "runner test [PATHS] [-run REGEXP] [-cover] [-v]"}
		default:
			t.paths = append(t.paths, args[i])
		}
	}
	return nil
}

// batch is the files of tests of one project.
type batch struct {
	project *script.Project
	files   []string
}

// testFiles finds the files that the paths mean; none means those of the project.
func (p *program) testFiles(paths []string) ([]*batch, error) {
	if len(paths) == 0 {
		proj, err := script.FindProject(p.dir, scripts.FS, stdlib.FS)
		if err != nil {
			return nil, err
		}
		found, err := proj.Tests(proj.Dir)
		return []*batch{{proj, found}}, err
	}
	var out []*batch
	seen := map[string]bool{}
	for _, path := range paths {
		proj, err := p.projectOf(path)
		if err != nil {
			return nil, err
		}
		b := &batch{project: proj}
		found, err := proj.Tests(p.seenFrom(proj, path))
		if err != nil {
			proj.Close()
			return nil, err
		}
		for _, name := range found {
			key := name
			if !strings.HasPrefix(name, "@") {
				key = filepath.Join(proj.Dir, name)
			}
			if !seen[key] {
				b.files = append(b.files, name)
			}
			seen[key] = true
		}
		out = append(out, b)
	}
	return out, nil
}

// seenFrom is a path as the project looks for it: one that is there by its place, any other by its name.
func (p *program) seenFrom(proj *script.Project, path string) string {
	if at := p.at(path); !strings.HasPrefix(path, "@") {
		if _, err := os.Stat(at); err == nil {
			return at
		}
	}
	return path
}

func (p *program) at(path string) string {
	if filepath.IsAbs(path) {
		return path
	}
	return filepath.Join(p.dir, path)
}

// projectOf is the project in which a path lies; one that is in none is its own folder's.
func (p *program) projectOf(path string) (*script.Project, error) {
	dir := p.dir
	if info, err := os.Stat(p.at(path)); err == nil && !strings.HasPrefix(path, "@") {
		if dir = p.at(path); !info.IsDir() {
			dir = filepath.Dir(dir)
		}
	}
	proj, err := script.FindProject(dir, scripts.FS, stdlib.FS)
	if none := (*script.NoProject)(nil); errors.As(err, &none) {
		return script.OpenFolder(dir, scripts.FS, stdlib.FS)
	}
	return proj, err
}

func (p *program) testBatch(t *tested, b *batch, out *testReport) error {
	s, err := p.surround(b.project.Dir, t.State)
	if err != nil {
		return err
	}
	c := &trial.Config{
		Project: b.project, Clock: host.SystemClock{}, Started: out.started, Ended: out.test,
		Options: script.Options{Families: s.families, Limits: t.limits(), Clock: host.SystemClock{}, Abandon: p.abandon, Cover: t.cover},
		Target: func(target any) (string, error) {
			id, _, err := s.home(target)
			return id, err
		},
	}
	for _, name := range b.files {
		out.file(c.File(context.Background(), name, t.only))
	}
	return nil
}

// exit is the code for what the tests found.
func (r *testReport) exit() int {
	switch {
	case r.mistakes > 0:
		return engine.ExitUsage
	case r.failed > 0:
		return engine.ExitFailed
	}
	return engine.ExitHolds
}

package script

import (
	"crypto/sha256"
	"errors"
	"fmt"
	"io/fs"
	"path"
	"path/filepath"
	"slices"
	"strings"

	"go.starlark.net/starlark"
	"go.starlark.net/syntax"

	"github.com/erlmcp/runner/runtime/builtin"
	"github.com/erlmcp/runner/runtime/op"
)

// File is one file of a script, as it was loaded.
type File struct {
	Name    string // as positions show it
	Source  string
	Digest  string // SHA-256, hex
	BuiltIn bool
}

// module is a file that is loaded, or is being loaded.
type module struct {
	File
	done    bool
	globals starlark.StringDict
	err     error
	calls   map[[2]int32]*syntax.CallExpr // by their opening parenthesis
}

// loader loads each file once.
type loader struct {
	project  *Project
	script   *Script
	kinds    *builtin.Kinds
	universe starlark.StringDict
	modules  map[string]*module
	chain    []string // being loaded, outermost first
}

func newLoader(p *Project, s *Script) *loader {
	kinds := builtin.NewKinds(s.options.Families)
	return &loader{project: p, script: s, kinds: kinds, universe: universe(s, kinds), modules: map[string]*module{}}
}

func (l *loader) files() []File {
	var out []File
	for _, m := range l.modules {
		out = append(out, m.File)
	}
	slices.SortFunc(out, func(a, b File) int { return strings.Compare(a.Name, b.Name) })
	return out
}

// load gives a module's globals, by its canonical name, loading it on the thread when it is met first.
func (l *loader) load(t *starlark.Thread, name string) (starlark.StringDict, error) {
	if m := l.modules[name]; m != nil {
		if !m.done {
			at := slices.Index(l.chain, name)
			return nil, fmt.Errorf("files load each other: %s", strings.Join(append(slices.Clone(l.chain[at:]), name), " -> "))
		}
		return m.globals, m.err
	}
	m := &module{File: File{Name: name}}
	l.modules[name] = m
	l.chain = append(l.chain, name)
	m.globals, m.err = l.exec(t, m)
	l.chain = l.chain[:len(l.chain)-1]
	m.done = true
	return m.globals, m.err
}

func (l *loader) exec(t *starlark.Thread, m *module) (starlark.StringDict, error) {
	src, builtIn, err := l.project.read(m.Name, l.script.options.Limits.source())
	if err != nil {
		return nil, l.cannotRead(m.Name, err)
	}
	m.Source, m.BuiltIn, m.Digest = string(src), builtIn, fmt.Sprintf("%x", sha256.Sum256(src))
	prog, err := l.compile(m)
	if err != nil {
		return nil, err
	}
	globals, err := initialize(t, prog, l.universe)
	if err != nil {
		return nil, err
	}
	if m.Name == environmentsFile {
		if err := nameEnvironments(globals); err != nil {
			return nil, err
		}
	}
	globals.Freeze()
	return globals, nil
}

var fileOptions = syntax.FileOptions{Set: true}

func (l *loader) compile(m *module) (*starlark.Program, error) {
	f, err := parse(m.Name, m.Source)
	if err != nil {
		return nil, err
	}
	m.calls = callsOf(f)
	l.script.options.Cover.instrument(m.Name, f)
	rewrite(f, l.script.options.Plan)
	return l.resolved(f)
}

func (l *loader) cannotRead(name string, err error) error {
	var pe *fs.PathError
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return op.Hint(fmt.Errorf("there is no file %s%s", name, builtin.DidYouMean(name, l.project.List())),
			`a path is seen from the loading file; the library is "@std/NAME.star"`)
	case errors.As(err, &pe):
		return fmt.Errorf("cannot read %s: %w", name, pe.Err)
	}
	return err
}

// follow is the canonical name of what a file loads.
func (l *loader) follow(from, name string) (string, error) {
	if rest, ok := strings.CutPrefix(name, stdPrefix); ok {
		if !fs.ValidPath(rest) {
			return "", fmt.Errorf("%s names no file of the library", name)
		}
		return name, nil
	}
	prefix, from := "", from
	if rest, ok := strings.CutPrefix(from, stdPrefix); ok {
		prefix, from = stdPrefix, rest
	}
	to := path.Join(path.Dir(from), name)
	if path.IsAbs(name) || strings.Contains(name, `\`) || !filepath.IsLocal(to) {
		return "", op.Hint(fmt.Errorf("%s lies outside the project", name), "a path is relative to the loading file")
	}
	return prefix + to, nil
}

// loadFor is what a thread's load statements call.
func (l *loader) loadFor(t *starlark.Thread, name string) (starlark.StringDict, error) {
	from := t.CallFrame(0).Pos.Filename()
	to, err := l.follow(from, name)
	if err != nil {
		return nil, err
	}
	globals, err := l.load(t, to)
	if err != nil {
		return nil, err
	}
	exported := starlark.StringDict{}
	for n, v := range globals {
		if !strings.HasPrefix(n, "_") {
			exported[n] = v
		}
	}
	return exported, nil
}

// nameEnvironments gives every exported environment the name of its variable.
func nameEnvironments(globals starlark.StringDict) error {
	for name, v := range globals {
		d, ok := v.(*builtin.Data)
		if !ok || !d.IsNamed() || strings.HasPrefix(name, "_") {
			continue
		}
		named, err := d.WithName(name)
		if err != nil {
			return fmt.Errorf("%s: %w", name, err)
		}
		globals[name] = named
	}
	return nil
}

func environmentNames(globals starlark.StringDict) []string {
	var out []string
	for _, name := range globals.Keys() {
		if d, ok := globals[name].(*builtin.Data); ok && d.IsNamed() && !strings.HasPrefix(name, "_") {
			out = append(out, name)
		}
	}
	return out
}

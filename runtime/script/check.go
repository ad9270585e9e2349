package script

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"go.starlark.net/starlark"
	"go.starlark.net/syntax"

	"github.com/erlmcp/runner/runtime/builtin"
	"github.com/erlmcp/runner/runtime/op"
)

// Checked is what Check has found.
type Checked struct {
	Files    []File // that were looked at
	Mistakes []Mistake
}

// Mistake is one that shows without running a script.
type Mistake struct {
	Report
	File         string
	Line, Column int // 0 where it is nowhere in a file
}

// Check looks for mistakes in scripts, and in all that they load, and runs none of them but environments.star, whose
// values it makes. Without names it looks at every script of the project, and at the standard ones. Like Parse it wants
// the caller's own flags. The error is why it cannot look.
func Check(ctx context.Context, p *Project, names []string, o Options, extra any) (Checked, error) {
	s := &Script{Name: environmentsFile, project: p, options: o, budget: newBudget(o.Limits)}
	s.loader = newLoader(p, s)
	c := &checker{loader: s.loader, kinds: builtin.NewKinds(o.Families), flags: extra, files: map[string]*checkedFile{}}
	c.file(place{environmentsFile, 1, 1}, environmentsFile)
	var more []Report
	if len(c.found) == 0 {
		made := &Script{Name: environmentsFile, project: p, options: o, budget: newBudget(o.Limits)}
		made.loader = newLoader(p, made)
		globals, err := made.environments(ctx)
		if err != nil {
			r := Diagnose(made.sourced(err))
			more = append(append(more, r), r.More...)
		}
		s.loader.modules[environmentsFile].globals = globals
	}
	if len(names) == 0 {
		names = slices.DeleteFunc(p.list(-1, true), func(n string) bool { return strings.HasPrefix(n, stdPrefix) })
	}
	for _, n := range names {
		name, err := p.canonical(n)
		if err != nil {
			return Checked{}, err
		}
		c.file(place{name, 1, 1}, name)
	}
	return c.result(more), nil
}

// checker goes through files, each once.
type checker struct {
	loader *loader
	kinds  *builtin.Kinds
	flags  any
	files  map[string]*checkedFile
	chain  []string // being looked at, outermost first
	found  []*sourceError
}

// checkedFile is a file as far as it shows without running it.
type checkedFile struct {
	name    string
	exports []string
	defs    map[string]*syntax.DefStmt
	open    bool // its names are not known: it does not parse, or is still being looked at

	callable map[*syntax.Ident]*syntax.DefStmt // by the name that is bound: its own functions, and those that it loads
}

func (c *checker) add(at syntax.Position, err error) { c.addAt(placeOf(at), err) }
func (c *checker) addAt(at place, err error)         { c.found = append(c.found, &sourceError{at, err}) }

// result sorts what was found; what is said twice is said once.
func (c *checker) result(more []Report) Checked {
	out := Checked{Files: c.loader.files()}
	for _, e := range c.found {
		out.Mistakes = append(out.Mistakes, Mistake{c.loader.static(e), e.at.file, e.at.line, e.at.col})
	}
	for _, r := range more {
		m := Mistake{Report: r}
		if parts := strings.Split(r.At, ":"); len(parts) == 3 {
			m.File = parts[0]
			fmt.Sscan(parts[1], &m.Line)
			fmt.Sscan(parts[2], &m.Column)
		}
		m.More = nil
		out.Mistakes = append(out.Mistakes, m)
	}
	slices.SortStableFunc(out.Mistakes, func(a, b Mistake) int {
		if n := strings.Compare(a.File, b.File); n != 0 {
			return n
		}
		if a.Line != b.Line {
			return a.Line - b.Line
		}
		return a.Column - b.Column
	})
	out.Mistakes = slices.CompactFunc(out.Mistakes, func(a, b Mistake) bool { return a.At == b.At && a.At != "" })
	return out
}

// file looks at a file that is named at a place, and gives nil where it cannot be read.
func (c *checker) file(at place, name string) *checkedFile {
	if f, ok := c.files[name]; ok {
		if i := slices.Index(c.chain, name); i >= 0 {
			c.addAt(at, op.Hint(fmt.Errorf("files load each other: %s", strings.Join(append(slices.Clone(c.chain[i:]), name), " -> ")),
				"move what both need into a third file"))
		}
		return f
	}
	src, builtIn, err := c.loader.project.read(name, c.loader.script.options.Limits.source())
	if err != nil {
		c.files[name] = nil
		c.addAt(at, c.loader.cannotRead(name, err))
		return nil
	}
	f := &checkedFile{name: name, open: true, defs: map[string]*syntax.DefStmt{}, callable: map[*syntax.Ident]*syntax.DefStmt{}}
	m := &module{File: File{Name: name, Source: string(src), BuiltIn: builtIn}}
	c.files[name], c.loader.modules[name] = f, m
	tree, err := parse(name, m.Source)
	if err != nil {
		c.refused(name, err)
		return f
	}
	m.calls = callsOf(tree)
	c.exports(f, tree)
	c.chain = append(c.chain, name)
	c.loads(f, tree)
	c.chain = c.chain[:len(c.chain)-1]
	if _, err := c.loader.resolved(tree); err != nil {
		c.refused(name, err)
	}
	c.signature(tree)
	c.calls(f, tree)
	return f
}

// refused adds what a parser or a resolver says.
func (c *checker) refused(name string, err error) {
	if list, ok := err.(mistakes); ok {
		c.found = append(c.found, list...)
		return
	}
	c.addAt(place{name, 1, 1}, err)
}

func (c *checker) exports(f *checkedFile, tree *syntax.File) {
	for _, s := range tree.Stmts {
		switch s := s.(type) {
		case *syntax.DefStmt:
			f.exports, f.defs[s.Name.Name], f.callable[s.Name] = append(f.exports, s.Name.Name), s, s
		case *syntax.AssignStmt:
			f.exports = append(f.exports, targets(s.LHS)...)
		}
	}
	f.exports = slices.DeleteFunc(f.exports, func(n string) bool { return strings.HasPrefix(n, "_") })
	f.open = false
}

// loads follows the load statements of a file.
func (c *checker) loads(f *checkedFile, tree *syntax.File) {
	for _, s := range tree.Stmts {
		l, ok := s.(*syntax.LoadStmt)
		if !ok {
			continue
		}
		to, err := c.loader.follow(f.name, l.ModuleName())
		if err != nil {
			c.add(l.Module.TokenPos, err)
			continue
		}
		from := c.file(placeOf(l.Module.TokenPos), to)
		if from == nil || from.open {
			continue
		}
		for i, id := range l.From {
			def := from.defs[id.Name]
			if def != nil {
				f.callable[l.To[i]] = def
			}
			if !slices.Contains(from.exports, id.Name) && !strings.HasPrefix(id.Name, "_") {
				err := fmt.Errorf("%s has no %s%s", l.ModuleName(), id.Name, builtin.DidYouMean(id.Name, from.exports))
				c.add(id.NamePos, op.Hint(err, "it has %s", strings.Join(from.exports, ", ")))
			}
		}
	}
}

// signature looks at the parameters of main, which are the command line.
func (c *checker) signature(tree *syntax.File) {
	for _, s := range tree.Stmts {
		def, ok := s.(*syntax.DefStmt)
		if !ok || def.Name.Name != "main" {
			continue
		}
		sig := Signature{}
		for _, p := range def.Params {
			switch p := p.(type) {
			case *syntax.UnaryExpr:
				c.add(def.Name.NamePos, errMainParams())
				return
			case *syntax.BinaryExpr:
				id := p.X.(*syntax.Ident)
				param := Param{Name: id.Name, Type: TypeString, pos: id.NamePos}
				if v := c.value(p.Y); !isUnknown(v) {
					if param.Type = typeOf(v); param.Type == "" {
						c.add(id.NamePos, errMainDefault(param, v.Type()))
					}
				}
				sig.Params = append(sig.Params, param)
			}
		}
		if e, ok := (&Script{Signature: sig, loader: c.loader}).reserved(c.flags).(*sourced); ok {
			c.refused(tree.Path, mistakes{e.error.(*sourceError)})
		}
	}
}

func isUnknown(v starlark.Value) bool { return builtin.CheckKnown(v) != nil }

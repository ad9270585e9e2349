package script

import (
	"errors"
	"maps"
	"slices"
	"strings"

	"go.starlark.net/resolve"
	"go.starlark.net/starlark"
	"go.starlark.net/syntax"

	"github.com/erlmcp/runner/runtime/builtin"
)

// sourceError is a mistake that shows without running the script.
type sourceError struct {
	at place
	error
}

func (e *sourceError) Unwrap() error { return e.error }

// mistakes are all that are found in one file, in its order; never empty.
type mistakes []*sourceError

func (m mistakes) Error() string { return m[0].Error() }

func (m mistakes) sorted() error {
	if len(m) == 0 {
		return nil
	}
	slices.SortStableFunc(m, func(a, b *sourceError) int {
		if a.at.line != b.at.line {
			return a.at.line - b.at.line
		}
		return a.at.col - b.at.col
	})
	// The first at a place explains those that follow from it.
	return slices.CompactFunc(m, func(a, b *sourceError) bool { return a.at == b.at })
}

// parse reads a file. Its error is mistakes.
func parse(name, src string) (*syntax.File, error) {
	f, err := fileOptions.Parse(name, src, 0)
	var se syntax.Error
	if errors.As(err, &se) {
		at := placeOf(se.Pos)
		at, explained := explainSyntax(at, se.Msg, src)
		return nil, mistakes{{at, explained}}
	}
	return f, err
}

// resolved compiles a file. Its error is mistakes.
func (l *loader) resolved(f *syntax.File) (*starlark.Program, error) {
	names := append(l.names(), boundIn(f)...)
	found := misuses(f, l.universe)
	prog, err := starlark.FileProgram(f, l.universe.Has)
	var list resolve.ErrorList
	if errors.As(err, &list) {
		for _, e := range list {
			found = append(found, &sourceError{placeOf(e.Pos), l.explainName(e.Msg, names)})
		}
	} else if err != nil {
		return nil, err
	}
	return prog, mistakes(found).sorted()
}

// names are those that scripts see without loading them.
func (l *loader) names() []string {
	names := slices.Collect(maps.Keys(l.universe))
	names = append(names, "None", "True", "False")
	return slices.DeleteFunc(names, hidden)
}

// boundIn lists every name that a file gives to something.
func boundIn(f *syntax.File) []string {
	var out []string
	syntax.Walk(f, func(n syntax.Node) bool {
		switch n := n.(type) {
		case *syntax.DefStmt:
			out = append(out, n.Name.Name)
			out = append(out, paramNames(n.Params)...)
		case *syntax.LambdaExpr:
			out = append(out, paramNames(n.Params)...)
		case *syntax.AssignStmt:
			out = append(out, targets(n.LHS)...)
		case *syntax.ForStmt:
			out = append(out, targets(n.Vars)...)
		case *syntax.ForClause:
			out = append(out, targets(n.Vars)...)
		case *syntax.LoadStmt:
			for _, id := range n.To {
				out = append(out, id.Name)
			}
		}
		return true
	})
	return out
}

func paramNames(params []syntax.Expr) []string {
	var out []string
	for _, p := range params {
		switch p := p.(type) {
		case *syntax.BinaryExpr:
			out = append(out, targets(p.X)...)
		case *syntax.UnaryExpr:
			if p.X != nil {
				out = append(out, targets(p.X)...)
			}
		default:
			out = append(out, targets(p)...)
		}
	}
	return out
}

// targets are the names that an assignment sets.
func targets(x syntax.Expr) []string {
	switch x := x.(type) {
	case *syntax.Ident:
		return []string{x.Name}
	case *syntax.ParenExpr:
		return targets(x.X)
	case *syntax.TupleExpr:
		return slices.Concat(each(x.List)...)
	case *syntax.ListExpr:
		return slices.Concat(each(x.List)...)
	}
	return nil
}

func each(xs []syntax.Expr) [][]string {
	var out [][]string
	for _, x := range xs {
		out = append(out, targets(x))
	}
	return out
}

// isFamily reports whether a name is a family or another module of the universe.
func isFamily(universe starlark.StringDict, name string) bool {
	_, ok := universe[name].(*builtin.Module)
	return ok && !strings.HasPrefix(name, " ")
}

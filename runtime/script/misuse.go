package script

import (
	"fmt"
	"slices"

	"go.starlark.net/starlark"
	"go.starlark.net/syntax"

	"github.com/erlmcp/runner/runtime/op"
)

// misuse looks for two mistakes that would show only while the script runs, maybe after it has changed something.
type misuse struct {
	universe starlark.StringDict
	globals  []string
	found    []*sourceError
}

// misuses finds names of families that are used after a function, or the file, has taken them for its own, and
// variables of the file that a function would change.
func misuses(f *syntax.File, universe starlark.StringDict) []*sourceError {
	m := &misuse{universe: universe}
	for _, s := range f.Stmts {
		if a, ok := s.(*syntax.AssignStmt); ok {
			m.globals = append(m.globals, targets(a.LHS)...)
		}
	}
	m.block(f.Stmts, nil, false)
	return m.found
}

// block goes through statements; bound are the names given so far.
func (m *misuse) block(stmts []syntax.Stmt, bound []string, inFunction bool) []string {
	for _, s := range stmts {
		switch s := s.(type) {
		case *syntax.AssignStmt:
			bound = m.assign(s, bound, inFunction)
		case *syntax.DefStmt:
			m.block(s.Body, paramNames(s.Params), true)
		case *syntax.ForStmt:
			bound = m.block(s.Body, append(bound, targets(s.Vars)...), inFunction)
		case *syntax.IfStmt:
			bound = m.block(s.True, bound, inFunction)
			bound = m.block(s.False, bound, inFunction)
		case *syntax.LoadStmt:
			for _, id := range s.To {
				bound = append(bound, id.Name)
			}
		}
	}
	return bound
}

func (m *misuse) assign(s *syntax.AssignStmt, bound []string, inFunction bool) []string {
	names := targets(s.LHS)
	for _, n := range names {
		if slices.Contains(bound, n) {
			continue
		}
		if at, used := m.uses(s.RHS, n); used && isFamily(m.universe, n) {
			m.add(at, "the assignment makes it one: give the result another name, such as "+another(n), "%s is a variable here, not the family %s", n, n)
		} else if (used || s.Op != syntax.EQ) && inFunction && slices.Contains(m.globals, n) {
			m.add(syntax.Start(s.LHS), "return the new value, or keep it in a variable of the function", "%s belongs to the file: a function cannot change it", n)
		}
	}
	return append(bound, names...)
}

func (m *misuse) add(at syntax.Position, hint, format string, args ...any) {
	m.found = append(m.found, &sourceError{placeOf(at), op.Hint(fmt.Errorf(format, args...), "%s", hint)})
}

// uses finds where an expression reads the name.
func (m *misuse) uses(x syntax.Expr, name string) (at syntax.Position, used bool) {
	syntax.Walk(x, func(n syntax.Node) bool {
		switch n := n.(type) {
		case *syntax.Ident:
			if n.Name == name && !used {
				at, used = n.NamePos, true
			}
		case *syntax.DotExpr:
			if a, ok := m.uses(n.X, name); ok && !used {
				at, used = a, true
			}
			return false // .name is no use of name
		case *syntax.BinaryExpr:
			if n.Op == syntax.EQ {
				if a, ok := m.uses(n.Y, name); ok && !used {
					at, used = a, true
				}
				return false
			}
		}
		return true
	})
	return at, used
}

// another is a name for one of several: release for releases.
func another(name string) string {
	if l := len(name); l > 1 && name[l-1] == 's' {
		return name[:l-1]
	}
	return "my_" + name
}

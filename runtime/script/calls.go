package script

import (
	"fmt"

	"go.starlark.net/syntax"
)

// place is where something is, in a file of the script.
type place struct {
	file      string
	line, col int
}

func (p place) String() string { return fmt.Sprintf("%s:%d:%d", p.file, p.line, p.col) }

func placeOf(p syntax.Position) place { return place{p.Filename(), int(p.Line), int(p.Col)} }

// callsOf finds the calls of a file by their opening parenthesis, which is where starlark-go says that a call is.
func callsOf(f *syntax.File) map[[2]int32]*syntax.CallExpr {
	calls := map[[2]int32]*syntax.CallExpr{}
	syntax.Walk(f, func(n syntax.Node) bool {
		if c, ok := n.(*syntax.CallExpr); ok {
			calls[[2]int32{c.Lparen.Line, c.Lparen.Col}] = c
		}
		return true
	})
	return calls
}

func (l *loader) callAt(pos syntax.Position) *syntax.CallExpr {
	if m := l.modules[pos.Filename()]; m != nil {
		return m.calls[[2]int32{pos.Line, pos.Col}]
	}
	return nil
}

// start is the start of the call whose parenthesis opens at pos; pos itself where there is none.
func (l *loader) start(pos syntax.Position) place {
	if c := l.callAt(pos); c != nil {
		start, _ := c.Span()
		return placeOf(start)
	}
	return placeOf(pos)
}

// argument is where the argument of that name, or at that index, stands in the call at pos.
func (l *loader) argument(pos syntax.Position, name string, index int) (place, bool) {
	c := l.callAt(pos)
	if c == nil {
		return place{}, false
	}
	for i, a := range c.Args {
		b, named := a.(*syntax.BinaryExpr)
		if named = named && b.Op == syntax.EQ; named {
			if id, ok := b.X.(*syntax.Ident); ok && id.Name == name {
				return placeOf(syntax.Start(b.X)), true
			}
		}
		if u, ok := a.(*syntax.UnaryExpr); ok && (u.Op == syntax.STAR || u.Op == syntax.STARSTAR) {
			continue
		}
		if !named && i == index {
			return placeOf(syntax.Start(a)), true
		}
	}
	return place{}, false
}

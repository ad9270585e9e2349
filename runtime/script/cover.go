package script

import (
	"slices"
	"strings"
	"sync"
	"sync/atomic"

	"go.starlark.net/starlark"
	"go.starlark.net/syntax"
)

// coverName is the builtin, which no script can write, that stands before each statement where lines are counted.
const coverName = " cover"

// Cover counts which lines of scripts ran. Files of tests do not count.
type Cover struct {
	mu    sync.Mutex
	files map[string]*covered
}

// covered are the statements of a file, by where they begin.
type covered struct {
	lines []int
	hit   []atomic.Bool
}

// Covered is what Cover says of a file.
type Covered struct {
	File  string
	Lines int   // that hold a statement
	Hit   int   // that ran
	Never []int // the others
}

// NewCover counts nothing yet.
func NewCover() *Cover { return &Cover{files: map[string]*covered{}} }

// Files tells of every file that was loaded, by name.
func (c *Cover) Files() []Covered {
	c.mu.Lock()
	defer c.mu.Unlock()
	var out []Covered
	for name, f := range c.files {
		ran := map[int]bool{}
		for i, line := range f.lines {
			ran[line] = ran[line] || f.hit[i].Load()
		}
		k := Covered{File: name, Lines: len(ran)}
		for line, hit := range ran {
			if hit {
				k.Hit++
			} else {
				k.Never = append(k.Never, line)
			}
		}
		slices.Sort(k.Never)
		out = append(out, k)
	}
	slices.SortFunc(out, func(a, b Covered) int { return strings.Compare(a.File, b.File) })
	return out
}

// instrument puts a mark before each statement of a file.
func (c *Cover) instrument(name string, f *syntax.File) {
	if c == nil || IsTest(name) {
		return
	}
	k := &covered{}
	f.Stmts = k.block(name, f.Stmts)
	k.hit = make([]atomic.Bool, len(k.lines))
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.files[name] == nil { // each file of tests loads its own, of the same source
		c.files[name] = k
	}
}

func (k *covered) block(name string, stmts []syntax.Stmt) []syntax.Stmt {
	var out []syntax.Stmt
	for _, s := range stmts {
		switch s := s.(type) {
		case *syntax.LoadStmt:
		case *syntax.DefStmt:
			s.Body = k.block(name, s.Body)
		case *syntax.ExprStmt:
			if _, literal := s.X.(*syntax.Literal); !literal {
				out = append(out, k.mark(name, s))
			}
		case *syntax.IfStmt:
			out = append(out, k.mark(name, s))
			s.True, s.False = k.block(name, s.True), k.block(name, s.False)
		case *syntax.ForStmt:
			out = append(out, k.mark(name, s))
			s.Body = k.block(name, s.Body)
		default:
			out = append(out, k.mark(name, s))
		}
		out = append(out, s)
	}
	return out
}

// mark is the call before a statement: " cover"("deploy.star", 7).
func (k *covered) mark(name string, s syntax.Stmt) syntax.Stmt {
	at, _ := s.Span()
	n := len(k.lines)
	k.lines = append(k.lines, int(at.Line))
	return &syntax.ExprStmt{X: &syntax.CallExpr{Fn: &syntax.Ident{NamePos: at, Name: coverName}, Lparen: at, Rparen: at, Args: []syntax.Expr{
		&syntax.Literal{Token: syntax.STRING, TokenPos: at, Value: name},
		&syntax.Literal{Token: syntax.INT, TokenPos: at, Value: int64(n)},
	}}}
}

// count is the builtin.
func (c *Cover) count(_ *starlark.Thread, _ *starlark.Builtin, args starlark.Tuple, _ []starlark.Tuple) (starlark.Value, error) {
	n, _ := starlark.AsInt32(args[1])
	c.mu.Lock()
	f := c.files[string(args[0].(starlark.String))]
	c.mu.Unlock()
	f.hit[n].Store(true)
	return starlark.None, nil
}

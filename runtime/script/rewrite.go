package script

import (
	"go.starlark.net/syntax"
)

// Names that no script can write.
const (
	equalName   = " equal"   // refuses an unknown, and what has one in it
	truthName   = " truth"   // refuses an unknown
	memberName  = " member"  // refuses what has an unknown among its elements or keys
	operandName = " operand" // refuses what % must not put into a text
	textName    = " text"    // gives texts methods that refuse unknowns and secrets
)

// rewriter puts checks into a syntax tree. What it wraps keeps its position.
type rewriter struct{ plan bool }

// rewrite puts checks where starlark-go offers no hook: before % and .format, which would put a secret's mask into a
// text; and in a plan around everything that decides, which an unknown must not.
func rewrite(f *syntax.File, plan bool) {
	r := &rewriter{plan}
	r.stmts(f.Stmts)
}

func wrap(name string, x syntax.Expr) syntax.Expr {
	start, end := x.Span()
	return &syntax.CallExpr{Fn: &syntax.Ident{NamePos: start, Name: name}, Lparen: start, Args: []syntax.Expr{x}, Rparen: end}
}

// decides wraps what is true or false, or gone through.
func (r *rewriter) decides(x syntax.Expr) syntax.Expr { return r.checked(truthName, x) }

func (r *rewriter) checked(name string, x syntax.Expr) syntax.Expr {
	x = r.expr(x)
	if !r.plan {
		return x
	}
	return wrap(name, x)
}

func (r *rewriter) stmts(stmts []syntax.Stmt) {
	for _, s := range stmts {
		r.stmt(s)
	}
}

func (r *rewriter) stmt(s syntax.Stmt) {
	switch s := s.(type) {
	case *syntax.AssignStmt:
		s.RHS = r.expr(s.RHS)
		if s.Op == syntax.PERCENT_EQ {
			s.RHS = wrap(operandName, s.RHS)
		}
		r.target(s.LHS)
	case *syntax.DefStmt:
		r.params(s.Params)
		r.stmts(s.Body)
	case *syntax.ExprStmt:
		// A docstring stays a literal.
		if _, literal := s.X.(*syntax.Literal); !literal {
			s.X = r.expr(s.X)
		}
	case *syntax.ForStmt:
		r.target(s.Vars)
		s.X = r.decides(s.X)
		r.stmts(s.Body)
	case *syntax.WhileStmt:
		s.Cond = r.decides(s.Cond)
		r.stmts(s.Body)
	case *syntax.IfStmt:
		s.Cond = r.decides(s.Cond)
		r.stmts(s.True)
		r.stmts(s.False)
	case *syntax.ReturnStmt:
		if s.Result != nil {
			s.Result = r.expr(s.Result)
		}
	}
}

// target rewrites what is inside the left side of an assignment, which itself must stay one.
func (r *rewriter) target(x syntax.Expr) {
	switch x := x.(type) {
	case *syntax.IndexExpr:
		x.X, x.Y = r.expr(x.X), r.expr(x.Y)
	case *syntax.DotExpr:
		x.X = r.expr(x.X)
	case *syntax.ParenExpr:
		r.target(x.X)
	case *syntax.TupleExpr:
		for _, e := range x.List {
			r.target(e)
		}
	case *syntax.ListExpr:
		for _, e := range x.List {
			r.target(e)
		}
	}
}

func (r *rewriter) params(params []syntax.Expr) {
	for _, p := range params {
		if b, ok := p.(*syntax.BinaryExpr); ok {
			b.Y = r.expr(b.Y)
		}
	}
}

func (r *rewriter) all(xs []syntax.Expr) {
	for i, x := range xs {
		xs[i] = r.expr(x)
	}
}

func (r *rewriter) expr(x syntax.Expr) syntax.Expr {
	switch x := x.(type) {
	case *syntax.BinaryExpr:
		r.binary(x)
	case *syntax.CallExpr:
		r.call(x)
	case *syntax.Comprehension:
		r.comprehension(x)
	case *syntax.CondExpr:
		x.Cond, x.True, x.False = r.decides(x.Cond), r.expr(x.True), r.expr(x.False)
	case *syntax.DictEntry:
		x.Key, x.Value = r.expr(x.Key), r.expr(x.Value)
	case *syntax.DictExpr:
		r.all(x.List)
	case *syntax.DotExpr:
		x.X = r.expr(x.X)
	case *syntax.IndexExpr:
		x.X, x.Y = r.expr(x.X), r.expr(x.Y)
	case *syntax.LambdaExpr:
		r.params(x.Params)
		x.Body = r.expr(x.Body)
	case *syntax.ListExpr:
		r.all(x.List)
	case *syntax.ParenExpr:
		x.X = r.expr(x.X)
	case *syntax.SliceExpr:
		r.slice(x)
	case *syntax.TupleExpr:
		r.all(x.List)
	case *syntax.UnaryExpr:
		if x.Op == syntax.NOT {
			x.X = r.decides(x.X)
		} else if x.X != nil {
			x.X = r.expr(x.X)
		}
	}
	return x
}

func (r *rewriter) slice(x *syntax.SliceExpr) {
	x.X = r.expr(x.X)
	for _, e := range []*syntax.Expr{&x.Lo, &x.Hi, &x.Step} {
		if *e != nil {
			*e = r.expr(*e)
		}
	}
}

func (r *rewriter) binary(x *syntax.BinaryExpr) {
	switch x.Op {
	case syntax.EQL, syntax.NEQ, syntax.LT, syntax.GT, syntax.LE, syntax.GE:
		x.X, x.Y = r.checked(equalName, x.X), r.checked(equalName, x.Y)
	case syntax.IN, syntax.NOT_IN:
		x.X, x.Y = r.checked(equalName, x.X), r.checked(memberName, x.Y)
	case syntax.AND, syntax.OR:
		x.X, x.Y = r.decides(x.X), r.decides(x.Y)
	case syntax.PERCENT:
		x.X, x.Y = r.expr(x.X), wrap(operandName, r.expr(x.Y))
	default:
		x.X, x.Y = r.expr(x.X), r.expr(x.Y)
	}
}

func (r *rewriter) call(x *syntax.CallExpr) {
	x.Fn = r.expr(x.Fn)
	for i, a := range x.Args {
		if b, ok := a.(*syntax.BinaryExpr); ok && b.Op == syntax.EQ {
			b.Y = r.expr(b.Y)
		} else {
			x.Args[i] = r.expr(a)
		}
	}
	if d, ok := x.Fn.(*syntax.DotExpr); ok && (r.plan || d.Name.Name == "format") {
		d.X = wrap(textName, d.X)
	}
}

func (r *rewriter) comprehension(x *syntax.Comprehension) {
	x.Body = r.expr(x.Body)
	for _, c := range x.Clauses {
		switch c := c.(type) {
		case *syntax.ForClause:
			r.target(c.Vars)
			c.X = r.decides(c.X)
		case *syntax.IfClause:
			c.Cond = r.decides(c.Cond)
		}
	}
}

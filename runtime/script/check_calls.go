package script

import (
	"errors"
	"fmt"
	"math/big"
	"slices"
	"strings"

	"go.starlark.net/resolve"
	"go.starlark.net/starlark"
	"go.starlark.net/syntax"

	"github.com/erlmcp/runner/runtime/builtin"
	"github.com/erlmcp/runner/runtime/op"
)

// calls looks at every call of a file: arguments are bound as they would be in a run, with an Unknown for each that
// only a run knows.
func (c *checker) calls(f *checkedFile, tree *syntax.File) {
	var above []syntax.Node
	syntax.Walk(tree, func(n syntax.Node) bool {
		if n == nil {
			above = above[:len(above)-1]
			return false
		}
		above = append(above, n)
		switch n := n.(type) {
		case *syntax.DotExpr:
			c.member(n)
		case *syntax.CallExpr:
			c.call(f, n, !slices.ContainsFunc(above, func(o syntax.Node) bool { return inBody(o, n.Lparen) }))
		}
		return true
	})
}

// inBody reports whether what stands at a position runs when the function n is called; its defaults do before.
func inBody(n syntax.Node, at syntax.Position) bool {
	var body syntax.Position
	switch n := n.(type) {
	case *syntax.DefStmt:
		body = syntax.Start(n.Body[0])
	case *syntax.LambdaExpr:
		body = syntax.Start(n.Body)
	default:
		return false
	}
	return at.Line > body.Line || at.Line == body.Line && at.Col > body.Col
}

// given is the value of a name that scripts see without loading it, nil for any other.
func (c *checker) given(x syntax.Expr) starlark.Value {
	id, ok := x.(*syntax.Ident)
	if !ok {
		return nil
	}
	if b, ok := id.Binding.(*resolve.Binding); ok && (b.Scope == resolve.Predeclared || b.Scope == resolve.Universal) {
		if v := c.loader.universe[id.Name]; v != nil {
			return v
		}
		return starlark.Universe[id.Name]
	}
	return nil
}

// member wants a family, a module or run to have what is taken from it.
func (c *checker) member(x *syntax.DotExpr) {
	of, ok := c.given(x.X).(starlark.HasAttrs)
	if !ok {
		return
	}
	if _, err := of.Attr(x.Name.Name); err != nil {
		c.add(x.Name.NamePos, err)
	}
}

// callee is what a call calls, where that is built in.
func (c *checker) callee(x syntax.Expr) starlark.Value {
	if dot, ok := x.(*syntax.DotExpr); ok {
		if of, ok := c.given(dot.X).(starlark.HasAttrs); ok {
			v, _ := of.Attr(dot.Name.Name)
			return v
		}
		return nil
	}
	return c.given(x)
}

// arguments are those of a call.
type arguments struct {
	at     *syntax.CallExpr
	args   starlark.Tuple
	kwargs []starlark.Tuple
	spread bool // by * or **: there may be more
}

func (c *checker) arguments(x *syntax.CallExpr) arguments {
	a := arguments{at: x}
	for _, arg := range x.Args {
		switch arg := arg.(type) {
		case *syntax.UnaryExpr:
			if arg.Op == syntax.STAR || arg.Op == syntax.STARSTAR {
				a.spread = true
				continue
			}
		case *syntax.BinaryExpr:
			if id, ok := arg.X.(*syntax.Ident); ok && arg.Op == syntax.EQ {
				a.kwargs = append(a.kwargs, starlark.Tuple{starlark.String(id.Name), c.value(arg.Y)})
				continue
			}
		}
		a.args = append(a.args, c.value(arg))
	}
	return a
}

func (c *checker) call(f *checkedFile, x *syntax.CallExpr, loading bool) {
	a := c.arguments(x)
	thread := &starlark.Thread{}
	switch fn := c.callee(x.Fn).(type) {
	case *builtin.Op:
		if loading {
			c.add(syntax.Start(x), (&flow{}).mayAct(fn.Name()))
		}
		c.bind(fn.Name(), a, 0, func(args starlark.Tuple, kwargs []starlark.Tuple) error {
			_, err := fn.Bind(thread, args, kwargs)
			return err
		})
	case *starlark.Builtin:
		c.core(fn.Name(), a)
	case starlark.Callable:
		c.bind(fn.Name(), a, 0, func(args starlark.Tuple, kwargs []starlark.Tuple) error {
			_, err := fn.CallInternal(thread, args, kwargs)
			return err
		})
	case nil:
		if id, ok := x.Fn.(*syntax.Ident); ok {
			if b, ok := id.Binding.(*resolve.Binding); ok && f.callable[b.First] != nil {
				c.function(id.Name, f.callable[b.First], a)
			}
		}
	}
}

// core looks at the calls that act on the run.
func (c *checker) core(name string, a arguments) {
	skip := 0
	var bind func(starlark.Tuple, []starlark.Tuple) error
	switch name {
	case "stage":
		bind = bindTo[Stage](c.kinds)
	case "recover":
		bind = bindTo[Recover](c.kinds)
	case "lease":
		bind = bindTo[Lease](c.kinds)
	case "unfinished":
		bind = bindTo[Unfinished](c.kinds)
	case "held":
		bind = bindTo[Held](c.kinds)
	case "commit":
		bind = bindTo[Commit](c.kinds)
	case "confirm":
		bind = bindTo[Confirm](c.kinds)
	case "on_undo":
		if len(a.at.Args) == 0 {
			return
		}
		o, ok := c.callee(a.at.Args[0]).(*builtin.Op)
		if !ok {
			return
		}
		name, skip = "on_undo: "+o.Name(), 1
		bind = func(args starlark.Tuple, kwargs []starlark.Tuple) error {
			_, err := o.Bind(&starlark.Thread{}, args, kwargs)
			return err
		}
	default:
		return
	}
	a.args = a.args[skip:]
	c.bind(name, a, skip, bind)
}

func bindTo[P any](kinds *builtin.Kinds) func(starlark.Tuple, []starlark.Tuple) error {
	return func(args starlark.Tuple, kwargs []starlark.Tuple) error {
		_, err := builtin.Bind[P](kinds, args, kwargs)
		return err
	}
}

// bind adds every mistake in the arguments of a call. An argument that is wrong is passed over to find the next.
func (c *checker) bind(name string, a arguments, skipped int, bind func(starlark.Tuple, []starlark.Tuple) error) {
	passed := map[string]bool{}
	for range len(a.args) + 2*len(a.kwargs) + 1 {
		err := bind(a.args, a.kwargs)
		var arg *builtin.ArgError
		if err == nil {
			return
		}
		if !errors.As(err, &arg) || arg.Param == "" {
			if !a.spread {
				c.add(syntax.Start(a.at), fmt.Errorf("%s: %w", name, err))
			}
			return
		}
		if !passed[arg.Param] {
			c.addAt(c.argumentAt(a.at, arg, skipped), fmt.Errorf("%s: %w", name, err))
		}
		a.pass(arg, passed[arg.Param])
		passed[arg.Param] = true
	}
}

func (c *checker) argumentAt(x *syntax.CallExpr, arg *builtin.ArgError, skipped int) place {
	index := arg.Index
	if index >= 0 {
		index += skipped
	}
	if at, ok := c.loader.argument(x.Lparen, arg.Param, index); ok {
		return at
	}
	return placeOf(syntax.Start(x))
}

// pass puts an Unknown in the place of a wrong argument, and takes it away where that was not enough.
func (a *arguments) pass(arg *builtin.ArgError, away bool) {
	if arg.Index >= 0 {
		a.args = slices.Clone(a.args)
		a.args[arg.Index] = unknown
		return
	}
	i := slices.IndexFunc(a.kwargs, func(kv starlark.Tuple) bool { return kv[0] == starlark.String(arg.Param) })
	if i < 0 {
		return
	}
	a.kwargs = slices.Clone(a.kwargs)
	if away {
		a.kwargs = slices.Delete(a.kwargs, i, i+1)
	} else {
		a.kwargs[i] = starlark.Tuple{a.kwargs[i][0], unknown}
	}
}

// unknown stands for what only a run knows.
var unknown = builtin.Unknown{Unknown: op.Unknown{After: "a run"}}

// function looks at the call of a function of the scripts.
func (c *checker) function(name string, def *syntax.DefStmt, a arguments) {
	if a.spread {
		return
	}
	var names, required []string
	positional, rest, named := 0, false, false
	for _, p := range def.Params {
		switch p := p.(type) {
		case *syntax.Ident:
			names, required = append(names, p.Name), append(required, p.Name)
		case *syntax.BinaryExpr:
			names = append(names, p.X.(*syntax.Ident).Name)
		case *syntax.UnaryExpr:
			rest = rest || p.Op == syntax.STAR && p.X != nil
			named = named || p.Op == syntax.STARSTAR
			positional = len(names) + 1 // what follows goes by name
		}
	}
	if positional--; positional < 0 {
		positional = len(names)
	}
	if len(a.args) > positional && !rest {
		c.add(syntax.Start(a.at), op.Hint(fmt.Errorf("%s takes at most %d arguments by position, got %d", name, positional, len(a.args)), "it takes %s", strings.Join(names, ", ")))
		return
	}
	given := names[:min(len(a.args), positional)]
	for _, kv := range a.kwargs {
		n := string(kv[0].(starlark.String))
		if !slices.Contains(names, n) && !named {
			at, _ := c.loader.argument(a.at.Lparen, n, -1)
			c.addAt(at, op.Hint(fmt.Errorf("%s has no parameter %s%s", name, n, builtin.DidYouMean(n, names)), "it takes %s", strings.Join(names, ", ")))
		}
		given = append(slices.Clone(given), n)
	}
	missing := slices.DeleteFunc(required, func(n string) bool { return slices.Contains(given, n) })
	if len(missing) > 0 {
		c.add(syntax.Start(a.at), op.Hint(fmt.Errorf("%s needs %s", name, strings.Join(missing, ", ")), "it takes %s", strings.Join(names, ", ")))
	}
}

// value is what an expression gives in every run: a constant, a list or dict of them, a value that is made of them;
// unknown for any other.
func (c *checker) value(x syntax.Expr) starlark.Value {
	switch x := x.(type) {
	case *syntax.ParenExpr:
		return c.value(x.X)
	case *syntax.Literal:
		return literal(x)
	case *syntax.Ident:
		if v := c.given(x); v == starlark.None || v == starlark.True || v == starlark.False {
			return v
		}
	case *syntax.UnaryExpr:
		if i, ok := c.value(orNothing(x.X)).(starlark.Int); ok && x.Op == syntax.MINUS {
			return starlark.MakeInt(0).Sub(i)
		}
	case *syntax.ListExpr:
		return starlark.NewList(c.values(x.List))
	case *syntax.TupleExpr:
		return starlark.Tuple(c.values(x.List))
	case *syntax.DictExpr:
		d := starlark.NewDict(len(x.List))
		for _, e := range x.List {
			if d.SetKey(c.value(e.(*syntax.DictEntry).Key), c.value(e.(*syntax.DictEntry).Value)) != nil {
				return unknown
			}
		}
		return d
	case *syntax.CallExpr:
		fn, ok := c.callee(x.Fn).(starlark.Callable)
		if a := c.arguments(x); ok && fn.Type() == makerType && !a.spread {
			if v, err := fn.CallInternal(&starlark.Thread{}, a.args, a.kwargs); err == nil {
				return v
			}
		}
	}
	return unknown
}

// makerType is the type of the builtins that make values, which have no effect.
const makerType = "value maker"

func orNothing(x syntax.Expr) syntax.Expr {
	if x == nil {
		return &syntax.TupleExpr{}
	}
	return x
}

func (c *checker) values(xs []syntax.Expr) []starlark.Value {
	var out []starlark.Value
	for _, x := range xs {
		out = append(out, c.value(x))
	}
	return out
}

func literal(x *syntax.Literal) starlark.Value {
	switch v := x.Value.(type) {
	case string:
		if x.Token == syntax.STRING {
			return starlark.String(v)
		}
	case int64:
		return starlark.MakeInt64(v)
	case *big.Int:
		return starlark.MakeBigInt(v)
	case float64:
		return starlark.Float(v)
	}
	return unknown
}

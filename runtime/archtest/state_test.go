package archtest

import (
	"go/ast"
	"go/token"
	"slices"
	"strings"
)

// lawInit: nothing happens by being imported. (Law 6.)
func lawInit(t *tree) (out []string) {
	for _, s := range t.sources() {
		for _, d := range s.file.Decls {
			if fn, ok := d.(*ast.FuncDecl); ok && fn.Recv == nil && fn.Name.Name == "init" {
				out = append(out, s.at("has an init function"))
			}
		}
	}
	return out
}

// lawVars: a package variable is made once and never changes. It is a guard (var _ I = T{}), an error, a pattern or
// another value that cannot change, or a table that nobody writes to. (Law 6.)
func lawVars(t *tree) (out []string) {
	for _, p := range t.packs {
		kept := map[string]*ast.ValueSpec{}
		for _, s := range p.files {
			if s.test {
				continue
			}
			for spec, decl := range vars(s.file) {
				for i, name := range spec.Names {
					if name.Name == "_" {
						continue
					}
					kept[name.Name] = spec
					if why := changeable(s, decl, spec, i); why != "" {
						out = append(out, s.at("the variable %s %s", name.Name, why))
					}
				}
			}
		}
		for _, s := range p.files {
			out = append(out, writes(s, kept)...)
		}
	}
	return append(out, t.foreignWrites()...)
}

// vars are the specs of the package variables of a file.
func vars(file *ast.File) map[*ast.ValueSpec]*ast.GenDecl {
	out := map[*ast.ValueSpec]*ast.GenDecl{}
	for _, d := range file.Decls {
		if g, ok := d.(*ast.GenDecl); ok && g.Tok == token.VAR {
			for _, s := range g.Specs {
				out[s.(*ast.ValueSpec)] = g
			}
		}
	}
	return out
}

// changeable says why a variable's value could change; "" where it cannot.
func changeable(s *source, decl *ast.GenDecl, spec *ast.ValueSpec, i int) string {
	if len(spec.Values) == 0 {
		if embedded(decl.Doc) || embedded(spec.Doc) {
			return ""
		}
		return "has no value"
	}
	switch v := spec.Values[min(i, len(spec.Values)-1)].(type) {
	case *ast.CompositeLit:
		return ""
	case *ast.CallExpr:
		call := strings.TrimSuffix(types(v.Fun), "[]")
		if call == "sync.OnceValues" && strings.HasSuffix(s.pack.dir, "test") {
			return "" // what the tests of one process share
		}
		if slices.Contains(strings.Fields("errors.New fmt.Errorf regexp.MustCompile reflect.TypeFor strings.NewReplacer strings.Cut"), call) {
			return ""
		}
		return "is made by " + call
	case *ast.BasicLit:
		if s.file.Name.Name == "main" {
			return "" // set by the linker
		}
		return "could be a constant"
	}
	return "is neither an error, a pattern nor a table"
}

// types writes a call's function: "errors.New", "reflect.TypeFor[]".
func types(e ast.Expr) string {
	switch e := e.(type) {
	case *ast.Ident:
		return e.Name
	case *ast.SelectorExpr:
		return types(e.X) + "." + e.Sel.Name
	case *ast.IndexExpr:
		return types(e.X) + "[]"
	}
	return "a function"
}

func embedded(doc *ast.CommentGroup) bool {
	return doc != nil && slices.ContainsFunc(doc.List, func(c *ast.Comment) bool { return strings.HasPrefix(c.Text, "//go:embed ") })
}

// writes are the places in a file where a package variable changes, or its address is taken.
func writes(s *source, kept map[string]*ast.ValueSpec) (out []string) {
	for _, target := range targets(s.file) {
		id, ok := root(target).(*ast.Ident)
		if !ok || kept[id.Name] == nil {
			continue
		}
		if id.Obj == nil || id.Obj.Decl == any(kept[id.Name]) { // no local variable of that name
			out = append(out, s.at("writes to the package variable %s", id.Name))
		}
	}
	return out
}

// foreignWrites are writes to the variables of another package of ours.
func (t *tree) foreignWrites() (out []string) {
	for _, s := range t.all() {
		names := map[string]bool{}
		for _, i := range s.ours() {
			names[s.importName(module+"/"+i)] = true
		}
		for _, target := range targets(s.file) {
			for e := target; e != nil; e = inner(e) {
				sel, ok := e.(*ast.SelectorExpr)
				if !ok {
					continue
				}
				if id, ok := sel.X.(*ast.Ident); ok && id.Obj == nil && names[id.Name] {
					out = append(out, s.at("writes to %s.%s", id.Name, sel.Sel.Name))
				}
			}
		}
	}
	return out
}

// targets are the expressions that a file writes to, or takes the address of.
func targets(file *ast.File) (out []ast.Expr) {
	ast.Inspect(file, func(n ast.Node) bool {
		switch n := n.(type) {
		case *ast.AssignStmt:
			if n.Tok != token.DEFINE {
				out = append(out, n.Lhs...)
			}
		case *ast.IncDecStmt:
			out = append(out, n.X)
		case *ast.RangeStmt:
			if n.Tok == token.ASSIGN {
				out = append(out, n.Key)
				if n.Value != nil {
					out = append(out, n.Value)
				}
			}
		case *ast.UnaryExpr:
			if _, literal := n.X.(*ast.CompositeLit); n.Op == token.AND && !literal {
				out = append(out, n.X)
			}
		case *ast.CallExpr:
			if id, ok := n.Fun.(*ast.Ident); ok && slices.Contains([]string{"delete", "clear", "copy"}, id.Name) && id.Obj == nil {
				out = append(out, n.Args[0])
			}
		}
		return true
	})
	return out
}

// root is what an expression is a part of: x of x.f[i].
func root(e ast.Expr) ast.Expr {
	for in := inner(e); in != nil; in = inner(e) {
		e = in
	}
	return e
}

func inner(e ast.Expr) ast.Expr {
	switch e := e.(type) {
	case *ast.SelectorExpr:
		return e.X
	case *ast.IndexExpr:
		return e.X
	case *ast.SliceExpr:
		return e.X
	case *ast.StarExpr:
		return e.X
	case *ast.ParenExpr:
		return e.X
	}
	return nil
}

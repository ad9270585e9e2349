package archtest

import (
	"go/ast"
	"go/token"
	"regexp"
	"slices"
	"strconv"
	"strings"
)

// The budgets.
const (
	maxFile     = 400 // lines, tests too
	maxFunction = 60  // lines, outside of tests
)

func lawSize(t *tree) (out []string) {
	for _, s := range t.all() {
		if s.lines > maxFile {
			out = append(out, s.at("has over %d lines", maxFile))
		}
		for _, d := range s.file.Decls {
			fn, ok := d.(*ast.FuncDecl)
			if ok && !s.test && t.line(fn.End())-t.line(fn.Pos())+1 > maxFunction {
				out = append(out, s.at("%s has over %d lines", fn.Name.Name, maxFunction))
			}
		}
	}
	return out
}

func (t *tree) line(p token.Pos) int { return t.fset.Position(p).Line }

// lawDocs: every package says what it is for, and every exported name what it promises.
func lawDocs(t *tree) (out []string) {
	for _, p := range t.packs {
		sources := slices.DeleteFunc(slices.Clone(p.files), func(s *source) bool { return s.test })
		if len(sources) > 0 && !slices.ContainsFunc(sources, func(s *source) bool { return s.file.Doc != nil }) {
			out = append(out, p.dir+": the package has no comment")
		}
		for _, s := range sources {
			for _, name := range undocumented(s.file) {
				out = append(out, s.at("%s has no comment", name))
			}
		}
	}
	return out
}

func undocumented(file *ast.File) (out []string) {
	for _, d := range file.Decls {
		switch d := d.(type) {
		case *ast.FuncDecl:
			if d.Name.IsExported() && d.Doc == nil && (d.Recv == nil || exportedType(d.Recv.List[0].Type)) && !spoken(d) {
				out = append(out, d.Name.Name)
			}
		case *ast.GenDecl:
			if d.Doc != nil && len(d.Specs) != 1 && d.Tok != token.TYPE {
				continue
			}
			for _, spec := range d.Specs {
				out = append(out, bare(d, spec)...)
			}
		}
	}
	return out
}

// bare lists the exported names of a spec without a comment.
func bare(d *ast.GenDecl, spec ast.Spec) (out []string) {
	switch spec := spec.(type) {
	case *ast.TypeSpec:
		if spec.Name.IsExported() && spec.Doc == nil && d.Doc == nil {
			out = append(out, spec.Name.Name)
		}
	case *ast.ValueSpec:
		for _, n := range spec.Names {
			if n.IsExported() && spec.Doc == nil && spec.Comment == nil && d.Doc == nil {
				out = append(out, n.Name)
			}
		}
	}
	return out
}

// spoken are the methods whose meaning is fixed by the language's own interfaces.
func spoken(d *ast.FuncDecl) bool {
	return d.Recv != nil && (d.Name.Name == "String" || d.Name.Name == "Error")
}

func exportedType(e ast.Expr) bool {
	switch e := e.(type) {
	case *ast.StarExpr:
		return exportedType(e.X)
	case *ast.IndexExpr:
		return exportedType(e.X)
	case *ast.IndexListExpr:
		return exportedType(e.X)
	case *ast.Ident:
		return e.IsExported()
	}
	return false
}

// forbidden are the words that have no meaning here, or another one.
const forbidden = "task action activity instruction manager helper util handler"

// lawWords: one word for one thing, in names, in file names and in what is printed.
func lawWords(t *tree) (out []string) {
	for _, s := range t.sources() {
		words := map[string]bool{}
		for _, w := range wordsOf(strings.TrimSuffix(s.path[strings.LastIndexByte(s.path, '/')+1:], ".go")) {
			words[w] = true
		}
		ast.Inspect(s.file, func(n ast.Node) bool {
			if _, path := n.(*ast.ImportSpec); path {
				return false // others' words
			}
			for _, text := range declared(n) {
				for _, w := range wordsOf(text) {
					words[w] = true
				}
			}
			return true
		})
		for _, w := range strings.Fields(forbidden) {
			if w == "manager" && under(s.pack.dir, "builtins/kube") {
				continue // Kubernetes' own word for who owns a field
			}
			if words[w] || words[w+"s"] {
				out = append(out, s.at("says %q", w))
			}
		}
	}
	return out
}

// declared are the names that a node declares, and the text that it may print.
func declared(n ast.Node) (out []string) {
	switch n := n.(type) {
	case *ast.File:
		return []string{n.Name.Name}
	case *ast.FuncDecl:
		return []string{n.Name.Name}
	case *ast.TypeSpec:
		return []string{n.Name.Name}
	case *ast.Field:
		for _, id := range n.Names {
			out = append(out, id.Name)
		}
		if n.Tag != nil {
			out = append(out, n.Tag.Value)
		}
	case *ast.ValueSpec:
		for _, id := range n.Names {
			out = append(out, id.Name)
		}
	case *ast.AssignStmt:
		for _, e := range n.Lhs {
			if id, ok := e.(*ast.Ident); ok && n.Tok == token.DEFINE {
				out = append(out, id.Name)
			}
		}
	case *ast.BasicLit:
		if text, err := strconv.Unquote(n.Value); err == nil && n.Kind == token.STRING {
			out = append(out, text)
		}
	}
	return out
}

var wordPattern = regexp.MustCompile(`[A-Z]?[a-z]+|[A-Z]+`)

// wordsOf splits a name or a text: "runTaskNow" into "run", "task", "now".
func wordsOf(text string) []string {
	words := wordPattern.FindAllString(text, -1)
	for i, w := range words {
		words[i] = strings.ToLower(w)
	}
	return words
}

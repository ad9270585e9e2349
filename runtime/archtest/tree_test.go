package archtest

import (
	"bytes"
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"path"
	"slices"
	"strconv"
	"strings"
)

const module = "github.com/erlmcp/runner"

// tree is the module's sources, without testdata and hidden folders.
type tree struct {
	fset  *token.FileSet
	packs map[string]*pack // by folder: "runtime/op"
	top   []string         // the top-level entries that are kept under version control
}

type pack struct {
	dir   string
	files []*source
}

type source struct {
	path  string // "runtime/op/op.go"
	pack  *pack
	file  *ast.File
	lines int
	test  bool
}

func read(root fs.FS) (*tree, error) {
	t := &tree{fset: token.NewFileSet(), packs: map[string]*pack{}}
	if err := t.readTop(root); err != nil {
		return nil, err
	}
	return t, fs.WalkDir(root, ".", func(name string, d fs.DirEntry, err error) error {
		base := path.Base(name)
		switch {
		case err != nil:
			return err
		case d.IsDir() && name != "." && (base == "testdata" || base == "bin" || strings.HasPrefix(base, ".") || strings.HasPrefix(base, "_")):
			return fs.SkipDir
		case d.IsDir() || path.Ext(name) != ".go":
			return nil
		}
		return t.add(root, name)
	})
}

func (t *tree) readTop(root fs.FS) error {
	entries, err := fs.ReadDir(root, ".")
	if err != nil {
		return err
	}
	ignored, err := fs.ReadFile(root, ".gitignore")
	if err != nil {
		return err
	}
	for _, e := range entries {
		name := e.Name()
		if !strings.HasPrefix(name, ".") && !bytes.Contains(ignored, []byte("/"+name+"/\n")) {
			t.top = append(t.top, name)
		}
	}
	return nil
}

func (t *tree) add(root fs.FS, name string) error {
	text, err := fs.ReadFile(root, name)
	if err != nil {
		return err
	}
	file, err := parser.ParseFile(t.fset, name, text, parser.ParseComments)
	if err != nil {
		return err
	}
	dir := path.Dir(name)
	if t.packs[dir] == nil {
		t.packs[dir] = &pack{dir: dir}
	}
	p := t.packs[dir]
	p.files = append(p.files, &source{name, p, file, bytes.Count(text, []byte("\n")), strings.HasSuffix(name, "_test.go")})
	return nil
}

// sources lists the files that are no tests, in order.
func (t *tree) sources() []*source {
	return slices.DeleteFunc(t.all(), func(s *source) bool { return s.test })
}

func (t *tree) all() []*source {
	var out []*source
	for _, p := range t.packs {
		out = append(out, p.files...)
	}
	slices.SortFunc(out, func(a, b *source) int { return strings.Compare(a.path, b.path) })
	return out
}

// ours are the packages of this module that a file imports, by folder: "runtime/op".
func (s *source) ours() (out []string) {
	for _, p := range s.imports() {
		if dir, ok := strings.CutPrefix(p, module+"/"); ok {
			out = append(out, dir)
		}
	}
	return out
}

// others are the packages from elsewhere that a file imports.
func (s *source) others() []string {
	return slices.DeleteFunc(s.imports(), func(p string) bool { return strings.HasPrefix(p, module+"/") })
}

func (s *source) imports() (out []string) {
	for _, i := range s.file.Imports {
		p, _ := strconv.Unquote(i.Path.Value)
		out = append(out, p)
	}
	return out
}

// uses are the places where a file names something of a package.
func (s *source) uses(pkg string) []*ast.SelectorExpr {
	var out []*ast.SelectorExpr
	name := s.importName(pkg)
	if name == "" {
		return nil
	}
	ast.Inspect(s.file, func(n ast.Node) bool {
		if sel, ok := n.(*ast.SelectorExpr); ok {
			if id, ok := sel.X.(*ast.Ident); ok && id.Name == name && id.Obj == nil {
				out = append(out, sel)
			}
		}
		return true
	})
	return out
}

// importName is what a file calls a package that it imports, "" where it does not.
func (s *source) importName(pkg string) string {
	for _, i := range s.file.Imports {
		p, _ := strconv.Unquote(i.Path.Value)
		switch {
		case p != pkg:
		case i.Name != nil:
			return i.Name.Name
		default:
			return path.Base(pkg)
		}
	}
	return ""
}

// at names a place without its line, so that an exception survives other edits: "runtime/op/op.go: what".
func (s *source) at(format string, args ...any) string {
	return s.path + ": " + fmt.Sprintf(format, args...)
}

func under(dir, of string) bool { return dir == of || strings.HasPrefix(dir, of+"/") }

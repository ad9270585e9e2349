package archtest

import (
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"testing/fstest"
)

// exceptions are violations that are known and will go. The list only shrinks: one that is no violation any more fails.
var exceptions = []string{}

func laws() map[string]func(*tree) []string {
	return map[string]func(*tree) []string{
		"layers": lawLayers, "families": lawFamilies, "outside": lawOutside, "starlark": lawStarlark, "depth": lawDepth, "top": lawTop,
		"init": lawInit, "vars": lawVars, "size": lawSize, "docs": lawDocs, "words": lawWords,
	}
}

func moduleRoot(t *testing.T) string {
	dir, err := os.Getwd()
	for err == nil {
		if _, missing := os.Stat(filepath.Join(dir, "go.mod")); missing == nil {
			return dir
		}
		if filepath.Dir(dir) == dir {
			break
		}
		dir = filepath.Dir(dir)
	}
	t.Fatalf("no go.mod above: %v", err)
	return ""
}

func TestLaws(t *testing.T) {
	tree, err := read(os.DirFS(moduleRoot(t)))
	if err != nil {
		t.Fatal(err)
	}
	if len(tree.packs) < 15 || len(tree.all()) < 100 {
		t.Fatalf("read only %d packages and %d files", len(tree.packs), len(tree.all()))
	}
	var met []string
	for name, law := range laws() {
		t.Run(name, func(t *testing.T) {
			violations := law(tree)
			slices.Sort(violations)
			for _, v := range slices.Compact(violations) {
				if slices.Contains(exceptions, v) {
					met = append(met, v)
				} else {
					t.Error(v)
				}
			}
		})
	}
	for _, e := range exceptions {
		if !slices.Contains(met, e) {
			t.Errorf("no exception any more, remove it from the list: %s", e)
		}
	}
}

// sample is a small module in memory that keeps every law, with files added or replaced.
func sample(t *testing.T, files map[string]string) *tree {
	t.Helper()
	all := map[string]string{
		".gitignore":               "/bin/\n",
		"bin/x.go":                 "garbage",
		"README.md":                "",
		"runtime/op/op.go":         "// Package op is.\npackage op\n",
		"runtime/host/host.go":     "// Package host is.\npackage host\nimport (\n\t\"net/http\"\n\t\"os/exec\"\n\t\"time\"\n)\nfunc now() { time.Now(); exec.Command(\"\"); http.Get(\"\") }\n",
		"builtins/kube/kube.go":    "// Package kube is.\npackage kube\nimport (\n\t\"k8s.io/client-go\"\n\t\"net/http\"\n)\n",
		"builtins/a/testdata/x.go": "package broken because this is testdata",
	}
	maps.Copy(all, files)
	m := fstest.MapFS{}
	for name, text := range all {
		m[name] = &fstest.MapFile{Data: []byte(text)}
	}
	tree, err := read(m)
	if err != nil {
		t.Fatal(err)
	}
	return tree
}

const ourImport = `import "github.com/erlmcp/runner/`

// Each case breaks one law, or shows what does not.
func TestLawsCanFail(t *testing.T) {
	pkg := func(name, body string) string {
		return "// Package " + name + " is.\npackage " + name + "\n" + body + "\n"
	}
	family := pkg("a", ourImport+"runtime/builtin\"\nfunc x() { builtin.NewFamily() }")
	chain := map[string]string{}
	for _, link := range []string{"ab", "bc", "cd", "de", "ef", "fg"} {
		chain["builtins/"+link[:1]+"/x.go"] = pkg("x", ourImport+"builtins/"+link[1:]+`"`)
	}
	chain["builtins/g/x.go"] = pkg("x", "")
	long := strings.Repeat("// line\n", maxFile)
	for _, c := range []struct {
		law   string
		want  string // "" for none
		files map[string]string
	}{
		{"layers", "", map[string]string{"runtime/op/x.go": pkg("op", ourImport+`runtime/secret"`)}},
		{"layers", "runtime/op/x.go: imports runtime/engine", map[string]string{"runtime/op/x.go": pkg("op", ourImport+`runtime/engine"`)}},
		{"layers", "imports builtins/files", map[string]string{"runtime/engine/x.go": pkg("engine", ourImport+`builtins/files"`)}},
		{"layers", "imports runtime/op", map[string]string{"runtime/render/x.go": pkg("render", ourImport+`runtime/op"`)}},
		{"layers", "the package is in no layer", map[string]string{"runtime/new/x.go": pkg("new", "")}},
		{"layers", "", map[string]string{"runtime/op/x_test.go": pkg("op", ourImport+`runtime/engine"`), "runtime/op/x.go": pkg("op", `import "runtime/metrics"`)}},
		{"families", "", map[string]string{"builtins/a/a.go": family, "builtins/b/b.go": pkg("b", ourImport+`builtins/c"`), "builtins/builtins.go": pkg("builtins", ourImport+`builtins/a"`)}},
		{"families", "builtins/b/b.go: imports the family builtins/a", map[string]string{"builtins/a/a.go": family, "builtins/b/b.go": pkg("b", ourImport+`builtins/a"`)}},
		{"families", "imports runtime/engine", map[string]string{"builtins/b/b.go": pkg("b", ourImport+`runtime/engine"`)}},
		{"families", "", map[string]string{"builtins/home/x.go": pkg("home", ourImport+`runtime/journal"`)}},
		{"families", "builtins/home/x.go: imports runtime/engine", map[string]string{"builtins/home/x.go": pkg("home", ourImport+`runtime/engine"`)}},
		{"families", "builtins/b/home/x.go: imports runtime/journal", map[string]string{"builtins/b/home/x.go": pkg("home", ourImport+`runtime/journal"`)}},
		{"families", "builtins/b/b.go: imports runtime/journal", map[string]string{"builtins/b/b.go": pkg("b", ourImport+`runtime/journal"`)}},
		{"outside", "", map[string]string{"runtime/op/x_test.go": pkg("op", `import "os/exec"`), "runtime/op/y.go": pkg("op", "import \"time\"\nfunc f(time c) { time.Now(); _ = time.Second }\ntype c struct{}")}},
		{"outside", "imports os/exec", map[string]string{"builtins/kube/x.go": pkg("kube", `import "os/exec"`)}},
		{"outside", "imports net/http", map[string]string{"runtime/op/x.go": pkg("op", `import "net/http"`)}},
		{"outside", "imports example.com/heavy", map[string]string{"runtime/op/x.go": pkg("op", `import "example.com/heavy"`)}},
		{"outside", "imports golang.org/x/term", map[string]string{"runtime/op/x.go": pkg("op", `import "golang.org/x/term"`)}},
		{"outside", "uses time.Sleep", map[string]string{"builtins/a/x.go": pkg("a", "import \"time\"\nfunc f() { time.Sleep(1) }")}},
		{"outside", "uses time.Now", map[string]string{"cmd/runner/x.go": pkg("main", "import clock \"time\"\nvar now = clock.Now")}},
		{"outside", "uses context.WithTimeout", map[string]string{"runtime/op/x.go": pkg("op", "import \"context\"\nfunc f() { context.WithTimeout(nil, 1) }")}},
		{"starlark", "builtins/a/x.go: imports go.starlark.net/starlark", map[string]string{"builtins/a/x.go": pkg("a", `import "go.starlark.net/starlark"`)}},
		{"starlark", "", map[string]string{"runtime/builtin/x.go": pkg("builtin", `import "go.starlark.net/starlark"`)}},
		{"depth", "builtins/a: a chain of 7 imports", chain},
		{"top", "extra: no entry of the layout", map[string]string{"extra/x.txt": ""}},
		{"top", "", map[string]string{".hidden/x": ""}},
		{"top", "runtime: has Go files of its own", map[string]string{"runtime/x.go": pkg("runtime", "")}},
		{"init", "has an init function", map[string]string{"runtime/op/x.go": pkg("op", "func init() {}")}},
		{"init", "", map[string]string{"runtime/op/x.go": pkg("op", "type t struct{}\nfunc (t) init() {}")}},
		{"vars", "", map[string]string{"runtime/op/x.go": pkg("op", "import \"errors\"\nvar _ I = T{}\nvar (\n\terrA = errors.New(\"a\")\n\ttable = []int{1}\n)\nfunc f() { table := 1; table = 2; x := &table; *x = 3; for table = range 3 {} }")}},
		{"vars", "", map[string]string{"runtime/op/x.go": pkg("op", "import \"embed\"\n//go:embed *.star\nvar files embed.FS"), "cmd/runner/x.go": pkg("main", `var version = "dev"`)}},
		{"vars", "the variable n has no value", map[string]string{"runtime/op/x.go": pkg("op", "var n int")}},
		{"vars", "the variable n could be a constant", map[string]string{"runtime/op/x.go": pkg("op", "var n = 1")}},
		{"vars", "is made by newThing", map[string]string{"runtime/op/x.go": pkg("op", "var n = newThing()")}},
		{"vars", "is made by sync.OnceValues", map[string]string{"builtins/a/x.go": pkg("a", "var n = sync.OnceValues(f)")}},
		{"vars", "", map[string]string{"builtins/a/atest/x.go": pkg("atest", "var n = sync.OnceValues(f)")}},
		{"vars", "is neither an error", map[string]string{"runtime/op/x.go": pkg("op", "var n = &T{}")}},
		{"vars", "writes to the package variable table", map[string]string{"runtime/op/x.go": pkg("op", "var table = []int{1}"), "runtime/op/y.go": pkg("op", "func f() { table[0] = 2 }")}},
		{"vars", "writes to the package variable table", map[string]string{"runtime/op/x.go": pkg("op", "var table = []int{1}\nfunc f() { table = append(table, 1) }")}},
		{"vars", "writes to the package variable table", map[string]string{"runtime/op/x.go": pkg("op", "var table = T{}\nfunc f() { p := &table; p.x++ }")}},
		{"vars", "writes to the package variable table", map[string]string{"runtime/op/x.go": pkg("op", "var table = map[int]int{}\nfunc f() { delete(table, 1) }")}},
		{"vars", "writes to the package variable table", map[string]string{"runtime/op/x.go": pkg("op", "var table = T{}\nfunc f() { for table.x = range 3 {} }")}},
		{"vars", "writes to op.Table", map[string]string{"runtime/engine/x_test.go": pkg("engine", ourImport+"runtime/op\"\nfunc f() { op.Table[0]++ }")}},
		{"size", "runtime/op/x_test.go: has over 400 lines", map[string]string{"runtime/op/x_test.go": long + pkg("op", "")}},
		{"size", "long has over 60 lines", map[string]string{"runtime/op/x.go": pkg("op", "func long() {\n"+strings.Repeat("f()\n", 59)+"}")}},
		{"size", "", map[string]string{"runtime/op/x.go": pkg("op", "func long() {\n"+strings.Repeat("f()\n", 58)+"}"), "runtime/op/y_test.go": pkg("op", "func long() {\n"+strings.Repeat("f()\n", 99)+"}")}},
		{"docs", "builtins/a: the package has no comment", map[string]string{"builtins/a/x.go": "package a\n"}},
		{"docs", "x.go: F has no comment", map[string]string{"builtins/a/x.go": pkg("a", "func F() {}")}},
		{"docs", "x.go: M has no comment", map[string]string{"builtins/a/x.go": pkg("a", "// T is.\ntype T[A any] struct{ X int }\nfunc (*T[A]) M() {}")}},
		{"docs", "x.go: T has no comment", map[string]string{"builtins/a/x.go": pkg("a", "type T struct{}")}},
		{"docs", "x.go: V has no comment", map[string]string{"builtins/a/x.go": pkg("a", "const (\n\tV = 1\n)")}},
		{"docs", "", map[string]string{"builtins/a/x.go": pkg("a", "// The group.\nconst (\n\tV = 1\n\tW = 2\n)\ntype t struct{}\nfunc (t) M() {}\nfunc f() {}"), "builtins/a/y_test.go": "package a\nfunc F() {}\n"}},
		{"words", `says "helper"`, map[string]string{"builtins/a/helpers.go": pkg("a", "")}},
		{"words", `says "task"`, map[string]string{"builtins/a/x.go": pkg("a", "func f() { nextTask := 1; _ = nextTask }")}},
		{"words", `says "manager"`, map[string]string{"builtins/a/x.go": pkg("a", "type T struct{ ManagerID int }")}},
		{"words", "", map[string]string{"builtins/kube/x.go": pkg("kube", "type T struct{ Manager string }")}},
		{"words", `says "helper"`, map[string]string{"builtins/kube/x.go": pkg("kube", "type T struct{ Helper string }")}},
		{"words", `says "action"`, map[string]string{"builtins/a/x.go": pkg("a", `const x = "the action is over"`)}},
		{"words", "", map[string]string{"builtins/kube/x.go": pkg("kube", `import "k8s.io/apimachinery/pkg/util/intstr"`)}},
		{"words", "", map[string]string{"builtins/a/x.go": pkg("a", "const transaction, utility = 1, 2\nfunc f() { http.Handler(nil) }")}},
	} {
		got := laws()[c.law](sample(t, c.files))
		if c.want == "" && len(got) > 0 {
			t.Errorf("%s: %q is no violation", c.law, got)
		}
		if c.want != "" && !slices.ContainsFunc(got, func(v string) bool { return strings.Contains(v, c.want) }) {
			t.Errorf("%s: want %q, got %q", c.law, c.want, got)
		}
	}
	for name, law := range laws() {
		if got := law(sample(t, nil)); len(got) > 0 {
			t.Errorf("%s: the sample itself breaks it: %q", name, got)
		}
	}
}

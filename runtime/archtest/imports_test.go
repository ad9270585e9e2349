package archtest

import (
	"fmt"
	"go/ast"
	"slices"
	"strings"
)

// The packages of runtime and what of ours each may import. A package that is not listed here may not exist.
// To let an import in, change the design first; do not edit this table to make a test pass.
var layers = map[string]string{
	"runtime/event":             "",
	"runtime/secret":            "",
	"runtime/host":              "runtime/secret",
	"runtime/host/hosttest":     "runtime/host",
	"runtime/op":                "runtime/secret",
	"runtime/journal":           "runtime/event runtime/host",
	"runtime/journal/homesuite": "runtime/event runtime/host runtime/journal",
	"runtime/engine":            "runtime/event runtime/host runtime/journal runtime/op",
	"runtime/builtin":           "runtime/op runtime/secret",
	"runtime/script":            "runtime/builtin runtime/op runtime/secret",
	"runtime/render":            "runtime/event",
	"runtime/optest":            "runtime/builtin runtime/host runtime/host/hosttest runtime/op runtime/secret",
	"runtime/trial":             "runtime/engine runtime/event runtime/host runtime/journal runtime/op runtime/render runtime/script runtime/secret",
	"runtime/archtest":          "",
}

// lawLayers: the vocabulary imports none of the machinery, render knows facts and nothing else, and runtime never
// imports builtins. (Laws 1, 2 and 5.)
func lawLayers(t *tree) (out []string) {
	for _, s := range t.sources() {
		if !under(s.pack.dir, "runtime") {
			continue
		}
		allowed, known := layers[s.pack.dir]
		if !known {
			out = append(out, s.at("the package is in no layer"))
		}
		for _, i := range s.ours() {
			if !slices.Contains(strings.Fields(allowed), i) {
				out = append(out, s.at("imports %s", i))
			}
		}
	}
	return out
}

// lawFamilies: a family never imports another, nor what drives scripts; what two need is a small package for both. The
// home of targets that no file of this machine can hold is a journal.Home. (Law 2, decision 0018.)
func lawFamilies(t *tree) (out []string) {
	families := map[string]bool{}
	for _, s := range t.sources() {
		if under(s.pack.dir, "builtins") && slices.ContainsFunc(s.uses(module+"/runtime/builtin"), func(u *ast.SelectorExpr) bool { return u.Sel.Name == "NewFamily" }) {
			families[s.pack.dir] = true
		}
	}
	for _, s := range t.sources() {
		if s.pack.dir == "builtins" || !under(s.pack.dir, "builtins") {
			continue
		}
		vocabulary := []string{"runtime/builtin", "runtime/host", "runtime/op", "runtime/secret"}
		if s.pack.dir == "builtins/home" {
			vocabulary = []string{"runtime/event", "runtime/host", "runtime/journal"}
		}
		for _, i := range s.ours() {
			switch {
			case families[i]:
				out = append(out, s.at("imports the family %s", i))
			case !under(i, "builtins") && !slices.Contains(vocabulary, i):
				out = append(out, s.at("imports %s", i))
			}
		}
	}
	return out
}

// lawOutside: only runtime/host starts processes, opens connections and asks for the time; the families of engines bring
// their own clients, and they alone carry heavy imports. (Law 3.)
func lawOutside(t *tree) (out []string) {
	clients := []string{"builtins/kube", "builtins/docker", "builtins/compose"}
	for _, s := range t.sources() {
		own := under(s.pack.dir, "runtime/host")
		client := slices.ContainsFunc(clients, func(c string) bool { return under(s.pack.dir, c) })
		for _, i := range s.others() {
			if (i == "os/exec" && !own) || (i == "net/http" && !own && !client) {
				out = append(out, s.at("imports %s", i))
			}
			if !own && !client && heavy(s.pack.dir, i) {
				out = append(out, s.at("imports %s", i))
			}
		}
		if !own && !client {
			out = append(out, clocks(s)...)
		}
	}
	return out
}

// heavy reports whether a folder may not import a package from elsewhere.
func heavy(dir, path string) bool {
	if !strings.Contains(strings.Split(path, "/")[0], ".") {
		return false // the standard library
	}
	for _, at := range []struct{ prefix, dirs string }{
		{"golang.org/x/sys/", "builtins cmd runtime"}, {"golang.org/x/sync/", "runtime builtins"}, {"golang.org/x/term", "cmd"},
		{"github.com/klauspost/compress", "builtins"}, {"github.com/alecthomas/kong", "cmd runtime/script"}, {"go.starlark.net/", "runtime/builtin runtime/script"},
	} {
		if strings.HasPrefix(path, at.prefix) {
			return !slices.ContainsFunc(strings.Fields(at.dirs), func(d string) bool { return under(dir, d) })
		}
	}
	return true
}

// clocks are the uses of the machine's clock.
func clocks(s *source) (out []string) {
	for pkg, names := range map[string]string{
		"time":    "Now Sleep NewTimer NewTicker After AfterFunc Tick Since Until",
		"context": "WithTimeout WithTimeoutCause WithDeadline WithDeadlineCause",
	} {
		for _, u := range s.uses(pkg) {
			if slices.Contains(strings.Fields(names), u.Sel.Name) {
				out = append(out, s.at("uses %s.%s", pkg, u.Sel.Name))
			}
		}
	}
	slices.Sort(out)
	return slices.Compact(out)
}

// lawStarlark: ops are plain Go. (Law 4.)
func lawStarlark(t *tree) (out []string) {
	for _, s := range t.sources() {
		for _, i := range s.others() {
			if strings.HasPrefix(i, "go.starlark.net") && s.pack.dir != "runtime/builtin" && s.pack.dir != "runtime/script" {
				out = append(out, s.at("imports %s", i))
			}
		}
	}
	return out
}

// maxDepth is the longest chain of packages of this module that import one another.
const maxDepth = 6

func lawDepth(t *tree) (out []string) {
	memo := map[string][]string{}
	for dir := range t.packs {
		if chain := t.chain(dir, memo); len(chain) > maxDepth {
			out = append(out, fmt.Sprintf("%s: a chain of %d imports: %s", dir, len(chain), strings.Join(chain, " -> ")))
		}
	}
	return out
}

// chain is the longest chain of imports that begins at a package.
func (t *tree) chain(dir string, memo map[string][]string) []string {
	if c, ok := memo[dir]; ok || t.packs[dir] == nil {
		return c
	}
	var longest []string
	for _, s := range t.packs[dir].files {
		if s.test {
			continue
		}
		for _, i := range s.ours() {
			if c := t.chain(i, memo); len(c) > len(longest) {
				longest = c
			}
		}
	}
	memo[dir] = append([]string{dir}, longest...)
	return memo[dir]
}

// lawTop: the top-level entries are fixed, and runtime has no Go files of its own.
func lawTop(t *tree) (out []string) {
	fixed := strings.Fields("Makefile README.md builtins cmd go.mod go.sum runtime scripts stdlib testdata")
	for _, name := range t.top {
		if !slices.Contains(fixed, name) {
			out = append(out, name+": no entry of the layout")
		}
	}
	if t.packs["runtime"] != nil {
		out = append(out, "runtime: has Go files of its own")
	}
	return out
}

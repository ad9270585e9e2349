package script

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// FuzzCompile holds that every source either compiles, for a run and for a plan, or is explained at a place in it.
func FuzzCompile(f *testing.F) {
	files, _ := filepath.Glob("testdata/*.star")
	for _, file := range files {
		src, err := os.ReadFile(file)
		if err != nil {
			f.Fatal(err)
		}
		for chunk := range strings.SplitSeq(string(src), "---\n") {
			f.Add(chunk)
		}
	}
	for _, s := range []string{"x = [1,\n'''(\n'''", "def f(x: int) -> str:\n\treturn f\"\"", "if x = 1\n", "\xff\x00", "“", "a\r\nb(\r\n", `"\`, "x.format(*a, **b)\nx %= y"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, src string) {
		for _, plan := range []bool{false, true} {
			s := &Script{options: Options{Families: families(&world{}), Plan: plan}}
			l := newLoader(nil, s)
			m := &module{File: File{Name: "deploy.star", Source: src}}
			l.modules[m.Name] = m
			_, err := l.compile(m)
			if err == nil {
				continue
			}
			var found mistakes
			r := Diagnose(&sourced{err, l})
			if !errors.As(err, &found) || r.Message == "" || !strings.HasPrefix(r.At, "deploy.star:") {
				t.Errorf("%q: %#v", src, r)
			}
		}
	})
}

package main

import (
	"bytes"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"

	"github.com/erlmcp/runner/runtime/builtin"
	"github.com/erlmcp/runner/runtime/host"
	"github.com/erlmcp/runner/runtime/op"
	"github.com/erlmcp/runner/runtime/script"
)

// families are what scripts see, as the program puts them together.
func families(t *testing.T) []builtin.Family {
	t.Helper()
	p := &program{dir: t.TempDir(), now: host.SystemClock{}.Now, wrap: func(h *host.Host) *host.Host { return h }}
	s, err := p.surround(p.dir, "")
	if err != nil {
		t.Fatal(err)
	}
	return append(s.families, script.Core(), script.Testing())
}

// TestReferenceIsWritten holds that builtins/README.md is what "runner doc" says; -update writes it.
func TestReferenceIsWritten(t *testing.T) {
	file := filepath.Join("..", "..", "builtins", "README.md")
	want := []byte(builtin.NewReference(families(t)).README())
	if *update {
		if err := os.WriteFile(file, want, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	if got, err := os.ReadFile(file); err != nil || !bytes.Equal(got, want) {
		t.Errorf("%s is not what the ops say of themselves (%v): go test ./cmd/runner -run TestReferenceIsWritten -update", file, err)
	}
}

// TestEverythingIsDocumented wants a sentence about every family, op, value, parameter and field of a result.
func TestEverythingIsDocumented(t *testing.T) {
	seen := 0
	for _, f := range families(t) {
		says(t, f.Name, f.Doc)
		for _, v := range f.Values {
			says(t, f.Call(v), op.DocOf(reflect.TypeOf(v.Proto)))
			seen += documented(t, f.Call(v), reflect.TypeOf(v.Proto))
		}
		for _, s := range f.Ops {
			says(t, s.FullName(), op.DocOf(reflect.TypeOf(s.Proto)))
			seen += documented(t, s.FullName(), reflect.TypeOf(s.Proto))
			if s.Class != op.ClassUndo {
				seen += documented(t, "the result of "+s.FullName(), s.Result)
			}
		}
	}
	if seen < 100 {
		t.Errorf("only %d parameters were looked at", seen)
	}
}

// documented wants a sentence about every field that scripts see, and counts them.
func documented(t *testing.T, of string, typ reflect.Type) int {
	t.Helper()
	for typ.Kind() == reflect.Pointer || typ.Kind() == reflect.Slice {
		typ = typ.Elem()
	}
	if typ.Kind() != reflect.Struct || reflect.PointerTo(typ).Implements(reflect.TypeFor[interface{ UnmarshalText([]byte) error }]()) {
		return 0
	}
	n := 0
	for _, f := range op.Fields(typ) {
		if !f.Hidden {
			says(t, of+", "+f.Name, f.Doc)
			n++
		}
	}
	return n
}

func says(t *testing.T, of, doc string) {
	t.Helper()
	if first := strings.TrimSpace(doc); first == "" || !strings.HasSuffix(strings.TrimRight(first, `")`), ".") {
		t.Errorf("%s: want a sentence about it, got %q", of, doc)
	}
}

// TestEveryPageIsFound looks up every name that the reference has.
func TestEveryPageIsFound(t *testing.T) {
	all := families(t)
	ref := builtin.NewReference(all)
	look := func(name string) {
		t.Helper()
		if page, err := ref.Lookup(name); err != nil || !strings.Contains(page, "# "+name+"\n") {
			t.Errorf("%s: %v\n%s", name, err, page)
		}
	}
	for _, f := range all {
		look(f.Name)
		for _, v := range f.Values {
			if f.Call(v) != f.Name {
				look(f.Call(v))
			}
		}
		for _, s := range f.Ops {
			if s.Class != op.ClassUndo {
				look(s.FullName())
			}
		}
	}
}

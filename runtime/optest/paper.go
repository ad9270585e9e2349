package optest

import (
	"bytes"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"testing"
	"unicode"

	"github.com/erlmcp/runner/runtime/op"
)

// paper checks what can be checked without a world.
func (b bound) paper(t testing.TB, spec *op.Spec) {
	t.Helper()
	summary(t, op.Bound{Spec: spec, Params: spec.Proto})
	documented(t, spec.FullName(), spec.Proto)
	if spec.Class != op.ClassUndo {
		result(t, spec)
	}
	if spec.Class == op.ClassFinal && strings.TrimSpace(spec.Why) == "" {
		t.Errorf("%s does not say why it cannot be taken back", spec.FullName())
	}
	if off := unwritten(reflect.TypeOf(spec.Proto)); len(off) > 0 {
		t.Errorf("%s: an op is data, and these fields are not on the wire: %s", spec.FullName(), strings.Join(off, ", "))
	}
	b.op(t, spec.Proto)
	b.op(t, b.full(reflect.TypeOf(spec.Proto), 0).Interface())
}

// unwritten are the fields that a record of the op would lose.
func unwritten(typ reflect.Type) (out []string) {
	written := op.Fields(typ)
	for _, f := range reflect.VisibleFields(typ) {
		if f.Name != "_" && !slices.ContainsFunc(written, func(w op.Field) bool { return slices.Equal(w.Index, f.Index) }) {
			out = append(out, f.Name)
		}
	}
	return out
}

func summary(t testing.TB, o op.Bound) {
	t.Helper()
	if s := o.Summary(); strings.TrimSpace(s) == "" || strings.ContainsAny(s, "\r\n") {
		t.Errorf("%s: its summary is not a line: %q", o.FullName(), s)
	}
}

// documented checks that a struct and each of its fields have a sentence, which is all that the reference has to show.
func documented(t testing.TB, name string, proto any) {
	t.Helper()
	typ := reflect.TypeOf(proto)
	if !sentence(op.DocOf(typ)) {
		t.Errorf("%s: what it is for is no sentence: %q", name, op.DocOf(typ))
	}
	fields(t, name, typ)
}

func fields(t testing.TB, name string, typ reflect.Type) {
	t.Helper()
	for _, f := range op.Fields(typ) {
		if !f.Hidden && !sentence(f.Doc) {
			t.Errorf("%s: the doc of %s is no sentence: %q", name, f.Name, f.Doc)
		}
	}
}

// result checks the fields that a script can read of what the op gives.
func result(t testing.TB, spec *op.Spec) {
	t.Helper()
	typ := spec.Result
	for typ.Kind() == reflect.Pointer || typ.Kind() == reflect.Slice {
		typ = typ.Elem()
	}
	if typ.Kind() == reflect.Struct {
		fields(t, spec.FullName()+" gives a "+typ.Name(), typ)
	}
}

func sentence(s string) bool {
	return s != "" && !unicode.IsLower([]rune(s)[0]) && strings.HasSuffix(s, ".") && !strings.Contains(s, "\n")
}

// maxNested is how deep full goes into structs that hold structs.
const maxNested = 6

// full is a value of a type with something in every field. Types that write themselves in a form of their own, and
// are not of the vocabulary, stay empty.
func (b bound) full(typ reflect.Type, depth int) reflect.Value {
	v := reflect.New(typ).Elem()
	if depth > maxNested || known(v) {
		return v
	}
	switch typ.Kind() {
	case reflect.String:
		v.SetString("text")
	case reflect.Bool:
		v.SetBool(true)
	case reflect.Int, reflect.Int64, reflect.Int32:
		v.SetInt(7)
	case reflect.Uint, reflect.Uint64, reflect.Uint32:
		v.SetUint(7)
	case reflect.Float64:
		v.SetFloat(1.5)
	case reflect.Pointer:
		v.Set(reflect.New(typ.Elem()))
		v.Elem().Set(b.full(typ.Elem(), depth+1))
	case reflect.Slice:
		v.Set(reflect.Append(v, b.full(typ.Elem(), depth+1)))
	case reflect.Map:
		v.Set(reflect.MakeMap(typ))
		v.SetMapIndex(reflect.ValueOf("name").Convert(typ.Key()), b.full(typ.Elem(), depth+1))
	case reflect.Interface:
		b.choose(v, depth)
	case reflect.Struct:
		for _, f := range op.Fields(typ) {
			v.FieldByIndex(f.Index).Set(b.full(f.Type, depth+1))
		}
	}
	return v
}

// choose fills a closed interface with the first value that it takes.
func (b bound) choose(v reflect.Value, depth int) {
	if v.NumMethod() == 0 {
		v.Set(reflect.ValueOf("text"))
		return
	}
	for _, f := range b.all {
		for _, value := range f.Values {
			if typ := reflect.TypeOf(value.Proto); typ.Implements(v.Type()) && b.reg.KindOf(typ) != "" {
				v.Set(b.full(typ, depth+1))
				return
			}
		}
	}
}

// golden compares the family's wire format with what was promised.
func (b bound) golden(t testing.TB) {
	t.Helper()
	root, err := moduleRoot()
	if err != nil {
		t.Fatal(err)
	}
	name := filepath.Join(root, "testdata", "wire", b.family.Name+".golden")
	got := b.wire(t)
	want, err := os.ReadFile(name)
	if f := flag.Lookup("update"); os.IsNotExist(err) || f != nil && f.Value.String() == "true" {
		if err := os.MkdirAll(filepath.Dir(name), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(name, got, 0o644); err != nil {
			t.Fatal(err)
		}
		if os.IsNotExist(err) {
			t.Errorf("%s was missing and is written; look at it, then run again", name)
		}
		return
	}
	if !bytes.Equal(got, want) {
		t.Errorf("the wire differs from %s (a field may be added, with a default, never renamed; run with -update, or remove the file)\n got\n%swant\n%s", name, got, want)
	}
}

// wire writes, for each op and each value, its defaults and one with something in every field.
func (b bound) wire(t testing.TB) []byte {
	t.Helper()
	var out bytes.Buffer
	write := func(head string, encode func(any) ([]byte, error), proto any) {
		fmt.Fprintln(&out, head)
		for _, v := range []any{proto, b.full(reflect.TypeOf(proto), 0).Interface()} {
			wire, err := encode(v)
			if err != nil {
				t.Errorf("%s: %v", head, err)
			}
			fmt.Fprintf(&out, "\t%s\n", wire)
		}
	}
	for _, s := range b.family.Ops {
		write(fmt.Sprintf("%s (%s)", s.FullName(), s.Class), func(v any) ([]byte, error) { return b.reg.Encode(v) }, s.Proto)
	}
	for _, v := range b.family.Values {
		if kind := b.reg.KindOf(reflect.TypeOf(v.Proto)); kind != "" {
			write(kind+" (value)", func(v any) ([]byte, error) { return b.reg.EncodeValue(v) }, v.Proto)
		}
	}
	return out.Bytes()
}

// moduleRoot is the nearest folder upwards with a go.mod.
func moduleRoot() (string, error) {
	dir, err := os.Getwd()
	if err != nil {
		return "", err
	}
	for {
		if _, err := os.Stat(filepath.Join(dir, "go.mod")); err == nil {
			return dir, nil
		}
		if filepath.Dir(dir) == dir {
			return "", fmt.Errorf("cannot find go.mod above the test")
		}
		dir = filepath.Dir(dir)
	}
}

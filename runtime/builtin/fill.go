package builtin

import (
	"encoding/json"
	"fmt"
	"reflect"
	"strings"
	"time"

	"go.starlark.net/starlark"

	"github.com/erlmcp/runner/runtime/op"
)

// Result is a value as an op of the result type t would give it: a dict or a struct fills the fields that it names, and
// the others are zero, as None is. The error names what the type does not have.
func (k *Kinds) Result(t reflect.Type, v starlark.Value) (any, error) {
	c := &conversion{kinds: k, filling: true}
	out := reflect.New(t).Elem()
	if err := c.set(out, v); err != nil {
		return nil, err
	}
	return out.Interface(), nil
}

// fill puts the fields that v names into a struct.
func (c *conversion) fill(dst reflect.Value, v starlark.Value) error {
	items, ok := itemsOf(v)
	if !ok {
		return op.Hint(fmt.Errorf("want %s, got %s", c.kinds.words(dst.Type()), got(v)), "write %s", Sample(dst.Type()))
	}
	fields := readable(dst.Type())
	for _, kv := range items {
		name, ok := kv[0].(starlark.String)
		if !ok {
			return fmt.Errorf("want names as keys, got %s", Repr(kv[0]))
		}
		f, err := c.fieldOf(dst.Type(), fields, string(name))
		if err != nil {
			return err
		}
		if err := c.set(dst.FieldByIndex(f.Index), kv[1]); err != nil {
			return within(err, string(name))
		}
	}
	return nil
}

func (c *conversion) fieldOf(t reflect.Type, fields []op.Field, name string) (op.Field, error) {
	var names []string
	for _, f := range fields {
		if f.Name == name {
			return f, nil
		}
		names = append(names, f.Name)
	}
	err := fmt.Errorf("%s has no %s%s", c.kinds.words(t), name, DidYouMean(name, names))
	if len(names) == 0 {
		return op.Field{}, err
	}
	return op.Field{}, op.Hint(err, "it has %s", and(names))
}

func itemsOf(v starlark.Value) ([]starlark.Tuple, bool) {
	switch v := v.(type) {
	case *starlark.Dict:
		return v.Items(), true
	case *Struct:
		var items []starlark.Tuple
		for i, n := range v.names {
			items = append(items, starlark.Tuple{starlark.String(n), v.values[i]})
		}
		return items, true
	}
	return nil, false
}

// fillSpecial sets what scripts only read, and so has no form among the parameters of ops.
func (c *conversion) fillSpecial(dst reflect.Value, v starlark.Value) (done bool, err error) {
	switch dst.Type() {
	case reflect.TypeFor[time.Duration]():
		var d op.Duration
		s, ok := v.(starlark.String)
		if !ok {
			return true, c.want(durationType, v)
		}
		err := d.UnmarshalText([]byte(s))
		dst.SetInt(int64(d))
		return true, err
	case reflect.TypeFor[json.RawMessage]():
		x, err := c.plain(v)
		if err != nil {
			return true, err
		}
		doc, err := json.Marshal(x)
		dst.SetBytes(doc)
		return true, err
	}
	return false, nil
}

// maxSampled is how many fields a sample has: it is an error's hint.
const maxSampled = 4

// Sample is how a test writes a value of type t, with its first fields and nothing in them: {"id": "", "version": ""}.
func Sample(t reflect.Type) string {
	switch {
	case t.Kind() == reflect.Pointer:
		return Sample(t.Elem())
	case t == durationType || t == reflect.TypeFor[time.Duration]():
		return `"1s"`
	case t == reflect.TypeFor[time.Time]():
		return `"2026-01-26T12:00:00Z"`
	case t == sizeType:
		return `"1MiB"`
	case t == bytesType || reflect.PointerTo(t).Implements(unmarshaler):
		return `""`
	}
	switch t.Kind() {
	case reflect.String:
		return `""`
	case reflect.Bool:
		return "True"
	case reflect.Slice:
		return "[]"
	case reflect.Map:
		return "{}"
	case reflect.Interface:
		return "None"
	case reflect.Struct:
		var out []string
		for _, f := range readable(t) {
			if !f.Optional && len(out) < maxSampled {
				out = append(out, fmt.Sprintf("%q: %s", f.Name, Sample(f.Type)))
			}
		}
		return "{" + strings.Join(out, ", ") + "}"
	}
	return "0"
}

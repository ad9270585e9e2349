package builtin

import (
	"bytes"
	"encoding"
	"encoding/json"
	"maps"
	"reflect"
	"slices"
	"strings"
	"time"

	"go.starlark.net/starlark"

	"github.com/erlmcp/runner/runtime/op"
	"github.com/erlmcp/runner/runtime/secret"
)

// Kinds knows the registered values and turns what Go holds into what scripts see.
type Kinds struct {
	byName map[string]reflect.Type
	byType map[reflect.Type]string
}

// NewKinds gathers the values of the families.
func NewKinds(families []Family) *Kinds {
	k := &Kinds{byName: map[string]reflect.Type{}, byType: map[reflect.Type]string{}}
	for name, proto := range Values(families) {
		k.byName[name], k.byType[reflect.TypeOf(proto)] = reflect.TypeOf(proto), name
	}
	return k
}

// fitting are the kinds whose values a field of type t takes.
func (k *Kinds) fitting(t reflect.Type) []string {
	var out []string
	for _, name := range slices.Sorted(maps.Keys(k.byName)) {
		if k.byName[name].AssignableTo(t) {
			out = append(out, name)
		}
	}
	return out
}

// Starlark is a Go value as scripts see it: lists and dicts are frozen, durations, sizes and times are strings, and
// what is not there, a zero time and an empty struct are None.
func (k *Kinds) Starlark(v any) starlark.Value { return k.value(reflect.ValueOf(v)) }

func (k *Kinds) value(v reflect.Value) starlark.Value {
	if !v.IsValid() {
		return starlark.None
	}
	switch v.Kind() {
	case reflect.Pointer, reflect.Interface:
		if v.IsNil() {
			return starlark.None
		}
	}
	if s, ok := k.special(v.Interface()); ok {
		return s
	}
	switch v.Kind() {
	case reflect.Pointer, reflect.Interface:
		return k.value(v.Elem())
	case reflect.Bool:
		return starlark.Bool(v.Bool())
	case reflect.String:
		return starlark.String(v.String())
	case reflect.Int, reflect.Int8, reflect.Int16, reflect.Int32, reflect.Int64:
		return starlark.MakeInt64(v.Int())
	case reflect.Uint, reflect.Uint8, reflect.Uint16, reflect.Uint32, reflect.Uint64:
		return starlark.MakeUint64(v.Uint())
	case reflect.Float32, reflect.Float64:
		return starlark.Float(v.Float())
	case reflect.Slice, reflect.Array:
		return k.list(v)
	case reflect.Map:
		return k.dict(v)
	case reflect.Struct:
		if v.NumField() == 0 {
			return starlark.None
		}
		return &Data{v: v, kind: k.byType[v.Type()], kinds: k}
	}
	panic("a script cannot see a " + v.Type().String())
}

// special are the types with a form of their own.
func (k *Kinds) special(v any) (starlark.Value, bool) {
	switch v := v.(type) {
	case starlark.Value:
		return v, true
	case op.Unknown:
		return Unknown{v}, true
	case op.Func:
		if v.Name == "" {
			return starlark.None, true
		}
		return Function{v}, true
	case secret.Text:
		if v.IsSecret() {
			return Secret{v}, true
		}
		return starlark.String(v.String()), true
	case time.Duration:
		return starlark.String(op.Duration(v).String()), true
	case op.Size:
		return starlark.String(sizeText(v)), true
	case time.Time:
		if v.IsZero() {
			return starlark.None, true
		}
		return starlark.String(v.UTC().Format(time.RFC3339)), true
	case json.RawMessage:
		return k.json(v), true
	case json.Number:
		return k.json([]byte(v)), true
	case []byte:
		return starlark.String(strings.ToValidUTF8(string(v), "\uFFFD")), true
	case error:
		return starlark.String(v.Error()), true
	case encoding.TextMarshaler:
		text, err := v.MarshalText()
		if err != nil {
			panic(err)
		}
		return starlark.String(text), true
	}
	return nil, false
}

// sizeText is the size as people write it, unless that would lose a byte.
func sizeText(s op.Size) string {
	var back op.Size
	if back.UnmarshalText([]byte(s.String())) == nil && back == s {
		return s.String()
	}
	text, _ := s.MarshalText()
	return string(text)
}

// json is a document as scripts see it; one that is none is its text.
func (k *Kinds) json(doc []byte) starlark.Value {
	d := json.NewDecoder(bytes.NewReader(doc))
	d.UseNumber()
	var v any
	if err := d.Decode(&v); err != nil {
		return starlark.String(doc)
	}
	if n, ok := v.(json.Number); ok {
		if i, err := n.Int64(); err == nil {
			return starlark.MakeInt64(i)
		}
		f, _ := n.Float64()
		return starlark.Float(f)
	}
	return k.Starlark(v)
}

func (k *Kinds) list(v reflect.Value) starlark.Value {
	elems := make([]starlark.Value, v.Len())
	for i := range elems {
		elems[i] = k.value(v.Index(i))
	}
	l := starlark.NewList(elems)
	l.Freeze()
	return l
}

func (k *Kinds) dict(v reflect.Value) starlark.Value {
	keys := v.MapKeys()
	slices.SortFunc(keys, func(x, y reflect.Value) int { return strings.Compare(x.String(), y.String()) })
	d := starlark.NewDict(len(keys))
	for _, key := range keys {
		if err := d.SetKey(k.value(key), k.value(v.MapIndex(key))); err != nil {
			panic(err)
		}
	}
	d.Freeze()
	return d
}

package builtin

import (
	"errors"
	"fmt"
	"reflect"
	"slices"

	"go.starlark.net/starlark"
	"go.starlark.net/syntax"

	"github.com/erlmcp/runner/runtime/op"
)

// Data is a Go struct as scripts see it, what an op gave or a value that was made: frozen, its fields by their wire
// names, and .kind where its type is registered.
type Data struct {
	v     reflect.Value // a struct
	kind  string
	kinds *Kinds
}

var (
	_ starlark.HasAttrs   = (*Data)(nil)
	_ starlark.Comparable = (*Data)(nil)
)

// Go is the struct itself.
func (d *Data) Go() any { return d.v.Interface() }

func (d *Data) String() string { return Repr(d) }

// Type is the kind, or for results the Go type's name in the scripts' spelling.
func (d *Data) Type() string {
	if d.kind != "" {
		return d.kind
	}
	return op.Snake(d.v.Type().Name())
}

// Freeze implements starlark.Value.
func (d *Data) Freeze() {}

// Truth implements starlark.Value: what is there is true.
func (d *Data) Truth() starlark.Bool { return true }

// Hash refuses: a secret inside would become a key.
func (d *Data) Hash() (uint32, error) { return 0, fmt.Errorf("unhashable type: %s", d.Type()) }

func (d *Data) attr(name string) starlark.Value {
	for _, f := range readable(d.v.Type()) {
		if f.Name == name {
			return d.kinds.value(d.v.FieldByIndex(f.Index))
		}
	}
	if name == "kind" && d.kind != "" {
		return starlark.String(d.kind)
	}
	return nil
}

// Attr implements starlark.HasAttrs.
func (d *Data) Attr(name string) (v starlark.Value, err error) {
	defer func() {
		if r := recover(); r != nil {
			v, err = nil, Caught(r)
		}
	}()
	if v := d.attr(name); v != nil {
		return v, nil
	}
	names := d.AttrNames()
	return nil, op.Hint(fmt.Errorf("%s has no %s%s", d.Type(), name, DidYouMean(name, names)), "it has %s", and(names))
}

// AttrNames implements starlark.HasAttrs: kind first, then the fields in their order.
func (d *Data) AttrNames() []string {
	var names []string
	for _, f := range readable(d.v.Type()) {
		names = append(names, f.Name)
	}
	if d.kind != "" && !slices.Contains(names, "kind") {
		names = append(names, "kind")
	}
	return names
}

// CompareSameType implements starlark.Comparable: equal are equal structs of one Go type.
func (d *Data) CompareSameType(o syntax.Token, other starlark.Value, _ int) (bool, error) {
	if o != syntax.EQL && o != syntax.NEQ {
		return false, fmt.Errorf("cannot order %s by %s", d.Type(), o)
	}
	e := other.(*Data)
	return reflect.DeepEqual(d.Go(), e.Go()) == (o == syntax.EQL), nil
}

// readable are the fields that scripts see: a Key is between the engine and Go code, while others that no script sets,
// such as an environment's name, are there to be read.
func readable(t reflect.Type) []op.Field {
	return slices.DeleteFunc(op.Fields(t), func(f op.Field) bool { return f.Type == reflect.TypeFor[op.Key]() })
}

// visible are the fields that scripts may set.
func visible(t reflect.Type) []op.Field {
	return slices.DeleteFunc(op.Fields(t), func(f op.Field) bool { return f.Hidden })
}

var errNoName = errors.New("only a value with a name can be renamed")

// WithName is the value under the name that environments.star exports it by; a value that takes no name is an error.
func (d *Data) WithName(name string) (*Data, error) {
	n, ok := d.Go().(Named)
	if !ok {
		return nil, errNoName
	}
	named, ok := d.kinds.Starlark(n.WithName(name)).(*Data)
	if !ok {
		return nil, errNoName
	}
	return named, nil
}

// IsNamed reports whether the value takes the name of its variable: an environment does.
func (d *Data) IsNamed() bool {
	_, ok := d.Go().(Named)
	return ok
}

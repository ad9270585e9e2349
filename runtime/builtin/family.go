// Package builtin turns Go structs into what Starlark calls and sees: builtins with checked arguments, values, and the
// pages of the reference. It performs nothing: a call becomes an op.Bound, handed to whoever runs the script.
package builtin

import (
	"fmt"
	"reflect"

	"github.com/erlmcp/runner/runtime/op"
)

// Family is the ops and values that scripts see under one prefix.
type Family struct {
	Name   string
	Doc    string // a sentence or a few: what the family is for
	Ops    []*op.Spec
	Values []ValueSpec
}

// ValueSpec is a pure value that scripts make by calling its name, while loading too.
type ValueSpec struct {
	Name   string // "probe"
	Global bool   // called without the family's prefix
	Proto  any    // a struct, with its defaults
	Gives  any    // what the call gives, where that is not the value itself; for the reference
}

// Maker is a value whose call gives something else than the struct itself: secret.env gives a secret.Text.
type Maker interface {
	Make() (any, error)
}

// Named is a value that takes the name of the variable that environments.star exports it by.
type Named interface {
	WithName(name string) any
}

// Value is a value under its family's prefix: smoke.http(...).
func Value(proto any) ValueSpec {
	return ValueSpec{Name: op.Snake(reflect.TypeOf(proto).Name()), Proto: proto}
}

// Global is a value without a prefix: probe(...).
func Global(proto any) ValueSpec {
	v := Value(proto)
	v.Global = true
	return v
}

// NewFamily gathers ops (made by op.Read and its like) and values (made by Value and Global).
func NewFamily(name, doc string, members ...any) Family {
	f := Family{Name: name, Doc: doc}
	for _, m := range members {
		switch m := m.(type) {
		case *op.Spec:
			m.Family = name
			f.Ops = append(f.Ops, m)
		case ValueSpec:
			f.Values = append(f.Values, m)
		default:
			panic(fmt.Sprintf("family %s: %T is neither an op nor a value", name, m))
		}
	}
	return f
}

// Call is how scripts write the value's name: "probe", "smoke.http".
func (f Family) Call(v ValueSpec) string {
	if v.Global {
		return v.Name
	}
	return f.Name + "." + v.Name
}

// Values is every value of the families by its kind, as op.NewRegistry wants them. The kind of a value is its name as
// scripts call it. Makers have none: what they make stands for them.
func Values(families []Family) map[string]any {
	out := map[string]any{}
	for _, f := range families {
		for _, v := range f.Values {
			if _, maker := v.Proto.(Maker); !maker {
				out[f.Call(v)] = v.Proto
			}
		}
	}
	return out
}

// Specs is every op of the families, as op.NewRegistry wants them.
func Specs(families []Family) map[string][]*op.Spec {
	out := map[string][]*op.Spec{}
	for _, f := range families {
		out[f.Name] = append(out[f.Name], f.Ops...)
	}
	return out
}

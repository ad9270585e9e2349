package builtin

import (
	"fmt"
	"strings"

	"go.starlark.net/starlark"

	"github.com/erlmcp/runner/runtime/op"
)

// Calls is where the calls of a script go.
type Calls struct {
	Kinds   *Kinds
	Perform func(*starlark.Thread, op.Bound) (any, error)
	// Func makes a parameter of a function at the left edge of a file.
	Func func(*starlark.Thread, *starlark.Function) (op.Func, error)
}

func (c *Calls) conversion(t *starlark.Thread) *conversion {
	return &conversion{kinds: c.Kinds, fn: func(f *starlark.Function) (op.Func, error) { return c.Func(t, f) }}
}

// Op is an op as scripts call it.
type Op struct {
	spec  *op.Spec
	calls *Calls
}

var (
	_ starlark.Callable = (*Op)(nil)
	_ starlark.Callable = (*maker)(nil)
)

func (o *Op) String() string { return "<" + o.Name() + ">" }

// Type implements starlark.Value.
func (o *Op) Type() string { return "op" }

// Freeze implements starlark.Value.
func (o *Op) Freeze() {}

// Truth implements starlark.Value.
func (o *Op) Truth() starlark.Bool { return true }

// Hash implements starlark.Value.
func (o *Op) Hash() (uint32, error) { return starlark.String(o.Name()).Hash() }

// Name implements starlark.Callable.
func (o *Op) Name() string { return o.spec.FullName() }

// CallInternal implements starlark.Callable: it binds the arguments and has the op performed.
func (o *Op) CallInternal(t *starlark.Thread, args starlark.Tuple, kwargs []starlark.Tuple) (v starlark.Value, err error) {
	defer func() {
		if r := recover(); r != nil {
			v, err = nil, Caught(r)
		}
	}()
	b, err := o.Bind(t, args, kwargs)
	if err != nil {
		return nil, err
	}
	result, err := o.calls.Perform(t, b)
	if err != nil {
		return nil, err
	}
	return o.calls.Kinds.Starlark(result), nil
}

// Bind checks the arguments of a call and makes the op of them, without performing it.
func (o *Op) Bind(t *starlark.Thread, args starlark.Tuple, kwargs []starlark.Tuple) (op.Bound, error) {
	f := newForm(o.spec.Proto)
	if err := f.bind(o.calls.conversion(t), args, kwargs); err != nil {
		return op.Bound{}, err
	}
	if err := f.check(); err != nil {
		return op.Bound{}, err
	}
	b := op.Bound{Spec: o.spec, Params: f.params.Interface()}
	if len(f.unknown) > 0 {
		b.Unknown = f.unknown
	}
	return b, nil
}

// maker is the builtin that makes a value.
type maker struct {
	name  string
	proto any
	calls *Calls
}

func (m *maker) String() string        { return "<" + m.name + ">" }
func (m *maker) Type() string          { return "value maker" }
func (m *maker) Freeze()               {}
func (m *maker) Truth() starlark.Bool  { return true }
func (m *maker) Hash() (uint32, error) { return starlark.String(m.name).Hash() }
func (m *maker) Name() string          { return m.name }
func (m *maker) CallInternal(t *starlark.Thread, args starlark.Tuple, kwargs []starlark.Tuple) (v starlark.Value, err error) {
	defer func() {
		if r := recover(); r != nil {
			v, err = nil, Caught(r)
		}
	}()
	f := newForm(m.proto)
	if err := f.bind(m.calls.conversion(t), args, kwargs); err != nil {
		return nil, err
	}
	for _, stand := range f.unknown {
		u, _ := masked(stand)
		return u, nil
	}
	if err := f.check(); err != nil {
		return nil, err
	}
	made := f.params.Interface()
	if mk, ok := made.(Maker); ok {
		if made, err = mk.Make(); err != nil {
			return nil, err
		}
	}
	return m.calls.Kinds.Starlark(made), nil
}

// Module is a family as scripts see it.
type Module struct {
	name    string
	members starlark.StringDict
}

var _ starlark.HasAttrs = (*Module)(nil)

// NewModule is a module of the members.
func NewModule(name string, members starlark.StringDict) *Module { return &Module{name, members} }

func (m *Module) String() string { return "<module " + m.name + ">" }

// Type implements starlark.Value.
func (m *Module) Type() string { return "module" }

// Freeze implements starlark.Value.
func (m *Module) Freeze() { m.members.Freeze() }

// Truth implements starlark.Value.
func (m *Module) Truth() starlark.Bool { return true }

// Hash implements starlark.Value.
func (m *Module) Hash() (uint32, error) { return 0, fmt.Errorf("unhashable type: module") }

// Attr implements starlark.HasAttrs.
func (m *Module) Attr(name string) (starlark.Value, error) {
	if v, ok := m.members[name]; ok {
		return v, nil
	}
	err := fmt.Errorf("%s has no %s%s", m.name, name, DidYouMean(name, m.members.Keys()))
	return nil, op.Hint(err, "%s has %s", m.name, and(m.members.Keys()))
}

// AttrNames implements starlark.HasAttrs.
func (m *Module) AttrNames() []string { return m.members.Keys() }

// Predeclared is what the families declare: a module for each, and the values that go without a prefix. Undo ops are
// left out. Two of one name are a mistake in the program, and a panic.
func (c *Calls) Predeclared(families []Family) starlark.StringDict {
	out := starlark.StringDict{}
	declare := func(in starlark.StringDict, name string, v starlark.Value) {
		if in[name] != nil {
			panic("two builtins are named " + name)
		}
		in[name] = v
	}
	for _, f := range families {
		members := starlark.StringDict{}
		for _, s := range f.Ops {
			if s.Class != op.ClassUndo {
				declare(members, s.Name, &Op{s, c})
			}
		}
		for _, v := range f.Values {
			m := &maker{f.Call(v), v.Proto, c}
			if v.Global {
				declare(out, v.Name, m)
			} else {
				declare(members, v.Name, m)
			}
		}
		if len(members) > 0 {
			declare(out, f.Name, NewModule(f.Name, members))
		}
	}
	return out
}

func snakeWords(goName string) string {
	return strings.ReplaceAll(op.Snake(goName), "_", " ")
}

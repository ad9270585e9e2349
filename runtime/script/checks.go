package script

import (
	"errors"
	"strings"

	"go.starlark.net/starlark"

	"github.com/erlmcp/runner/runtime/builtin"
)

// equal, truth and member are what a plan puts around everything that decides.
func equal(t *starlark.Thread, _ *starlark.Builtin, args starlark.Tuple, _ []starlark.Tuple) (starlark.Value, error) {
	return checked(t, args[0], builtin.CheckKnown(args[0]))
}

func truth(t *starlark.Thread, _ *starlark.Builtin, args starlark.Tuple, _ []starlark.Tuple) (starlark.Value, error) {
	return checked(t, args[0], known(args[0], false))
}

func member(t *starlark.Thread, _ *starlark.Builtin, args starlark.Tuple, _ []starlark.Tuple) (starlark.Value, error) {
	if d, ok := args[0].(*starlark.Dict); ok {
		return checked(t, d, builtin.CheckKnown(starlark.Tuple(d.Keys())))
	}
	return checked(t, args[0], builtin.CheckKnown(args[0]))
}

func checked(t *starlark.Thread, v starlark.Value, err error) (starlark.Value, error) {
	if err != nil {
		return nil, at(err, position(t))
	}
	return v, nil
}

// at adds to the use of an unknown where it is.
func at(err error, position string) error {
	var u *builtin.UnknownUsed
	if errors.As(err, &u) && u.At == "" {
		u.At = position
	}
	return err
}

// operand is what stands around the right side of %.
func operand(_ *starlark.Thread, _ *starlark.Builtin, args starlark.Tuple, _ []starlark.Tuple) (starlark.Value, error) {
	switch v := args[0].(type) {
	case starlark.Int, starlark.String, starlark.Float:
		return v, nil
	}
	return args[0], builtin.CheckText("%", args[0])
}

// text is what stands around the receiver of a method.
func text(_ *starlark.Thread, _ *starlark.Builtin, args starlark.Tuple, _ []starlark.Tuple) (starlark.Value, error) {
	if s, ok := args[0].(starlark.String); ok {
		return receiver{s}, nil
	}
	return args[0], nil
}

// receiver is a text whose methods look at their arguments first.
type receiver struct{ text starlark.String }

var _ starlark.HasAttrs = receiver{}

func (r receiver) String() string        { return r.text.String() }
func (r receiver) Type() string          { return r.text.Type() }
func (r receiver) Freeze()               {}
func (r receiver) Truth() starlark.Bool  { return r.text.Truth() }
func (r receiver) Hash() (uint32, error) { return r.text.Hash() }
func (r receiver) AttrNames() []string   { return r.text.AttrNames() }

func (r receiver) Attr(name string) (starlark.Value, error) {
	v, err := r.text.Attr(name)
	method, ok := v.(*starlark.Builtin)
	if err != nil || !ok {
		return v, err
	}
	return starlark.NewBuiltin(name, caught(func(t *starlark.Thread, _ *starlark.Builtin, args starlark.Tuple, kwargs []starlark.Tuple) (starlark.Value, error) {
		args, err := r.arguments(name, args, kwargs)
		if err != nil {
			return nil, err
		}
		return method.CallInternal(t, args, kwargs)
	})), nil
}

// arguments refuses secrets and unknowns, but for the two methods that only pass an unknown on in their text.
func (r receiver) arguments(name string, args starlark.Tuple, kwargs []starlark.Tuple) (starlark.Tuple, error) {
	all := append(starlark.Tuple{}, args...)
	for _, kv := range kwargs {
		all = append(all, kv[1])
	}
	switch name {
	case "format":
		return args, builtin.CheckText("format", all)
	case "join":
		return joinable(args), nil
	}
	return args, builtin.CheckKnown(append(all, r.text))
}

// joinable replaces each unknown in the argument of join by its text.
func joinable(args starlark.Tuple) starlark.Tuple {
	if len(args) != 1 || builtin.CheckKnown(args[0]) == nil {
		return args
	}
	it, ok := args[0].(starlark.Iterable)
	if !ok {
		return args
	}
	var out starlark.Tuple
	for v := range starlark.Elements(it) {
		if u, ok := v.(builtin.Unknown); ok {
			v = starlark.String(u.String())
		}
		out = append(out, v)
	}
	return starlark.Tuple{out}
}

// hidden reports whether a builtin's name is one of the checks.
func hidden(name string) bool { return strings.HasPrefix(name, " ") }

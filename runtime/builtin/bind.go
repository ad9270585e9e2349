package builtin

import (
	"errors"
	"fmt"
	"reflect"
	"slices"
	"strings"

	"go.starlark.net/starlark"

	"github.com/erlmcp/runner/runtime/op"
)

// ArgError is a mistake in the arguments of a call.
type ArgError struct {
	Param string // the one that is wrong, "" where it is the call
	Index int    // of Param among the positional arguments, -1 where it was given by name
	Err   error  // begins with Param, if there is one
}

func (e *ArgError) Error() string { return e.Err.Error() }

// Unwrap gives the cause.
func (e *ArgError) Unwrap() error { return e.Err }

// within adds where in a parameter the mistake is, keeping the hint: "argv[2]: want a string, got int".
func within(err error, place string) error {
	sep := ": "
	if strings.HasPrefix(err.Error(), "[") {
		sep = ""
	}
	return fmt.Errorf("%s%s%w", place, sep, err)
}

// form is what a call fills: a copy of a prototype, and its parameters.
type form struct {
	params  reflect.Value
	fields  []op.Field
	proto   reflect.Value
	given   map[string]bool
	unknown map[string]string
}

func newForm(proto any) *form {
	v := reflect.New(reflect.TypeOf(proto)).Elem()
	v.Set(reflect.ValueOf(proto))
	return &form{params: v, fields: visible(v.Type()), proto: reflect.ValueOf(proto),
		given: map[string]bool{}, unknown: map[string]string{}}
}

func (f *form) optional(p op.Field) bool {
	return p.Optional || !f.proto.FieldByIndex(p.Index).IsZero()
}

func (f *form) names(which func(op.Field) bool) []string {
	var out []string
	for _, p := range f.fields {
		if which(p) {
			out = append(out, p.Name)
		}
	}
	return out
}

// bind fills the form from a call's arguments: required parameters by position or name, the others by name.
func (f *form) bind(c *conversion, args starlark.Tuple, kwargs []starlark.Tuple) error {
	required := f.names(func(p op.Field) bool { return !f.optional(p) })
	if len(args) > len(required) {
		return &ArgError{Index: -1, Err: f.tooMany(len(args), required)}
	}
	for i, v := range args {
		if err := f.set(c, required[i], v); err != nil {
			return &ArgError{required[i], i, err}
		}
	}
	for _, kv := range kwargs {
		name := string(kv[0].(starlark.String))
		if err := f.set(c, name, kv[1]); err != nil {
			return &ArgError{name, -1, err}
		}
	}
	missing := slices.DeleteFunc(required, func(n string) bool { return f.given[n] })
	if len(missing) > 0 {
		all := f.names(func(op.Field) bool { return true })
		return &ArgError{Index: -1, Err: op.Hint(fmt.Errorf("missing %s", and(missing)), "it takes %s", and(all))}
	}
	return nil
}

func (f *form) tooMany(n int, required []string) error {
	optional := f.names(f.optional)
	word := "arguments"
	if len(required) == 1 {
		word = "argument"
	}
	err := fmt.Errorf("takes %d %s by position, got %d", len(required), word, n)
	switch {
	case len(required) > 0 && len(optional) > 0:
		return op.Hint(err, "%s by position; %s by name", and(required), and(optional))
	case len(optional) > 0:
		return op.Hint(err, "its parameters go by name: %s", and(optional))
	case len(required) > 0:
		return op.Hint(err, "it takes %s", and(required))
	}
	return err
}

func (f *form) set(c *conversion, name string, v starlark.Value) error {
	i := slices.IndexFunc(f.fields, func(p op.Field) bool { return p.Name == name })
	if i < 0 {
		all := f.names(func(op.Field) bool { return true })
		err := fmt.Errorf("there is no parameter %s%s", name, DidYouMean(name, all))
		if len(all) == 0 {
			return op.Hint(err, "it takes no parameters")
		}
		return op.Hint(err, "it takes %s", and(all))
	}
	p := f.fields[i]
	if f.given[name] {
		return fmt.Errorf("%s: given twice", name)
	}
	f.given[name] = true
	if v == starlark.None && p.Type != valueType {
		if !f.optional(p) {
			return fmt.Errorf("%s: want %s, got None", name, c.kinds.words(p.Type))
		}
		return nil
	}
	if u, ok := unknownIn(v); ok {
		f.unknown[name] = standIn(v, u)
	}
	if err := c.set(f.params.FieldByIndex(p.Index), v); err != nil {
		return within(err, name)
	}
	return nil
}

// standIn is the text of a parameter that holds an unknown: a text with the mask in it, else the mask.
func standIn(v starlark.Value, u Unknown) string {
	if s, ok := v.(starlark.String); ok {
		return string(s)
	}
	return u.Unknown.String()
}

// check applies the struct's own rules, which cannot be asked while something is unknown.
func (f *form) check() error {
	if c, ok := f.params.Interface().(op.Checked); ok && len(f.unknown) == 0 {
		if err := c.Check(); err != nil {
			return &ArgError{f.named(err), -1, err}
		}
	}
	return nil
}

// named is the parameter that an error begins with.
func (f *form) named(err error) string {
	for _, p := range f.fields {
		if rest, ok := strings.CutPrefix(err.Error(), p.Name); ok && strings.HasPrefix(rest, ":") {
			return p.Name
		}
	}
	return ""
}

// IsArgError reports whether the arguments of a call are at fault.
func IsArgError(err error) bool {
	var a *ArgError
	return errors.As(err, &a)
}

// Bind fills a P, a struct with the tags of a value, from a call's arguments.
func Bind[P any](k *Kinds, args starlark.Tuple, kwargs []starlark.Tuple) (P, error) {
	var p P
	f := newForm(p)
	if err := f.bind(&conversion{kinds: k}, args, kwargs); err != nil {
		return p, err
	}
	return f.params.Interface().(P), nil
}

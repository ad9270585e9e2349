package builtin

import (
	"errors"
	"fmt"
	"slices"

	"go.starlark.net/starlark"
	"go.starlark.net/syntax"
)

// Struct is the scripts' struct(...): fields that stay as they were made. Unlike the one of starlark-go it can be
// printed when it holds itself.
type Struct struct {
	names  []string // sorted
	values []starlark.Value
	depth  int // of the structs inside it
}

var (
	_ starlark.HasAttrs   = (*Struct)(nil)
	_ starlark.Comparable = (*Struct)(nil)
)

// MakeStruct is the builtin struct.
func MakeStruct(_ *starlark.Thread, _ *starlark.Builtin, args starlark.Tuple, kwargs []starlark.Tuple) (starlark.Value, error) {
	if len(args) > 0 {
		return nil, errors.New(`takes fields by name only: struct(name = "web")`)
	}
	fields := starlark.StringDict{}
	for _, kv := range kwargs {
		fields[string(kv[0].(starlark.String))] = kv[1]
	}
	s := NewStruct(fields)
	if s.depth > maxNested {
		return nil, errNested
	}
	return s, nil
}

// NewStruct is a struct of the fields.
func NewStruct(fields starlark.StringDict) *Struct {
	s := &Struct{names: fields.Keys()}
	for _, n := range s.names {
		s.values = append(s.values, fields[n])
		if inner, ok := fields[n].(*Struct); ok {
			s.depth = max(s.depth, inner.depth+1)
		}
	}
	return s
}

func (s *Struct) String() string { return Repr(s) }

// Type implements starlark.Value.
func (s *Struct) Type() string { return "struct" }

// Freeze implements starlark.Value.
func (s *Struct) Freeze() {
	for _, v := range s.values {
		v.Freeze()
	}
}

// Truth implements starlark.Value.
func (s *Struct) Truth() starlark.Bool { return true }

// Hash refuses: what a struct holds may change.
func (s *Struct) Hash() (uint32, error) { return 0, errors.New("unhashable type: struct") }

func (s *Struct) attr(name string) starlark.Value {
	if i, ok := slices.BinarySearch(s.names, name); ok {
		return s.values[i]
	}
	return nil
}

// Attr implements starlark.HasAttrs.
func (s *Struct) Attr(name string) (starlark.Value, error) {
	if v := s.attr(name); v != nil {
		return v, nil
	}
	return nil, fmt.Errorf("struct has no %s%s", name, DidYouMean(name, s.names))
}

// AttrNames implements starlark.HasAttrs.
func (s *Struct) AttrNames() []string { return slices.Clone(s.names) }

// CompareSameType implements starlark.Comparable: structs of the same fields with equal values are equal.
func (s *Struct) CompareSameType(o syntax.Token, other starlark.Value, depth int) (bool, error) {
	if o != syntax.EQL && o != syntax.NEQ {
		return false, fmt.Errorf("cannot order structs by %s", o)
	}
	t := other.(*Struct)
	same := slices.Equal(s.names, t.names)
	for i := 0; same && i < len(s.values); i++ {
		eq, err := starlark.EqualDepth(s.values[i], t.values[i], depth-1)
		if err != nil {
			return false, err
		}
		same = eq
	}
	return same == (o == syntax.EQL), nil
}

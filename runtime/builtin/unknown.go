package builtin

import (
	"errors"
	"strconv"
	"strings"

	"go.starlark.net/starlark"
	"go.starlark.net/syntax"

	"github.com/erlmcp/runner/runtime/op"
)

// Unknown is, in a plan, what an op would have given. It may be read and passed on; a decision on it ends the plan.
type Unknown struct{ op.Unknown }

// UnknownUsed is the error by which a plan ends: the script decides on what the plan cannot know.
type UnknownUsed struct {
	At   string // where, "" until the script's position is known
	Name string // ‹known after build.go›
}

func (u *UnknownUsed) Error() string { return u.Name + " is used" }

func (u Unknown) used() error { return &UnknownUsed{Name: u.Unknown.String()} }

var (
	_ starlark.HasAttrs   = Unknown{}
	_ starlark.HasBinary  = Unknown{}
	_ starlark.HasUnary   = Unknown{}
	_ starlark.Mapping    = Unknown{}
	_ starlark.Comparable = Unknown{}
)

// Type implements starlark.Value.
func (u Unknown) Type() string { return "unknown" }

// Freeze implements starlark.Value.
func (u Unknown) Freeze() {}

// Truth ends the plan by a panic: an answer, either one, would be a guess.
func (u Unknown) Truth() starlark.Bool { panic(u.used()) }

// Hash implements starlark.Value.
func (u Unknown) Hash() (uint32, error) { return 0, u.used() }

// Attr implements starlark.HasAttrs: everything about an unknown is unknown.
func (u Unknown) Attr(string) (starlark.Value, error) { return u, nil }

// AttrNames implements starlark.HasAttrs.
func (u Unknown) AttrNames() []string { return nil }

// Get implements starlark.Mapping.
func (u Unknown) Get(starlark.Value) (starlark.Value, bool, error) { return u, true, nil }

// Binary implements starlark.HasBinary.
func (u Unknown) Binary(syntax.Token, starlark.Value, starlark.Side) (starlark.Value, error) {
	return nil, u.used()
}

// Unary implements starlark.HasUnary.
func (u Unknown) Unary(syntax.Token) (starlark.Value, error) { return nil, u.used() }

// CompareSameType implements starlark.Comparable.
func (u Unknown) CompareSameType(syntax.Token, starlark.Value, int) (bool, error) {
	return false, u.used()
}

// CallInternal implements starlark.Callable: a method of an unknown gives an unknown.
func (u Unknown) CallInternal(*starlark.Thread, starlark.Tuple, []starlark.Tuple) (starlark.Value, error) {
	return u, nil
}

// Name implements starlark.Callable.
func (u Unknown) Name() string { return u.Unknown.String() }

// MarshalJSON makes json.encode write the mask.
func (u Unknown) MarshalJSON() ([]byte, error) { return []byte(strconv.Quote(u.Unknown.String())), nil }

// masks are the ends of an unknown's text.
var maskStart, maskEnd, _ = strings.Cut(op.Unknown{After: "\x00"}.String(), "\x00")

// CheckKnown is an *UnknownUsed for a value that is unknown, or that has an unknown in it.
func CheckKnown(v starlark.Value) error {
	if u, ok := unknownIn(v); ok {
		return u.used()
	}
	return nil
}

func unknownIn(v starlark.Value) (Unknown, bool) {
	var found Unknown
	ok := false
	visit(v, maxNested, func(x starlark.Value) bool {
		switch x := x.(type) {
		case Unknown:
			found, ok = x, true
		case starlark.String:
			found, ok = masked(string(x))
		}
		return !ok
	})
	return found, ok
}

// masked finds the unknown that a text was made from.
func masked(text string) (Unknown, bool) {
	_, rest, ok := strings.Cut(text, maskStart)
	if !ok {
		return Unknown{}, false
	}
	after, _, ok := strings.Cut(rest, maskEnd)
	return Unknown{op.Unknown{After: after}}, ok
}

// asUnknownUsed gives the decision on an unknown that a panic stands for, nil for any other panic.
func asUnknownUsed(r any) *UnknownUsed {
	var u *UnknownUsed
	if err, ok := r.(error); ok && errors.As(err, &u) {
		return u
	}
	return nil
}

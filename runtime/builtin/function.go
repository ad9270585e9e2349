package builtin

import (
	"go.starlark.net/starlark"

	"github.com/erlmcp/runner/runtime/op"
)

// Function is a function that a script has given to a value, as scripts see it there: it can be passed on, not called.
type Function struct{ Func op.Func }

var _ starlark.Value = Function{}

func (f Function) String() string { return "<function " + f.Func.Name + ">" }

// Type implements starlark.Value.
func (f Function) Type() string { return "function" }

// Freeze implements starlark.Value.
func (f Function) Freeze() {}

// Truth implements starlark.Value.
func (f Function) Truth() starlark.Bool { return true }

// Hash implements starlark.Value.
func (f Function) Hash() (uint32, error) { return starlark.String(f.Func.Digest + f.Func.Name).Hash() }

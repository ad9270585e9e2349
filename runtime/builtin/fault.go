package builtin

import "github.com/erlmcp/runner/runtime/op"

// Caught turns what recover gave into an error: an *UnknownUsed as it is, anything else into an *op.Fault; nil stays nil.
func Caught(r any) error {
	if r == nil {
		return nil
	}
	if u := asUnknownUsed(r); u != nil {
		return u
	}
	return op.NewFault(r)
}

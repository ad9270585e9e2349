package builtin

import (
	"errors"

	"go.starlark.net/starlark"
	"go.starlark.net/syntax"

	"github.com/erlmcp/runner/runtime/op"
	"github.com/erlmcp/runner/runtime/secret"
)

// Secret is a secret as scripts see it: it prints as its name, and nothing can be done with it but pass it on.
type Secret struct{ Text secret.Text }

var _ starlark.HasBinary = Secret{}

func (s Secret) String() string { return s.Text.String() }

// Type implements starlark.Value.
func (s Secret) Type() string { return "secret" }

// Freeze implements starlark.Value.
func (s Secret) Freeze() {}

// Truth implements starlark.Value: a secret is never empty.
func (s Secret) Truth() starlark.Bool { return true }

// Hash refuses: a key or a member of a set would tell whether two secrets are equal.
func (s Secret) Hash() (uint32, error) { return 0, errors.New("unhashable type: secret") }

// Binary refuses + and %, which would make a text with the mask in place of the value.
func (s Secret) Binary(o syntax.Token, _ starlark.Value, _ starlark.Side) (starlark.Value, error) {
	if o == syntax.PLUS || o == syntax.PERCENT {
		return nil, errSecretText(o.String())
	}
	return nil, nil
}

func errSecretText(operator string) error {
	return op.Hint(errors.New("a secret cannot be put into a text with "+operator),
		`secret.format("Bearer {}", token) derives a secret from a secret`)
}

// CheckText refuses what must not be put into a text by an operator or a format: a secret, or what is nested too
// deeply to print.
func CheckText(operator string, v starlark.Value) error {
	found := false
	deep := !visit(v, maxNested, func(x starlark.Value) bool {
		_, found = x.(Secret)
		return !found
	})
	if found {
		return errSecretText(operator)
	}
	if deep {
		return errNested
	}
	return nil
}

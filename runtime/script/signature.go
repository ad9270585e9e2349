package script

import (
	"errors"
	"fmt"
	"strings"

	"go.starlark.net/starlark"
	"go.starlark.net/syntax"

	"github.com/erlmcp/runner/runtime/builtin"
	"github.com/erlmcp/runner/runtime/op"
)

// Signature is what main takes from the command line.
type Signature struct {
	Doc    string // main's docstring, without its Args
	Params []Param
}

// Type is what a parameter takes, by its default.
type Type string

// The types of parameters.
const (
	TypeString   Type = "string"
	TypeBool     Type = "bool"
	TypeInt      Type = "int"
	TypeFloat    Type = "float"
	TypeDuration Type = "duration"
)

// Param is one parameter of main. Required ones stand in their order; the others are flags.
type Param struct {
	Name     string // skip_tests
	Doc      string
	Type     Type
	Required bool
	Default  string // as Starlark writes it, "" where it says nothing

	pos syntax.Position
}

// Flag is how the command line spells the name: "skip-tests".
func (p Param) Flag() string { return strings.ReplaceAll(p.Name, "_", "-") }

// environmentParam is the parameter of main that takes a value of environments.star, by its name.
const environmentParam = "environment"

// forceParam is the parameter that takes a reason to go on all the same: a flag, and never filled by its place.
const forceParam = "force"

// signature reads main's parameters.
func signature(main *starlark.Function) (Signature, error) {
	doc, args := docstring(main.Doc())
	sig := Signature{Doc: doc}
	if main.HasVarargs() || main.HasKwargs() {
		return sig, atParam(main.Position(), errMainParams())
	}
	for i := range main.NumParams() {
		name, pos := main.Param(i)
		p := Param{Name: name, Doc: args[name], Type: TypeString, pos: pos}
		d := main.ParamDefault(i)
		p.Required = d == nil
		if d != nil {
			if p.Type = typeOf(d); p.Type == "" {
				return sig, atParam(pos, errMainDefault(p, d.Type()))
			}
			if d.Truth() {
				p.Default = builtin.Print(d)
			}
		}
		sig.Params = append(sig.Params, p)
	}
	return sig, nil
}

func errMainParams() error {
	return op.Hint(errors.New("main takes parameters by name, not * or **"), "its parameters are the command line: each needs a name")
}

func errMainDefault(p Param, got string) error {
	return op.Hint(fmt.Errorf("%s: a default of main is a string, a number, True or False, got %s", p.Name, got), "it becomes the flag --%s", p.Flag())
}

func atParam(pos syntax.Position, err error) error { return &sourceError{placeOf(pos), err} }

func typeOf(d starlark.Value) Type {
	switch d := d.(type) {
	case starlark.Bool:
		return TypeBool
	case starlark.Int:
		return TypeInt
	case starlark.Float:
		return TypeFloat
	case starlark.NoneType:
		return TypeString
	case starlark.String:
		var parsed op.Duration
		if d != "0" && parsed.UnmarshalText([]byte(d)) == nil {
			return TypeDuration
		}
		return TypeString
	}
	return ""
}

// docstring splits a docstring into its text and what its "Args:" section says of each parameter.
func docstring(doc string) (text string, args map[string]string) {
	args = map[string]string{}
	var lines []string
	name, inArgs, section := "", false, false
	for _, line := range strings.Split(strings.TrimSpace(doc), "\n") {
		trimmed := strings.TrimSpace(line)
		before, after, colon := strings.Cut(trimmed, ":")
		switch {
		case colon && after == "" && before != "" && !strings.Contains(before, " ") && strings.ToUpper(before[:1]) == before[:1]:
			inArgs, section = before == "Args", true
		case !section:
			lines = append(lines, trimmed)
		case !inArgs:
			// What main gives, or raises, is no matter of the command line.
		case trimmed == "":
			name = ""
		case colon && !strings.Contains(before, " "):
			name = before
			args[name] = strings.TrimSpace(after)
		case name != "":
			args[name] += " " + trimmed
		}
	}
	return strings.TrimSpace(strings.Join(lines, "\n")), args
}

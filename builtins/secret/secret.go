// Package secret is how scripts name secrets: where one comes from, never what it is. A secret is resolved at the moment
// of its use, by the run's vault, and so it may be named while scripts load. Nothing here shows one.
package secret

import (
	"errors"
	"fmt"
	"regexp"
	"strings"

	"github.com/erlmcp/runner/builtins/command"
	"github.com/erlmcp/runner/runtime/builtin"
	"github.com/erlmcp/runner/runtime/host"
	"github.com/erlmcp/runner/runtime/op"
	"github.com/erlmcp/runner/runtime/secret"
)

// Family is what scripts see as secret.
func Family(h *host.Host) builtin.Family {
	return builtin.NewFamily("secret", "Names secrets by where they come from. They print as their names and are never shown.",
		builtin.Value(Env{}), builtin.Value(File{}), builtin.Value(Command{}), builtin.Value(Format{}), op.Ask(h, Missing{}))
}

// Env is the call secret.env.
type Env struct {
	_    op.Doc `doc:"The secret in an environment variable of runner. It is read when it is used; an unset or empty one is an error then."`
	Name string `json:"name" doc:"The variable's name."`
}

var variable = regexp.MustCompile(`^[A-Za-z_][A-Za-z0-9_]*$`)

// Check implements op.Checked.
func (e Env) Check() error {
	if !variable.MatchString(e.Name) {
		return fmt.Errorf("name: want the name of an environment variable, got %q", e.Name)
	}
	return nil
}

// Make implements builtin.Maker.
func (e Env) Make() (any, error) { return secret.Env(e.Name), nil }

// File is the call secret.file.
type File struct {
	_    op.Doc `doc:"The secret in a file, without one newline at its end. It is read when it is used; a file that group or others can read is refused then."`
	Path string `json:"path" doc:"The file; a relative path starts at the project."`
}

// Check implements op.Checked.
func (f File) Check() error {
	if f.Path == "" || strings.Contains(f.Path, "\x00") {
		return fmt.Errorf("path: want the path of a file, got %q", f.Path)
	}
	return nil
}

// Make implements builtin.Maker.
func (f File) Make() (any, error) { return secret.File(f.Path), nil }

// Command is the call secret.command.
type Command struct {
	_    op.Doc   `doc:"The secret that a program prints, without one newline at its end. It is run when the secret is first used, once in a run, in the project; it has 30 seconds."`
	Argv []string `json:"argv" doc:"The program and its arguments: [\"pass\", \"show\", \"erlmcp/db\"]. They are printed, so no secret belongs into them."`
}

// Check implements op.Checked.
func (c Command) Check() error { return command.CheckArgv("argv", c.Argv) }

// Make implements builtin.Maker.
func (c Command) Make() (any, error) { return secret.Command(c.Argv...), nil }

// Format is the call secret.format.
type Format struct {
	_      op.Doc      `doc:"A secret made from another, such as a header from a token."`
	Format string      `json:"format" doc:"The text, with one {} where the secret goes: \"Bearer {}\"."`
	Value  secret.Text `json:"value" doc:"The secret that goes there."`
}

// Check implements op.Checked.
func (f Format) Check() error {
	if n := strings.Count(f.Format, "{}"); n != 1 {
		return fmt.Errorf("format: want one {} in it, got %d", n)
	}
	if !f.Value.IsSecret() {
		return op.Hint(errors.New("value: want a secret, got a plain text"), `secret.env("TOKEN") and secret.file("token") name secrets`)
	}
	return nil
}

// Make implements builtin.Maker.
func (f Format) Make() (any, error) { return secret.Format(f.Format, f.Value) }

package smoke

import (
	"cmp"
	"context"
	"fmt"
	"maps"

	"github.com/erlmcp/runner/builtins/body"
	"github.com/erlmcp/runner/builtins/command"
	"github.com/erlmcp/runner/runtime/op"
	"github.com/erlmcp/runner/runtime/secret"
)

// Command runs a program.
type Command struct {
	_        op.Doc                 `doc:"A test that runs a program in the project's folder, which must not change anything, and looks at its exit code. It is told by BASE where to ask, and by VERSION what has to answer."`
	Argv     []string               `json:"argv" doc:"The program and its arguments, each a word of its own."`
	Exit     int                    `json:"exit,omitempty" doc:"The exit code that is right."`
	Env      map[string]secret.Text `json:"env,omitempty" doc:"Variables beside the environment that runner was started with; secrets may be given here."`
	Name     string                 `json:"name,omitempty" doc:"What the test is called in output and reports; the command when left out."`
	Optional bool                   `json:"optional,omitempty" doc:"Tell of a failure, and go on."`
	PerTry   op.Duration            `json:"per_try" doc:"How long it may run before it is ended."`
}

// Smoke marks a test.
func (Command) Smoke() {}

func (t Command) title() string { return cmp.Or(t.Name, body.Printable(command.Line(t.Argv), 80)) }
func (t Command) must() bool    { return !t.Optional }
func (Command) alone() bool     { return false }
func (Command) here() bool      { return true } // it is told where by BASE

// Check implements op.Checked.
func (t Command) Check() error {
	if t.Exit < 0 || t.Exit > 255 {
		return fmt.Errorf("exit: want an exit code between 0 and 255, got %d", t.Exit)
	}
	return cmp.Or(command.CheckArgv("argv", t.Argv), command.CheckEnv(t.Env), checkTime(t.PerTry))
}

func (t Command) try(ctx context.Context, w world) verdict {
	expected := fmt.Sprintf("exit %d", t.Exit)
	env := map[string]secret.Text{"BASE": secret.Plain(w.base), "VERSION": secret.Plain(w.version)}
	maps.Copy(env, t.Env)
	ran, err := command.Run(ctx, w.h, command.Cmd{Argv: t.Argv, Env: env, Timeout: t.PerTry.D(), Key: w.key, Quiet: true})
	if err != nil {
		return failed(expected, "%s", body.Printable(err.Error(), 160))
	}
	if ran.Exit.Signal == "" && ran.Exit.Code == t.Exit {
		return verdict{good: true, expected: expected, got: expected}
	}
	got := ran.Exit.String()
	if n := len(ran.Last); n > 0 {
		got += ": " + body.Printable(ran.Last[n-1], 120)
	}
	return failed(expected, "%s", got)
}

package shell

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"time"

	"github.com/erlmcp/runner/builtins/command"
	"github.com/erlmcp/runner/runtime/host"
	"github.com/erlmcp/runner/runtime/op"
	"github.com/erlmcp/runner/runtime/secret"
)

const defaultTimeout = op.Duration(10 * time.Minute)

// Run runs a program and waits for its end.
type Run struct {
	_       op.Doc                 `doc:"Runs a program and waits for its end. It cannot be taken back, unless undo says how or leaves says that there is nothing to."`
	Argv    []string               `json:"argv" doc:"The program and its arguments, each a word of its own; there is no shell unless one is named, as in [\"sh\", \"-c\", \"make | tee log\"]."`
	Dir     string                 `json:"dir,omitempty" doc:"Where it runs: a folder, the project when left out."`
	Env     map[string]secret.Text `json:"env,omitempty" doc:"Variables beside the environment that runner was started with; secrets may be given here."`
	Stdin   secret.Text            `json:"stdin,omitzero" doc:"What it reads from its standard input."`
	Timeout op.Duration            `json:"timeout" doc:"How long it may run before it is ended."`
	OK      []int                  `json:"ok" doc:"The exit codes that count as success."`
	Undo    []string               `json:"undo,omitempty" doc:"The program and arguments that put things back, also after half of the work or none of it. They run in the same dir and env."`
	Leaves  string                 `json:"leaves,omitempty" doc:"\"nothing\" says that it changes nothing that serves, so that there is nothing to take back."`
	Key     op.Key                 `json:"key,omitempty"`
}

// Ran is how a program ended.
type Ran struct {
	_         op.Doc `doc:"How a program ended, and what it said."`
	Code      int    `json:"code" doc:"Its exit code."`
	Stdout    string `json:"stdout" doc:"The end of its standard output, 64 KiB at most."`
	Truncated bool   `json:"truncated" doc:"Whether stdout lacks the beginning."`
	Path      string `json:"path" doc:"The file with every line of both outputs, kept until the run's scratch folder goes."`
}

var (
	_ op.Op[*host.Host, Ran]         = Run{}
	_ op.Reversible[*host.Host]      = Run{}
	_ op.Targeted[*host.Host]        = Run{}
	_ op.Graded                      = Run{}
	_ op.Checked                     = Run{}
	_ op.Ready[*host.Host]           = Run{}
	_ op.Op[*host.Host, op.Restored] = Undo{}
)

// Summary implements op.Op.
func (r Run) Summary() string { return "run " + command.Line(r.Argv) }

// Grade implements op.Graded.
func (r Run) Grade() op.Class {
	switch {
	case len(r.Undo) > 0:
		return op.ClassChange
	case r.Leaves == "nothing":
		return op.ClassMake
	}
	return op.ClassFinal
}

// Target implements op.Targeted: what a command changes is not known.
func (r Run) Target(*host.Host) string { return "" }

// Check implements op.Checked.
func (r Run) Check() error {
	if err := command.CheckArgv("argv", r.Argv); err != nil {
		return err
	}
	if err := command.CheckEnv(r.Env); err != nil {
		return err
	}
	switch {
	case r.Timeout <= 0:
		return errors.New("timeout: want more than 0s")
	case r.Leaves != "" && r.Leaves != "nothing":
		return fmt.Errorf(`leaves: want "nothing" or no such parameter, got %q`, r.Leaves)
	case r.Leaves != "" && r.Undo != nil:
		return errors.New("undo: what leaves nothing needs no undo; give one of the two")
	case slices.ContainsFunc(r.OK, func(code int) bool { return code < 0 || code > 255 }):
		return errors.New("ok: want exit codes between 0 and 255")
	case r.Undo != nil:
		return r.checkUndo()
	}
	return nil
}

// checkUndo holds the law that an inverse needs no secret that its target does not hold: whoever recovers a dead run
// may not have it.
func (r Run) checkUndo() error {
	for _, name := range slices.Sorted(maps.Keys(r.Env)) {
		if r.Env[name].IsSecret() {
			return op.Hint(fmt.Errorf("undo: cannot be combined with a secret in env (%s): another machine may have to undo, without it", name),
				"leave undo out, or have the program read its secret by itself")
		}
	}
	return command.CheckArgv("undo", r.Undo)
}

// Ready implements op.Ready: a program that is not there changes nothing.
func (r Run) Ready(_ context.Context, h *host.Host) error { return r.command().Ready(h) }

func (r Run) command() command.Cmd {
	return command.Cmd{Argv: r.Argv, Dir: r.Dir, Env: r.Env, Stdin: r.Stdin, Timeout: r.Timeout.D(), Key: r.Key}
}

// Inverse implements op.Reversible. What the states are is not known, so undo always runs.
func (r Run) Inverse(context.Context, *host.Host) (any, error) {
	key := r.Key
	if key != "" {
		key += "/undo"
	}
	return Undo{Argv: r.Undo, Dir: r.Dir, Env: r.Env, Timeout: r.Timeout, Key: key}, nil
}

// Do implements op.Op.
func (r Run) Do(ctx context.Context, h *host.Host) (Ran, error) {
	ran, err := command.Run(ctx, h, r.command())
	if err == nil && (ran.Exit.Signal != "" || !slices.Contains(r.OK, ran.Exit.Code)) {
		err = errors.New(ran.Exit.String())
	}
	return Ran{Code: ran.Exit.Code, Stdout: ran.Stdout, Truncated: ran.Truncated, Path: ran.Path}, ran.Failure(r.Summary(), err, ran.Last)
}

// Undo runs the program that takes a Run back.
type Undo struct {
	_       op.Doc                 `doc:"Runs the program that puts back what shell.run changed."`
	Argv    []string               `json:"argv" doc:"The program and its arguments."`
	Dir     string                 `json:"dir,omitempty" doc:"Where it runs."`
	Env     map[string]secret.Text `json:"env,omitempty" doc:"Variables beside the inherited ones."`
	Timeout op.Duration            `json:"timeout" doc:"How long it may run."`
	Key     op.Key                 `json:"key,omitempty"`
}

// Summary implements op.Op.
func (u Undo) Summary() string { return "run " + command.Line(u.Argv) + " to undo" }

// Do implements op.Op.
func (u Undo) Do(ctx context.Context, h *host.Host) (op.Restored, error) {
	ran, err := command.Run(ctx, h, command.Cmd{Argv: u.Argv, Dir: u.Dir, Env: u.Env, Timeout: u.Timeout.D(), Key: u.Key})
	if err == nil {
		err = ran.Succeeded()
	}
	return op.Restored{}, ran.Failure(u.Summary(), err, ran.Last)
}

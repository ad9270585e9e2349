package build

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"slices"
	"strings"

	"github.com/erlmcp/runner/builtins/command"
	"github.com/erlmcp/runner/runtime/host"
	"github.com/erlmcp/runner/runtime/op"
	"github.com/erlmcp/runner/runtime/secret"
)

// Rebar3Test runs the tests of an Erlang project.
type Rebar3Test struct {
	_       op.Doc                 `doc:"Runs the tests of an Erlang project. Tests that fail are an error that names them; those that are skipped are counted."`
	Suites  []string               `json:"suites" doc:"Which: \"eunit\", \"ct\". All of them run, though one fails."`
	Profile string                 `json:"profile" doc:"The profile that they run as."`
	Env     map[string]secret.Text `json:"env,omitempty" doc:"Variables beside the environment that runner was started with."`
	Dir     string                 `json:"dir,omitempty" doc:"The folder with rebar.config, the project when left out."`
	Timeout op.Duration            `json:"timeout" doc:"How long each of the suites may take."`
	Key     op.Key                 `json:"key,omitempty"`
}

// Tested is what passed.
type Tested struct {
	_       op.Doc      `doc:"Tests of which none failed."`
	Passed  int         `json:"passed" doc:"How many passed."`
	Skipped int         `json:"skipped" doc:"How many were skipped."`
	Took    op.Duration `json:"took" doc:"How long they took, compiled and run."`
	Paths   []string    `json:"paths" doc:"The files with all that each of the suites said, kept until the run's scratch folder goes."`
}

var (
	_ op.Op[*host.Host, Tested] = Rebar3Test{}
	_ op.Checked                = Rebar3Test{}
)

// Summary implements op.Op.
func (r Rebar3Test) Summary() string { return "run " + strings.Join(r.Suites, " and ") }

func checkSuites(name string, suites []string) error {
	if len(suites) == 0 {
		return fmt.Errorf("%s: want \"eunit\" or \"ct\", got none", name)
	}
	for i, s := range suites {
		if s != "eunit" && s != "ct" || slices.Contains(suites[:i], s) {
			return fmt.Errorf("%s: want each of \"eunit\" and \"ct\" at most once, got %q", name, s)
		}
	}
	return nil
}

// Check implements op.Checked.
func (r Rebar3Test) Check() error {
	if err := checkSuites("suites", r.Suites); err != nil {
		return err
	}
	if err := checkProfile(r.Profile); err != nil {
		return err
	}
	return checkCommon("", r.Env, r.Timeout)
}

// Do implements op.Op.
func (r Rebar3Test) Do(ctx context.Context, h *host.Host) (Tested, error) {
	begun := h.Clock.Now()
	if err := command.CheckDir(h, r.Dir); err != nil {
		return Tested{}, err
	}
	p := &plan{what: "the tests", dir: r.Dir}
	if _, err := open(h).alone(ctx, p, r.Timeout.D()); err != nil {
		return Tested{}, err
	}
	defer host.Unlock(p.hold)
	var all outcome
	var paths []string
	for _, suite := range r.Suites {
		o, path, err := r.run(ctx, h, suite)
		if err != nil {
			return Tested{}, err
		}
		all.add(o)
		paths = append(paths, path)
	}
	took := op.Duration(h.Clock.Now().Sub(begun))
	if all.failed > 0 {
		return Tested{}, op.Hint(all.failure(), "all that was said is in %s", strings.Join(paths, " and "))
	}
	return Tested{Passed: all.passed, Skipped: all.skipped, Took: took, Paths: paths}, nil
}

// said is how much of the end of what the tests print is read, in bytes.
const said = 8 << 20

// run runs one suite. That tests fail is no error here, if it is told which.
func (r Rebar3Test) run(ctx context.Context, h *host.Host, suite string) (o outcome, path string, err error) {
	key := r.Key + op.Key("/"+suite)
	argv := []string{"rebar3", "as", r.Profile, suite}
	logs := filepath.Join(h.Scratch, strings.ReplaceAll(string(key), "/", "-"))
	if suite == "ct" {
		if err := host.RemoveAll(h.Files, logs); err != nil { // of an attempt before
			return o, "", fmt.Errorf("cannot clear %s: %w", logs, err)
		}
		argv = append(argv, "--logdir", logs)
	}
	ran, err := command.Run(ctx, h, command.Cmd{Argv: argv, Dir: r.Dir, Env: rebarEnv(r.Env), Timeout: r.Timeout.D(), Key: key, Keep: said})
	if err != nil {
		if !ran.Started && ctx.Err() == nil {
			err = op.Hint(err, "%s", rebarGone)
		}
		return o, "", ran.Failure("run "+suite, err, ran.Last)
	}
	if suite == "ct" {
		o, err = commonTest(h.Files, logs)
	} else {
		o, err = eunit(ran.Stdout)
	}
	exit := ran.Succeeded()
	switch {
	case exit == nil && err == nil && o.failed > 0:
		err = fmt.Errorf("it ended with success, and %w", o.failure())
	case exit != nil && (err != nil || o.failed == 0):
		err = exit
	}
	if err == nil || errors.Is(err, errNoTests) && exit == nil {
		return o, ran.Path, nil
	}
	return o, "", op.Hint(ran.Failure("run "+suite, err, ran.Last), "all that was said is in %s", ran.Path)
}

func bothSuites() []string { return []string{"eunit", "ct"} }

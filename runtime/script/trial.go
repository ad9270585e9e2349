package script

import (
	"context"
	"time"

	"go.starlark.net/starlark"

	"github.com/erlmcp/runner/runtime/builtin"
	"github.com/erlmcp/runner/runtime/op"
)

// Trial is the fake world of one test, with a real engine in it. Package trial has it.
type Trial interface {
	// Fake says what an op gives from now on.
	Fake(op string, f Fake)
	// Fault has something happen at a call of an op.
	Fault(f Fault)
	// Hold has somebody hold the target of an environment from now on; nobody, where why is "".
	Hold(target any, who, why string) error
	// Run performs main, with everything that follows from how it ends. The error is a mistake in the test.
	Run(ctx context.Context, s Staging, main func(ctx context.Context, run Run) error) (Ran, error)
	// KillEverywhere performs main, and each time that the test is called again stops it dead at another moment.
	KillEverywhere(ctx context.Context, s Staging, allow []string, main func(ctx context.Context, run Run) error) error
	// Say is what the test itself prints.
	Say(text, at string)
	Now() time.Time
	Advance(d time.Duration)
}

// Fake is what an op gives in place of what it would do.
type Fake struct {
	Result any                                                // of the op's result type
	Func   func(ctx context.Context, b op.Bound) (any, error) // gives the result, in its place; nil for none
	Err    error
	Takes  time.Duration // of the trial's clock
}

// Fault is what happens at the nth call of an op from now on.
type Fault struct {
	Op   string
	Nth  int
	Kind FaultKind
	Err  error // of FaultFail
}

// FaultKind says what happens.
type FaultKind int

// The faults: the op fails, the run is asked to stop, its lease goes to another run.
const (
	FaultFail FaultKind = iota
	FaultInterrupt
	FaultLease
)

// Staging is how a run in a trial is started.
type Staging struct {
	Name        string   // of the script or the function
	Args        []string // of the script, as a command line has them
	Environment string
	Yes, NoUndo bool
	Deadline    op.Duration
	Explain     func(error) Report
}

// Mistaken is a mistake in a test that shows while a script runs in it: no run catches it, and the test fails.
type Mistaken struct{ Err error }

func (m *Mistaken) Error() string { return m.Err.Error() }

// Unwrap gives the cause.
func (m *Mistaken) Unwrap() error { return m.Err }

// Ran is what became of a run in a trial.
type Ran struct {
	Exit      int      `json:"exit" doc:"The exit code."`
	Verdict   string   `json:"verdict" doc:"What the output says at the end, a sentence to a line."`
	Error     string   `json:"error" doc:"Why the run failed; empty where it did not."`
	Hint      string   `json:"hint" doc:"What to do about it."`
	At        string   `json:"at" doc:"Where it failed: \"deploy.star:31:5\"."`
	Value     any      `json:"value" doc:"What main, or the function of t.call, gave; None where it failed."`
	Calls     []Called `json:"calls" doc:"The ops that were called, in their order; recovery and checks on undo too."`
	Printed   []string `json:"printed" doc:"What the script printed."`
	Noted     []string `json:"noted" doc:"What the run told its operator."`
	Stages    []string `json:"stages" doc:"The stages."`
	Undone    []Undone `json:"undone" doc:"What was taken back, in its order, and the checks asked for on undo."`
	Left      []string `json:"left" doc:"The changes of this test that are in effect now, by their ops."`
	Committed bool     `json:"committed" doc:"Whether there was a commit."`
	Message   string   `json:"message" doc:"What the commit said."`
	Live      string   `json:"live" doc:"What serves, as far as an op told."`
	Finals    []string `json:"finals" doc:"What ran and cannot be taken back."`
	Differs   []string `json:"differs" doc:"What is not as it was."`
}

// Called is one op that a run called.
type Called struct {
	Op      string `json:"op" doc:"The op's name: \"releases.activate\"."`
	Args    any    `json:"args" doc:"Its parameters, by their names: call.args.root."`
	Effect  string `json:"effect" doc:"read, make, change or final."`
	Stage   string `json:"stage" doc:"The stage in which it was called."`
	At      string `json:"at" doc:"Where: \"deploy.star:31:5\"; empty for a check on undo."`
	Summary string `json:"summary" doc:"Its line in the output."`
	Error   string `json:"error" doc:"Its error; empty where it had none."`
}

// Undone is one change that was taken back, or one check that was asked for on undo.
type Undone struct {
	Op      string `json:"op" doc:"The op whose change it was, or the check's."`
	Outcome string `json:"outcome" doc:"restored, already, final, failed; of a check: passed or broken."`
	Detail  string `json:"detail" doc:"Why, where it did not work."`
}

// Unsaid is the result of a change for which a test has said none: it may be passed over, and not looked at.
type Unsaid struct{ spec *op.Spec }

// NewUnsaid is the result of an op that a test has no fake for.
func NewUnsaid(s *op.Spec) Unsaid { return Unsaid{s} }

var _ starlark.HasAttrs = Unsaid{}

func (u Unsaid) String() string { return "‹what " + u.spec.FullName() + " gives›" }

// Type implements starlark.Value.
func (u Unsaid) Type() string { return "result" }

// Freeze implements starlark.Value.
func (u Unsaid) Freeze() {}

// Truth implements starlark.Value.
func (u Unsaid) Truth() starlark.Bool { return true }

// Hash implements starlark.Value.
func (u Unsaid) Hash() (uint32, error) { return 0, u.used() }

// AttrNames implements starlark.HasAttrs.
func (u Unsaid) AttrNames() []string { return nil }

// Attr implements starlark.HasAttrs.
func (u Unsaid) Attr(string) (starlark.Value, error) { return nil, u.used() }

func (u Unsaid) used() error { return &Mistaken{NoFake(u.spec, "")} }

// NoFake is the error of a test that has not said what an op gives, with the line that says it. where adds to the name.
func NoFake(s *op.Spec, where string) error {
	return op.Hint(noFake{s.FullName(), where}, "say what it gives: %s", fakeLine(s))
}

func fakeLine(s *op.Spec) string {
	sample := builtin.Sample(s.Result)
	if sample == "{}" {
		return `t.fake("` + s.FullName() + `")`
	}
	return `t.fake("` + s.FullName() + `", result = ` + sample + `)`
}

type noFake struct{ name, where string }

func (e noFake) Error() string { return "no fake says what " + e.name + e.where + " gives" }

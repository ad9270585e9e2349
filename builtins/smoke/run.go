package smoke

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"strings"

	"github.com/erlmcp/runner/builtins/probe"
	"github.com/erlmcp/runner/runtime/host"
	"github.com/erlmcp/runner/runtime/op"
)

// Run runs tests.
type Run struct {
	_       op.Doc      `doc:"Runs smoke tests side by side, those of latency after the others. It fails when one that is not optional fails."`
	Tests   []Test      `json:"tests" doc:"The tests: smoke.http, smoke.jsonrpc, smoke.latency, smoke.command."`
	Base    string      `json:"base" doc:"Where paths are asked, such as \"http://127.0.0.1:8080\"."`
	Version string      `json:"version,omitempty" doc:"The version that must answer, where the JSON of a page names one as \"version\"."`
	JUnit   string      `json:"junit,omitempty" doc:"A file of the project that gets the report as JUnit XML, when tests fail as well."`
	Within  op.Duration `json:"within" doc:"How long the tests may take in all; one that is not done by then fails."`
	Key     op.Key      `json:"key,omitempty"`
}

// Result is how the tests went.
type Result struct {
	_              op.Doc      `doc:"How smoke tests went."`
	Passed         int         `json:"passed" doc:"How many tests passed."`
	Failed         int         `json:"failed" doc:"How many failed that must not."`
	OptionalFailed int         `json:"optional_failed" doc:"How many failed that are optional."`
	Took           op.Duration `json:"took" doc:"From the first test to the end of the last."`
	Tests          []Outcome   `json:"tests" doc:"Each test, in the order given."`
}

// Outcome is how one test went.
type Outcome struct {
	_        op.Doc      `doc:"How one smoke test went."`
	Name     string      `json:"name" doc:"What it is called."`
	Passed   bool        `json:"passed" doc:"Whether what came is what was expected."`
	Optional bool        `json:"optional" doc:"Whether its failure is only told of."`
	Took     op.Duration `json:"took" doc:"How long it took."`
	Expected string      `json:"expected" doc:"What was expected; of a failed test, what did not come."`
	Got      string      `json:"got" doc:"What came."`
}

var (
	_ op.Op[*host.Host, Result] = Run{}
	_ op.Checked                = Run{}
)

// Summary implements op.Op.
func (r Run) Summary() string {
	s := fmt.Sprintf("run %s against %s", count(len(r.Tests), "smoke test"), r.Base)
	if r.Version != "" {
		s += ", which has to be " + r.Version
	}
	return s
}

// Check implements op.Checked.
func (r Run) Check() error {
	switch {
	case len(r.Tests) == 0:
		return op.Hint(errors.New("tests: want one or more, got none"), `give the environment some: smoke = [smoke.http("/health")]`)
	case r.Within <= 0:
		return errors.New("within: want more than 0s")
	case r.Base == "":
		return errors.New(`base: want an origin such as "http://127.0.0.1:8080", got an empty string`)
	}
	return probe.CheckBase(r.Base)
}

// Do implements op.Op.
func (r Run) Do(ctx context.Context, h *host.Host) (Result, error) {
	if err := r.Check(); err != nil {
		return Result{}, err
	}
	file, err := reportFile(h, r.JUnit)
	if err != nil {
		return Result{}, err
	}
	result, err := runAll(ctx, world{h, r.Base, r.Version, r.Key}, r.Tests, r.Within)
	if err != nil {
		return Result{}, err
	}
	if r.JUnit != "" {
		if err := result.write(h, file, r.Base, r.Version); err != nil {
			return result, fmt.Errorf("cannot write %s: %w", r.JUnit, errors.Join(err, result.failure()))
		}
	}
	return result, result.failure()
}

// maxShown is how many failed tests fit on a screen.
const maxShown = 15

// failure is nil where every test passed that must.
func (r Result) failure() error {
	if r.Failed == 0 {
		return nil
	}
	var b strings.Builder
	fmt.Fprintf(&b, "%d of %s failed", r.Failed, count(len(r.Tests), "smoke test"))
	shown := 0
	for _, o := range r.Tests {
		if o.Passed || o.Optional {
			continue
		}
		if shown++; shown <= maxShown {
			fmt.Fprintf(&b, "\n  %s: want %s, got %s", o.Name, o.Expected, o.Got)
		}
	}
	if more := shown - maxShown; more > 0 {
		fmt.Fprintf(&b, "\n  and %d more", more)
	}
	return errors.New(b.String())
}

// summary is the tests in a line.
func (r Result) summary() string {
	s := fmt.Sprintf("%d of %s passed in %s", r.Passed, count(len(r.Tests), "smoke test"), r.Took)
	if r.OptionalFailed > 0 {
		s += fmt.Sprintf("; %s failed", count(r.OptionalFailed, "optional one"))
	}
	return s
}

// String is the outcome in a line.
func (o Outcome) String() string {
	took := o.Took.String()
	switch {
	case o.Passed:
		return fmt.Sprintf("pass %s (%s): %s", o.Name, took, o.Got)
	case o.Optional:
		took += ", optional"
	}
	return fmt.Sprintf("FAIL %s (%s): want %s, got %s", o.Name, took, o.Expected, cmp.Or(o.Got, "nothing"))
}

func count(n int, what string) string {
	if n == 1 {
		return "1 " + what
	}
	return fmt.Sprintf("%d %ss", n, what)
}

package script

import (
	"errors"
	"strings"
	"testing"
	"time"
)

// runnerFlags are a caller's own.
type runnerFlags struct {
	Output   string        `enum:"auto,plain,json" default:"auto" help:"How facts are shown."`
	Yes      bool          `help:"Ask nothing."`
	Deadline time.Duration `help:"When to stop."`
	Undo     bool          `negatable:"" default:"true" help:"Take back what failed."`
}

const flagged = `
def main(environment, image, to = "", note = None, skip_tests = False, tidy = True, keep = 5, ratio = 0.5, timeout = "5m", why = ""):
    """Deploys an image.

    To one environment.

    Args:
      environment: Where to.
      image: What. Its digest
        is pinned.
      skip_tests: Leave out the tests.
      keep: How many stay.

    Returns:
      nothing: at all.
    """
    print(environment.name, image, skip_tests, tidy, keep, ratio, timeout, repr(to), note)
`

func TestParse(t *testing.T) {
	o := open(t, map[string]string{"deploy.star": flagged}, "deploy.star")
	if o.err != nil {
		t.Fatal(Diagnose(o.err))
	}
	for _, c := range []struct{ args, prints, fails string }{
		{args: "production web:1", prints: `production web:1 False True 5 0.5 5m "" None`},
		{args: "--yes production --skip-tests web:1 --no-tidy --keep=7 --ratio 1 --timeout=90s", prints: `production web:1 True False 7 1.0 1m30s "" None`},
		{args: "staging web:1 back-1 why --output=json", prints: `staging web:1 False True 5 0.5 5m "back-1" why`},
		{args: "staging web:1 --to=x why --no-undo", prints: `staging web:1 False True 5 0.5 5m "x" why`},
		{args: "--environment=staging web:1", fails: "there is no flag --environment"},
		{args: "production", fails: "missing image"},
		{args: "", fails: "deploy.star wants an environment"},
		{args: "production web:1 a b", prints: `production web:1 False True 5 0.5 5m "a" b`},
		{args: "production web:1 --note", fails: "--note wants a value"},
		{args: "production web:1 --keep", fails: "--keep wants a value"},
		{args: "prod web:1", fails: "there is no environment prod"},
		{args: "stagin web:1", fails: "did you mean staging?"},
		{args: "production web:1 a b c", fails: `there is no parameter for`},
		{args: "production web:1 --keep=x", fails: `--keep: want an int, got "x"`},
		{args: "production web:1 --timeout=90", fails: `want a duration such as "90s", got "90"`},
		{args: "production web:1 --ouput=json", fails: "did you mean --output?"},
		{args: "production web:1 --no-skp-tests", fails: "did you mean --no-skip-tests?"},
	} {
		// A parser that is used twice keeps what the first command line set.
		for range 2 {
			o.lines = nil
			var flags runnerFlags
			call, err := o.Parse(strings.Fields(c.args), &flags)
			var usage *Usage
			if c.fails != "" {
				if !errors.As(err, &usage) || !strings.Contains(err.Error(), c.fails) {
					t.Errorf("%s: %v, want %s", c.args, err, c.fails)
				}
				continue
			}
			if err != nil {
				t.Errorf("%s: %v", c.args, err)
				continue
			}
			if err := o.Main(t.Context(), &fakeRun{world: o.world}, call); err != nil {
				t.Fatal(Diagnose(err))
			}
			if got := o.lines[0]; !strings.HasSuffix(got, "print "+c.prints) {
				t.Errorf("%s: %s, want %s", c.args, got, c.prints)
			}
			if strings.Contains(c.args, "json") != (flags.Output == "json") || strings.Contains(c.args, "yes") != flags.Yes {
				t.Errorf("%s: runner's flags are %+v", c.args, flags)
			}
		}
	}
}

func TestHelp(t *testing.T) {
	o := open(t, map[string]string{"deploy.star": flagged}, "deploy.star")
	call, err := o.Parse([]string{"production", "-h"}, &runnerFlags{})
	if err != nil {
		t.Fatal(err)
	}
	want := `usage: runner deploy.star ENVIRONMENT IMAGE [TO] [NOTE] [flags]

Deploys an image.

To one environment.

Arguments:
  ENVIRONMENT  Where to. One of: production, staging.
  IMAGE        What. Its digest is pinned.

Flags of deploy.star:
  --to=STRING
  --note=STRING
  --skip-tests        Leave out the tests.
  --no-tidy
  --keep=INT          How many stay. Default: 5.
  --ratio=FLOAT       Default: 0.5.
  --timeout=DURATION  Default: 5m.
  --why=STRING

Flags of runner:
  --output="auto"      How facts are shown.
  --yes                Ask nothing.
  --deadline=DURATION  When to stop.
  --[no-]undo          Take back what failed.
`
	if call.Help != want {
		t.Errorf("got\n%s", call.Help)
	}
	if o.Environments[0] != "production" || len(o.lines) > 0 {
		t.Error("help does something")
	}
}

func TestReservedFlags(t *testing.T) {
	for name, at := range map[string]string{"yes = False": "deploy.star:1:23", "undo = True": "deploy.star:1:23", "help = 1": "deploy.star:1:23", "no_undo = False": "deploy.star:1:23"} {
		o := open(t, map[string]string{"deploy.star": "def main(environment, " + name + "):\n    pass\n"}, "deploy.star")
		_, err := o.Parse([]string{"production"}, &runnerFlags{})
		if err == nil || Diagnose(err).At != at || !strings.Contains(err.Error(), "is a flag of runner itself") {
			t.Errorf("%s: %v", name, err)
		}
	}
}

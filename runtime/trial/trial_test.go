package trial

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"testing/fstest"
	"time"

	"github.com/erlmcp/runner/runtime/builtin"
	"github.com/erlmcp/runner/runtime/host"
	"github.com/erlmcp/runner/runtime/op"
	"github.com/erlmcp/runner/runtime/script"
)

// The ops of these tests have no effect of their own: none of them may ever be done.
type (
	Look struct {
		Name string `json:"name"`
	}
	Put struct {
		Root string `json:"root"`
		Name string `json:"name"`
	}
	Send struct {
		Name string `json:"name"`
	}
	Back struct {
		Name string `json:"name"`
	}
	Target struct {
		Root string `json:"root"`
	}
	Environment struct {
		Name   string `json:"name,omitempty" script:"-"`
		Target Target `json:"target"`
	}
)

func touched() error { panic("an op has touched the machine") }

func (l Look) Summary() string                                     { return "look at " + l.Name }
func (l Look) Do(context.Context, int) (string, error)             { return "", touched() }
func (p Put) Summary() string                                      { return "put " + p.Name }
func (p Put) Do(context.Context, int) (struct{}, error)            { return struct{}{}, touched() }
func (p Put) Inverse(context.Context, int) (any, error)            { return nil, touched() }
func (p Put) Evidence(context.Context, int) ([]op.Evidence, error) { return nil, touched() }
func (p Put) Target(int) string                                    { return "host:" + p.Root }
func (s Send) Summary() string                                     { return "send " + s.Name }
func (s Send) Do(context.Context, int) (struct{}, error)           { return struct{}{}, touched() }
func (b Back) Summary() string                                     { return "put back " + b.Name }
func (b Back) Do(context.Context, int) (op.Restored, error)        { return op.Restored{}, touched() }
func (e Environment) WithName(name string) any                     { e.Name = name; return e }

func family() builtin.Family {
	return builtin.NewFamily("toy", "Toys.", op.Read(0, Look{}), op.Change(0, Put{}), op.Final(0, Send{}, "it is sent"), op.Undo(0, Back{}),
		builtin.Global(Target{}), builtin.Global(Environment{}))
}

const environments = `here = environment(target = target(root = "/srv"))` + "\n"

// tested runs the tests of one file, beside a deploy.star.
func tested(t *testing.T, deploy, tests, only string) File {
	t.Helper()
	dir := t.TempDir()
	for name, text := range map[string]string{"environments.star": environments, "deploy.star": deploy, "x_test.star": tests} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	p, err := script.FindProject(dir, fstest.MapFS{}, fstest.MapFS{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { p.Close() })
	started, ended := 0, 0
	c := &Config{Project: p, Clock: host.SystemClock{}, Options: script.Options{Families: []builtin.Family{family()}},
		Target:  func(target any) (string, error) { return "host:" + target.(Target).Root, nil },
		Started: func(string) { started++ }, Ended: func(Test) { ended++ }}
	f := c.File(t.Context(), "x_test.star", regexp.MustCompile(only))
	if started != len(f.Tests) || ended != len(f.Tests) {
		t.Errorf("%d started and %d ended of %d", started, ended, len(f.Tests))
	}
	return f
}

// failures are the messages of a file's tests, "" for one that passed.
func failures(f File) (out []string) {
	if f.Mistake != nil {
		return []string{f.Mistake.Message}
	}
	for _, test := range f.Tests {
		text := ""
		if test.Failure != nil {
			text = test.Failure.Report.At + ": " + test.Failure.Report.Message
		}
		out = append(out, text)
	}
	return out
}

const twoPuts = `
def main(environment):
    lease(environment)
    attempt(lambda: [toy.put("/srv", "z"), fail("no")])
    toy.put("/srv", "a")
    toy.put("/srv", "b")
    commit("done")
    toy.send("mail")
`

func TestKillEverywhere(t *testing.T) {
	const kill = "def test_it(t):\n    t.kill_everywhere(\"deploy.star\", environment = \"here\")\n"
	for _, c := range []struct {
		name, deploy, want string
		kills              int
	}{
		// Before and behind: z, its undo, a, b, the commit, the mail. The end of main has nothing to commit.
		{"right", twoPuts, "", 12},
		{"change behind the commit", twoPuts + "    toy.put(\"/srv\", \"c\")\n", "deploy.star:9:5: killed behind commit (deploy.star:7:5): toy.put is lost although the run is committed: the world is neither the old one nor the new one (6 of 16 kills)", 16},
		{"final before the commit", strings.Replace(twoPuts, "    toy.put(\"/srv\", \"b\")", "    toy.send(\"early\")\n    toy.put(\"/srv\", \"b\")", 1),
			"deploy.star:6:5: killed behind toy.send (deploy.star:6:5): toy.send stays although nothing is committed: it cannot be taken back (it is sent) (4 of 14 kills)", 14},
		{"fails", "def main(environment):\n    fail(\"no\")\n", "x_test.star:2:5: t.kill_everywhere: the run must succeed before it can be killed: exit 1: no", 0},
		{"no lease", "def main(environment):\n    toy.put(\"/srv\", \"a\")\n", "x_test.star:2:5: t.kill_everywhere: the run must succeed before it can be killed: exit 2: toy.put: cannot change host:/srv: this run does not hold its lease", 0},
	} {
		t.Run(c.name, func(t *testing.T) {
			f := tested(t, c.deploy, kill, "")
			if got := failures(f)[0]; got != c.want {
				t.Errorf("got  %s\nwant %s", got, c.want)
			}
			if f.Tests[0].Kills != c.kills {
				t.Errorf("%d kills, want %d", f.Tests[0].Kills, c.kills)
			}
		})
	}
}

// A run that takes another way each time is no proof of anything.
func TestKillEverywhereOfARunThatWanders(t *testing.T) {
	f := tested(t, `
def main(environment):
    lease(environment)
    for i in range(int(toy.look("n"))):
        toy.put("/srv", "a")
`, `
calls = []
def test_it(t):
    t.fake("toy.look", result = lambda call: "3" if t.clock.now().minute == 0 else "1")
    t.kill_everywhere("deploy.star", environment = "here")
    t.fail("only the first time")
`, "")
	if got := failures(f)[0]; !strings.Contains(got, "only the first time") {
		t.Error(got)
	}
	w, err := newWorld(&Config{})
	if err != nil {
		t.Fatal(err)
	}
	w.kill.at = 99
	err = w.KillEverywhere(t.Context(), script.Staging{Explain: script.Diagnose}, nil, func(context.Context, script.Run) error { return nil })
	if err == nil || !strings.Contains(err.Error(), "goes another way each time") {
		t.Error(err)
	}
}

// Branches call fakes, and a test's function, side by side: the race detector watches.
func TestParallel(t *testing.T) {
	f := tested(t, `
def main(environment):
    lease(environment)
    print(sorted(parallel([lambda n = n: toy.look(str(n)) for n in range(40)])))
    parallel({"a": lambda: toy.put("/srv", "a"), "b": lambda: toy.send("b")})
`, `
def test_it(t):
    seen = {}
    def look(call):
        for i in range(3000):
            seen[call.args.name] = call.n
        return call.args.name
    t.fake("toy.look", result = look, takes = "1s")
    run = t.run("deploy.star", environment = "here")
    t.equal((run.exit, run.error), (0, ""))
    t.equal((len(seen), sorted(seen.values())[-1], len(run.calls)), (40, 40, 42))
    t.equal(sorted(run.left), ["toy.put", "toy.send"])
`, "")
	if got := failures(f)[0]; got != "" {
		t.Error(got)
	}
}

// Only what the pattern matches runs, and what a test leaves is not there for the next.
func TestTestsAreAlone(t *testing.T) {
	f := tested(t, "def main(environment):\n    lease(environment)\n    toy.put(\"/srv\", \"a\")\n", `
def test_a(t):
    t.clock.advance("1h")
    t.equal(t.run("deploy.star", environment = "here").left, ["toy.put"])
    t.fake("toy.look", result = "x")

def test_b(t):
    t.equal(t.clock.now().hour, 12)
    t.equal(t.run("deploy.star", environment = "here").left, ["toy.put"])
    t.call(lambda: toy.look("n"))

def test_c(t):
    pass
`, "[ab]$")
	got := failures(f)
	if len(got) != 2 || got[0] != "" || !strings.Contains(got[1], "no fake says what toy.look gives") {
		t.Errorf("%q", got)
	}
}

func TestClock(t *testing.T) {
	c := &clock{now: beginning()}
	errLate := errors.New("late")
	ctx, cancel := c.Timeout(t.Context(), 3*time.Second, errLate)
	defer cancel()
	if err := c.Sleep(ctx, 2*time.Second); err != nil {
		t.Error(err)
	}
	if err := c.Sleep(ctx, time.Hour); !errors.Is(err, errLate) {
		t.Error(err)
	}
	if got := c.Now().Sub(beginning()); got != 3*time.Second {
		t.Errorf("a sleep goes on behind its end: %s", got)
	}
	if err := c.Sleep(ctx, time.Hour); !errors.Is(err, errLate) || c.Now().Sub(beginning()) != 3*time.Second {
		t.Error(fmt.Sprint(err, c.Now()))
	}
}

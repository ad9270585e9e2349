package script

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/erlmcp/runner/runtime/op"
)

// The rows of what a script could do to the process that runs it, one test each.

// fails asserts a diagnosis, and soon.
func fails(t *testing.T, body, want string, settings ...setting) {
	t.Helper()
	start := time.Now()
	_, err := run(t, body, settings...)
	if err == nil || !strings.Contains(Diagnose(err).Message, want) {
		t.Fatalf("%s\n got %v\nwant %s", body, err, want)
	}
	if took := time.Since(start); took > time.Minute {
		t.Errorf("it took %s", took)
	}
}

func prints(t *testing.T, body, want string) {
	t.Helper()
	o, err := run(t, body)
	if err != nil {
		t.Fatal(Diagnose(err))
	}
	if got := strings.Join(o.lines, "\n"); !strings.Contains(got, want) || len(got) > 1<<20 {
		t.Errorf("%s\n got %.2000s\nwant %s", body, got, want)
	}
}

func TestCyclicStructPrinting(t *testing.T) {
	prints(t, "l = []\ns = struct(a = l)\nl.append(s)\nprint(s, l, {1: s})", "struct(a = [...])")
	prints(t, "l = []\ns = struct(a = l)\nl.append(s)\nprint(\"%s\" % s, str(l), \"{}\".format(s))", "struct(a = [")
	prints(t, "d = {}\nd[1] = d\nprint(d)", "{1: {...}}")
}

func TestJSONDecodeNesting(t *testing.T) {
	fails(t, `json.decode("[" * 2000000 + "]" * 2000000)`, "nested more than 1000 deep")
	fails(t, `json.decode("[" * 17000000)`, "larger than 16MiB")
	prints(t, `print(json.decode("[" * 999 + "]" * 999) != None)`, "True")
	prints(t, `print(json.decode('{"a": "[[[[", "b": [1, 2.5]}'))`, `{"a": "[[[[", "b": [1, 2.5]}`)
}

func TestJSONEncodeCycles(t *testing.T) {
	fails(t, "l = []\nl.append(l)\njson.encode(l)", "cycle")
	fails(t, "l = []\ns = struct(a = l)\nl.append(s)\njson.encode(s)", "cycle")
	fails(t, "l = []\nfor i in range(2000):\n    l = [l]\njson.encode(l)", "nested more than 1000 deep")
}

func TestDeepHash(t *testing.T) {
	fails(t, "t = ()\nfor i in range(10000000):\n    t = (t,)\nd = {t: 1}", "nested more than 100000 deep")
}

func TestDeepFreeze(t *testing.T) {
	fails(t, "l = []\nfor i in range(10000000):\n    l = [l]\nparallel([l])", "nested more than 100000 deep")
	prints(t, "l = []\nl.append(l)\nfor i in range(2000000):\n    pass\nprint(l)", "[[...]]")
}

func TestDeepStr(t *testing.T) {
	deep := "l = []\nfor i in range(50000):\n    l = [l]\n"
	for _, use := range []string{"print(l)", "print(str(l))", "print(repr(l))", "print(struct(a = l))"} {
		prints(t, deep+use, "...")
	}
	fails(t, deep+"fail(l)", "...")
	fails(t, deep+`print("%s" % l)`, "nested more than 1000 deep")
	fails(t, deep+`print("%s" % (1, l))`, "nested more than 1000 deep")
	fails(t, deep+`print("{}".format(l))`, "nested more than 1000 deep")
	prints(t, "print([1] * 10000000)", "...")
}

func TestDeepEquality(t *testing.T) {
	fails(t, "a = []\nb = []\nfor i in range(20000):\n    a = [a]\n    b = [b]\nprint(a == b)", "depth")
	fails(t, "a = struct()\nb = struct()\nfor i in range(900):\n    a = struct(a = a)\n    b = struct(a = b)\nprint(a == b)", "depth")
	fails(t, "a = struct()\nfor i in range(2000):\n    a = struct(a = a)", "nested more than 1000 deep")
}

func TestParserNesting(t *testing.T) {
	o := open(t, map[string]string{"deploy.star": strings.Repeat("(", 900_000)}, "deploy.star")
	if o.err == nil || !strings.Contains(Diagnose(o.err).Message, "too many brackets") && !strings.Contains(Diagnose(o.err).Message, "not closed") {
		t.Errorf("got %v", o.err)
	}
}

func TestSourceSize(t *testing.T) {
	o := open(t, map[string]string{"deploy.star": strings.Repeat("# x\n", 1<<19)}, "deploy.star")
	r := Diagnose(o.err)
	if !strings.Contains(r.Message, "deploy.star is larger than 1MiB") || !strings.Contains(r.Hint, "--max-source") {
		t.Errorf("got %v", r)
	}
}

func TestRecursionIsOff(t *testing.T) {
	o := open(t, map[string]string{"deploy.star": "def f(x):\n    return sorted([1, 2], key = f)\n\ndef main():\n    f(1)\n"}, "deploy.star")
	if err := o.main(t.Context()); err == nil || !strings.Contains(Diagnose(err).Message, "f calls itself") {
		t.Errorf("got %v", err)
	}
}

func TestEndlessLoop(t *testing.T) {
	ctx, cancel := context.WithTimeoutCause(t.Context(), 50*time.Millisecond, errors.New("the deadline has passed"))
	defer cancel()
	o := open(t, map[string]string{"deploy.star": "def main():\n    for i in range(1 << 60):\n        pass\n"}, "deploy.star")
	start := time.Now()
	err := o.main(ctx)
	var stopped *Stopped
	if !errors.As(err, &stopped) || IsMistake(err) || Diagnose(err).Message != "the deadline has passed" || Diagnose(err).At == "" {
		t.Errorf("got %v", Diagnose(err))
	}
	if time.Since(start) > time.Minute {
		t.Errorf("it took %s", time.Since(start))
	}
}

func TestStepLimit(t *testing.T) {
	few := func(o *Options) { o.Limits.Steps = 5000 }
	o, err := run(t, "for i in range(1 << 60):\n    pass", few)
	r := Diagnose(err)
	if !strings.Contains(r.Message, "more than 5000 steps") || !strings.Contains(r.Hint, "--max-steps") || !IsMistake(err) {
		t.Errorf("got %v", r)
	}
	if n := o.Steps(); n < 5000 || n > 5010 {
		t.Errorf("%d steps are counted", n)
	}
}

// abreast is a run in which no branch goes on behind its stage before all have come to theirs.
type abreast struct {
	*fakeRun
	come sync.WaitGroup
}

func (a *abreast) Stage(string, string) {
	a.come.Done()
	a.come.Wait()
}

// Branches share the steps that there are, side by side as well as one after the other.
func TestStepLimitOfBranches(t *testing.T) {
	src := "def f():\n    stage(\"go\")\n    for i in range(300):\n        pass\ndef main():\n    parallel([f] * %d)\n    print(\"all is done\")\n"
	for branches, over := range map[int]bool{2: false, 4: true} {
		o := open(t, map[string]string{"deploy.star": fmt.Sprintf(src, branches)}, "deploy.star", func(o *Options) { o.Limits.Steps = 5000 })
		run := &abreast{fakeRun: &fakeRun{o.world, false}}
		run.come.Add(branches)
		call, err := o.Parse(nil, nil)
		if err == nil {
			err = o.Main(t.Context(), run, call)
		}
		if (err != nil) != over || over && (!strings.Contains(Diagnose(err).Message, "more than 5000 steps") || len(o.lines) > 0) {
			t.Errorf("%d branches: %v, printed %q", branches, err, o.lines)
		}
	}
}

func TestHugeOperations(t *testing.T) {
	small := func(o *Options) { o.Limits.Memory = 128 << 20 }
	for _, body := range []string{
		"s = 'x' * 1000\nfor i in range(18):\n    s += s\nfor i in range(1 << 40):\n    n = s\nprint(s)",
		"l = []\nfor i in range(1 << 40):\n    l.append('x' * 1000 + str(i))",
	} {
		_, err := run(t, body, small)
		r := Diagnose(err)
		if !strings.Contains(r.Message, "more than 128MiB of memory") || !strings.Contains(r.Hint, "--max-memory") {
			t.Errorf("%s\ngot %v", body, r)
		}
	}
	for _, body := range []string{"list(range(100000000))", "sorted(range(30000000))", "tuple(range(100000000))", "set(range(100000000))",
		"any(range(1 << 40))", "bytes(range(100000000))", "zip(range(100000000))", "enumerate(range(100000000))", "reversed(range(100000000))"} {
		fails(t, body, "at most 10000000 elements")
	}
	prints(t, "print(len(range(1 << 30)), type(range(1 << 30)), len(list(range(1000000))))", "1073741824 range 1000000")
}

func TestBigInts(t *testing.T) {
	fails(t, `int("9" * 5000000)`, "at most 10000 digits")
	fails(t, `int(x = "9" * 5000000)`, "at most 10000 digits")
	prints(t, `print(int("12"), int("ff", 16), int(3.7), int("0x10", base = 0))`, "12 255 3 16")
}

func TestHashCollisionsEndAtTheDeadline(t *testing.T) {
	ctx, cancel := context.WithTimeout(t.Context(), 100*time.Millisecond)
	defer cancel()
	o := open(t, map[string]string{"deploy.star": "def main():\n    d = {}\n    for i in range(1000000):\n        d[i << 32] = 1\n"}, "deploy.star")
	start := time.Now()
	if err := o.main(ctx); !errors.Is(err, context.DeadlineExceeded) || time.Since(start) > time.Minute {
		t.Errorf("got %v after %s", err, time.Since(start))
	}
}

func TestCancelReachesOpsAndBranches(t *testing.T) {
	ctx, cancel := context.WithCancelCause(t.Context())
	o := open(t, map[string]string{"deploy.star": `
def spin():
    for i in range(1 << 60):
        pass

def main():
    parallel([spin, lambda: health.wait(probe("/never"))])
`}, "deploy.star")
	done := make(chan error)
	go func() { done <- o.main(ctx) }()
	cancel(errors.New("asked to stop"))
	select {
	case err := <-done:
		if err == nil || IsMistake(err) {
			t.Errorf("got %v", err)
		}
	case <-time.After(time.Minute):
		t.Fatal("it goes on")
	}
}

func TestPanicInABuiltin(t *testing.T) {
	o, err := run(t, "releases.broken()")
	var fault *op.Fault
	if !errors.As(err, &fault) || fault.ID == "" || IsMistake(err) {
		t.Fatalf("got %v", err)
	}
	r := Diagnose(err)
	if r.At != "deploy.star:2:5" || !strings.Contains(r.Message, "a fault of runner itself ("+fault.ID+")") {
		t.Errorf("got %v", r)
	}
	_, again := run(t, "x = 1\nreleases.broken()")
	var second *op.Fault
	if !errors.As(again, &second) || second.ID != fault.ID {
		t.Errorf("the same fault is %s and %s", fault.ID, second.ID)
	}
	_ = o
}

func TestPanicInABranch(t *testing.T) {
	_, err := run(t, "parallel({\"a\": releases.broken})")
	var fault *op.Fault
	if !errors.As(err, &fault) {
		t.Errorf("got %v", err)
	}
}

func TestNothingIsNone(t *testing.T) {
	prints(t, `print(releases.find("/opt"), releases.activate("/opt", "1"))`, "None None")
}

func TestSharedValuesAreFrozen(t *testing.T) {
	fails(t, "l = []\ndef f():\n    l.append(1)\nparallel([f, f])", "cannot append to frozen list")
	fails(t, "def f(l = []):\n    l.append(1)\nparallel([f, f])", "cannot append to frozen list")
}

func TestParallelOnlyInMain(t *testing.T) {
	o := open(t, map[string]string{"deploy.star": "x = parallel([lambda: 1])\n\ndef main():\n    pass\n"}, "deploy.star")
	if o.err == nil || !strings.Contains(Diagnose(o.err).Message, "parallel has an effect and is called while loading") {
		t.Errorf("got %v", o.err)
	}
}

func TestLoadCycle(t *testing.T) {
	o := open(t, map[string]string{"deploy.star": "load(\"@std/cyclic_a.star\", \"a\")\n\ndef main():\n    pass\n"}, "deploy.star")
	r := Diagnose(o.err)
	if want := "@std/cyclic_a.star -> @std/cyclic_b.star -> @std/cyclic_a.star"; strings.Count(r.Message, "->") != 2 || !strings.Contains(r.Message, want) {
		t.Errorf("got %s", r.Message)
	}
}

func TestRunsAfterALimit(t *testing.T) {
	o := open(t, map[string]string{"deploy.star": "def main(n = 1):\n    for i in range(n):\n        pass\n"}, "deploy.star",
		func(o *Options) { o.Limits.Steps = 100_000 })
	if err := o.main(t.Context(), "--n=1000000"); !IsMistake(err) {
		t.Fatalf("got %v", err)
	}
	// A canceled thread stays so: every call has its own.
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	p := open(t, map[string]string{"deploy.star": "def main():\n    pass\n"}, "deploy.star")
	if err := p.main(ctx); !errors.Is(err, context.Canceled) {
		t.Errorf("got %v", err)
	}
	if err := p.main(t.Context()); err != nil {
		t.Errorf("after a stop: %v", err)
	}
}

func TestAttemptCatchesNoMistakeNoStop(t *testing.T) {
	prints(t, `r = attempt(releases.activate, "/opt", "bad")
print(r.ok, r.error, attempt(lambda x: x + 1, 1).value)`, "False releases.activate: cannot switch to bad: it is not installed 2")
	prints(t, "def f():\n    fail(\"no\")\nprint(attempt(f).error)", "no")
	fails(t, "def f():\n    return 1 // 0\nattempt(f)", "division by zero")
	fails(t, `attempt(releases.activate, "/opt")`, "missing id")
	fails(t, "attempt(releases.broken)", "a fault of runner")
}

func TestInnermostError(t *testing.T) {
	dir := map[string]string{
		"deploy.star": "load(\"a.star\", \"a\")\n\ndef main():\n    pass\n",
		"a.star":      "load(\"b.star\", \"b\")\na = b\n",
		"b.star":      "def f():\n    return {}[\"x\"]\n\nb = f()\n",
	}
	r := Diagnose(open(t, dir, "deploy.star").err)
	if r.At != "b.star:2:14" || r.Backtrace != "deploy.star:1:1: in <toplevel>\na.star:1:1: in <toplevel>\nb.star:4:5: in <toplevel>\nb.star:2:14: in f" {
		t.Errorf("got %s\n%s", r.At, r.Backtrace)
	}
}

func TestMutationDuringIteration(t *testing.T) {
	fails(t, "l = [1]\nfor x in l:\n    l.append(x)", "during iteration")
}

// stubborn is a clock on which time passes at once.
type stubborn struct{}

func (stubborn) Sleep(ctx context.Context, _ time.Duration) error { return ctx.Err() }

func TestWatchdogAboveTheInterpreter(t *testing.T) {
	abandoned := make(chan string)
	s := &Script{options: Options{Clock: stubborn{}, Abandon: func(reason string) { abandoned <- reason }}, budget: newBudget(Limits{})}
	ctx, cancel := context.WithCancelCause(t.Context())
	_ = s.watched(ctx, func(context.Context) error {
		s.interpreting.Add(1) // a step that never ends
		cancel(errors.New("asked to stop"))
		select {
		case reason := <-abandoned:
			if want := "has not stopped 5s after it was told to (asked to stop)"; !strings.Contains(reason, want) {
				t.Errorf("got %s", reason)
			}
		case <-time.After(time.Minute):
			t.Error("nothing is abandoned")
		}
		return nil
	})
}

func TestWatchdogWaitsForOps(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	s := &Script{options: Options{Clock: stubborn{}, Abandon: func(string) { t.Error("abandoned while no thread interprets") }}, budget: newBudget(Limits{})}
	entered := make(chan struct{})
	go func() { <-entered; cancel() }()
	_ = s.watched(ctx, func(ctx context.Context) error {
		close(entered)
		<-ctx.Done()
		time.Sleep(20 * time.Millisecond) // an op that takes its time to end
		return nil
	})
}

func TestLinksDoNotLeaveTheProject(t *testing.T) {
	outside := filepath.Join(t.TempDir(), "outside.star")
	if err := os.WriteFile(outside, []byte("x = 1\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	for _, path := range []string{"link.star", "../outside.star", "a/../../outside.star", outside, "@std/../x.star"} {
		o := open(t, map[string]string{"deploy.star": "def main():\n    pass\n", "lib.star": fmt.Sprintf("load(%q, \"x\")\n", path)}, "deploy.star")
		if err := os.Symlink(outside, filepath.Join(o.project.Dir, "link.star")); err != nil {
			t.Fatal(err)
		}
		_, err := Open(t.Context(), o.project, "lib.star", o.options)
		if err == nil || !strings.HasPrefix(Diagnose(err).Message, "cannot load "+path) {
			t.Errorf("%s: %v", path, err)
		}
	}
}

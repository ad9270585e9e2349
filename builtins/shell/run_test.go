package shell

import (
	"encoding/json"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/erlmcp/runner/runtime/builtin"
	"github.com/erlmcp/runner/runtime/host"
	"github.com/erlmcp/runner/runtime/op"
	"github.com/erlmcp/runner/runtime/secret"
)

func newHost(t *testing.T) *host.Host {
	boot, err := host.BootID()
	if err != nil {
		t.Fatal(err)
	}
	vault := &secret.Vault{Getenv: os.LookupEnv, ReadFile: os.ReadFile, Scrubber: &secret.Scrubber{}}
	return &host.Host{Files: host.OS{}, Procs: host.Linux{Boot: boot}, Clock: host.SystemClock{}, Secrets: vault,
		Project: t.TempDir(), Scratch: t.TempDir(), Env: os.Environ(), Boot: boot}
}

func run(argv ...string) Run { return Run{Argv: argv, Timeout: op.Duration(time.Minute), OK: []int{0}} }

func registry(t *testing.T, h *host.Host) *op.Registry {
	r, err := op.NewRegistry(builtin.Specs([]builtin.Family{Family(h)}), nil)
	if err != nil {
		t.Fatal(err)
	}
	return r
}

func TestExitCodes(t *testing.T) {
	h := newHost(t)
	r := run("sh", "-c", "echo one; echo two >&2; exit 2")
	_, err := r.Do(t.Context(), h)
	const want = `cannot run sh -c "echo one; echo two >&2; exit 2": exit 2`
	if err == nil || !strings.HasPrefix(err.Error(), want+"\n  ") || !strings.Contains(err.Error(), "\n  two") {
		t.Errorf("error %v", err)
	}
	r.OK = []int{0, 2}
	if ran, err := r.Do(t.Context(), h); err != nil || ran.Code != 2 || ran.Stdout != "one\n" {
		t.Errorf("accepted: %+v, %v", ran, err)
	}
	_, err = run("sh", "-c", "kill -9 $$").Do(t.Context(), h)
	if err == nil || !strings.HasSuffix(err.Error(), ": ended by signal: killed") {
		t.Errorf("killed: %v", err)
	}
}

func TestDir(t *testing.T) {
	h := newHost(t)
	os.Mkdir(filepath.Join(h.Project, "sub"), 0o755)
	r := run("pwd")
	r.Dir = "sub"
	if ran, err := r.Do(t.Context(), h); err != nil || ran.Stdout != h.Project+"/sub\n" {
		t.Errorf("%+v, %v", ran, err)
	}
	r.Dir = "nowhere"
	if _, err := r.Do(t.Context(), h); err == nil || strings.Contains(err.Error(), "\n") || !strings.Contains(err.Error(), "nowhere") {
		t.Errorf("error %v", err)
	}
}

func TestGrade(t *testing.T) {
	undone, nothing := run("a"), run("a")
	undone.Undo, nothing.Leaves = []string{"b"}, "nothing"
	for want, r := range map[op.Class]Run{op.ClassFinal: run("a"), op.ClassChange: undone, op.ClassMake: nothing} {
		if got := (op.Bound{Spec: Family(nil).Ops[0], Params: r}).Class(); got != want {
			t.Errorf("%+v is a %s, want %s", r, got, want)
		}
	}
}

func TestCheck(t *testing.T) {
	with := func(f func(*Run)) Run {
		r := run("make", "test")
		f(&r)
		return r
	}
	good := with(func(r *Run) { r.Undo, r.Env = []string{"undo"}, map[string]secret.Text{"A": secret.Plain("1")} })
	if err := good.Check(); err != nil {
		t.Errorf("good: %v", err)
	}
	for want, r := range map[string]Run{
		"argv: want a program":           run(),
		`argv: "make test" is one word`:  run("make test"),
		"argv: \"a\\x00b\" holds a zero": run("x", "a\x00b"),
		"env: want a name":               with(func(r *Run) { r.Env = map[string]secret.Text{"A=B": {}} }),
		"timeout: want more":             with(func(r *Run) { r.Timeout = 0 }),
		"leaves: want \"nothing\"":       with(func(r *Run) { r.Leaves = "traces" }),
		"undo: what leaves nothing":      with(func(r *Run) { r.Leaves, r.Undo = "nothing", []string{"x"} }),
		"undo: want a program":           with(func(r *Run) { r.Undo = []string{} }),
		"undo: cannot be combined with a secret in env (B)": with(func(r *Run) {
			r.Undo, r.Env = []string{"x"}, map[string]secret.Text{"A": {}, "B": secret.Env("B")}
		}),
		"ok: want exit codes": with(func(r *Run) { r.OK = []int{256} }),
	} {
		if err := r.Check(); err == nil || !strings.HasPrefix(err.Error(), want) {
			t.Errorf("want %q, got %v", want, err)
		}
	}
	if hint := op.HintOf(run("make test").Check()); !strings.Contains(hint, `["make", "test"]`) {
		t.Errorf("hint %q", hint)
	}
}

// The inverse comes back from the undo log, on a machine without the secrets, and runs whatever the state is.
func TestUndoFromTheWire(t *testing.T) {
	h := newHost(t)
	reg := registry(t, h)
	r := run("sh", "-c", "exit 1")
	r.Undo, r.Key = []string{"sh", "-c", "echo undone $HOW >>log"}, "run/3"
	r.Env = map[string]secret.Text{"HOW": secret.Plain("well")}
	inverse, err := r.Inverse(t.Context(), h)
	if err != nil {
		t.Fatal(err)
	}
	wire, err := reg.Encode(inverse)
	if err != nil {
		t.Fatal(err)
	}
	b, err := reg.Decode(wire)
	if err != nil || b.Spec.Class != op.ClassUndo {
		t.Fatalf("%s: %v", wire, err)
	}
	if _, err := b.Do(t.Context()); err != nil {
		t.Error(err)
	}
	if log, _ := os.ReadFile(filepath.Join(h.Project, "log")); string(log) != "undone well\n" {
		t.Errorf("log %q of %s", log, wire)
	}
	failing := Undo{Argv: []string{"false"}, Timeout: op.Duration(time.Minute)}
	if _, err := failing.Do(t.Context(), h); err == nil || err.Error() != "cannot run false to undo: exit 1" {
		t.Errorf("failing: %v", err)
	}
}

func TestSecretStaysOffTheWire(t *testing.T) {
	t.Setenv("TOKEN", "canary-71c1b2")
	h := newHost(t)
	r := run("sh", "-c", `read a; test "$a" = "$T" && cat /proc/$$/cmdline`)
	r.Env, r.Stdin = map[string]secret.Text{"T": secret.Env("TOKEN")}, secret.Env("TOKEN")
	ran, err := r.Do(t.Context(), h)
	if err != nil || ran.Stdout == "" {
		t.Fatal(ran, err)
	}
	wire, err := registry(t, h).Encode(r)
	result, _ := json.Marshal(ran)
	if all := string(wire) + r.Summary() + string(result); strings.Contains(all, "canary") || err != nil {
		t.Errorf("seen: %s, %v", all, err)
	}
}

type refusing struct{ op.Silent }

var errFull = errors.New("the log is full")

func (refusing) Child(op.Child) error { return errFull }

func TestNoRecordNoRun(t *testing.T) {
	h := newHost(t)
	_, err := run("touch", "ran").Do(op.WithSpeaker(t.Context(), refusing{}), h)
	if !errors.Is(err, errFull) {
		t.Errorf("error %v", err)
	}
}

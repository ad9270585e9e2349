package command

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/erlmcp/runner/runtime/host"
	"github.com/erlmcp/runner/runtime/host/hosttest"
	"github.com/erlmcp/runner/runtime/op"
	"github.com/erlmcp/runner/runtime/secret"
)

func newHost(t *testing.T) *host.Host {
	boot, err := host.BootID()
	if err != nil {
		t.Fatal(err)
	}
	scrubber := &secret.Scrubber{}
	vault := &secret.Vault{Getenv: os.LookupEnv, ReadFile: os.ReadFile, Scrubber: scrubber}
	return &host.Host{Files: host.OS{}, Procs: host.Linux{Boot: boot}, Clock: host.SystemClock{}, Secrets: vault,
		Project: t.TempDir(), Scratch: filepath.Join(t.TempDir(), "scratch"), Env: os.Environ(), Boot: boot}
}

type heard struct {
	op.Silent
	mu       sync.Mutex
	lines    []string
	waits    []string
	children []op.Child
	refuse   error
}

func (h *heard) Output(line string) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.lines = append(h.lines, line)
}
func (h *heard) Waiting(what string, _ time.Time) { h.waits = append(h.waits, what) }
func (h *heard) Child(c op.Child) error {
	h.children = append(h.children, c)
	return h.refuse
}

func sh(script string) Cmd {
	return Cmd{Argv: []string{"sh", "-c", script}, Timeout: time.Minute, Key: "run/7"}
}

func TestRun(t *testing.T) {
	h, ear := newHost(t), &heard{}
	ran, err := Run(op.WithSpeaker(t.Context(), ear), h, sh("pwd; echo oops >&2; printf end; exit 3"))
	if err != nil || ran.Exit.Code != 3 || ran.Stdout != h.Project+"\nend" || ran.Truncated {
		t.Errorf("ran %+v, %v", ran, err)
	}
	if len(ear.lines) != 3 || len(ear.waits) != 1 || len(ear.children) != 1 || ear.children[0].PID == 0 || ear.children[0].Boot != h.Boot {
		t.Errorf("heard %v, %v, %v", ear.lines, ear.waits, ear.children)
	}
	whole, err := os.ReadFile(ran.Path)
	if err != nil || strings.Count(string(whole), "\n") != 3 || !strings.Contains(string(whole), "oops\n") {
		t.Errorf("file %q, %v", whole, err)
	}
	if info, _ := os.Stat(ran.Path); info.Mode().Perm() != 0o600 || filepath.Base(ran.Path) != "run-7.log" {
		t.Errorf("file %s %s", ran.Path, info.Mode())
	}
}

func TestCannotStart(t *testing.T) {
	h := newHost(t)
	os.WriteFile(filepath.Join(h.Project, "plain"), []byte("#!/bin/sh\n"), 0o644)
	for program, want := range map[string]string{
		"no-such-program": "cannot start no-such-program: it is not in PATH",
		"./plain":         "cannot start ./plain: permission denied",
		"./none":          "cannot start ./none: no such file or directory",
		"./":              "cannot start ./: it is a directory",
	} {
		ran, err := Run(t.Context(), h, Cmd{Argv: []string{program}, Timeout: time.Minute})
		if err = ran.Failure("run x", err, nil); err == nil || err.Error() != want {
			t.Errorf("%s: %v", program, err)
		}
	}
}

// No program may run that no record names.
func TestRefusedChildNeverRuns(t *testing.T) {
	h, full := newHost(t), errors.New("the disk is full")
	ctx := op.WithSpeaker(t.Context(), &heard{refuse: full})
	_, err := Run(ctx, h, sh("touch ran"))
	if !errors.Is(err, full) {
		t.Errorf("error %v", err)
	}
	if _, err := os.Stat(filepath.Join(h.Project, "ran")); err == nil {
		t.Error("it ran")
	}
}

func TestSecrets(t *testing.T) {
	t.Setenv("TOKEN", "canary-71c1b2")
	h, ear := newHost(t), &heard{}
	h.Env = append(h.Env, "PLAIN=old")
	c := sh(`read line; test "$line" = "in $TOKEN" && test "$PLAIN" = new && test "$RUNNER_RUN" = run/7 && echo "got $TOKEN"; exit 4`)
	stdin, _ := secret.Format("in {}", secret.Env("TOKEN"))
	c.Env, c.Stdin = map[string]secret.Text{"TOKEN": secret.Env("TOKEN"), "PLAIN": secret.Plain("new")}, stdin
	ran, err := Run(op.WithSpeaker(t.Context(), ear), h, c)
	if err != nil || ran.Stdout != "got canary-71c1b2\n" {
		t.Fatalf("%q, %v", ran.Stdout, err)
	}
	whole, _ := os.ReadFile(ran.Path)
	failure := ran.Failure("run sh", ran.Succeeded(), ran.Last)
	seen := fmt.Sprint(ear.lines, ear.waits, ear.children, string(whole), failure)
	if strings.Contains(seen, "canary") || !strings.Contains(seen, "got ‹secret TOKEN›") {
		t.Errorf("seen: %s", seen)
	}
	c.Env["GONE"] = secret.Env("NO_SUCH_VARIABLE")
	if _, err := Run(t.Context(), h, c); err == nil || !strings.Contains(err.Error(), "NO_SUCH_VARIABLE") {
		t.Errorf("unset: %v", err)
	}
}

func TestLongOutputIsBounded(t *testing.T) {
	h := newHost(t)
	const mib = 100
	most := watchHeap(t)
	ran, err := Run(t.Context(), h, sh(fmt.Sprintf("yes 123456789012345 | head -c %d; echo; echo done", mib<<20)))
	if err != nil || !ran.Truncated || len(ran.Stdout) > Keep || !strings.HasSuffix(ran.Stdout, "\ndone\n") {
		t.Fatalf("%d bytes, %v, %v", len(ran.Stdout), ran.Truncated, err)
	}
	if !strings.HasPrefix(ran.Stdout, "123456789012345\n") {
		t.Errorf("begins with %q", ran.Stdout[:20])
	}
	if info, err := os.Stat(ran.Path); err != nil || info.Size() < mib<<20 {
		t.Errorf("file %v, %v", info.Size(), err)
	}
	if grown := most(); grown > 20<<20 {
		t.Errorf("the heap grew by %s", op.Size(grown))
	}
}

// watchHeap gives the most by which the heap grew.
func watchHeap(t *testing.T) func() int64 {
	var before, now runtime.MemStats
	runtime.GC()
	runtime.ReadMemStats(&before)
	stop, most := make(chan struct{}), make(chan int64)
	go func() {
		var peak int64
		tick := time.NewTicker(20 * time.Millisecond)
		defer tick.Stop()
		for {
			select {
			case <-tick.C:
				runtime.ReadMemStats(&now)
				peak = max(peak, int64(now.HeapAlloc)-int64(before.HeapAlloc))
			case <-stop:
				most <- peak
				return
			}
		}
	}()
	return func() int64 { close(stop); return <-most }
}

func TestOneLineWithoutEnd(t *testing.T) {
	h, ear := newHost(t), &heard{}
	ran, err := Run(op.WithSpeaker(t.Context(), ear), h, sh("head -c 1000000 /dev/zero | tr '\\0' x"))
	if err != nil || !ran.Truncated || len(ran.Stdout) != Keep || len(ear.lines) < 2 {
		t.Errorf("%d bytes, %d lines, %v, %v", len(ran.Stdout), len(ear.lines), ran.Truncated, err)
	}
}

// hasty gives programs little time between asking them to end and ending them.
type hasty struct{ host.Procs }

func (h hasty) Run(ctx context.Context, c host.Cmd, started func(host.Proc) error) (host.Exit, error) {
	c.Grace = 200 * time.Millisecond
	return h.Procs.Run(ctx, c, started)
}

// third calls then at the third line.
type third struct {
	op.Silent
	lines chan string
	then  func()
}

func (l third) Output(line string) {
	if l.lines <- line; len(l.lines) == 3 {
		l.then()
	}
}

// A program that ignores SIGTERM, its child and its grandchild are all gone soon after the context ends.
func TestStuckFamilyEnds(t *testing.T) {
	h := newHost(t)
	h.Procs = hasty{h.Procs}
	const script = `trap "" TERM; echo $$; sh -c 'trap "" TERM; echo $$; sleep 1000 & echo $!; wait; sleep 1000' & wait; sleep 1000`
	ctx, cancel := context.WithCancelCause(t.Context())
	why := errors.New("asked to stop")
	var asked time.Time
	pids := third{lines: make(chan string, 10), then: func() { asked = time.Now(); cancel(why) }}
	ran, err := Run(op.WithSpeaker(ctx, pids), h, sh(script))
	if took := time.Since(asked); took > time.Second {
		t.Errorf("it took %s to end", took)
	}
	if !errors.Is(err, why) || !strings.HasPrefix(ran.Failure("run x", err, nil).Error(), "cannot run x: asked to stop") {
		t.Errorf("error %v", err)
	}
	for range 3 {
		pid := <-pids.lines
		for limit := time.Now().Add(time.Second); ; time.Sleep(time.Millisecond) { // SIGKILL is sent, not yet obeyed
			stat, err := os.ReadFile("/proc/" + pid + "/stat")
			if err != nil || strings.Contains(string(stat), ") Z ") {
				break
			}
			if time.Now().After(limit) {
				t.Fatalf("a process lives: %s", stat)
			}
		}
	}
}

// The program is looked for in the PATH that it will have.
func TestOwnPath(t *testing.T) {
	h := newHost(t)
	for _, dir := range []string{"old", "new"} {
		os.Mkdir(filepath.Join(h.Project, dir), 0o755)
		os.WriteFile(filepath.Join(h.Project, dir, "tool"), []byte("#!/bin/sh\necho "+dir+"\n"), 0o755)
	}
	h.Env = []string{"PATH=" + filepath.Join(h.Project, "old")}
	env := map[string]secret.Text{"PATH": secret.Plain(filepath.Join(h.Project, "new"))}
	ran, err := Run(t.Context(), h, Cmd{Argv: []string{"tool"}, Env: env, Timeout: time.Minute})
	if err != nil || ran.Stdout != "new\n" {
		t.Errorf("%q, %v", ran.Stdout, err)
	}
}

func TestPoliteProgramEndsAtOnce(t *testing.T) {
	h := newHost(t)
	c := sh("echo begun; exec sleep 1000")
	c.Timeout = 300 * time.Millisecond
	begun := time.Now()
	ran, err := Run(t.Context(), h, c)
	if err == nil || time.Since(begun) > 1300*time.Millisecond {
		t.Errorf("%v after %s", err, time.Since(begun))
	}
	const want = "cannot run x: it ran longer than 300ms\n  begun"
	if got := ran.Failure("run x", err, ran.Last); got.Error() != want {
		t.Errorf("error %q", got)
	}
}

func TestEndedContextStartsNothing(t *testing.T) {
	h, ear := newHost(t), &heard{}
	ctx, cancel := context.WithCancel(op.WithSpeaker(t.Context(), ear))
	cancel()
	if _, err := Run(ctx, h, sh("touch ran")); !errors.Is(err, context.Canceled) || len(ear.children) > 0 {
		t.Errorf("%v, %v", err, ear.children)
	}
}

// A full disk takes the file, not the command's success.
func TestFullDisk(t *testing.T) {
	h, ear := newHost(t), &heard{}
	faults := hosttest.NewFaults(host.OS{})
	h.Files = faults
	faults.FailAfterBytes(1000)
	ran, err := Run(op.WithSpeaker(t.Context(), ear), h, sh("seq 1 100000; echo done"))
	if err != nil || ran.Path != "" || !strings.HasSuffix(ran.Stdout, "done\n") || faults.Met() == 0 {
		t.Errorf("%+v, %v", ran.Path, err)
	}
	if last := ear.lines[len(ear.lines)-1]; last != "the whole output is not kept: no space left on device" {
		t.Errorf("last line %q", last)
	}
}

func TestLine(t *testing.T) {
	for want, argv := range map[string][]string{
		"make test":                    {"make", "test"},
		`sh -c "a | b\nc"`:             {"sh", "-c", "a | b\nc"},
		`x "" --a=b`:                   {"x", "", "--a=b"},
		strings.Repeat("ü", 119) + "…": {strings.Repeat("ü", 500)},
	} {
		if got := Line(argv); got != want {
			t.Errorf("%q is %s", argv, got)
		}
	}
}

package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"
	"unsafe"

	"github.com/erlmcp/runner/runtime/host"
)

// nobody is a user who owns nothing.
const nobody = 65534

// asNobody runs the real program as nobody, to whom the project and the home belong, and wants an exit code and texts.
// Root reads and writes whatever the modes say.
func (s faultSite) asNobody(code int, args []string, texts ...string) {
	s.t.Helper()
	if os.Getuid() != 0 {
		s.t.Fatal("this test needs root: it runs the program as nobody")
	}
	for _, dir := range []string{s.dir, s.home, filepath.Dir(s.dir)} {
		s.give(dir)
	}
	cmd := s.command(args...)
	program, err := os.Open(cmd.Path)
	if err != nil {
		s.t.Fatal(err)
	}
	defer program.Close()
	cmd.Path, cmd.ExtraFiles = "/proc/self/fd/3", []*os.File{program} // the folder that the test binary lies in is root's
	cmd.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: nobody, Gid: nobody}}
	s.out.Reset()
	cmd.Stdout, cmd.Stderr = &s.out, &s.out
	err = cmd.Run()
	if got := cmd.ProcessState.ExitCode(); got != code {
		s.t.Fatalf("%v: %v, want exit %d\n%s", args, err, code, s.out.String())
	}
	s.says(texts...)
}

// give makes a folder and its files nobody's; what lies under the target stays root's.
func (s faultSite) give(dir string) {
	s.t.Helper()
	err := filepath.WalkDir(dir, func(name string, d fs.DirEntry, err error) error {
		if name == s.root() {
			return fs.SkipDir
		}
		return errors.Join(err, os.Lchown(name, nobody, nobody))
	})
	if err != nil {
		s.t.Fatal(err)
	}
}

func TestUnreadableFiles(t *testing.T) {
	s := bareSite(t)
	s.write("read.star", "def main(environment):\n    files.read(\"private\")\n")
	s.write("take.star", "def main(environment):\n    build.file(\"private\")\n")
	s.write("install.star", installScript)
	s.write("private", "x")
	s.asNobody(1, []string{"install.star", "production"}, "cannot install private into "+s.root()+": ", "permission denied", "nothing is changed")
	if left, _ := os.ReadDir(s.root("releases")); len(left) > 0 {
		t.Errorf("left behind: %v", left)
	}
	s.asNobody(1, []string{"read.star", "production"}, "cannot read private: permission denied")
	s.asNobody(1, []string{"take.star", "production"}, "cannot take private: permission denied")
	s.asNobody(1, s.to("production", "1.0.0"), "cannot build mcpd: private: permission denied", "nothing is changed")
	s.goesOn("1.0.0") // root may
}

// installScript installs an artifact that nobody may read any more.
const installScript = `
def main(environment):
    app = build.file("private")
    shell.run(["chmod", "000", "private"], leaves = "nothing")
    lease(environment)
    releases.install(environment.target.root, app)
`

func TestARootOfAnotherUser(t *testing.T) {
	s := servedSite(t)
	pid := s.service()
	s.asNobody(1, []string{"recover.star", "production"}, "cannot take the lease of "+s.root()+": ", "nobody may not ", "permission denied", "hint: run it as a user who may write there", "nothing is changed")
	s.asNobody(1, []string{"runs", "production"}, "cannot list the runs of production: ", "permission denied", "hint: its records are their owner's")
	s.untouched(pid, "1.0.0")
	s.goesOn("1.1.0")
}

func TestADirectoryWhereCurrentShouldBe(t *testing.T) {
	t.Run("before the first deployment", func(t *testing.T) {
		s := bareSite(t)
		precious := s.root("current", "precious")
		if err := errors.Join(os.MkdirAll(filepath.Dir(precious), 0o755), os.WriteFile(precious, []byte("x"), 0o644)); err != nil {
			t.Fatal(err)
		}
		s.fails(1, nil, s.to("production", "1.0.0"), "cannot read "+s.root("current")+": it is no link", "hint: move it away", "nothing is changed")
		if err := os.Rename(s.root("current"), s.root("moved")); err != nil {
			t.Fatal(err)
		}
		s.goesOn("1.0.0")
		if b, err := os.ReadFile(s.root("moved", "precious")); err != nil || string(b) != "x" {
			t.Errorf("what lay there: %q, %v", b, err)
		}
	})
	t.Run("since the install", func(t *testing.T) {
		s := servedSite(t)
		pid := s.service()
		replace := func() {
			if err := errors.Join(os.Remove(s.root("current")), os.Mkdir(s.root("current"), 0o755)); err != nil {
				t.Error(err)
			}
		}
		s.fails(1, meets("releases/.new-", replace), s.to("production", "1.1.0"), "it is no link", "nothing is changed")
		s.untouched(pid, "1.0.0")
		if err := errors.Join(os.Remove(s.root("current")), os.Symlink("releases/000001", s.root("current"))); err != nil {
			t.Fatal(err)
		}
		s.goesOn("1.1.0")
	})
}

// stops calls do once, when a process was stopped.
func stops(do func()) func(*host.Host) *host.Host {
	return func(h *host.Host) *host.Host {
		w := *h
		w.Procs = stopped{h.Procs, sync.OnceFunc(do)}
		return &w
	}
}

type stopped struct {
	host.Procs
	do func()
}

func (s stopped) Stop(ctx context.Context, p host.Proc, sig syscall.Signal, grace time.Duration) error {
	err := s.Procs.Stop(ctx, p, sig, grace)
	s.do()
	return err
}

// A foreign process is faster on the port than the new version, and so than the old one: nobody ends it.
func TestAPortThatIsTakenWithinTheSwitch(t *testing.T) {
	s := servedSite(t)
	free := func() {}
	taken := fmt.Sprintf("port %d is taken by process %d (", s.port, os.Getpid())
	s.fails(11, stops(func() { free = listen(t, s.port) }), s.to("broken", "1.1.0"),
		"cannot start release 000002: "+taken, "conflict: port", "wanted: free for release 000001", "found:  "+taken, "something is not as it was")
	free()
	s.goesOn("1.1.0")
}

func TestAPortThatIsTakenBeforeTheFirstDeployment(t *testing.T) {
	s := bareSite(t)
	free := listen(t, s.port)
	s.fails(10, nil, s.to("production", "1.0.0"), fmt.Sprintf("port %d is taken by process %d (", s.port, os.Getpid()), "every change is taken back")
	if _, err := os.Lstat(s.root("current")); err == nil {
		t.Error("current is there")
	}
	free()
	s.goesOn("1.0.0")
}

// stepped is a machine's clock whose time of day goes back an hour each time that somebody looks at it. What has passed
// since another look is right all the same: Go, as the machine does, measures that by a clock that never steps.
type stepped struct {
	host.SystemClock
	mu   *sync.Mutex
	back *time.Duration
}

func (s stepped) Now() time.Time {
	s.mu.Lock()
	defer s.mu.Unlock()
	*s.back += time.Hour
	return step(time.Now(), *s.back)
}

// step is a time as it is told after the time of day was set back by whole seconds. The standard library has no way to
// set a clock in a test: this reaches into the seconds that a time keeps beside its monotonic reading.
func step(t time.Time, back time.Duration) time.Time {
	const nsecBits = 30
	*(*uint64)(unsafe.Pointer(&t)) -= uint64(back/time.Second) << nsecBits
	return t
}

func TestStepIsWhatAMachineDoes(t *testing.T) {
	now := time.Now()
	back := step(now, time.Hour)
	if d := back.Sub(now); d != 0 {
		t.Errorf("%s pass", d)
	}
	if d := now.Unix() - back.Unix(); d != 3600 {
		t.Errorf("it steps back by %d s", d)
	}
}

// stepping runs the program on a clock that has been set back by so much, and is set back again at every look.
func (s faultSite) stepping(code int, back *time.Duration, args ...string) {
	s.t.Helper()
	clock := stepped{mu: &sync.Mutex{}, back: back}
	null, err := os.OpenFile(os.DevNull, os.O_RDWR, 0)
	if err != nil {
		s.t.Fatal(err)
	}
	defer null.Close()
	out, err := os.CreateTemp(s.home, "out")
	if err != nil {
		s.t.Fatal(err)
	}
	defer out.Close()
	p := &program{args: args, dir: s.dir, env: s.env(), stdin: null, stdout: out, stderr: out, now: clock.Now,
		wrap: func(h *host.Host) *host.Host { w := *h; w.Clock = clock; return &w }}
	got := p.run()
	s.out.Reset()
	text, _ := os.ReadFile(out.Name())
	s.out.Write(text)
	if got != code {
		s.t.Fatalf("%v: exit %d, want %d\n%s", args, got, code, text)
	}
}

// Releases, runs and records keep their order, waits their length, and undo its run.
func TestAClockThatGoesBack(t *testing.T) {
	s := bareSite(t)
	var back time.Duration
	for _, version := range []string{"1.0.0", "1.1.0", "1.2.0"} {
		s.stepping(0, &back, s.to("production", version)...)
		s.wants(version)
	}
	begun := time.Now()
	s.stepping(10, &back, s.to("broken", "1.0.0", "--deadline", "15s")...)
	if took := time.Since(begun); took > 10*time.Second {
		t.Fatalf("a second of waiting takes %s", took)
	}
	s.wants("1.2.0")
	s.stepping(0, &back, "rollback.star", "production", "000001")
	for _, version := range []string{"1.2.0", "1.0.0"} { // each time the one that was accepted last before
		s.stepping(0, &back, "rollback.star", "production")
		s.wants(version)
	}
	s.stepping(13, &back, s.to("broken", "1.1.0", "--no-undo")...)
	s.wants("1.1.0")
	s.inOrder(8)
	s.stepping(0, &back, "undo", "production")
	s.wants("1.0.0")
	s.goesOn("1.2.0")
}

// inOrder wants the target to list n runs in the order in which they ran: each, by the time of day, before the other.
func (s faultSite) inOrder(n int) {
	s.t.Helper()
	s.must(0, "runs", "production", "--output", "json")
	var since []time.Time
	var last struct{ State string }
	for line := range strings.Lines(s.out.String()) {
		var r struct{ Since time.Time }
		if err := errors.Join(json.Unmarshal([]byte(line), &r), json.Unmarshal([]byte(line), &last)); err != nil {
			s.t.Fatal(err)
		}
		since = append(since, r.Since)
	}
	if len(since) != n || last.State != "exit 13" || !slices.IsSortedFunc(since, func(a, b time.Time) int { return b.Compare(a) }) {
		s.t.Errorf("want %d runs, each a time before the one before, the last of which was left as it is: %v\n%s", n, since, s.out.String())
	}
}

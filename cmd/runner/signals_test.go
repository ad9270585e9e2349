package main

import (
	"bytes"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/erlmcp/runner/runtime/event"
	"github.com/erlmcp/runner/runtime/host"
)

// patience is how long a test waits for what it wants to see; only a test that fails waits so long.
const patience = 20 * time.Second

// seen is what a process has written so far. Tests wait for its words.
type seen struct {
	mu   sync.Mutex
	text bytes.Buffer
	more chan struct{}
}

func (s *seen) Write(p []byte) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.more != nil {
		close(s.more)
		s.more = nil
	}
	return s.text.Write(p)
}

// look gives what was written, and a channel that closes at the next write.
func (s *seen) look() (string, <-chan struct{}) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.more == nil {
		s.more = make(chan struct{})
	}
	return s.text.String(), s.more
}

func (s *seen) String() string { text, _ := s.look(); return text }

// live is runner in a process of its own, under way.
type live struct {
	t     testing.TB
	cmd   *exec.Cmd
	out   *seen
	ended chan struct{}
}

// start starts the program and does not wait for it.
func (s *site) start(args ...string) *live {
	s.t.Helper()
	l := &live{t: s.t, cmd: s.command(args...), out: &seen{}}
	l.cmd.Stdout, l.cmd.Stderr = l.out, l.out
	l.begin()
	return l
}

func (l *live) begin() {
	l.t.Helper()
	l.ended = make(chan struct{})
	l.cmd.WaitDelay = time.Second // a child that outlives a killed runner may hold its output open
	if err := l.cmd.Start(); err != nil {
		l.t.Fatal(err)
	}
	go func() { l.cmd.Wait(); close(l.ended) }()
	l.t.Cleanup(func() { l.cmd.Process.Kill(); <-l.ended })
}

// sees waits until the process has written a text.
func (l *live) sees(text string) {
	l.t.Helper()
	limit := time.After(patience)
	for {
		got, more := l.out.look()
		if strings.Contains(got, text) {
			return
		}
		select {
		case <-more:
		case <-l.ended:
			if !strings.Contains(l.out.String(), text) {
				l.t.Fatalf("ended without %q\n%s", text, l.out)
			}
		case <-limit:
			l.t.Fatalf("no %q\n%s", text, l.out)
		}
	}
}

func (l *live) send(sig syscall.Signal) {
	l.t.Helper()
	if err := l.cmd.Process.Signal(sig); err != nil {
		l.t.Fatalf("%v: %v\n%s", sig, err, l.out)
	}
}

// exits waits for the end and wants an exit code, -1 for an end by a signal.
func (l *live) exits(code int) {
	l.t.Helper()
	select {
	case <-l.ended:
	case <-time.After(patience):
		l.t.Fatalf("does not end\n%s", l.out)
	}
	if got := l.cmd.ProcessState.ExitCode(); got != code {
		l.t.Fatalf("exit %d, want %d\n%s", got, code, l.out)
	}
}

func (l *live) says(text string) {
	l.t.Helper()
	if !strings.Contains(l.out.String(), text) {
		l.t.Errorf("no %q\n%s", text, l.out)
	}
}

func (l *live) saysNot(text string) {
	l.t.Helper()
	if strings.Contains(l.out.String(), text) {
		l.t.Errorf("%q is said\n%s", text, l.out)
	}
}

// stopScripts are what the tests of stopping and sharing run: their changes are lines in the file world.
const stopScripts = `
-- build.star --
def main(environment, make = "sleep 60"):
    shell.run(["sh", "-c", make], leaves = "nothing")
-- change.star --
def main(environment, back = "echo back >> world", then = "sleep 60", late = ":"):
    lease(environment)
    shell.run(["sh", "-c", "echo there >> world"], undo = ["sh", "-c", back])
    shell.run(["sh", "-c", then], leaves = "nothing")
    shell.run(["sh", "-c", late], undo = ["true"])
-- hold.star --
def main(environment, then = "sleep 60"):
    lease(environment)
    print("holds")
    shell.run(["sh", "-c", then], leaves = "nothing")
-- ask.star --
def main(environment):
    lease(environment)
    confirm("Go on?")
    shell.run(["sh", "-c", "echo there >> world"], undo = ["true"])
-- wait.star --
def main(environment, url = ""):
    lease(environment)
    shell.run(["sh", "-c", "echo there >> world"], undo = ["sh", "-c", "echo back >> world"])
    health.wait(probe(url, within = "60s"))
    shell.run(["sh", "-c", "echo late >> world"], undo = ["true"])
`

// stopSite is a site with the scripts of the tests of stopping.
func stopSite(t *testing.T) *site {
	t.Helper()
	s := newSite(t)
	for _, part := range strings.Split(stopScripts, "\n-- ")[1:] {
		name, text, _ := strings.Cut(part, " --\n")
		s.write(name, text)
	}
	return s
}

// read is the text of a file of the project, "" where there is none.
func (s *site) read(name string) string {
	b, _ := os.ReadFile(filepath.Join(s.dir, name))
	return string(b)
}

func (s *site) world(want string) {
	s.t.Helper()
	if got := strings.Join(strings.Fields(s.read("world")), " "); got != want {
		s.t.Errorf("the world is %q, want %q", got, want)
	}
}

// gate is a pipe that programs block on: read x < gate. A line goes in for each that shall go on.
func (s *site) gate() (open func()) {
	s.t.Helper()
	path := filepath.Join(s.dir, "gate")
	if err := syscall.Mkfifo(path, 0o600); err != nil {
		s.t.Fatal(err)
	}
	f, err := os.OpenFile(path, os.O_RDWR, 0)
	if err != nil {
		s.t.Fatal(err)
	}
	s.t.Cleanup(func() { f.Close() })
	return func() { f.WriteString("\n") }
}

// notes are the notes in the newest journal of the site's machine.
func (s *site) notes() string {
	s.t.Helper()
	var b strings.Builder
	for _, r := range s.journal() {
		if n, ok := r.Fact.(event.Noted); ok {
			fmt.Fprintln(&b, n.Text)
		}
	}
	return b.String()
}

func (s *site) journal() []event.Record {
	s.t.Helper()
	p := &program{dir: s.dir, env: s.env(), now: time.Now, wrap: func(h *host.Host) *host.Host { return h }}
	own, err := p.history(flags{})
	if err != nil {
		s.t.Fatal(err)
	}
	runs, err := own.journals().Runs()
	if err != nil || len(runs) == 0 {
		s.t.Fatalf("journals: %v, %v", runs, err)
	}
	records, err := own.journals().Read(runs[len(runs)-1])
	if err != nil {
		s.t.Fatal(err)
	}
	return records
}

func TestSignalBeforeAnyChange(t *testing.T) {
	t.Parallel()
	s := stopSite(t)
	for sig, code := range map[syscall.Signal]int{syscall.SIGINT: 130, syscall.SIGTERM: 143, syscall.SIGHUP: 143} {
		for _, script := range []string{"build.star", "hold.star"} {
			l := s.start(script, "production")
			l.sees("waits for sh -c")
			l.send(sig)
			l.exits(code)
			l.says("verdict: interrupted in ")
		}
	}
}

func TestSignalAfterAChangeIsUndone(t *testing.T) {
	t.Parallel()
	s := stopSite(t)
	if code := s.process(0, s.deploy("1.0.0")...); code != 0 {
		t.Fatal(s.out.String())
	}
	for _, sig := range []syscall.Signal{syscall.SIGINT, syscall.SIGTERM, syscall.SIGHUP} {
		pid := s.service()
		l := s.start(s.deploy("bad")...)
		l.sees("/health to be healthy")
		l.send(sig)
		l.exits(10)
		l.says("the run was asked to stop")
		s.wants("1.0.0")
		if s.service() == pid {
			t.Error("the old version was never stopped: nothing was undone")
		}
	}
}

// CI sends SIGINT, then SIGTERM, then kills: one request, in two words.
func TestSignalsDuringUndoAreIgnored(t *testing.T) {
	t.Parallel()
	s := stopSite(t)
	open := s.gate()
	l := s.start("change.star", "production", "--back", "read x < gate; echo back >> world")
	l.sees("waits for sh -c \"sleep 60\"")
	l.send(syscall.SIGINT)
	l.sees("waits for sh -c \"read x < gate")
	for _, name := range []string{"SIGTERM", "SIGHUP", "SIGINT"} {
		l.send(map[string]syscall.Signal{"SIGTERM": syscall.SIGTERM, "SIGHUP": syscall.SIGHUP, "SIGINT": syscall.SIGINT}[name])
		l.sees(name + " again: the run is stopping already")
	}
	time.Sleep(1100 * time.Millisecond) // a SIGINT as late as this abandons an undo at a terminal, and there only
	l.send(syscall.SIGINT)
	open()
	l.exits(10)
	s.world("there back")
}

// What a run is stopped in is ended, and the run waits for it, before anything is put back.
func TestSignalEndsWhatRunsFirst(t *testing.T) {
	t.Parallel()
	s := stopSite(t)
	l := s.start("change.star", "production", "--then", "trap 'sleep 0.2; echo ended >> world; exit 1' TERM; sleep 60 & echo ready; wait")
	l.sees("| ready")
	l.send(syscall.SIGTERM)
	l.exits(10)
	s.world("there ended back")
}

// nohup starts a run so that the end of the terminal does not stop it.
func TestHangUpUnderNohup(t *testing.T) {
	t.Parallel()
	s := stopSite(t)
	open := s.gate()
	l := s.through(`trap "" HUP; exec "$0" "$@"`, "change.star", "production", "--then", "read x < gate")
	l.sees("waits for sh -c \"read x < gate\"")
	l.send(syscall.SIGHUP)
	open()
	l.exits(0)
}

// through starts the program from a shell.
func (s *site) through(script string, args ...string) *live {
	s.t.Helper()
	l := &live{t: s.t, cmd: s.command(args...), out: &seen{}}
	l.cmd.Args = append([]string{"sh", "-c", script, l.cmd.Path}, args...)
	path, err := exec.LookPath("sh")
	if err != nil {
		s.t.Fatal(err)
	}
	l.cmd.Path = path
	l.cmd.Stdout, l.cmd.Stderr = l.out, l.out
	l.begin()
	return l
}

func TestOutputThatEndsIsDropped(t *testing.T) {
	t.Parallel()
	s := stopSite(t)
	for _, output := range []string{"plain", "json"} {
		version := map[string]string{"plain": "1.0.0", "json": "1.1.0"}[output]
		args := append(s.deploy(version)[:2], "--output", output)
		l := s.through(`{ "$0" "$@"; echo $? > code; } 2>&1 | head -1`, args...)
		l.exits(0)
		if lines := strings.Count(l.out.String(), "\n"); lines != 1 {
			t.Fatalf("%d lines\n%s", lines, l.out)
		}
		if code := s.read("code"); code != "0\n" {
			t.Fatalf("exit %q\n%s", code, l.out)
		}
		s.wants(version)
		if !strings.Contains(s.notes(), "an output is dropped: ") {
			t.Errorf("not noted: %s", s.notes())
		}
		if end, ok := s.journal()[len(s.journal())-1].Fact.(event.RunFinished); !ok || end.Exit != 0 {
			t.Errorf("the journal does not end with the verdict")
		}
	}
}

// A program in a pipe relies on being ended by SIGPIPE; one that inherits that it is ignored writes for ever.
func TestChildrenDoNotInheritIgnoredSignals(t *testing.T) {
	t.Parallel()
	s := stopSite(t)
	for name, prefix := range map[string]string{"plain": "", "ignored above": `trap "" PIPE; `} {
		l := s.through(prefix+`exec "$0" "$@"`, "hold.star", "production", "--then", "exec grep SigIgn /proc/self/status")
		l.exits(0)
		_, rest, _ := strings.Cut(l.out.String(), "SigIgn:")
		fields := strings.Fields(rest)
		mask, err := strconv.ParseUint(fields[0], 16, 64)
		if err != nil {
			t.Fatalf("%v\n%s", err, l.out)
		}
		for _, sig := range []syscall.Signal{syscall.SIGPIPE, syscall.SIGINT, syscall.SIGTERM, syscall.SIGHUP, syscall.SIGTSTP} {
			if mask&(1<<(sig-1)) != 0 {
				t.Errorf("%s: a child ignores %v", name, sig)
			}
		}
	}
}

package main

import (
	"bytes"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/erlmcp/runner/runtime/event"
	"github.com/erlmcp/runner/runtime/host"
	"github.com/erlmcp/runner/runtime/journal"
)

// patience is how long a test waits for what it wants to see; only a test that fails waits so long.
const patience = time.Minute

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
	ended := make(chan struct{})
	l.ended = ended
	l.cmd.WaitDelay = time.Second // a child that outlives a killed runner may hold its output open
	if err := l.cmd.Start(); err != nil {
		l.t.Fatal(err)
	}
	go func() { l.cmd.Wait(); close(ended) }()
	l.t.Cleanup(func() { l.cmd.Process.Kill(); <-ended })
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
		l.send(syscall.SIGQUIT) // for the stacks
		<-l.ended
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
def main(environment, url = "", changes = "before, after"):
    lease(environment)
    if "before" in changes:
        shell.run(["sh", "-c", "echo there >> world"], undo = ["sh", "-c", "echo back >> world"])
    health.wait(probe(url, status = 200, within = "60s"))
    if "after" in changes:
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

// notes are the notes in the journal that was written last.
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
	local := journal.Local{FS: host.OS{}, Dir: filepath.Join(s.dir, ".runner", "runs")}
	runs, err := local.Runs()
	if err != nil || len(runs) == 0 {
		s.t.Fatalf("journals: %v, %v", runs, err)
	}
	slices.SortFunc(runs, func(a, b string) int { return s.written(a).Compare(s.written(b)) })
	records, err := local.Read(runs[len(runs)-1])
	if err != nil {
		s.t.Fatal(err)
	}
	return records
}

func (s *site) written(run string) time.Time {
	info, err := os.Stat(filepath.Join(s.dir, ".runner", "runs", run+".jsonl"))
	if err != nil {
		s.t.Fatal(err)
	}
	return info.ModTime()
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

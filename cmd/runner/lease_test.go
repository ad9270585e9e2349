package main

import (
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"strconv"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/erlmcp/runner/runtime/event"
	"github.com/erlmcp/runner/runtime/host"
	"github.com/erlmcp/runner/runtime/host/hosttest"
	"github.com/erlmcp/runner/runtime/journal"
)

// alone is what a run does under the lease: it fails where another one is inside, and signs the list.
const alone = "mkdir inside && echo %d >> order && rmdir inside"

func TestFiftyWaitInTheOrderOfAsking(t *testing.T) {
	t.Parallel()
	s := stopSite(t)
	open := s.gate()
	first := s.start("hold.star", "production", "--then", "read x < gate; "+fmt.Sprintf(alone, 0))
	first.sees("print: holds")
	runs, want := []*live{first}, "0"
	for i := 1; i < 50; i++ {
		l := s.start("hold.star", "production", "--wait", "--then", fmt.Sprintf(alone, i))
		l.sees("waits for the lease of host:" + s.root() + ", held by run ")
		runs, want = append(runs, l), want+" "+strconv.Itoa(i)
	}
	runs[49].says(fmt.Sprintf("process %d, ", first.cmd.Process.Pid))
	runs[49].says("with 48 more before this one")
	open()
	for _, l := range runs {
		l.exits(0)
	}
	if got := strings.Join(strings.Fields(s.read("order")), " "); got != want {
		t.Errorf("they ran in the order %s", got)
	}
}

func TestFiftyAtOnceOfWhichOneRuns(t *testing.T) {
	t.Parallel()
	s := stopSite(t)
	open := s.gate()
	var runs []*live
	for range 50 {
		runs = append(runs, s.start("hold.star", "production", "--then", "read x < gate"))
	}
	ended := make(chan *live)
	for _, l := range runs {
		go func() { <-l.ended; ended <- l }()
	}
	for range 49 {
		select {
		case l := <-ended:
			l.exits(17)
			l.says("verdict: stopped in ")
			l.says("hint: with --wait it waits for its turn")
		case <-time.After(patience):
			t.Fatal("more than one holds, or waits")
		}
	}
	open()
	winner := <-ended
	winner.exits(0)
	for _, l := range runs {
		if !strings.Contains(l.out.String(), fmt.Sprintf("process %d, ", winner.cmd.Process.Pid)) && l != winner {
			l.says("held by a run that has not said its name yet")
		}
	}
}

func TestFiftyAtOnceThatWait(t *testing.T) {
	t.Parallel()
	s := stopSite(t)
	var runs []*live
	for i := range 50 {
		runs = append(runs, s.start("hold.star", "production", "--wait", "--then", fmt.Sprintf(alone, i)))
	}
	for _, l := range runs {
		l.exits(0)
	}
	if n := len(strings.Fields(s.read("order"))); n != 50 {
		t.Errorf("%d ran", n)
	}
}

func TestTwoEnvironmentsSideBySide(t *testing.T) {
	t.Parallel()
	s := stopSite(t)
	twin := *s
	twin.port = hosttest.Port(t)
	t.Cleanup(twin.killService)
	text := strings.Replace(string(s.environments()), fmt.Sprintf("port = %d", s.port), "port = port", 1)
	text = strings.Replace(text, "def _env(root, ", fmt.Sprintf("def _env(root, port = %d, ", s.port), 1)
	s.write("environments.star", strings.Replace(text, `_env("elsewhere"`, fmt.Sprintf(`_env("elsewhere", port = %d`, twin.port), 1))
	s.write("VERSION", "1.0.0\n")
	one := s.start("deploy.star", "production")
	one.sees("== Roll out") // two builds in one tree are in each other's way
	two := s.start("deploy.star", "other")
	one.exits(0)
	two.exits(0)
	s.wants("1.0.0")
	twin.wants("1.0.0")

	open := s.gate()
	l := s.start("hold.star", "production", "--then", "read x < gate")
	l.sees("print: holds")
	s.write("VERSION", "1.1.0\n")
	s.start("deploy.star", "other").exits(0)
	twin.wants("1.1.0")
	s.start("deploy.star", "production").exits(17)
	open()
	l.exits(0)
	s.wants("1.0.0")
}

func TestAKilledHolderIsReplacedAtOnce(t *testing.T) {
	t.Parallel()
	s := stopSite(t)
	dead := s.start("change.star", "production")
	dead.sees("waits for sh -c \"sleep 60\"")
	next := s.start("hold.star", "production", "--wait", "--then", "true")
	next.sees("held by run ")
	third := s.start("hold.star", "production", "--wait", "--then", "true")
	third.sees("with 1 more before this one")
	begun := time.Now()
	dead.send(syscall.SIGKILL)
	next.sees("lease of host:" + s.root() + " is taken")
	took := time.Since(begun)
	t.Logf("taken, and the dead run recovered, %s after the kill", took.Round(time.Millisecond))
	if took > time.Second {
		t.Errorf("taken %s after the kill", took)
	}
	next.says("recover ")
	next.exits(0)
	third.exits(0)
	s.world("there back")
}

// One that is killed in the queue does not keep those behind it waiting.
func TestKilledInTheQueue(t *testing.T) {
	t.Parallel()
	s := stopSite(t)
	open := s.gate()
	first := s.start("hold.star", "production", "--then", "read x < gate")
	first.sees("print: holds")
	second := s.start("hold.star", "production", "--wait", "--then", "true")
	second.sees("held by run ")
	third := s.start("hold.star", "production", "--wait", "--then", "true")
	third.sees("with 1 more before this one")
	second.send(syscall.SIGKILL)
	second.exits(-1)
	fourth := s.start("hold.star", "production", "--wait", "--then", "true")
	fourth.sees("with 1 more before this one")
	fifth := s.start("hold.star", "production", "--wait", "--then", "true")
	fifth.sees("with 2 more before this one")
	fourth.send(syscall.SIGKILL)
	fourth.exits(-1)
	fifth.send(syscall.SIGTERM)
	fifth.exits(143)
	sixth := s.start("hold.star", "production", "--wait", "--then", "true")
	sixth.sees("held by run ")
	open()
	first.exits(0)
	third.exits(0)
	sixth.exits(0)
}

// ended is a shell's test, for an inverse, that the processes listed in a file are all gone; a zombie is.
const ended = `for p in $(cat pids); do s=$(sed -n "s/^State:.\(.\).*/\1/p" /proc/$p/status 2>/dev/null); ` +
	`case "$s" in ""|Z|X) ;; *) echo alive >> world;; esac; done; echo back >> world`

func TestChildrenOfAKilledRunEndBeforeTheFirstInverse(t *testing.T) {
	t.Parallel()
	for name, then := range map[string]string{
		"a group":            "sleep 300 & echo $! $$ > pids; echo ready; sleep 300",
		"a leader that died": "sleep 300 > /dev/null 2>&1 & echo $! > pids",
		"stubborn ones":      "trap '' TERM; sleep 300 & echo $! $$ > pids; echo ready; while :; do sleep 300; done",
	} {
		s := stopSite(t)
		l := s.start("change.star", "production", "--back", ended, "--then", then, "--late", "echo ready; sleep 60")
		l.sees("| ready")
		l.send(syscall.SIGKILL)
		l.exits(-1)
		begun := time.Now()
		next := s.start("hold.star", "production", "--then", "true")
		next.exits(0)
		t.Logf("%s: recovered in %s", name, time.Since(begun).Round(time.Millisecond))
		next.says("of the dead run is ended")
		s.world("there back")
		for _, pid := range strings.Fields(s.read("pids")) {
			if b, err := os.ReadFile("/proc/" + pid + "/stat"); err == nil && !strings.Contains(string(b), ") Z") {
				t.Errorf("%s: %s lives", name, b)
			}
		}
	}
}

// A pid on record that came round again is somebody else's process: here the child itself, with another start on record.
func TestARecycledPidIsNotSignalled(t *testing.T) {
	t.Parallel()
	s := stopSite(t)
	l := s.start("change.star", "production", "--then", "echo $$ > pids; echo ready; exec sleep 60")
	l.sees("| ready")
	l.send(syscall.SIGKILL)
	l.exits(-1)
	s.rewrite(func(f event.Fact) event.Fact {
		if c, ok := f.(event.ChildStarted); ok {
			c.Start--
			return c
		}
		return f
	})
	s.start("hold.star", "production", "--then", "true").exits(0)
	s.world("there back")
	if !s.ends("pids") {
		t.Error("it was signalled")
	}
}

// rewrite changes the facts of the target's only undo log.
func (s *site) rewrite(change func(event.Fact) event.Fact) {
	s.t.Helper()
	home := journal.Root{Files: host.OS{}, Path: s.root()}
	runs, err := home.Logs(s.t.Context())
	if err != nil || len(runs) != 1 {
		s.t.Fatalf("%v, %v", runs, err)
	}
	records, err := home.Read(s.t.Context(), runs[0])
	var text []byte
	for _, r := range records {
		r.Fact = change(r.Fact)
		line, lineErr := journal.EncodeLine(r)
		text, err = append(text, line...), errors.Join(err, lineErr)
	}
	if err := errors.Join(err, os.WriteFile(s.root(".runner", "runs", runs[0]+".jsonl"), text, 0o600)); err != nil {
		s.t.Fatal(err)
	}
}

// A build stands under no lease, so that no record beside the target names its children: killed, it leaves them.
func TestChildrenOfAKilledBuildAreLeft(t *testing.T) {
	t.Parallel()
	s := stopSite(t)
	l := s.start("build.star", "production", "--make", "echo $$ > pids; echo ready; exec sleep 60")
	l.sees("| ready")
	l.send(syscall.SIGKILL)
	l.exits(-1)
	s.start("hold.star", "production", "--then", "true").exits(0)
	if !s.ends("pids") {
		t.Error("it is gone")
	}
}

// ends kills a process that a file names; false where it did not live, or not as more than a zombie.
func (s *site) ends(file string) bool {
	pid, _ := strconv.Atoi(strings.TrimSpace(s.read(file)))
	stat, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	return err == nil && !strings.Contains(string(stat), ") Z ") && syscall.Kill(pid, syscall.SIGKILL) == nil
}

// loses takes the lease away from a run that holds it, as an operator does who removes ROOT/.runner/lease, and has
// another run take the new one.
func (s *site) loses() {
	s.t.Helper()
	if err := os.Remove(s.root(".runner", "lease")); err != nil {
		s.t.Fatal(err)
	}
	taker := s.start("hold.star", "production", "--then", "true")
	taker.exits(0)
	taker.says("recover ")
}

// sound wants the target's undo logs to be readable, and no run in them to be unfinished.
func (s *site) sound() {
	s.t.Helper()
	s.start("runs", "production").exits(0)
	l := s.start("hold.star", "production", "--then", "true")
	l.exits(0)
	l.saysNot("recover ")
}

func TestALostLeaseStopsTheRunBeforeItsNextEffect(t *testing.T) {
	t.Parallel()
	for changes, c := range map[string]struct {
		code        int
		says, world string
	}{
		"before, after": {17, "cannot change host:", "there back"},
		"before":        {17, "cannot commit: the lease is lost: ", "there back"},
		"none":          {0, "the end of this run is not recorded", ""},
	} {
		s := stopSite(t)
		var healthy atomic.Bool
		web := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
			if !healthy.Load() {
				w.WriteHeader(http.StatusServiceUnavailable)
			}
		}))
		t.Cleanup(web.Close)
		l := s.start("wait.star", "production", "--url", web.URL+"/", "--changes", changes)
		l.sees("to be healthy")
		s.loses()
		s.world(c.world)
		healthy.Store(true)
		l.exits(c.code)
		l.says(c.says)
		l.says("verdict: ")
		s.world(c.world)
		s.sound()
	}
}

// The taker ends what the run has under way: that failure is no reason to undo, either, what the taker undoes.
func TestALostLeaseDuringAnOp(t *testing.T) {
	t.Parallel()
	s := stopSite(t)
	l := s.start("change.star", "production", "--then", "echo ready; sleep 60")
	l.sees("| ready")
	s.loses()
	l.exits(17)
	l.says("failed: change.star:4:5: shell.run: cannot run ")
	l.says("the lease is lost: ")
	l.says("lost to another run")
	l.saysNot("undo: ")
	s.world("there back")
	s.sound()
}

// An undo that lost its lease stops as well.
func TestALostLeaseDuringTheUndo(t *testing.T) {
	t.Parallel()
	s := stopSite(t)
	l := s.start("change.star", "production", "--then", "exit 1", "--back", "echo back >> world; test -e second || { : > second; echo begun; sleep 60; }")
	l.sees("| begun")
	s.loses()
	l.exits(17)
	s.world("there back back")
	s.sound()
}

func TestUndoOfARunThatLives(t *testing.T) {
	t.Parallel()
	s := stopSite(t)
	l := s.start("change.star", "production")
	l.sees("waits for sh -c \"sleep 60\"")
	u := s.start("undo", "production")
	u.exits(17)
	u.says(fmt.Sprintf("process %d, ", l.cmd.Process.Pid))
	u = s.start("undo", "production", "--wait")
	u.sees("waits for the lease of ")
	l.send(syscall.SIGKILL)
	u.exits(0)
	s.world("there back")
}

package main

import (
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/erlmcp/runner/runtime/event"
)

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

// A run that is stopped while it takes a dead one back leaves that to the next.
func TestSignalDuringARecovery(t *testing.T) {
	t.Parallel()
	s := stopSite(t)
	dead := s.start("change.star", "production", "--back", "test -e second || { : > second; echo begun; sleep 60; }; echo back >> world")
	dead.sees("waits for sh -c \"sleep 60\"")
	dead.send(syscall.SIGKILL)
	dead.exits(-1)
	l := s.start("hold.star", "production", "--then", "true")
	l.sees("| begun")
	l.send(syscall.SIGTERM)
	l.exits(11)
	l.says("the run was asked to stop")
	l.says("the next run on this target goes on with the undo")
	s.world("there")
	l = s.start("hold.star", "production", "--then", "true")
	l.exits(0)
	l.says("recover ")
	s.world("there back")
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

package main

import (
	"fmt"
	"os"
	"strings"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// What is typed at a terminal.
const (
	ctrlC = "\x03"
	ctrlZ = "\x1a"
	enter = "\r"
)

// terminal is runner at a terminal of its own, as the leader of its session: what is typed there, signals included,
// comes by the kernel's line discipline.
type terminal struct {
	*live
	master *os.File
}

// atTerminal starts the program at a terminal, without colour.
func (s *site) atTerminal(args ...string) *terminal {
	s.t.Helper()
	return s.coloured("NO_COLOR=1", args...)
}

// coloured is atTerminal with a variable of the environment.
func (s *site) coloured(variable string, args ...string) *terminal {
	s.t.Helper()
	master, slave, err := openTerminal()
	if err != nil {
		s.t.Fatalf("cannot open a terminal: %v", err)
	}
	s.t.Cleanup(func() { master.Close() })
	l := &live{t: s.t, cmd: s.command(args...), out: &seen{}}
	l.cmd.Env = append(l.cmd.Env, variable)
	l.cmd.Stdin, l.cmd.Stdout, l.cmd.Stderr = slave, slave, slave
	l.cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true, Setctty: true}
	l.begin()
	slave.Close()
	read := make(chan struct{})
	go func() { // ends with EIO when nobody has the terminal open any more
		defer close(read)
		buf := make([]byte, 4096)
		for {
			n, err := master.Read(buf)
			l.out.Write(buf[:n])
			if err != nil {
				return
			}
		}
	}()
	ended := l.ended
	l.ended = make(chan struct{})
	go func() { <-ended; <-read; close(l.ended) }()
	return &terminal{l, master}
}

func openTerminal() (master, slave *os.File, err error) {
	if master, err = os.OpenFile("/dev/ptmx", os.O_RDWR|syscall.O_NOCTTY, 0); err != nil {
		return nil, nil, err
	}
	raw, err := master.SyscallConn() // Fd would make reads block, and a close wait for them
	if err != nil {
		return nil, nil, err
	}
	var n uint32
	raw.Control(func(fd uintptr) {
		if err = unix.IoctlSetPointerInt(int(fd), unix.TIOCSPTLCK, 0); err == nil {
			n, err = unix.IoctlGetUint32(int(fd), unix.TIOCGPTN)
		}
	})
	if err != nil {
		return nil, nil, err
	}
	slave, err = os.OpenFile(fmt.Sprintf("/dev/pts/%d", n), os.O_RDWR|syscall.O_NOCTTY, 0)
	return master, slave, err
}

func (p *terminal) types(keys string) {
	p.t.Helper()
	if _, err := p.master.WriteString(keys); err != nil {
		p.t.Fatal(err)
	}
}

// state is the letter by which /proc tells what the process does: T is stopped.
func (l *live) state() string {
	b, _ := os.ReadFile(fmt.Sprintf("/proc/%d/stat", l.cmd.Process.Pid))
	_, rest, _ := strings.Cut(string(b), ") ")
	return rest[:min(1, len(rest))]
}

// becomes waits until the kernel says that all of the process has stopped, or goes on.
func (l *live) becomes(state int) {
	l.t.Helper()
	met := make(chan error, 1)
	go func() { // ends with the process, at the latest
		err := error(unix.EINTR)
		for err == unix.EINTR {
			err = unix.Waitid(unix.P_PID, l.cmd.Process.Pid, nil, state, nil)
		}
		met <- err
	}()
	select {
	case err := <-met:
		if err != nil {
			l.t.Fatalf("%v\n%s", err, l.out)
		}
	case <-time.After(patience):
		l.t.Fatalf("the process is %s\n%s", l.state(), l.out)
	}
}

func TestCtrlCStopsAndUndoes(t *testing.T) {
	t.Parallel()
	s := stopSite(t)
	if code := s.process(0, s.deploy("1.0.0")...); code != 0 {
		t.Fatal(s.out.String())
	}
	p := s.atTerminal(s.deploy("bad")...)
	p.sees("/health to be healthy")
	p.types(ctrlC)
	p.exits(10)
	s.wants("1.0.0")
}

func TestCtrlCTwiceAtOnceDoesNotAbandonTheUndo(t *testing.T) {
	t.Parallel()
	s := stopSite(t)
	open := s.gate()
	p := s.atTerminal("change.star", "production", "--back", "echo begun; read x < gate; echo back >> world")
	p.sees("waits for sh -c \"sleep 60\"")
	p.types(ctrlC)
	p.sees("SIGINT: the run stops; Ctrl-C again, a second from now or later, gives up its undo")
	p.sees("| begun")
	p.types(ctrlC)
	p.sees("SIGINT again: the run is stopping already")
	open()
	p.exits(10)
	s.world("there back")
}

func TestCtrlCTwiceAbandonsTheUndo(t *testing.T) {
	t.Parallel()
	s := stopSite(t)
	open := s.gate()
	p := s.atTerminal("change.star", "production", "--back", "echo begun; read x < gate; echo back >> world")
	p.sees("waits for sh -c \"sleep 60\"")
	p.types(ctrlC)
	p.sees("| begun")
	p.send(syscall.SIGTERM) // by no key: not what abandons
	p.sees("SIGTERM again: the run is stopping already")
	for begun := time.Now(); time.Since(begun) < 1050*time.Millisecond; { // the notice says a second
		time.Sleep(time.Until(begun.Add(1050 * time.Millisecond)))
	}
	p.types(ctrlC)
	p.sees("Ctrl-C again: the undo is given up; the next run takes it up")
	p.exits(11)
	p.says("the next run on this target goes on with the undo")
	s.world("there")
	open()
	if code := s.process(0, "hold.star", "production", "--then", "true"); code != 0 {
		t.Fatalf("exit %d\n%s", code, s.out.String())
	}
	s.world("there back")
}

func TestCtrlZIsIgnoredUnderALease(t *testing.T) {
	t.Parallel()
	s := stopSite(t)
	open := s.gate()
	p := s.atTerminal("hold.star", "production", "--then", "echo begun; read x < gate")
	p.sees("| begun")
	p.types(ctrlZ)
	p.sees("Ctrl-Z is ignored while the lease is held")
	if state := p.state(); state == "T" {
		t.Errorf("the process is stopped")
	}
	open()
	p.exits(0)
}

// A recovery holds the lease, too, before the run's own lease is announced.
func TestCtrlZIsIgnoredInARecovery(t *testing.T) {
	t.Parallel()
	s := stopSite(t)
	open := s.gate()
	dead := s.start("change.star", "production", "--back", "echo begun; read x < gate; echo back >> world")
	dead.sees("waits for sh -c \"sleep 60\"")
	dead.send(syscall.SIGKILL)
	dead.exits(-1)
	p := s.atTerminal("hold.star", "production", "--then", "true")
	p.sees("| begun")
	p.types(ctrlZ)
	p.sees("Ctrl-Z is ignored while the lease is held")
	open()
	p.exits(0)
	s.world("there back")
}

func TestCtrlZSuspendsBeforeALease(t *testing.T) {
	t.Parallel()
	s := stopSite(t)
	open := s.gate()
	p := s.atTerminal("build.star", "production", "--make", "echo begun; read x < gate")
	p.sees("| begun") // a child that is not yet in its own group would be suspended too, and runner waits for its exec
	for range 2 {
		p.types(ctrlZ)
		p.becomes(unix.WSTOPPED)
		p.send(syscall.SIGCONT)
		p.becomes(unix.WCONTINUED)
	}
	open()
	p.exits(0)
	p.saysNot("Ctrl-Z")
}

func TestTheTerminalIsClosed(t *testing.T) {
	t.Parallel()
	s := stopSite(t)
	p := s.atTerminal("change.star", "production")
	p.sees("waits for sh -c \"sleep 60\"")
	p.master.Close()
	p.exits(10)
	s.world("there back")
	if notes := s.notes(); !strings.Contains(notes, "SIGHUP: the run stops") || !strings.Contains(notes, "an output is dropped: ") {
		t.Errorf("noted: %s", notes)
	}
}

func TestConfirmAtATerminal(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		keys  string
		code  int
		says  string
		world string
	}{
		{"y" + enter, 0, "note: Go on? yes", "there"},
		{"YES" + enter, 0, "note: Go on? yes", "there"},
		{"n" + enter, 18, "Go on? was answered no", ""},
		{enter, 18, "Go on? was answered no", ""},
		{"yesterday" + enter, 18, "Go on? was answered no", ""},
		{"\x04", 18, "Go on? was answered no", ""}, // Ctrl-D: the end of the input
		{ctrlC, 130, "interrupted", ""},
	} {
		s := stopSite(t)
		p := s.atTerminal("ask.star", "production")
		p.sees("Go on? [y/N] ")
		p.types(c.keys)
		p.exits(c.code)
		p.says(c.says)
		s.world(c.world)
	}
}

func TestConfirmWithNobodyThere(t *testing.T) {
	t.Parallel()
	s := stopSite(t)
	l := s.start("ask.star", "production")
	l.exits(18)
	l.says("Go on? nobody can answer: there is no terminal, and no --yes")
	s.world("")
	cmd := s.command("ask.star", "production")
	cmd.Stdin = strings.NewReader("y\n") // what stands in a pipe was not meant for this question
	if err := cmd.Run(); cmd.ProcessState.ExitCode() != 18 {
		t.Errorf("answered from a pipe: %v", err)
	}
	s.world("")
	s.start("ask.star", "production", "--yes").exits(0)
	s.world("there")
}

func TestColourOnlyAtATerminal(t *testing.T) {
	t.Parallel()
	s := stopSite(t)
	args := []string{"hold.star", "production", "--then", "true"}
	coloured := func(out string) bool { return strings.Contains(out, "\x1b[") }
	for _, c := range []struct {
		variable string
		more     []string
		want     bool
	}{
		{"A=b", nil, true},
		{"NO_COLOR=1", nil, false},
		{"NO_COLOR=", nil, true}, // no-color.org: when present and not empty
		{"A=b", []string{"--output", "plain"}, false},
		{"A=b", []string{"--output", "json"}, false},
	} {
		p := s.coloured(c.variable, append(args, c.more...)...)
		p.exits(0)
		if coloured(p.out.String()) != c.want {
			t.Errorf("%v %v: coloured %v\n%q", c.variable, c.more, !c.want, p.out)
		}
	}
	l := s.start(args...)
	l.exits(0)
	if coloured(l.out.String()) {
		t.Errorf("coloured in a pipe\n%q", l.out)
	}
}

// Ctrl-C goes to the whole foreground group. Runner's children stand in groups of their own: they hear of it from runner
// alone, so that it decides when an inverse is ended.
func TestCtrlCDoesNotReachChildren(t *testing.T) {
	t.Parallel()
	s := stopSite(t)
	then := `trap 'echo by INT >> world; exit 1' INT; trap 'echo by TERM >> world; exit 1' TERM; sleep 60 & echo ready; wait`
	p := s.atTerminal("change.star", "production", "--then", then)
	p.sees("| ready")
	p.types(ctrlC)
	p.exits(10)
	s.world("there by TERM back")
}

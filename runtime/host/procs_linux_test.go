package host

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func machine(t *testing.T) Linux {
	t.Helper()
	boot, err := BootID()
	if err != nil {
		t.Fatal(err)
	}
	return Linux{Boot: boot}
}

func sh(script string) Cmd {
	return Cmd{Argv: []string{"sh", "-c", script}, Env: os.Environ(), Dir: os.TempDir()}
}

func noRecord(Proc) error { return nil }

func TestRun(t *testing.T) {
	l := machine(t)
	for script, want := range map[string]Exit{
		"exit 0": {}, "exit 7": {Code: 7}, "kill -9 $$": {Code: -1, Signal: "killed"},
	} {
		if got, err := l.Run(t.Context(), sh(script), noRecord); err != nil || got != want {
			t.Errorf("%s: %v, %v", script, got, err)
		}
	}
	var out bytes.Buffer
	c := sh("cat; echo $A >&2")
	c.Stdin, c.Stdout, c.Stderr, c.Env = strings.NewReader("in "), &out, &out, append(c.Env, "A=env")
	if _, err := l.Run(t.Context(), c, noRecord); err != nil || out.String() != "in env\n" {
		t.Errorf("output %q, %v", out.String(), err)
	}
}

func TestRunRefuses(t *testing.T) {
	l := machine(t)
	plain := filepath.Join(t.TempDir(), "plain")
	os.WriteFile(plain, []byte("x"), 0o644)
	for argv0, want := range map[string]string{
		"": "no program is named", "no-such-program": "not in PATH", "/no/such": "no such file", plain: "permission denied", "/": "it is a directory",
	} {
		_, err := l.Run(t.Context(), Cmd{Argv: []string{argv0}, Env: os.Environ()}, noRecord)
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%q: %v", argv0, err)
		}
	}
}

// A program whose record could not be made never runs.
func TestGate(t *testing.T) {
	l := machine(t)
	made := filepath.Join(t.TempDir(), "made")
	full := errors.New("the disk is full")
	var p Proc
	_, err := l.Run(t.Context(), sh(": > "+made), func(q Proc) error { p = q; return full })
	if _, missing := os.Stat(made); !errors.Is(err, full) || missing == nil || l.Alive(p) {
		t.Errorf("run: %v, made %v, alive %v", err, missing == nil, l.Alive(p))
	}
	c := sh(": > " + made)
	c.Log = filepath.Join(t.TempDir(), "log")
	p, err = l.Spawn(t.Context(), c, func(Proc) error { return full })
	if !errors.Is(err, full) || l.Wait(t.Context(), p) != nil {
		t.Errorf("spawn: %v", err)
	}
	if _, missing := os.Stat(made); missing == nil {
		t.Error("the program ran without a record")
	}
}

func TestRunCancelled(t *testing.T) {
	l := machine(t)
	for name, script := range map[string]string{
		"polite":   "echo ready; sleep 60",
		"stubborn": "trap '' TERM; echo ready; while :; do sleep 60; done",
		"heirs":    "trap 'exit 0' TERM; (trap '' TERM; sleep 60) & echo $!; wait",
	} {
		t.Run(name, func(t *testing.T) {
			ctx, cancel := context.WithCancelCause(t.Context())
			stop := errors.New("stop")
			c, heir := sh(script), 0
			c.Grace, c.Stdout = 100*time.Millisecond, writer(func(b []byte) {
				heir, _ = strconv.Atoi(strings.TrimSpace(string(b)))
				cancel(stop)
			})
			var p Proc
			_, err := l.Run(ctx, c, func(q Proc) error { p = q; return nil })
			if !errors.Is(err, stop) || l.Alive(p) {
				t.Errorf("%v, alive %v", err, l.Alive(p))
			}
			eventually(t, "what it left is gone", func() bool {
				_, state, err := procStat(heir)
				return heir == 0 || err != nil || state == 'Z'
			})
		})
	}
}

// writer calls itself at each write.
type writer func([]byte)

func (w writer) Write(p []byte) (int, error) { w(p); return len(p), nil }

// eventually waits for what the kernel does in its own time.
func eventually(t *testing.T, what string, holds func() bool) {
	t.Helper()
	for end := time.Now().Add(time.Minute); !holds(); time.Sleep(5 * time.Millisecond) {
		if time.Now().After(end) {
			t.Fatalf("not within a minute: %s", what)
		}
	}
}

func spawn(t *testing.T, script string) (Linux, Proc, string) {
	t.Helper()
	l, c := machine(t), sh(script)
	c.Log = filepath.Join(t.TempDir(), "log")
	p, err := l.Spawn(t.Context(), c, noRecord)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { l.Stop(context.Background(), p, syscall.SIGKILL, time.Second) })
	eventually(t, "it has started", func() bool { b, _ := os.ReadFile(c.Log); return strings.Contains(string(b), "ready") })
	return l, p, c.Log
}

func TestSpawnAndStop(t *testing.T) {
	for name, script := range map[string]string{
		"polite":   "trap 'echo bye; exit 0' TERM; echo ready; while :; do sleep 0.01; done",
		"stubborn": "trap '' TERM; echo ready; while :; do sleep 60; done",
	} {
		t.Run(name, func(t *testing.T) {
			l, p, log := spawn(t, script)
			recycled := p
			recycled.Start++
			if !l.Alive(p) || l.Alive(recycled) || l.Alive(Proc{PID: p.PID, Start: p.Start, Boot: "another"}) {
				t.Error("alive is wrong")
			}
			if err := l.Stop(t.Context(), recycled, syscall.SIGKILL, time.Second); err != nil || !l.Alive(p) {
				t.Errorf("a recycled pid was signalled: %v", err)
			}
			if err := l.Stop(t.Context(), p, syscall.SIGTERM, 200*time.Millisecond); err != nil || l.Alive(p) {
				t.Errorf("stop: %v, alive %v", err, l.Alive(p))
			}
			if err := l.Stop(t.Context(), p, syscall.SIGTERM, time.Hour); err != nil {
				t.Errorf("stopping again: %v", err)
			}
			if b, _ := os.ReadFile(log); name == "polite" && !strings.Contains(string(b), "bye") {
				t.Errorf("not asked first: %q", b)
			}
		})
	}
}

func TestWaitEndsWithItsContext(t *testing.T) {
	l, p, _ := spawn(t, "echo ready; sleep 60")
	ctx, cancel := context.WithTimeoutCause(t.Context(), 50*time.Millisecond, errors.New("late"))
	defer cancel()
	if err := l.Wait(ctx, p); err == nil || err.Error() != "late" {
		t.Errorf("wait: %v", err)
	}
	done := make(chan error)
	go func() { done <- l.Wait(t.Context(), p) }()
	syscall.Kill(p.PID, syscall.SIGKILL)
	if err := <-done; err != nil {
		t.Errorf("wait: %v", err)
	}
}

func TestPortOwner(t *testing.T) {
	l := machine(t)
	for _, addr := range []string{"127.0.0.1:0", "[::1]:0"} {
		ln, err := net.Listen("tcp", addr)
		if err != nil {
			t.Logf("not run: %v", err)
			continue
		}
		port := ln.Addr().(*net.TCPAddr).Port
		if o, ok := l.PortOwner(port); !ok || o.PID != os.Getpid() || o.Group != syscall.Getpgrp() || o.Name == "" {
			t.Errorf("%s: %+v, %v", addr, o, ok)
		}
		told, err := diagnosed(port)
		if err != nil {
			t.Logf("not run: this kernel has no sock_diag: %v", err)
		} else if table := tabled(port); len(told) != 1 || len(table) != 1 || !table[fmt.Sprintf("socket:[%d]", told[0])] {
			t.Errorf("%s: sock_diag tells %v, /proc/net %v", addr, told, table)
		}
		conn, err := net.Dial("tcp", ln.Addr().String())
		if err != nil {
			t.Fatal(err)
		}
		answered, err := ln.Accept()
		if err != nil {
			t.Fatal(err)
		}
		defer func() { conn.Close(); answered.Close() }() // what is left of a connection does not listen
		ln.Close()
		if _, ok := l.PortOwner(port); ok {
			t.Errorf("%s: owned after its close", addr)
		}
	}
}

// TestAProgramThatIsStillWritten: what is started may be open for writing for a moment yet.
func TestAProgramThatIsStillWritten(t *testing.T) {
	l := machine(t)
	prog := filepath.Join(t.TempDir(), "prog")
	true_, err := os.ReadFile("/bin/true")
	if err == nil {
		err = os.WriteFile(prog, true_, 0o755)
	}
	if err != nil {
		t.Fatal(err)
	}
	for name, start := range map[string]func() error{
		"run": func() error {
			exit, err := l.Run(t.Context(), Cmd{Argv: []string{prog}}, noRecord)
			if exit != (Exit{}) {
				err = errors.Join(err, fmt.Errorf("%v", exit))
			}
			return err
		},
		"spawn": func() error {
			log := filepath.Join(t.TempDir(), "log")
			p, err := l.Spawn(t.Context(), Cmd{Argv: []string{prog}, Log: log}, noRecord)
			if err == nil {
				err = l.Wait(t.Context(), p)
			}
			if said, _ := os.ReadFile(log); len(said) > 0 {
				err = errors.Join(err, errors.New(string(said)))
			}
			return err
		},
	} {
		writer, err := os.OpenFile(prog, os.O_WRONLY, 0)
		if err != nil {
			t.Fatal(err)
		}
		over := time.AfterFunc(100*time.Millisecond, func() { writer.Close() })
		if err := start(); err != nil {
			t.Errorf("%s: %v", name, err)
		}
		over.Stop()
		writer.Close()
	}
}

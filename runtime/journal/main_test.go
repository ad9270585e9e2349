package journal_test

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/erlmcp/runner/runtime/event"
	"github.com/erlmcp/runner/runtime/host"
	"github.com/erlmcp/runner/runtime/journal"
)

const childMode = "JOURNAL_TEST_CHILD"

func TestMain(m *testing.M) {
	if mode := os.Getenv(childMode); mode != "" {
		if err := child(mode, os.Args[1], os.Args[2]); err != nil {
			fmt.Println("error:", err)
			os.Exit(1)
		}
		os.Exit(0)
	}
	goleak.VerifyTestMain(m)
}

// child is a run in a process of its own. It says what happens to it, a line each.
func child(mode, root, name string) error {
	ctx := context.Background()
	var queue func(journal.Owner, int)
	if mode == "queue" {
		queue = func(by journal.Owner, ahead int) { fmt.Println("waiting", by.Run, ahead) }
	}
	l, err := home(root).Take(ctx, owner(name), queue)
	if held := (*journal.Held)(nil); errors.As(err, &held) {
		fmt.Println("refused", held.By.Run)
		return nil
	}
	if err != nil {
		return err
	}
	if mode == "queue" {
		err = critical(filepath.Dir(root), name)
	}
	if mode == "parent" {
		c := exec.Command("sleep", "60")
		if err := c.Start(); err != nil {
			return err
		}
		fmt.Println("child", c.Process.Pid)
	}
	fmt.Println("held")
	if mode != "queue" {
		io.Copy(io.Discard, os.Stdin)
	}
	return errors.Join(err, l.Check(ctx), l.Release())
}

// critical counts in a file that one process at a time may touch.
func critical(dir, name string) error {
	inside := filepath.Join(dir, "inside")
	f, err := os.OpenFile(inside, os.O_CREATE|os.O_EXCL|os.O_WRONLY, 0o600)
	if err != nil {
		return fmt.Errorf("two at once: %w", err)
	}
	f.Close()
	names, err := os.ReadFile(filepath.Join(dir, "order"))
	if err != nil && !os.IsNotExist(err) {
		return err
	}
	if err := os.WriteFile(filepath.Join(dir, "order"), append(names, name+"\n"...), 0o600); err != nil {
		return err
	}
	return os.Remove(inside)
}

func order(t *testing.T, root string) []string {
	t.Helper()
	b, err := os.ReadFile(filepath.Join(filepath.Dir(root), "order"))
	must(t, err)
	return strings.Fields(string(b))
}

// process is a child as its parent sees it.
type process struct {
	t    *testing.T
	cmd  *exec.Cmd
	in   io.Closer
	out  *bufio.Reader
	name string
}

func start(t *testing.T, mode, root, name string) *process {
	t.Helper()
	c := exec.Command(os.Args[0], root, name)
	c.Env = append(os.Environ(), childMode+"="+mode)
	c.Stderr = os.Stderr
	in, err := c.StdinPipe()
	must(t, err)
	out, err := c.StdoutPipe()
	must(t, err)
	must(t, c.Start())
	t.Cleanup(func() { c.Process.Kill(); c.Wait() })
	return &process{t, c, in, bufio.NewReader(out), name}
}

// says gives the next line; "" at the end.
func (p *process) says() string {
	line, _ := p.out.ReadString('\n')
	return strings.TrimSpace(line)
}

// expect reads lines up to the one that is wanted.
func (p *process) expect(want string) {
	p.t.Helper()
	var said []string
	for line := p.says(); line != ""; line = p.says() {
		if line == want {
			return
		}
		said = append(said, line)
	}
	p.t.Fatalf("%s says %q, want %q", p.name, said, want)
}

func (p *process) kill() {
	p.t.Helper()
	must(p.t, p.cmd.Process.Kill())
	p.cmd.Wait()
}

func (p *process) ends() {
	p.t.Helper()
	p.in.Close()
	rest, _ := io.ReadAll(p.out)
	if err := p.cmd.Wait(); err != nil {
		p.t.Errorf("%s ends with %v: %s", p.name, err, rest)
	}
}

func home(root string) journal.Root { return journal.Root{Files: host.OS{}, Path: root} }

func owner(run string) journal.Owner {
	return journal.Owner{Run: run, User: "ada", Host: "here", PID: os.Getpid(), Script: "deploy.star", Since: moment}
}

var moment = time.Date(2026, 1, 26, 12, 0, 0, 0, time.UTC)

func must(t testing.TB, errs ...error) {
	t.Helper()
	if err := errors.Join(errs...); err != nil {
		t.Fatal(err)
	}
}

// note is a record of about size bytes.
func note(n, size int) event.Record {
	return event.Record{Time: moment, Run: "a", Fact: event.Noted{Text: fmt.Sprintf("%d %s", n, strings.Repeat("x", size))}}
}

// lines are the records 1..n of a log, a line each.
func lines(t testing.TB, n int) [][]byte {
	t.Helper()
	var out [][]byte
	for i := range n {
		r := note(i+1, 3*i)
		r.Seq = int64(i + 1)
		line, err := journal.EncodeLine(r)
		must(t, err)
		out = append(out, line)
	}
	return out
}

func take(t testing.TB, h journal.Home, run string) journal.Lease {
	t.Helper()
	l, err := h.Take(t.Context(), owner(run), nil)
	must(t, err)
	t.Cleanup(func() { l.Release() })
	return l
}

// records reads the log of run a, which must be whole.
func records(t testing.TB, h journal.Home) []event.Record {
	t.Helper()
	out, err := h.Read(t.Context(), "a")
	must(t, err)
	return out
}

// tickets are the names left in the queue.
func tickets(t *testing.T, root string) []string {
	t.Helper()
	entries, err := os.ReadDir(filepath.Join(root, ".runner", "queue"))
	must(t, err)
	var out []string
	for _, e := range entries {
		out = append(out, e.Name())
	}
	return slices.DeleteFunc(out, func(s string) bool { return s == ".door" })
}

// Package command runs one program for an op: its output line by line, a bounded end of it in memory, the whole in a
// file, secrets by environment or stdin, the process on record before it is let go. It judges no exit code, starts nothing
// in the background, and puts no secret into an argument.
package command

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"regexp"
	"strconv"
	"strings"
	"time"

	"github.com/erlmcp/runner/runtime/host"
	"github.com/erlmcp/runner/runtime/op"
	"github.com/erlmcp/runner/runtime/secret"
)

// Mark is the environment variable by which every process that an op started can be told: its value is the op's key.
const Mark = "RUNNER_RUN"

// Keep is how much of the end of a program's standard output is kept in memory where Cmd does not say, in bytes.
const Keep = 64 << 10

// Cmd is a program to run.
type Cmd struct {
	Argv    []string
	Dir     string                 // seen from the project
	Env     map[string]secret.Text // beside what the run inherited
	Stdin   secret.Text
	Timeout time.Duration
	Key     op.Key
	Keep    int  // Keep when 0
	Quiet   bool // shows and announces nothing, keeps no file: for what an op only asks
}

// Ran is a program that came to its end.
type Ran struct {
	Started   bool
	Exit      host.Exit
	Stdout    string   // the end of it, valid UTF-8
	Truncated bool     // Stdout lacks its beginning
	Path      string   // the file with every line of both outputs; "" where there is none
	First     []string // lines of both outputs
	Last      []string
}

// Run runs the program to its end. When the context ends or the timeout has passed, the program and its group are asked
// to end, then ended; the error then names the cause. A program that cannot be started is an error.
func Run(ctx context.Context, h *host.Host, c Cmd) (Ran, error) {
	if ctx.Err() != nil {
		return Ran{}, context.Cause(ctx)
	}
	cmd, err := c.process(h)
	if err != nil {
		return Ran{}, err
	}
	out, err := Listen(ctx, h, c)
	if err != nil {
		return Ran{}, fmt.Errorf("cannot keep the output of %s: %w", Line(c.Argv), err)
	}
	cmd.Stdout, cmd.Stderr = out.Stdout(), out.Stderr()
	if !c.Quiet {
		op.Waiting(ctx, Line(c.Argv), h.Clock.Now().Add(c.Timeout))
	}
	late := fmt.Errorf("it ran longer than %s", op.Duration(c.Timeout))
	limited, cancel := h.Clock.Timeout(ctx, c.Timeout, late)
	defer cancel()
	started := false
	exit, err := h.Procs.Run(limited, cmd, func(p host.Proc) error {
		err := op.StartChild(ctx, op.Child{PID: p.PID, Start: p.Start, Boot: p.Boot, Name: Line(c.Argv)})
		started = err == nil
		return err
	})
	ran := out.Close()
	ran.Started, ran.Exit = started, exit
	return ran, err
}

// Ready is an error where there is no such program, or no folder to run it in.
func (c Cmd) Ready(h *host.Host) error {
	p, err := c.process(h)
	if err == nil {
		_, err = host.LookPath(p)
	}
	return err
}

func (c Cmd) process(h *host.Host) (host.Cmd, error) {
	env, err := c.environment(h)
	if err != nil {
		return host.Cmd{}, err
	}
	stdin, err := h.Secrets.Reveal(c.Stdin)
	if err != nil {
		return host.Cmd{}, err
	}
	if err := CheckDir(h, c.Dir); err != nil {
		return host.Cmd{}, err
	}
	p := host.Cmd{Argv: c.Argv, Dir: h.Abs(c.Dir), Env: env}
	if stdin != "" {
		p.Stdin = strings.NewReader(stdin)
	}
	return p, nil
}

// CheckDir refuses a folder that no program can be run in; the error of the machine would name the program.
func CheckDir(h *host.Host, dir string) error {
	info, err := h.Files.Stat(h.Abs(dir))
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return fmt.Errorf("cannot work in %s: it does not exist", h.Abs(dir))
	case err != nil:
		return fmt.Errorf("cannot work in %s: %w", h.Abs(dir), err)
	case !info.IsDir():
		return fmt.Errorf("cannot work in %s: it is no directory", h.Abs(dir))
	}
	return nil
}

// environment is what the run inherited, with c's variables in place of those of the same names.
func (c Cmd) environment(h *host.Host) ([]string, error) {
	own := map[string]string{Mark: string(c.Key)}
	for name, text := range c.Env {
		value, err := h.Secrets.Reveal(text)
		if err != nil {
			return nil, err
		}
		own[name] = value
	}
	var env []string
	for _, kv := range h.Env {
		name, _, _ := strings.Cut(kv, "=")
		if _, replaced := own[name]; !replaced {
			env = append(env, kv)
		}
	}
	for name, value := range own {
		env = append(env, name+"="+value)
	}
	return env, nil
}

var variable = regexp.MustCompile(`^[A-Za-z_][A-Za-z0-9_]*$`)

// CheckEnv refuses names that no shell would pass on.
func CheckEnv(env map[string]secret.Text) error {
	for name := range env {
		if !variable.MatchString(name) {
			return fmt.Errorf("env: want a name of letters, digits and _, got %q", name)
		}
	}
	return nil
}

// CheckArgv refuses an empty program and words that no process can be given.
func CheckArgv(name string, argv []string) error {
	if len(argv) == 0 || argv[0] == "" {
		return op.Hint(fmt.Errorf("%s: want a program and its arguments, got none", name), `write %s = ["make", "test"]`, name)
	}
	for _, word := range argv {
		if strings.Contains(word, "\x00") {
			return fmt.Errorf("%s: %q holds a zero byte", name, word)
		}
	}
	if len(argv) == 1 && strings.ContainsAny(argv[0], " \t\n") {
		err := fmt.Errorf("%s: %q is one word with spaces in it", name, argv[0])
		return op.Hint(err, `give each word by itself: ["make", "test"]; for a shell's syntax: ["sh", "-c", "make | tee log"]`)
	}
	return nil
}

var bare = regexp.MustCompile(`^[\pL\pN_@%+=:,./{}-]+$`)

// Line is a command as people read it: one line, words quoted where needed, its end cut off where it is long.
func Line(argv []string) string {
	words := make([]string, len(argv))
	for i, w := range argv {
		if words[i] = w; !bare.MatchString(w) {
			words[i] = strconv.Quote(w)
		}
	}
	return clip(strings.Join(words, " "), 120)
}

func clip(s string, runes int) string {
	if r := []rune(s); len(r) > runes {
		return string(r[:runes-1]) + "…"
	}
	return s
}

// Succeeded is nil for exit code 0, else an error that says how the program ended.
func (r Ran) Succeeded() error {
	if r.Exit == (host.Exit{}) {
		return nil
	}
	return errors.New(r.Exit.String())
}

// Failure is "cannot run make test: exit 2" and lines of output below it. The error of a program that never started
// is left as it is: it names the program.
func (r Ran) Failure(doing string, err error, lines []string) error {
	if err == nil || !r.Started {
		return err
	}
	var b strings.Builder
	for _, l := range lines {
		b.WriteString("\n  " + clip(l, 300))
	}
	return fmt.Errorf("cannot %s: %w%s", doing, err, b.String())
}

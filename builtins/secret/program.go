package secret

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/erlmcp/runner/builtins/command"
	"github.com/erlmcp/runner/runtime/host"
	"github.com/erlmcp/runner/runtime/op"
	"github.com/erlmcp/runner/runtime/secret"
)

const (
	patience  = 30 * time.Second // for a program that prints a secret
	maxSecret = 64 << 10         // bytes
	maxStderr = 4 << 10          // bytes of it that are kept
	maxShown  = 5                // lines of it that an error quotes
)

// Program is how a vault runs the program that prints a secret: in the project, with the environment that runner has. What
// it prints is shown to nobody, also when it fails; what it says on its standard error is, then.
func Program(h *host.Host) func(context.Context, []string) ([]byte, error) {
	return func(ctx context.Context, argv []string) ([]byte, error) {
		if ctx.Err() != nil {
			return nil, context.Cause(ctx)
		}
		if err := command.CheckDir(h, ""); err != nil {
			return nil, err
		}
		name := command.Line(argv)
		op.Waiting(ctx, "the secret that "+name+" prints", h.Clock.Now().Add(patience))
		limited, cancel := h.Clock.Timeout(ctx, patience, fmt.Errorf("it ran longer than %s", op.Duration(patience)))
		defer cancel()
		stdout, stderr := &bounded{most: maxSecret}, &bounded{most: maxStderr}
		cmd := host.Cmd{Argv: argv, Dir: h.Project, Env: h.Env, Stdout: stdout, Stderr: stderr}
		started := false
		exit, err := h.Procs.Run(limited, cmd, func(p host.Proc) error {
			err := op.StartChild(ctx, op.Child{PID: p.PID, Start: p.Start, Boot: p.Boot, Name: name})
			started = err == nil
			return err
		})
		switch {
		case err == nil && exit != host.Exit{}:
			err = errors.New(exit.String())
		case err == nil && stdout.over:
			return nil, fmt.Errorf("it printed more than %s", op.Size(maxSecret))
		case err == nil:
			return stdout.kept, nil
		}
		if !started {
			return nil, err
		}
		said := string(stderr.kept)
		if stderr.over {
			said += "…"
		}
		return nil, fmt.Errorf("%w%s", err, complaint(h, string(stdout.kept), said))
	}
}

// complaint is the end of what a program said about its failure, without the secrets that are known and without what it
// had printed, which may be one.
func complaint(h *host.Host, printed, said string) string {
	half := &secret.Scrubber{}
	half.Add("half", strings.TrimSuffix(printed, "\n"))
	said = half.String(h.Secrets.Scrubber.String(strings.ToValidUTF8(said, "\uFFFD")))
	lines := strings.FieldsFunc(said, func(r rune) bool { return r == '\n' || r == '\r' })
	var b strings.Builder
	for _, l := range lines[max(0, len(lines)-maxShown):] {
		if r := []rune(l); len(r) > 200 {
			l = string(r[:199]) + "…"
		}
		b.WriteString("\n  " + l)
	}
	return b.String()
}

// bounded keeps the beginning of what is written to it.
type bounded struct {
	most int
	kept []byte
	over bool
}

// Write implements io.Writer.
func (b *bounded) Write(p []byte) (int, error) {
	keep := p[:min(len(p), b.most-len(b.kept))]
	b.over = b.over || len(keep) < len(p)
	b.kept = append(b.kept, keep...)
	return len(p), nil
}

package probe

import (
	"bytes"
	"cmp"
	"context"
	"errors"
	"slices"
	"strings"
	"time"

	"github.com/erlmcp/runner/builtins/body"
	"github.com/erlmcp/runner/runtime/host"
	"github.com/erlmcp/runner/runtime/op"
)

// Ask makes one try, and gives its answer whether it is good or not.
func Ask(ctx context.Context, h *host.Host, p Probe, version string) (Result, error) {
	if err := cmp.Or(p.Check(), p.Placed()); err != nil {
		return Result{}, err
	}
	start, limit := h.Clock.Now(), p.PerTry.D()
	op.Waiting(ctx, "an answer from "+p.Subject(), start.Add(limit))
	a, err := try(ctx, h, p, version, limit)
	if err != nil {
		return Result{}, err
	}
	return a.result(1, h.Clock.Now().Sub(start)), nil
}

// try makes one try, which takes limit at most. Its error is none of the service's: the run is to stop, or the probe's
// command cannot be started.
func try(ctx context.Context, h *host.Host, p Probe, version string, limit time.Duration) (Answer, error) {
	var a Answer
	var err error
	switch {
	case len(p.Command) > 0:
		a, err = p.run(ctx, h, limit)
	case p.tcp() != "":
		a = p.dial(ctx, h, limit)
	default:
		a = p.get(ctx, h, version, limit)
	}
	if ctx.Err() != nil {
		return Answer{}, context.Cause(ctx)
	}
	return a, err
}

func (p Probe) get(ctx context.Context, h *host.Host, version string, limit time.Duration) Answer {
	ctx, cancel := h.Clock.Timeout(ctx, limit, late(limit))
	defer cancel()
	r, err := h.Net.Do(ctx, host.Request{URL: p.url(), Header: map[string]string{"Accept": "application/json, */*"}})
	return Judge(r, err, p, version)
}

func (p Probe) dial(ctx context.Context, h *host.Host, limit time.Duration) Answer {
	ctx, cancel := h.Clock.Timeout(ctx, limit, late(limit))
	defer cancel()
	if err := h.Net.Dial(ctx, p.tcp()); err != nil {
		return Judge(host.Response{}, err, p, "")
	}
	return Answer{Good: true, Text: "accepts connections"}
}

// run keeps a tenth of the limit for a command that has to be ended.
func (p Probe) run(ctx context.Context, h *host.Host, limit time.Duration) (Answer, error) {
	grace := limit / 10
	ctx, cancel := h.Clock.Timeout(ctx, limit-grace, late(limit))
	defer cancel()
	said := &ending{most: 1 << 10}
	cmd := host.Cmd{Argv: p.Command, Dir: h.Project, Env: h.Env, Stdout: said, Stderr: said, Grace: grace}
	exit, err := h.Procs.Run(ctx, cmd, func(c host.Proc) error {
		return op.StartChild(ctx, op.Child{PID: c.PID, Start: c.Start, Boot: c.Boot, Name: p.Command[0]})
	})
	switch {
	case errors.As(err, new(late)):
		return Judge(host.Response{}, err, p, ""), nil
	case err != nil:
		return Answer{}, err
	}
	a := Answer{Good: exit == host.Exit{}, Text: exit.String(), Body: body.Printable(said.text(), 200)}
	if !a.Good && said.lastLine() != "" {
		a.Text += ": " + said.lastLine()
	}
	return a, nil
}

// ending keeps the last bytes that are written to it.
type ending struct {
	most int
	kept []byte
	cut  bool
}

func (e *ending) Write(b []byte) (int, error) {
	e.cut = e.cut || len(e.kept)+len(b) > e.most
	e.kept = append(e.kept, b[max(0, len(b)-e.most):]...)
	e.kept = slices.Delete(e.kept, 0, max(0, len(e.kept)-e.most))
	return len(b), nil
}

// text has an ellipsis where its beginning is missing: the half of a secret is known by that.
func (e *ending) text() string {
	text := strings.ToValidUTF8(string(bytes.TrimSpace(e.kept)), "\uFFFD")
	if e.cut {
		return "…" + text
	}
	return text
}

func (e *ending) lastLine() string {
	lines := strings.Split(e.text(), "\n")
	return body.Printable(strings.TrimSpace(lines[len(lines)-1]), 160)
}

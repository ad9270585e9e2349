package hosttest

import (
	"context"
	"errors"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/erlmcp/runner/runtime/host"
)

// ErrFrozen is what a frozen host gives to a call that it refuses.
var ErrFrozen = errors.New("the host is frozen: nothing may be changed, started, sent or waited for")

// Frozen is a host on which every write, process, request and wait fails the test; looking passes.
func Frozen(t testing.TB, h *host.Host) *host.Host {
	f := frozen{t}
	out := *h
	out.Files = guard{h.Files, f.ask}
	out.Procs = frozenProcs{h.Procs, f}
	out.Net = frozenNet{f}
	out.Clock = frozenClock{h.Clock, f}
	return &out
}

type frozen struct{ t testing.TB }

func (f frozen) refuse(what string) error {
	f.t.Helper()
	f.t.Errorf("on a frozen host: %s", what)
	return ErrFrozen
}

func (f frozen) ask(c *call, do func() error) error {
	f.t.Helper()
	if c.writes {
		return f.refuse(c.op + " " + c.path)
	}
	return do()
}

type frozenProcs struct {
	host.Procs
	frozen
}

// Run implements host.Procs.
func (f frozenProcs) Run(_ context.Context, c host.Cmd, _ func(host.Proc) error) (host.Exit, error) {
	return host.Exit{}, f.refuse("run " + strings.Join(c.Argv, " "))
}

// Spawn implements host.Procs.
func (f frozenProcs) Spawn(_ context.Context, c host.Cmd, _ func(host.Proc) error) (host.Proc, error) {
	return host.Proc{}, f.refuse("spawn " + strings.Join(c.Argv, " "))
}

// Stop implements host.Procs.
func (f frozenProcs) Stop(context.Context, host.Proc, syscall.Signal, time.Duration) error {
	return f.refuse("stop a process")
}

// Wait implements host.Procs.
func (f frozenProcs) Wait(context.Context, host.Proc) error { return f.refuse("wait for a process") }

type frozenNet struct{ frozen }

// Do implements host.Net.
func (f frozenNet) Do(_ context.Context, r host.Request) (host.Response, error) {
	return host.Response{}, f.refuse("request " + r.URL)
}

// Dial implements host.Net.
func (f frozenNet) Dial(_ context.Context, addr string) error { return f.refuse("dial " + addr) }

type frozenClock struct {
	host.Clock
	frozen
}

// Sleep implements host.Clock.
func (f frozenClock) Sleep(_ context.Context, d time.Duration) error {
	return f.refuse("sleep " + d.String())
}

// Timeout implements host.Clock: the context has ended already.
func (f frozenClock) Timeout(ctx context.Context, d time.Duration, _ error) (context.Context, context.CancelFunc) {
	out, cancel := context.WithCancelCause(ctx)
	cancel(f.refuse("wait for at most " + d.String()))
	return out, func() {}
}

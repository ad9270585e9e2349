package hosttest

import (
	"context"
	"io"
	"strings"
	"syscall"
	"time"

	"github.com/erlmcp/runner/runtime/host"
)

// outlive is ctx, except that it does not end once the runner is dead: the dead cancel nothing.
func (m *Mortal) outlive(ctx context.Context) (context.Context, context.CancelFunc) {
	out, cancel := context.WithCancelCause(context.WithoutCancel(ctx))
	stop := context.AfterFunc(ctx, func() {
		m.mu.Lock()
		defer m.mu.Unlock()
		if !m.dead {
			cancel(context.Cause(ctx))
		}
	})
	return out, func() { stop(); cancel(nil) }
}

// within is ctx that ends when the runner dies.
func (m *Mortal) within(ctx context.Context) (context.Context, context.CancelFunc) {
	out, cancel := context.WithCancelCause(ctx)
	stop := context.AfterFunc(m.life, func() { cancel(ErrDead) })
	return out, func() { stop(); cancel(nil) }
}

// verdict is what a call gives: ErrDead, whatever it was, when the runner died meanwhile.
func (m *Mortal) verdict(err error) error {
	if m.life.Err() != nil {
		return ErrDead
	}
	return err
}

type mortalProcs struct {
	under host.Procs
	m     *Mortal
}

// gate counts letting the process go as a call of its own: before it the process exists and has done nothing.
func (p mortalProcs) gate(c host.Cmd, started func(host.Proc) error) func(host.Proc) error {
	return func(proc host.Proc) error {
		if started != nil {
			if err := started(proc); err != nil {
				return err
			}
		}
		return p.m.step("let go " + strings.Join(c.Argv, " "))
	}
}

// Run implements host.Procs. The process of a runner that died goes on, and finds its output closed.
func (p mortalProcs) Run(ctx context.Context, c host.Cmd, started func(host.Proc) error) (host.Exit, error) {
	if err := p.m.step("start " + strings.Join(c.Argv, " ")); err != nil {
		return host.Exit{}, err
	}
	c.Stdout, c.Stderr = p.m.output(c.Stdout), p.m.output(c.Stderr)
	out, cancel := p.m.outlive(ctx)
	type end struct {
		exit host.Exit
		err  error
	}
	done := make(chan end, 1)
	p.m.left.Go(func() {
		defer cancel()
		exit, err := p.under.Run(out, c, p.gate(c, started))
		done <- end{exit, err}
	})
	select {
	case e := <-done:
		return e.exit, p.m.verdict(e.err)
	case <-p.m.life.Done():
		return host.Exit{}, ErrDead
	}
}

// output ends with the runner, as the pipe to it would.
func (m *Mortal) output(w io.Writer) io.Writer {
	if w == nil {
		return nil
	}
	return mortalWriter{w, m}
}

type mortalWriter struct {
	under io.Writer
	m     *Mortal
}

func (w mortalWriter) Write(b []byte) (int, error) {
	if w.m.life.Err() != nil {
		return 0, ErrDead
	}
	return w.under.Write(b)
}

// Spawn implements host.Procs.
func (p mortalProcs) Spawn(ctx context.Context, c host.Cmd, started func(host.Proc) error) (host.Proc, error) {
	if err := p.m.step("spawn " + strings.Join(c.Argv, " ")); err != nil {
		return host.Proc{}, err
	}
	out, cancel := p.m.outlive(ctx)
	defer cancel()
	proc, err := p.under.Spawn(out, c, p.gate(c, started))
	return proc, p.m.verdict(err)
}

// Alive implements host.Procs.
func (p mortalProcs) Alive(proc host.Proc) bool { return p.m.life.Err() == nil && p.under.Alive(proc) }

// Stop implements host.Procs. A runner that dies while it waits sends no second signal.
func (p mortalProcs) Stop(ctx context.Context, proc host.Proc, sig syscall.Signal, grace time.Duration) error {
	if err := p.m.step("signal " + sig.String()); err != nil {
		return err
	}
	in, cancel := p.m.within(ctx)
	defer cancel()
	return p.m.verdict(p.under.Stop(in, proc, sig, grace))
}

// Find implements host.Procs.
func (p mortalProcs) Find(pid int) (host.Proc, bool) {
	if p.m.life.Err() != nil {
		return host.Proc{}, false
	}
	return p.under.Find(pid)
}

// Wait implements host.Procs.
func (p mortalProcs) Wait(ctx context.Context, proc host.Proc) error {
	in, cancel := p.m.within(ctx)
	defer cancel()
	return p.m.verdict(p.under.Wait(in, proc))
}

// PortOwner implements host.Procs.
func (p mortalProcs) PortOwner(port int) (host.PortOwner, bool) {
	if p.m.life.Err() != nil {
		return host.PortOwner{}, false
	}
	return p.under.PortOwner(port)
}

type mortalNet struct {
	under host.Net
	m     *Mortal
}

// Do implements host.Net.
func (n mortalNet) Do(ctx context.Context, r host.Request) (host.Response, error) {
	if n.m.life.Err() != nil {
		return host.Response{}, ErrDead
	}
	in, cancel := n.m.within(ctx)
	defer cancel()
	resp, err := n.under.Do(in, r)
	return resp, n.m.verdict(err)
}

// Dial implements host.Net.
func (n mortalNet) Dial(ctx context.Context, addr string) error {
	if n.m.life.Err() != nil {
		return ErrDead
	}
	in, cancel := n.m.within(ctx)
	defer cancel()
	return n.m.verdict(n.under.Dial(in, addr))
}

type mortalClock struct {
	host.Clock
	m *Mortal
}

// Sleep implements host.Clock.
func (c mortalClock) Sleep(ctx context.Context, d time.Duration) error {
	in, cancel := c.m.within(ctx)
	defer cancel()
	return c.m.verdict(c.Clock.Sleep(in, d))
}

// Timeout implements host.Clock: a context that ends with the runner too.
func (c mortalClock) Timeout(ctx context.Context, d time.Duration, cause error) (context.Context, context.CancelFunc) {
	in, cancel := c.m.within(ctx)
	out, end := c.Clock.Timeout(in, d, cause)
	return out, func() { end(); cancel() }
}

//go:build !windows

package main

import (
	"bufio"
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"strings"
	"syscall"

	"golang.org/x/term"

	"github.com/erlmcp/runner/runtime/engine"
	"github.com/erlmcp/runner/runtime/event"
	"github.com/erlmcp/runner/runtime/host"
	"github.com/erlmcp/runner/runtime/journal"
	"github.com/erlmcp/runner/runtime/op"
	"github.com/erlmcp/runner/runtime/script"
)

// runScript is "runner run", the default.
func (p *program) runScript(f flags, args []string) (int, error) {
	if f.DryRun {
		return p.planScript(f, args)
	}
	o, err := p.open(f, args, false)
	if err != nil {
		return 0, err
	}
	if o.call.Help != "" {
		io.WriteString(p.stdout, o.call.Help)
		return 0, nil
	}
	cfg, err := p.config(o.surroundings, o.flags, o.started(p, "run", args[1:]))
	if err != nil {
		return 0, err
	}
	cfg.Explain, cfg.Mistake, cfg.Catchable = o.explain, script.IsMistake, script.Catchable
	return p.perform(cfg, o.flags, o.script.EnvironmentOf(o.call), func(ctx context.Context, r *engine.Run) error {
		return o.script.Main(ctx, r, o.call)
	})
}

// config is what every command that changes something runs with. It makes the state directory and opens the journal.
func (p *program) config(s *surroundings, f flags, started event.RunStarted) (engine.Config, error) {
	cfg := engine.Config{
		ID: s.id, Host: s.host, Registry: s.registry, Started: started, Home: s.home, Owner: p.owner(started.Script),
		Queue: f.Wait, NoUndo: f.NoUndo, UndoTimeout: f.UndoTimeout.D(), Ask: p.ask(f.Yes),
	}
	if err := s.makeState(); err != nil {
		return cfg, err
	}
	log, err := s.journals().Create(s.id)
	if err != nil {
		return cfg, op.Hint(fmt.Errorf("cannot open the journal of this run: %w", err), "--state DIR keeps it elsewhere")
	}
	cfg.Journal = log
	cfg.Sinks = append(append(cfg.Sinks, p.sinks...), p.renderer(f, p.stderr))
	return cfg, nil
}

// perform runs main under signals and the deadline, tells whom the environment names what becomes of it, and gives the
// exit code.
func (p *program) perform(cfg engine.Config, f flags, env any, main func(context.Context, *engine.Run) error) (int, error) {
	ctx, cancel := context.WithCancelCause(context.Background())
	defer cancel(nil)
	if f.Deadline > 0 {
		var stop context.CancelFunc
		ctx, stop = cfg.Host.Clock.Timeout(ctx, f.Deadline.D(), &engine.Deadline{Flag: "--deadline " + f.Deadline.String()})
		defer stop()
	}
	sig := &signals{cancel: cancel, abandon: make(chan struct{}), terminal: term.IsTerminal(int(p.stdin.Fd())), now: p.now}
	cfg.Abandon, cfg.Sinks = sig.abandon, append(cfg.Sinks, sig)
	explain := cfg.Explain
	cfg.Explain = func(err error) event.RunFailed {
		failed := explain(err)
		failed.Hint = cmp.Or(failed.Hint, f.wayOut(err))
		return failed
	}
	told := p.messenger(env, cfg.Host, cfg.Started)
	if told != nil {
		cfg.Sinks = append(cfg.Sinks, told)
	}
	r := engine.New(cfg)
	sig.note = r.Note
	told.begin(r.Note)
	defer sig.listen()()
	end := r.Main(ctx, func(ctx context.Context) error { return main(ctx, r) })
	patience := farewell
	if ctx.Err() != nil {
		patience = farewellAsk
	}
	told.end(patience)
	// The verdict stands, whatever becomes of what the run wrote about itself.
	if err := errors.Join(host.RemoveAll(cfg.Host.Files, cfg.Host.Scratch), cfg.Journal.Close()); err != nil {
		r.Note("cannot tidy up: " + err.Error())
	}
	return end.Exit, nil
}

// ask puts a question on the terminal.
func (p *program) ask(yes bool) func(context.Context, string) (bool, error) {
	return func(ctx context.Context, question string) (bool, error) {
		if yes {
			return true, nil
		}
		if !term.IsTerminal(int(p.stdin.Fd())) {
			return false, errors.New("nobody can answer: there is no terminal, and no --yes")
		}
		fmt.Fprintf(p.stderr, "%s [y/N] ", question)
		answer := make(chan string, 1)
		go func() { // ends with the process: a read of the terminal cannot be called back
			line, _ := bufio.NewReader(p.stdin).ReadString('\n')
			answer <- strings.ToLower(strings.TrimSpace(line))
		}()
		select {
		case a := <-answer:
			return a == "y" || a == "yes", nil
		case <-ctx.Done():
			return false, context.Cause(ctx)
		}
	}
}

// faultOf is the id of a fault of runner itself, "" for any other error.
func faultOf(err error) string {
	var f *op.Fault
	if errors.As(err, &f) {
		return f.ID
	}
	return ""
}

// wayOut is what helps against an error that may come from anywhere, "" where nothing is known to.
func (f flags) wayOut(err error) string {
	var held *journal.Held
	switch {
	case errors.As(err, &held) && !f.Wait:
		return "with --wait it waits for its turn"
	case errors.Is(err, syscall.ENOSPC):
		return "free space or inodes on the disk that it names; tidy.star deletes what is old"
	}
	return ""
}

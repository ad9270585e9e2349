//go:build !windows

package main

import (
	"context"
	"errors"
	"io"

	"github.com/erlmcp/runner/runtime/builtin"
	"github.com/erlmcp/runner/runtime/engine"
	"github.com/erlmcp/runner/runtime/script"
)

// planScript is "runner plan".
func (p *program) planScript(f flags, args []string) (int, error) {
	o, err := p.open(f, args, true)
	if err != nil {
		return 0, err
	}
	if o.call.Help != "" {
		io.WriteString(p.stdout, o.call.Help)
		return 0, nil
	}
	plan := engine.NewPlan(engine.Config{
		ID: o.id, Host: o.host, Registry: o.registry, Started: o.started(p, "plan", args[1:]), Home: o.home,
		Explain: o.explain, Mistake: script.IsMistake, Catchable: script.Catchable, Sinks: append(p.sinks, p.renderer(o.flags, p.stdout)),
	})
	end, err := plan.Main(context.Background(), func(ctx context.Context) error { return o.script.Main(ctx, plan, o.call) }, unknown)
	switch {
	case err != nil:
		return plan.PlanExit(err), nil
	case end.Refused > 0:
		return engine.ExitFailed, nil
	case o.flags.ExitCode && (end.Changes > 0 || end.KnownTo != ""):
		return engine.ExitChanges, nil
	}
	return engine.ExitHolds, nil
}

// unknown tells where a script decides on what the plan cannot know.
func unknown(err error) (at, why string, ok bool) {
	var u *builtin.UnknownUsed
	if !errors.As(err, &u) {
		return "", "", false
	}
	return u.At, u.Name, true
}

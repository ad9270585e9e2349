//go:build !windows

package main

import (
	"context"
	"fmt"
	"maps"
	"slices"

	"github.com/erlmcp/runner/runtime/engine"
	"github.com/erlmcp/runner/runtime/event"
	"github.com/erlmcp/runner/runtime/op"
	"github.com/erlmcp/runner/runtime/script"
	"github.com/erlmcp/runner/scripts"
	"github.com/erlmcp/runner/stdlib"
)

// undoRun is "runner undo ENVIRONMENT [RUN]".
func (p *program) undoRun(f flags, args []string) (int, error) {
	if len(args) == 0 || len(args) > 2 {
		return 0, &usage{"undo wants an environment, and at most one run", "usage: runner undo ENVIRONMENT [RUN]"}
	}
	s, env, err := p.environmentValue(f, args[0])
	if err != nil {
		return 0, err
	}
	target, err := targetOf(env)
	if err != nil {
		return 0, err
	}
	run := ""
	if len(args) == 2 {
		run = args[1]
	}
	owner := p.owner("undo")
	cfg, err := p.config(s, f, event.RunStarted{Command: "undo", Script: "undo", Args: args, Environment: args[0], Version: version,
		Project: s.host.Project, Host: owner.Host, User: owner.User, PID: owner.PID})
	if err != nil {
		return 0, err
	}
	cfg.Mistake = func(error) bool { return false }
	cfg.Catchable = cfg.Mistake
	cfg.Explain = func(err error) event.RunFailed {
		return event.RunFailed{Error: err.Error(), Hint: op.HintOf(err), Fault: faultOf(err)}
	}
	return p.perform(cfg, f, env, func(ctx context.Context, r *engine.Run) error {
		return r.UndoRun(ctx, target, run, f.Abandon)
	})
}

// environment finds an environment's target without a script to run.
func (p *program) environment(f flags, name string) (*surroundings, any, error) {
	s, env, err := p.environmentValue(f, name)
	if err != nil {
		return nil, nil, err
	}
	target, err := targetOf(env)
	return s, target, err
}

// environmentValue finds an environment by its name.
func (p *program) environmentValue(f flags, name string) (*surroundings, any, error) {
	proj, err := script.FindProject(p.dir, scripts.FS, stdlib.FS)
	if err != nil {
		return nil, nil, err
	}
	defer proj.Close()
	s, err := p.surround(proj.Dir, f.State)
	if err != nil {
		return nil, nil, err
	}
	envs, functions, err := script.Environments(context.Background(), proj, script.Options{Families: s.families, Limits: f.limits()})
	if err != nil {
		return nil, nil, &unopened{err}
	}
	env, ok := envs[name]
	if !ok {
		names := slices.Sorted(maps.Keys(envs))
		return nil, nil, &usage{fmt.Sprintf("there is no environment %s%s", name, suggest(name, names)), script.EnvironmentsHint(names)}
	}
	s.registry.Function = functions
	s.conceal(p, env)
	return s, env, nil
}

package script

import (
	"context"

	"go.starlark.net/starlark"

	"github.com/erlmcp/runner/runtime/builtin"
	"github.com/erlmcp/runner/runtime/op"
)

// Environments are the values of environments.star by their names, for commands that run no script, and what finds the
// functions that a log names, as Script.Function does. The error is a mistake in the scripts, for Diagnose.
func Environments(ctx context.Context, p *Project, o Options) (map[string]any, func(op.Func) op.Func, error) {
	s := &Script{Name: environmentsFile, project: p, options: o, budget: newBudget(o.Limits)}
	s.loader = newLoader(p, s)
	out := map[string]any{}
	globals, err := s.environments(ctx)
	for _, name := range environmentNames(globals) {
		out[name] = globals[name].(*builtin.Data).Go()
	}
	return out, s.Function, s.sourced(err)
}

func (s *Script) environments(ctx context.Context) (globals starlark.StringDict, err error) {
	err = s.watched(ctx, func(ctx context.Context) error {
		t, stop := s.thread(&flow{ctx: ctx, script: s}, "load")
		defer stop()
		globals, err = s.loader.load(t, environmentsFile)
		return err
	})
	return globals, err
}

// EnvironmentOf is the value of the environment that a call is for; nil where main takes none.
func (s *Script) EnvironmentOf(c Call) any {
	if c.Environment == "" {
		return nil
	}
	return s.loader.modules[environmentsFile].globals[c.Environment].(*builtin.Data).Go()
}

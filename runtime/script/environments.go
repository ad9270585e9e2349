package script

import (
	"context"

	"github.com/erlmcp/runner/runtime/builtin"
)

// Environments are the values of environments.star by their names, for commands that run no script. The error is a
// mistake in the scripts, for Diagnose.
func Environments(ctx context.Context, p *Project, o Options) (map[string]any, error) {
	s := &Script{Name: environmentsFile, project: p, options: o, budget: newBudget(o.Limits)}
	s.loader = newLoader(p, s)
	out := map[string]any{}
	err := s.watched(ctx, func(ctx context.Context) error {
		t, stop := s.thread(&flow{ctx: ctx, script: s}, "load")
		defer stop()
		globals, err := s.loader.load(t, environmentsFile)
		for _, name := range environmentNames(globals) {
			out[name] = globals[name].(*builtin.Data).Go()
		}
		return err
	})
	return out, s.sourced(err)
}

package script

import (
	"go.starlark.net/starlark"

	"github.com/erlmcp/runner/runtime/builtin"
	"github.com/erlmcp/runner/runtime/op"
)

// Unfinished is unfinished(environment).
type Unfinished struct {
	_           op.Doc `doc:"Gives the runs on an environment's target that have not ended, the newest first, and changes nothing. One of them may hold the lease now; what the others changed the next run that takes the lease takes back."`
	Environment any    `json:"environment" doc:"A value of environments.star."`
}

func leasePage() builtin.ValueSpec      { return givesDead(builtin.Global(Lease{})) }
func unfinishedPage() builtin.ValueSpec { return givesDead(builtin.Global(Unfinished{})) }

func givesDead(v builtin.ValueSpec) builtin.ValueSpec {
	v.Gives = []op.Dead(nil)
	return v
}

func (c *core) lease(t *starlark.Thread, b *starlark.Builtin, args starlark.Tuple, kwargs []starlark.Tuple) (starlark.Value, error) {
	name, target, err := c.target(args, kwargs)
	if err != nil {
		return nil, err
	}
	return dead(c, t, b, args, kwargs, func(f *flow, p Lease, at string) ([]op.Dead, error) {
		return f.run.Lease(f.ctx, name, target, p.Force, at)
	})
}

func (c *core) unfinished(t *starlark.Thread, b *starlark.Builtin, args starlark.Tuple, kwargs []starlark.Tuple) (starlark.Value, error) {
	_, target, err := c.target(args, kwargs)
	if err != nil {
		return nil, err
	}
	return dead(c, t, b, args, kwargs, func(f *flow, _ Unfinished, _ string) ([]op.Dead, error) {
		return f.run.Unfinished(f.ctx, target)
	})
}

func dead[P any](c *core, t *starlark.Thread, b *starlark.Builtin, args starlark.Tuple, kwargs []starlark.Tuple,
	do func(f *flow, p P, at string) ([]op.Dead, error)) (starlark.Value, error) {
	var runs []op.Dead
	none, err := act(c, t, b, args, kwargs, func(f *flow, p P, at string) (err error) {
		runs, err = do(f, p, at)
		return err
	})
	if err != nil {
		return none, err
	}
	return c.kinds.Starlark(runs), nil
}

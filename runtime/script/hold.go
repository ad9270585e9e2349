package script

import (
	"go.starlark.net/starlark"

	"github.com/erlmcp/runner/runtime/builtin"
	"github.com/erlmcp/runner/runtime/op"
)

type (
	// Held is held(environment).
	Held struct {
		_           op.Doc `doc:"Says whether somebody holds an environment's target (runner hold), before the lease is asked for. A plan sees no hold here: its lease tells of one."`
		Environment any    `json:"environment" doc:"A value of environments.star."`
	}
	// Refuse is refuse(*values).
	Refuse struct {
		_ op.Doc `doc:"Ends the run because it may not be: as fail does, but with exit code 18 where nothing was changed. The values say why."`
	}
)

func heldPage() builtin.ValueSpec {
	v := builtin.Global(Held{})
	v.Gives = (*op.Held)(nil)
	return v
}

func (c *core) held(t *starlark.Thread, b *starlark.Builtin, args starlark.Tuple, kwargs []starlark.Tuple) (starlark.Value, error) {
	name, target, err := c.target(args, kwargs)
	if err != nil {
		return nil, err
	}
	var held *op.Held
	none, err := act(c, t, b, args, kwargs, func(f *flow, _ Held, _ string) (err error) {
		held, err = f.run.Held(f.ctx, name, target)
		return err
	})
	if err != nil || held == nil {
		return none, err
	}
	return c.kinds.Starlark(*held), nil
}

func refuse(_ *starlark.Thread, _ *starlark.Builtin, args starlark.Tuple, kwargs []starlark.Tuple) (starlark.Value, error) {
	text, err := joined(args, kwargs)
	if err != nil {
		return nil, err
	}
	return nil, &Performed{&op.Refused{Why: text}}
}

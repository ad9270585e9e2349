package kube

import (
	"context"

	"github.com/erlmcp/runner/builtins/cluster"
	"github.com/erlmcp/runner/builtins/kube/follow"
	"github.com/erlmcp/runner/runtime/op"
)

// Status is kube.status.
type Status struct {
	_       op.Doc          `doc:"Tells how every object of a target stands now, and why."`
	Cluster cluster.Cluster `json:"cluster" doc:"The target, such as environment.target."`
}

// Summary implements op.Op.
func (s Status) Summary() string { return "look at the objects of " + s.Cluster.Name }

// Do implements op.Op.
func (s Status) Do(ctx context.Context, d *Kubernetes) ([]Stood, error) {
	at, items, err := d.items(ctx, s.Cluster)
	if err != nil {
		return nil, err
	}
	at.rules.looking = true
	r, err := follow.Look(ctx, at.conn, items, at.rules.of(ctx))
	if err != nil {
		return nil, err
	}
	return stood(r), nil
}

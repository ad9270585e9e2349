package kube

import (
	"context"
	"fmt"

	"github.com/erlmcp/runner/builtins/cluster"
	"github.com/erlmcp/runner/builtins/good"
	"github.com/erlmcp/runner/runtime/op"
)

// History is kube.history.
type History struct {
	_       op.Doc          `doc:"Lists the deployments to a target that were accepted as good, the latest first."`
	Cluster cluster.Cluster `json:"cluster" doc:"The target, such as environment.target."`
}

// Summary implements op.Op.
func (h History) Summary() string { return "list the good deployments of " + h.Cluster.Name }

// Do implements op.Op.
func (h History) Do(ctx context.Context, d *Kubernetes) ([]Revision, error) {
	goods, err := d.goods(ctx, h.Cluster)
	out := []Revision{}
	for _, g := range goods {
		out = append(out, revisionOf(g))
	}
	return out, err
}

func (d *Kubernetes) goods(ctx context.Context, c cluster.Cluster) ([]deployment, error) {
	at, err := d.at(ctx, c)
	if err != nil {
		return nil, err
	}
	return at.goods(ctx)
}

// Find is kube.find.
type Find struct {
	_       op.Doc          `doc:"Finds a good deployment to go back to."`
	Cluster cluster.Cluster `json:"cluster" doc:"The target, such as environment.target."`
	Name    string          `json:"name,omitempty" doc:"Its number, the run that applied it, or its version; the latest that is not live when left out."`
}

// Summary implements op.Op.
func (f Find) Summary() string {
	if f.Name == "" {
		return "find the last good deployment of " + f.Cluster.Name + " before this one"
	}
	return "find the good deployment " + f.Name + " of " + f.Cluster.Name
}

// Do implements op.Op.
func (f Find) Do(ctx context.Context, d *Kubernetes) (Revision, error) {
	goods, err := d.goods(ctx, f.Cluster)
	if err != nil {
		return Revision{}, err
	}
	found, err := good.Choose(goods, f.Name, "kube.accept")
	if err != nil {
		return Revision{}, fmt.Errorf("cannot go back in %s: %w", f.Cluster.Name, err)
	}
	return revisionOf(found), nil
}

// Rollback is kube.rollback.
type Rollback struct {
	_       op.Doc          `doc:"Brings a target back to what a good deployment was, with its configuration and its secrets of then, by the path of kube.apply. Volumes keep their data."`
	Cluster cluster.Cluster `json:"cluster" doc:"The target, such as environment.target."`
	To      string          `json:"to" doc:"Its number, or the run that applied it, such as kube.find gives them."`
	Timeout op.Duration     `json:"timeout" doc:"How long all of it may take."`
	Key     op.Key          `json:"key"`
}

var (
	_ op.Op[*Kubernetes, Applied] = Rollback{}
	_ op.Reversible[*Kubernetes]  = Rollback{}
	_ op.Targeted[*Kubernetes]    = Rollback{}
	_ op.Differ[*Kubernetes]      = Rollback{}
)

// Summary implements op.Op.
func (r Rollback) Summary() string {
	return fmt.Sprintf("bring %s back to deployment %s", r.Cluster.Name, r.To)
}

// Target implements op.Targeted.
func (r Rollback) Target(*Kubernetes) string { return r.Cluster.Target() }

// aim: an object whose fields cannot be changed back is made anew, since that is what going back asks for.
func (r Rollback) aim() aim {
	return aim{cluster: r.Cluster, key: r.Key, replace: true, timeout: r.Timeout,
		want: func(ctx context.Context, _ *Kubernetes, at place) (asked, error) {
			goods, err := at.goods(ctx)
			if err != nil {
				return asked{}, err
			}
			found, err := good.Choose(goods, r.To, "kube.accept")
			return asked{wants: found.Body.Wants}, err
		}}
}

// Inverse implements op.Reversible.
func (r Rollback) Inverse(ctx context.Context, d *Kubernetes) (any, error) {
	return r.aim().inverse(ctx, d)
}

// Difference implements op.Differ.
func (r Rollback) Difference(ctx context.Context, d *Kubernetes) ([]string, error) {
	foreseen, _, err := r.aim().foresee(ctx, d)
	return foreseen.Lines, err
}

// Do implements op.Op.
func (r Rollback) Do(ctx context.Context, d *Kubernetes) (Applied, error) {
	out, err := r.aim().apply(ctx, d)
	if err != nil {
		return Applied{}, fmt.Errorf("cannot bring %s back: %w", r.Cluster.Name, err)
	}
	return out, nil
}

package kube

import (
	"context"
	"errors"
	"fmt"

	"github.com/erlmcp/runner/builtins/cluster"
	"github.com/erlmcp/runner/builtins/good"
	"github.com/erlmcp/runner/builtins/kube/api"
	"github.com/erlmcp/runner/builtins/kube/reconcile"
	"github.com/erlmcp/runner/runtime/op"
)

// Prune is kube.prune.
type Prune struct {
	_       op.Doc          `doc:"Removes objects that the target's manifests ask for no more, and good deployments but the last ones. Never what serves, nor a configuration that a ReplicaSet still reads; namespaces, volumes and custom kinds only where they are named. To be called behind commit."`
	Cluster cluster.Cluster `json:"cluster" doc:"The target, such as environment.target."`
	Keep    int             `json:"keep" doc:"How many good deployments can be gone back to; the live one and the last before it always can."`
	Also    []string        `json:"also,omitempty" doc:"Kinds that are removed only when they are named here: Namespace, PersistentVolumeClaim, PersistentVolume, CustomResourceDefinition."`
	Key     op.Key          `json:"key"`
}

var _ op.Differ[*Kubernetes] = Prune{}

// Pruned is what was removed.
type Pruned struct {
	_           op.Doc   `doc:"What was removed."`
	Objects     []string `json:"objects" doc:"The objects."`
	Left        []string `json:"left" doc:"Objects that are wanted no more, and stay: of a kind that must be named, or read by a ReplicaSet."`
	Deployments []string `json:"deployments" doc:"The good deployments that were forgotten."`
}

// Summary implements op.Op.
func (p Prune) Summary() string { return "remove what " + p.Cluster.Name + " no longer needs" }

// Target implements op.Targeted.
func (p Prune) Target(*Kubernetes) string { return p.Cluster.Target() }

// Check implements op.Checked.
func (p Prune) Check() error {
	if p.Keep < 1 {
		return fmt.Errorf("keep: want 1 or more, got %d", p.Keep)
	}
	return nil
}

// Difference implements op.Differ.
func (p Prune) Difference(ctx context.Context, d *Kubernetes) ([]string, error) {
	at, err := d.at(ctx, p.Cluster)
	if err != nil {
		return nil, err
	}
	found, err := reconcile.Surplus(ctx, at.conn, at.set, p.Also)
	var lines []string
	for _, r := range found.Removed {
		lines = append(lines, fmt.Sprintf("- %s: it is wanted no more", r))
	}
	for _, r := range found.Kept {
		lines = append(lines, fmt.Sprintf("note: %s is wanted no more, and stays", r))
	}
	return lines, err
}

// Do implements op.Op. It goes on past what cannot be removed.
func (p Prune) Do(ctx context.Context, d *Kubernetes) (Pruned, error) {
	out := Pruned{Deployments: []string{}}
	at, err := d.at(ctx, p.Cluster)
	if err != nil {
		return out, err
	}
	done, bad := reconcile.Prune(ctx, at.conn, at.set, p.Also)
	out.Objects, out.Left = names(done.Removed), names(done.Kept)
	bad = errors.Join(bad, good.Unwant(ctx, at.reg, p.Key))
	goods, err := at.goods(ctx)
	bad = errors.Join(bad, err)
	for _, g := range good.Surplus(goods, p.Keep) {
		if err := g.Delete(ctx, at.reg); err != nil {
			bad = errors.Join(bad, err)
			continue
		}
		out.Deployments = append(out.Deployments, g.Run)
	}
	if bad != nil {
		return out, fmt.Errorf("cannot %s: %w", p.Summary(), bad)
	}
	return out, nil
}

func names(refs []api.Ref) []string {
	out := []string{}
	for _, r := range refs {
		out = append(out, r.String())
	}
	return out
}

package kube

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/erlmcp/runner/builtins/cluster"
	"github.com/erlmcp/runner/builtins/good"
	"github.com/erlmcp/runner/builtins/kube/reconcile"
	"github.com/erlmcp/runner/runtime/op"
)

// Accept is kube.accept.
type Accept struct {
	_       op.Doc          `doc:"Marks what this run has applied as good: it can be gone back to, by any machine. To be called before commit."`
	Cluster cluster.Cluster `json:"cluster" doc:"The target, such as environment.target."`
	Version string          `json:"version,omitempty" doc:"The application's version, by which it can be gone back to."`
	Key     op.Key          `json:"key"`
}

var (
	_ op.Op[*Kubernetes, Revision]    = Accept{}
	_ op.Reversible[*Kubernetes]      = Accept{}
	_ op.Targeted[*Kubernetes]        = Accept{}
	_ op.Op[*Kubernetes, op.Restored] = Forget{}
)

// Summary implements op.Op.
func (a Accept) Summary() string { return "mark what serves in " + a.Cluster.Name + " as good" }

// Target implements op.Targeted.
func (a Accept) Target(*Kubernetes) string { return a.Cluster.Target() }

// Inverse implements op.Reversible.
func (a Accept) Inverse(context.Context, *Kubernetes) (any, error) {
	return Forget{Cluster: a.Cluster, Run: good.RunOf(a.Key)}, nil
}

// Do implements op.Op. A run that accepts again takes the place of what it has accepted before.
func (a Accept) Do(ctx context.Context, d *Kubernetes) (Revision, error) {
	at, err := d.at(ctx, a.Cluster)
	if err != nil {
		return Revision{}, err
	}
	out, err := a.accept(ctx, d, at)
	if err != nil {
		return Revision{}, fmt.Errorf("cannot %s: %w", a.Summary(), err)
	}
	return out, nil
}

func (a Accept) accept(ctx context.Context, d *Kubernetes, at place) (Revision, error) {
	run := good.RunOf(a.Key)
	kept, err := good.Wanted[[]reconcile.Want](ctx, at.reg, run)
	if err != nil {
		return Revision{}, err
	}
	if kept == nil {
		return Revision{}, op.Hint(errors.New("this run has applied nothing"), "kube.apply or kube.rollback comes before it")
	}
	wants := *kept
	seen, err := reconcile.Observe(ctx, at.conn, at.set, wants)
	if err != nil {
		return Revision{}, err
	}
	if acts := reconcile.NewPlan(at.set, wants, seen).Acts; len(acts) > 0 {
		return Revision{}, op.Hint(fmt.Errorf("%s is not what this run has applied last: %s", acts[0].Ref, acts[0].Cause), "kube.apply applies it again; kube.diff shows what differs")
	}
	head := good.Head{Version: a.Version, At: d.Host.Clock.Now().UTC().Truncate(time.Second)}
	done, err := good.Accept(ctx, at.reg, run, head, applied{wants, seen.Inventory})
	return revisionOf(done), err
}

// Forget is the inverse of Accept.
type Forget struct {
	_       op.Doc          `doc:"Takes a mark of a good deployment away again."`
	Cluster cluster.Cluster `json:"cluster" doc:"The target."`
	Run     string          `json:"run" doc:"The run whose deployment it is."`
}

// Summary implements op.Op.
func (f Forget) Summary() string { return "no longer mark what run " + f.Run + " deployed as good" }

// Do implements op.Op.
func (f Forget) Do(ctx context.Context, d *Kubernetes) (op.Restored, error) {
	at, err := d.again(ctx, f.Cluster)
	if err != nil {
		return op.Restored{}, err
	}
	goods, err := good.List[applied](ctx, at.reg)
	if err != nil {
		return op.Restored{}, err
	}
	already := !slices.ContainsFunc(goods, func(g deployment) bool { return g.Run == f.Run })
	return op.Restored{Already: already}, good.Forget(ctx, at.reg, f.Run)
}

package kube

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/erlmcp/runner/builtins/cluster"
	"github.com/erlmcp/runner/builtins/kube/reconcile"
	"github.com/erlmcp/runner/builtins/record"
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
	return Forget{Cluster: a.Cluster, Run: runOf(a.Key)}, nil
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
	run := runOf(a.Key)
	wants, err := at.kept(ctx, run)
	if err != nil {
		return Revision{}, err
	}
	if wants == nil {
		return Revision{}, op.Hint(errors.New("this run has applied nothing"), "kube.apply or kube.rollback comes before it")
	}
	seen, err := reconcile.Observe(ctx, at.conn, at.set, wants)
	if err != nil {
		return Revision{}, err
	}
	if acts := reconcile.NewPlan(at.set, wants, seen).Acts; len(acts) > 0 {
		return Revision{}, op.Hint(fmt.Errorf("%s is not what this run has applied last: %s", acts[0].Ref, acts[0].Cause), "kube.apply applies it again; kube.diff shows what differs")
	}
	if err := at.forget(ctx, run); err != nil {
		return Revision{}, err
	}
	goods, err := at.goods(ctx)
	if err != nil {
		return Revision{}, err
	}
	out := Revision{Number: 1, Name: run, Version: a.Version, At: d.Host.Clock.Now().UTC().Truncate(time.Second), Images: reconcile.Images(wants), Live: true}
	if len(goods) > 0 {
		out.Number = goods[0].Number + 1
	}
	data, err := json.Marshal(goodBody{Version: a.Version, At: out.At, Wants: wants, Applied: seen.Inventory})
	if err != nil {
		return Revision{}, err
	}
	_, err = at.reg.Put(ctx, record.Record{Name: fmt.Sprintf("%s%09d.%s", goodKind, out.Number, run), Of: goodKind + run, Data: data})
	return out, err
}

// forget removes the record of a run's deployment.
func (at place) forget(ctx context.Context, run string) error {
	found, err := at.reg.ListOf(ctx, goodKind+run)
	for _, rec := range found {
		err = errors.Join(err, at.reg.Delete(ctx, rec))
	}
	return err
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
	goods, err := at.goods(ctx)
	if err != nil {
		return op.Restored{}, err
	}
	already := !slices.ContainsFunc(goods, func(g good) bool { return g.Name == f.Run })
	return op.Restored{Already: already}, at.forget(ctx, f.Run)
}

// Package kube deploys sets of objects to a Kubernetes cluster, tells whether they are live and why they are not, and puts
// back exactly what was there. The parts are manifest (what files ask for), reconcile (from what is there to that), verdict
// and follow (whether it is live) and register (what runs keep in the cluster).
package kube

import (
	"context"
	"time"

	"github.com/erlmcp/runner/builtins/cluster"
	"github.com/erlmcp/runner/builtins/kube/connect"
	"github.com/erlmcp/runner/builtins/kube/manifest"
	"github.com/erlmcp/runner/builtins/kube/reconcile"
	"github.com/erlmcp/runner/runtime/builtin"
	"github.com/erlmcp/runner/runtime/host"
	"github.com/erlmcp/runner/runtime/op"
)

// Kubernetes is what the ops work with: clusters, and the machine that the manifests are on.
type Kubernetes struct {
	Pool *connect.Pool
	Host *host.Host
}

// Family is what scripts see as kube.
func Family(h *host.Host, pool *connect.Pool) builtin.Family {
	d := &Kubernetes{Pool: pool, Host: h}
	rollout := op.Duration(10 * time.Minute)
	return builtin.NewFamily("kube", "Deploys to Kubernetes, and tells why something is not live.",
		builtin.Value(manifest.Secret{Versioned: true}),
		builtin.Value(manifest.Configmap{Versioned: true}),
		op.Read(d, Manifests{}),
		op.Read(d, Check{}),
		op.Read(d, Diff{}),
		op.Change(d, Apply{Timeout: rollout}),
		op.Change(d, Rollback{Timeout: rollout}),
		op.Undo(d, Restore{}),
		op.Change(d, Accept{}),
		op.Undo(d, Forget{}),
		op.Watch(d, History{}),
		op.Watch(d, Find{}),
		op.Ask(d, Forward{}),
		op.Ask(d, HTTP{Path: "/", Status: 200, Count: 1, Timeout: op.Duration(10 * time.Second)}),
		op.Final(d, Prune{Keep: 10}, "removed objects cannot be brought back"),
		op.Final(d, RunJob{Within: rollout, OK: []int{0}}, "runner cannot know what a Job changed"),
		op.Ask(d, Wait{Within: op.Duration(5 * time.Minute)}),
		op.Read(d, Status{}),
		op.Watch(d, Logs{Lines: 100}),
		op.Read(d, Events{}),
	)
}

// wanted is what the manifests of a target ask for.
func (d *Kubernetes) wanted(ctx context.Context, at place, c cluster.Cluster, extra manifest.Overrides) (out asked, err error) {
	set, err := manifest.Load(ctx, d.Host, c, extra)
	if err != nil {
		return out, err
	}
	for _, o := range set.Jobs {
		out.jobs = append(out.jobs, o.Ref())
	}
	for _, o := range set.Objects {
		w := reconcile.Want{Object: *o.Object, Stage: o.Stage}
		if o.Unsure {
			res, err := at.conn.Resource(ctx, o.GroupVersionKind())
			if err != nil {
				return out, err
			}
			if !res.Namespaced {
				w.Object = *o.DeepCopy()
				w.Object.SetNamespace("")
			}
		}
		out.wants = append(out.wants, w)
	}
	return out, nil
}

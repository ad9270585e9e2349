package kube

import (
	"context"
	"encoding/json"
	"fmt"
	"time"

	"github.com/erlmcp/runner/builtins/cluster"
	"github.com/erlmcp/runner/builtins/good"
	"github.com/erlmcp/runner/builtins/kube/api"
	"github.com/erlmcp/runner/builtins/kube/follow"
	"github.com/erlmcp/runner/builtins/kube/manifest"
	"github.com/erlmcp/runner/builtins/kube/reconcile"
	"github.com/erlmcp/runner/builtins/kube/verdict"
	"github.com/erlmcp/runner/builtins/patient"
	"github.com/erlmcp/runner/runtime/op"
)

// Apply is kube.apply.
type Apply struct {
	_        op.Doc            `doc:"Makes the objects of a target what its manifests ask for, and waits until all of it is live. What is as it should be is left alone; fields that an autoscaler or another controller owns are left to it."`
	Cluster  cluster.Cluster   `json:"cluster" doc:"The target, such as environment.target."`
	Images   map[string]string `json:"images,omitempty" doc:"Images by the name that manifests have for them, in place of those that the target says."`
	Replicas map[string]int    `json:"replicas,omitempty" doc:"Replicas by the name of a workload, in place of those that the target says."`
	Objects  []manifest.Given  `json:"objects,omitempty" doc:"Objects that lie in no file: kube.secret(...), kube.configmap(...)."`
	Take     bool              `json:"take,omitempty" doc:"Whether fields are taken from others who own them, controllers apart."`
	Replace  bool              `json:"replace,omitempty" doc:"Whether an object is deleted and made anew where a field cannot be changed otherwise."`
	Timeout  op.Duration       `json:"timeout" doc:"How long all of it may take."`
	Key      op.Key            `json:"key"`
}

var (
	_ op.Op[*Kubernetes, Applied] = Apply{}
	_ op.Reversible[*Kubernetes]  = Apply{}
	_ op.Targeted[*Kubernetes]    = Apply{}
	_ op.Differ[*Kubernetes]      = Apply{}
)

// AppliedObject is one object of a target that is live.
type AppliedObject struct {
	_         op.Doc `doc:"One object of a target."`
	Kind      string `json:"kind" doc:"Its kind."`
	Namespace string `json:"namespace" doc:"Its namespace; empty where its kind has none."`
	Name      string `json:"name" doc:"Its name."`
}

// Applied is the result of Apply and of Rollback.
type Applied struct {
	_       op.Doc          `doc:"A target whose objects are live."`
	Changed int             `json:"changed" doc:"How many objects were applied; 0 where all was as asked."`
	Objects []AppliedObject `json:"objects" doc:"All its objects."`
}

// Summary implements op.Op.
func (a Apply) Summary() string {
	return fmt.Sprintf("apply the manifests of %s to the namespace %s", a.Cluster.Name, a.Cluster.Namespace)
}

// Target implements op.Targeted.
func (a Apply) Target(*Kubernetes) string { return a.Cluster.Target() }

func (a Apply) aim() aim {
	return aim{cluster: a.Cluster, key: a.Key, take: a.Take, replace: a.Replace, timeout: a.Timeout,
		want: func(ctx context.Context, d *Kubernetes, at place) (asked, error) {
			return d.wanted(ctx, at, a.Cluster, manifest.Overrides{Images: a.Images, Replicas: a.Replicas, Objects: a.Objects})
		}}
}

// Inverse implements op.Reversible.
func (a Apply) Inverse(ctx context.Context, d *Kubernetes) (any, error) {
	return a.aim().inverse(ctx, d)
}

// Difference implements op.Differ.
func (a Apply) Difference(ctx context.Context, d *Kubernetes) ([]string, error) {
	foreseen, _, err := a.aim().foresee(ctx, d)
	return foreseen.Lines, err
}

// Do implements op.Op.
func (a Apply) Do(ctx context.Context, d *Kubernetes) (Applied, error) {
	out, err := a.aim().apply(ctx, d)
	if err != nil {
		return Applied{}, fmt.Errorf("cannot deploy %s: %w", a.Cluster.Name, err)
	}
	return out, nil
}

// answers is how long a cluster may take to tell what it has.
const answers = time.Minute

// apply brings a target to what is wanted. That is kept first, so that Accept can say that it was good, on whatever
// machine.
func (a aim) apply(ctx context.Context, d *Kubernetes) (Applied, error) {
	ctx, cancel := d.Host.Clock.Timeout(ctx, a.timeout.D(), fmt.Errorf("it is not live after %s", a.timeout))
	defer cancel()
	until := d.Host.Clock.Now().Add(a.timeout.D())
	quiet := patient.Announce(ctx, d.Host, "the cluster to tell what is there", answers)
	at, wants, seen, err := a.observe(ctx, d)
	if err == nil {
		err = good.Want(ctx, at.reg, a.key, wants)
	}
	quiet()
	if err != nil {
		return Applied{}, err
	}
	p := reconcile.NewPlan(at.set, wants, seen)
	say(ctx, p.Notes...)
	say(ctx, misspelt(a.cluster.Rules, wants)...)
	if err := op.Half(ctx, "what is wanted is kept"); err != nil {
		return Applied{}, err
	}
	err = p.Apply(ctx, at.conn, at.set, a.options(), func(ctx context.Context, done []reconcile.Applied) error {
		return d.live(ctx, at, done, until)
	})
	if err != nil {
		return Applied{}, err
	}
	return result(len(p.Acts), reconcile.Refs(wants)), nil
}

func result(changed int, refs []api.Ref) Applied {
	out := Applied{Changed: changed, Objects: []AppliedObject{}}
	for _, r := range refs {
		out.Objects = append(out.Objects, AppliedObject{Kind: r.Kind, Namespace: r.Namespace, Name: r.Name})
	}
	return out
}

// say writes notes on what an op does.
func say(ctx context.Context, notes ...string) {
	for _, n := range notes {
		out := op.Output(ctx)
		fmt.Fprintf(out, "note: %s\n", n)
		out.Close()
	}
}

// inverse puts back what is there.
func (a aim) inverse(ctx context.Context, d *Kubernetes) (any, error) {
	at, wants, seen, err := a.first(ctx, d)
	if err != nil {
		return nil, err
	}
	stood, err := at.stood(ctx, wants, seen)
	if err != nil {
		return nil, err
	}
	return Restore{Cluster: a.cluster, Was: Snapshot{reconcile.Snap(wants, seen, a.options(), stood)}, Of: a.key, Timeout: restoring}, nil
}

// stood tells which of the objects that are wanted are live now: they must be again behind an undo. What is not live now,
// an undo need not wait for.
func (at place) stood(ctx context.Context, wants []reconcile.Want, seen *reconcile.Seen) (map[api.Ref]bool, error) {
	var items []follow.Item
	for _, r := range reconcile.Refs(wants) {
		if o := seen.Of(r); o != nil {
			items = append(items, follow.ItemOf(o, true))
		}
	}
	out := map[api.Ref]bool{}
	if len(items) == 0 {
		return out, nil
	}
	found, err := follow.Look(ctx, at.conn, items, at.rules.of(ctx))
	for _, s := range found.Standing {
		out[s.Ref] = s.State == verdict.Ready
	}
	return out, err
}

// restoring is how long a restored version may take to be live.
const restoring = op.Duration(5 * time.Minute)

// Restore is the inverse of what changes a target's objects.
type Restore struct {
	_       op.Doc          `doc:"Puts the objects of a target back to what they were, and waits until they are live."`
	Cluster cluster.Cluster `json:"cluster" doc:"The target."`
	Was     Snapshot        `json:"was" doc:"What was there."`
	Of      op.Key          `json:"of" doc:"The key of the op that is taken back."`
	Timeout op.Duration     `json:"timeout" doc:"How long all of it may take."`
}

var (
	_ op.Op[*Kubernetes, op.Restored] = Restore{}
	_ op.Contents                     = Restore{}
)

// HoldsContents implements op.Contents: objects may be Secrets.
func (Restore) HoldsContents() {}

// Summary implements op.Op.
func (r Restore) Summary() string {
	return fmt.Sprintf("put the objects of %s back to what they were", r.Cluster.Name)
}

// Do implements op.Op. What was put back is waited for even where something else could not be.
func (r Restore) Do(ctx context.Context, d *Kubernetes) (op.Restored, error) {
	ctx, cancel := d.Host.Clock.Timeout(ctx, r.Timeout.D(), fmt.Errorf("it is not live after %s", r.Timeout))
	defer cancel()
	until := d.Host.Clock.Now().Add(r.Timeout.D())
	at, err := d.again(ctx, r.Cluster)
	if err != nil {
		return op.Restored{}, err
	}
	done, err := reconcile.Restore(ctx, at.conn, at.set, r.Was.Snapshot, r.Of, func(ctx context.Context, stand []reconcile.Applied) error {
		return d.live(ctx, at, stand, until)
	})
	for _, ref := range done.Left {
		say(ctx, fmt.Sprintf("%s stays: what it holds cannot be made again", ref))
	}
	return op.Restored{Already: done.Changed == 0}, err
}

// Snapshot is a reconcile.Snapshot as one JSON value on the wire.
type Snapshot struct{ reconcile.Snapshot }

// MarshalJSON implements json.Marshaler.
func (s Snapshot) MarshalJSON() ([]byte, error) { return json.Marshal(s.Snapshot) }

// UnmarshalJSON implements json.Unmarshaler.
func (s *Snapshot) UnmarshalJSON(data []byte) error { return json.Unmarshal(data, &s.Snapshot) }

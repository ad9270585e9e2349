package kube

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/erlmcp/runner/builtins/cluster"
	"github.com/erlmcp/runner/builtins/kube/api"
	"github.com/erlmcp/runner/builtins/kube/manifest"
	"github.com/erlmcp/runner/builtins/kube/reconcile"
	"github.com/erlmcp/runner/builtins/kube/register"
	"github.com/erlmcp/runner/builtins/kube/rights"
	"github.com/erlmcp/runner/builtins/record"
	"github.com/erlmcp/runner/runtime/host"
	"github.com/erlmcp/runner/runtime/op"
)

// place is the cluster of a target, in the shapes in which the parts want it.
type place struct {
	conn  *api.Conn
	set   reconcile.Set
	reg   record.Register
	rules rules
	jobs  []api.Ref // that kube.run_job runs
}

func (d *Kubernetes) at(ctx context.Context, c cluster.Cluster) (place, error) {
	conn, err := d.Pool.Open(ctx, c)
	if err != nil {
		return place{}, err
	}
	return placeOf(conn, c), nil
}

// again is the place of a target as an undo log names it.
func (d *Kubernetes) again(ctx context.Context, c cluster.Cluster) (place, error) {
	conn, err := d.Pool.Again(ctx, c)
	if err != nil {
		return place{}, err
	}
	at := placeOf(conn, c)
	at.rules.undoing = true
	return at, nil
}

func placeOf(conn *api.Conn, c cluster.Cluster) place {
	return place{
		conn:  conn,
		set:   reconcile.Set{Name: c.Name, Namespace: c.Namespace, State: c.State()},
		reg:   register.New(conn, c.State(), c.Name),
		rules: rules{by: c.Rules, noted: map[string]bool{}},
	}
}

// asked is what the manifests of a target ask for.
type asked struct {
	wants []reconcile.Want
	jobs  []api.Ref // that kube.run_job runs
}

// aim is what the objects of a target are to be brought to.
type aim struct {
	cluster       cluster.Cluster
	key           op.Key
	take, replace bool
	timeout       op.Duration
	want          func(context.Context, *Kubernetes, place) (asked, error)
}

func (a aim) options() reconcile.Options {
	return reconcile.Options{Key: a.key, Take: a.take, Replace: a.replace}
}

// observe reads what is wanted and what is there.
func (a aim) observe(ctx context.Context, d *Kubernetes) (place, []reconcile.Want, *reconcile.Seen, error) {
	at, err := d.at(ctx, a.cluster)
	if err != nil {
		return at, nil, nil, err
	}
	found, err := a.want(ctx, d, at)
	if err != nil {
		return at, nil, nil, err
	}
	wants := found.wants
	at.jobs = found.jobs
	seen, err := reconcile.Observe(ctx, at.conn, at.set, wants)
	return at, wants, seen, at.refused(ctx, a.cluster, wants, err)
}

// first is observe before anything changes: a right that is missing is no surprise halfway.
func (a aim) first(ctx context.Context, d *Kubernetes) (place, []reconcile.Want, *reconcile.Seen, error) {
	at, wants, seen, err := a.observe(ctx, d)
	if err == nil {
		err = at.housed(ctx, wants, seen)
	}
	if err == nil {
		err = at.entitled(ctx, a.cluster, wants)
	}
	return at, wants, seen, err
}

// housed names every namespace that must be there and is not. One that holds something of the set is there; one that the
// set brings may come with it, unless it is to keep the lease before.
func (at place) housed(ctx context.Context, wants []reconcile.Want, seen *reconcile.Seen) error {
	needed := map[string]bool{at.set.State: seen.Inventory == nil}
	for _, w := range wants {
		ref := api.RefOf(&w.Object)
		if _, known := needed[ref.Namespace]; !known && ref.Namespace != "" {
			needed[ref.Namespace] = true
		}
		if seen.Of(ref) != nil {
			needed[ref.Namespace] = false
		}
	}
	for _, w := range wants {
		if ref := api.RefOf(&w.Object); ref.Kind == "Namespace" && ref.Name != at.set.State {
			needed[ref.Name] = false
		}
	}
	var absent []string
	for _, name := range slices.Sorted(maps.Keys(needed)) {
		if !needed[name] {
			continue
		}
		o, err := at.conn.Get(ctx, api.Ref{Version: "v1", Kind: "Namespace", Name: name})
		if err != nil && !api.IsForbidden(err) { // who may not look finds out later
			return err
		}
		if o == nil && err == nil {
			absent = append(absent, fmt.Sprintf("there is no namespace %q", name))
		}
	}
	if absent == nil {
		return nil
	}
	return op.Hint(errors.New(strings.Join(absent, "; ")), "runner setup ENVIRONMENT prints what makes it")
}

// entitled names every right that is missing for a deployment.
func (at place) entitled(ctx context.Context, c cluster.Cluster, wants []reconcile.Want) error {
	needed, err := needed(ctx, at.conn, c, reconcile.Refs(wants), at.jobs)
	if err != nil {
		return err
	}
	return rights.Check(ctx, at.conn, needed)
}

// needed are the rights that a deployment of objects takes, with what its Jobs and its tests need.
func needed(ctx context.Context, conn *api.Conn, c cluster.Cluster, refs, jobs []api.Ref) ([]rights.Right, error) {
	out, err := rights.Deployment(ctx, conn, refs, c.State())
	if c.Serves != "" {
		out = append(out, rights.Reaching(c.Namespace)...)
	}
	for _, job := range jobs {
		out = append(out, rights.Running(job.Namespace)...)
	}
	return out, err
}

// Entitled names every right that is missing for a deployment of a target's manifests. Where they cannot be read, those on
// what runs keep are all that is known to be needed.
func Entitled(ctx context.Context, h *host.Host, conn *api.Conn, c cluster.Cluster) error {
	set, err := manifest.Load(ctx, h, c, manifest.Overrides{})
	if err != nil {
		return rights.Check(ctx, conn, rights.State(c.State()))
	}
	var refs, jobs []api.Ref
	for _, o := range set.Objects {
		refs = append(refs, o.Ref())
	}
	for _, o := range set.Jobs {
		jobs = append(jobs, o.Ref())
	}
	needed, err := needed(ctx, conn, c, refs, jobs)
	if err != nil {
		return err
	}
	return rights.Check(ctx, conn, needed)
}

// refused names all that is missing where one request was refused for want of a right.
func (at place) refused(ctx context.Context, c cluster.Cluster, wants []reconcile.Want, err error) error {
	if !api.IsForbidden(err) {
		return err
	}
	return cmp.Or(at.entitled(ctx, c, wants), err)
}

// foresee asks the server what would change.
func (a aim) foresee(ctx context.Context, d *Kubernetes) (reconcile.Foreseen, *reconcile.Plan, error) {
	at, wants, seen, err := a.first(ctx, d)
	if err != nil {
		return reconcile.Foreseen{}, nil, err
	}
	p := reconcile.NewPlan(at.set, wants, seen)
	out, err := p.Foresee(ctx, at.conn, a.options())
	return out, p, err
}

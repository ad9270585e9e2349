package reconcile

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"time"

	"golang.org/x/sync/errgroup"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apimachinery/pkg/util/sets"
	"k8s.io/client-go/util/csaupgrade"

	"github.com/erlmcp/runner/builtins/kube/api"
	"github.com/erlmcp/runner/runtime/op"
)

// Options say how far Apply may go.
type Options struct {
	Key     op.Key
	Take    bool // take fields from managers that are no controllers
	Replace bool // make an object anew whose fields cannot be changed
}

// Apply does what a plan says. Behind each stage, ready is called with what the stage has applied, at last with all of the
// set, and must return before the next one begins. Apply stops at the first stage with an error, and reports all of that.
func (p *Plan) Apply(ctx context.Context, c *api.Conn, set Set, o Options, ready func(context.Context, []Applied) error) error {
	a := &acting{conn: c, set: set, plan: p, options: o, kept: slices.Clone(p.kept)}
	if len(p.Acts) > 0 {
		if err := a.announce(ctx); err != nil {
			return err
		}
	}
	stages := []int{}
	for _, act := range p.Acts {
		stages = append(stages, act.Stage)
	}
	stages = slices.Compact(stages)
	if len(stages) == 0 {
		return ready(ctx, p.Stay)
	}
	for i, stage := range stages {
		done, err := a.stage(ctx, stage)
		if err != nil {
			return err
		}
		if i == len(stages)-1 {
			if err := a.record(ctx); err != nil {
				return err
			}
			done = append(slices.Clone(p.Stay), a.done...)
		}
		if err := ready(ctx, done); err != nil {
			return err
		}
	}
	return nil
}

type acting struct {
	conn    *api.Conn
	set     Set
	plan    *Plan
	options Options

	mu   sync.Mutex
	kept []Kept
	done []Applied
	stop error // of a step at which the op is stopped
}

// announce writes an inventory that names all that may be there from now on.
func (a *acting) announce(ctx context.Context) error {
	var comes []Kept
	for _, act := range a.plan.Acts {
		comes = append(comes, Kept{Ref: act.Ref})
	}
	return a.inventory(ctx, "inventory announced", comes)
}

// record writes what was applied, by which the next run sees what has changed since.
func (a *acting) record(ctx context.Context) error { return a.inventory(ctx, "inventory written", nil) }

func (a *acting) inventory(ctx context.Context, step string, more []Kept) error {
	all := slices.Concat(a.kept, more)
	for _, r := range a.plan.Gone {
		all = append(all, Kept{Ref: r})
	}
	if err := writeInventory(ctx, a.conn, a.set, all); err != nil {
		return fmt.Errorf("cannot write the inventory: %w", err)
	}
	return op.Half(ctx, step)
}

// silence is how long a wait goes without a line.
const silence = 500 * time.Millisecond

func (a *acting) stage(ctx context.Context, stage int) ([]Applied, error) {
	var g errgroup.Group
	g.SetLimit(atOnce)
	bad := make([]error, len(a.plan.Acts))
	before := len(a.done)
	quiet := op.WaitingIf(ctx, func(ctx context.Context) error { return a.conn.Clock.Sleep(ctx, silence) }, "the cluster to take what is applied", a.conn.Clock.Now().Add(api.Patience))
	defer quiet()
	for i, act := range a.plan.Acts {
		if act.Stage != stage {
			continue
		}
		g.Go(func() error {
			if ctx.Err() == nil && !a.stopped() {
				bad[i] = a.note(ctx, act)
			}
			return nil
		})
	}
	g.Wait()
	if ctx.Err() != nil {
		return nil, context.Cause(ctx)
	}
	return slices.Clone(a.done[before:]), errors.Join(bad...)
}

// note does one act, and remembers what became of it.
func (a *acting) note(ctx context.Context, act Act) error {
	o, err := a.perform(ctx, act)
	if err != nil {
		return err
	}
	done := applied(o)
	a.mu.Lock()
	defer a.mu.Unlock()
	a.done = append(a.done, done)
	a.kept = append(a.kept, Kept{Ref: act.Ref, Asked: act.asked, Owned: done.Owned})
	return a.half(ctx, "applied "+act.Ref.String())
}

// half marks a durable step. Behind one at which the op is stopped there is none. It wants the lock.
func (a *acting) half(ctx context.Context, step string) error {
	if a.stop == nil {
		a.stop = op.Half(ctx, step)
		return a.stop
	}
	return nil
}

func (a *acting) step(ctx context.Context, step string) error {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.half(ctx, step)
}

func (a *acting) stopped() bool {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.stop != nil
}

// perform does one act.
func (a *acting) perform(ctx context.Context, act Act) (*api.Object, error) {
	if act.Kind == Adopt {
		if err := a.migrate(ctx, act); err != nil {
			return nil, fmt.Errorf("cannot take over %s: %w", act.Ref, err)
		}
	}
	if act.Keep != nil {
		if err := handOver(ctx, a.conn, act.Live, act.Keep); err != nil {
			return nil, fmt.Errorf("cannot leave the replicas of %s to their autoscaler: %w", act.Ref, err)
		}
	}
	o, err := a.apply(ctx, act, a.options.Take)
	if immutable(err) {
		if !a.options.Replace {
			return nil, fixed(act.Ref, err)
		}
		if o, err = a.anew(ctx, act); err != nil {
			return nil, fmt.Errorf("cannot make %s anew: %w", act.Ref, plain(err))
		}
	}
	if err != nil {
		return nil, fmt.Errorf("cannot apply %s: %w", act.Ref, plain(err))
	}
	return o, nil
}

// apply sends one configuration, marked by the op. Fields that it must not take are left to their owners.
func (a *acting) apply(ctx context.Context, act Act, force bool) (*api.Object, error) {
	marked := act.Config.DeepCopy()
	mark(marked, string(a.options.Key))
	o, err := a.send(ctx, act.Ref, marked)
	taken := conflicts(act.Ref, act.Live, err)
	if len(taken) == 0 {
		return o, err
	}
	r := sorted(taken, act.auto, force)
	if len(r.others) > 0 && !force {
		return nil, refusal(r.others)
	}
	for _, t := range r.left {
		a.say(ctx, fmt.Sprintf("%s: %s is left to %s", t.Ref, t.Field, t.Manager))
	}
	if marked, err = without(marked, r.left); err != nil {
		return nil, err
	}
	return a.conn.Apply(ctx, marked, api.Applying{Force: force || len(r.own) > 0})
}

// serving is how long a cluster may take to serve a kind whose definition it calls established. Nothing tells when it does,
// so it is tried every look.
const (
	serving = 15 * time.Second
	look    = 50 * time.Millisecond
)

// send applies an object. Where its kind comes with the set, it may not be served yet.
func (a *acting) send(ctx context.Context, r api.Ref, o *api.Object) (*api.Object, error) {
	for until := a.conn.Clock.Now().Add(serving); ; {
		got, err := a.conn.Apply(ctx, o, api.Applying{})
		if !noKind(err) && !api.IsNotFound(err) || !a.defines(r.Group) || a.conn.Clock.Now().After(until) {
			return got, err
		}
		if err := a.conn.Clock.Sleep(ctx, look); err != nil {
			return nil, err
		}
	}
}

// defines reports whether the set has a definition of a kind of the group.
func (a *acting) defines(group string) bool {
	of := func(r api.Ref) bool {
		return r.Kind == "CustomResourceDefinition" && group != "" && strings.HasSuffix(r.Name, "."+group)
	}
	return slices.ContainsFunc(a.plan.Acts, func(act Act) bool { return of(act.Ref) }) ||
		slices.ContainsFunc(a.plan.Stay, func(s Applied) bool { return of(s.Ref) })
}

// mark names the op that applies an object.
func mark(o *api.Object, run string) {
	notes := o.GetAnnotations()
	if notes == nil {
		notes = map[string]string{}
	}
	notes[RunKey] = run
	o.SetAnnotations(notes)
}

func (a *acting) say(ctx context.Context, note string) {
	out := op.Output(ctx)
	fmt.Fprintf(out, "note: %s\n", note)
	out.Close()
}

// migrate makes what people's tools own of an object runner's, so that what is asked for no more goes. Its status may
// change meanwhile, so it is tried again.
func (a *acting) migrate(ctx context.Context, act Act) error {
	for live := act.Live; live != nil; {
		patch, err := csaupgrade.UpgradeManagedFieldsPatch(live, sets.New(tools...), api.Manager)
		if err != nil || patch == nil {
			return err
		}
		_, err = a.conn.Patch(ctx, act.Ref, types.JSONPatchType, patch)
		if err == nil {
			return a.step(ctx, "taken over "+act.Ref.String())
		}
		if !api.IsConflict(err) {
			return err
		}
		if live, err = a.conn.Get(ctx, act.Ref); err != nil {
			return err
		}
	}
	return nil // it is gone, and is made
}

// handOver makes another manager of runner's the owner of a workload's count, so that the count stays when runner gives
// up the field: a field without an owner falls back to 1. Without a count, that manager gives it up.
func handOver(ctx context.Context, c *api.Conn, live *api.Object, replicas *int64) error {
	r := api.RefOf(live)
	o := &api.Object{Object: map[string]any{
		"apiVersion": live.GetAPIVersion(), "kind": live.GetKind(),
		"metadata": map[string]any{"name": r.Name, "namespace": r.Namespace},
	}}
	if replicas != nil {
		o.Object["spec"] = map[string]any{"replicas": *replicas}
	}
	_, err := c.Apply(ctx, o, api.Applying{Manager: handover, Force: true})
	return err
}

// anew deletes an object and makes it again as it is asked for.
func (a *acting) anew(ctx context.Context, act Act) (*api.Object, error) {
	if err := remove(ctx, a.conn, act.Live); err != nil {
		return nil, err
	}
	if err := a.step(ctx, "removed "+act.Ref.String()); err != nil {
		return nil, err
	}
	return a.apply(ctx, act, true)
}

// remove deletes an object, and returns when it is gone.
func remove(ctx context.Context, c *api.Conn, o *api.Object) error {
	if err := c.Delete(ctx, api.RefOf(o), o.GetUID()); err != nil {
		return err
	}
	return c.Until(ctx, api.RefOf(o), func(now *api.Object) bool { return now == nil || now.GetUID() != o.GetUID() })
}

// immutable reports that a server refuses to change a field of an object that is there.
func immutable(err error) bool {
	var status apierrors.APIStatus
	if !errors.As(err, &status) || !apierrors.IsInvalid(err) || status.Status().Details == nil {
		return false
	}
	return slices.ContainsFunc(status.Status().Details.Causes, func(c cause) bool { return immutableText.MatchString(c.Message) })
}

// plain is what a server says, without what the client says around it.
func plain(err error) error {
	var status apierrors.APIStatus
	if !errors.As(err, &status) || status.Status().Details == nil || len(status.Status().Details.Causes) == 0 {
		return err
	}
	var all []error
	for _, c := range status.Status().Details.Causes {
		if c.Field == "" {
			return err
		}
		all = append(all, fmt.Errorf("%s: %s", c.Field, c.Message))
	}
	return errors.Join(all...)
}

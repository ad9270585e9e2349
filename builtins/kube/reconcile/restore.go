package reconcile

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"sync"

	"golang.org/x/sync/errgroup"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/types"

	"github.com/erlmcp/runner/builtins/kube/api"
	"github.com/erlmcp/runner/runtime/op"
)

// Before is one object as it was: what runner had applied of it, or all of it where that was nothing.
type Before struct {
	Ref   api.Ref        `json:"ref"`
	Run   string         `json:"run,omitempty"`   // the op that had applied it last
	Owned map[string]any `json:"owned,omitempty"` // what runner had applied
	All   map[string]any `json:"all,omitempty"`   // all of it, where runner had applied nothing, or where the op takes what is others'
	Keeps bool           `json:"keeps,omitempty"` // its count had been handed over
	Live  bool           `json:"live,omitempty"`  // it was live, and must be again
}

func (b Before) absent() bool { return b.Owned == nil && b.All == nil }

// Snapshot is a set as it was before an op.
type Snapshot struct {
	Objects   []Before `json:"objects"`
	Inventory []Kept   `json:"inventory,omitempty"`
	Replaces  bool     `json:"replaces,omitempty"` // the op may delete an object to make it anew
}

// Snap keeps what is there of what is wanted, for an op with options; stood tells what of it is live.
func Snap(wants []Want, seen *Seen, o Options, stood map[api.Ref]bool) Snapshot {
	s := Snapshot{Inventory: seen.Inventory, Replaces: o.Replace}
	for _, w := range wants {
		b := Before{Ref: api.RefOf(&w.Object)}
		if live := seen.Of(b.Ref); live != nil {
			b.Run, b.Keeps, b.Live = live.GetAnnotations()[RunKey], fieldsOf(live, handover) != nil, stood[b.Ref]
			if b.Owned = owned(live, api.Manager); b.Owned == nil || o.Take {
				b.All = whole(live)
			}
		}
		s.Objects = append(s.Objects, b)
	}
	return s
}

// whole is an object without what a server says of the moment.
func whole(o *api.Object) map[string]any {
	o = o.DeepCopy()
	for _, field := range []string{"resourceVersion", "uid", "generation", "creationTimestamp", "selfLink"} {
		unstructured.RemoveNestedField(o.Object, "metadata", field)
	}
	unstructured.RemoveNestedField(o.Object, "status")
	return o.Object
}

// stays are the kinds that are never deleted by an undo: what they hold cannot be made again.
var stays = []string{"Namespace", "PersistentVolumeClaim", "PersistentVolume"}

// Restored is what an undo has done.
type Restored struct {
	Changed int       // how many objects were put back or removed
	Left    []api.Ref // namespaces and volumes that the op had made
}

// Restore puts the objects of a snapshot back, as far as the op of a key has changed them. What somebody has changed
// since is a conflict: it is not touched, and the rest goes on. Then ready must return: it gets what was live before. It can
// be repeated; one that is killed while it waits waits again.
func Restore(ctx context.Context, c *api.Conn, set Set, was Snapshot, of op.Key, ready func(context.Context, []Applied) error) (Restored, error) {
	wants := make([]Want, len(was.Objects))
	for i, b := range was.Objects {
		wants[i].Object.SetGroupVersionKind(b.Ref.GVK())
		wants[i].Object.SetNamespace(b.Ref.Namespace)
		wants[i].Object.SetName(b.Ref.Name)
	}
	seen, err := Observe(ctx, c, set, wants)
	if err != nil {
		return Restored{}, err
	}
	r := &restoring{conn: c, was: was, of: string(of), seen: seen}
	var g errgroup.Group
	g.SetLimit(atOnce)
	bad := make([]error, len(was.Objects))
	for i, b := range was.Objects {
		g.Go(func() error {
			bad[i] = r.one(ctx, b)
			return nil
		})
	}
	g.Wait()
	slices.SortFunc(r.out.Left, order)
	err = errors.Join(bad...)
	begun := digest(seen.Inventory) != digest(was.Inventory)
	if begun || r.out.Changed > 0 {
		slices.SortFunc(r.stand, func(a, b Applied) int { return order(a.Ref, b.Ref) })
		err = errors.Join(err, ready(ctx, r.stand))
	}
	if err == nil && begun {
		err = restoreInventory(ctx, c, set, was.Inventory, r.out.Left)
	}
	return r.out, err
}

// restoreInventory makes the inventory say what it did. What a first deployment leaves is still the set's.
func restoreInventory(ctx context.Context, c *api.Conn, set Set, was []Kept, left []api.Ref) error {
	was = slices.Clone(was)
	for _, ref := range left {
		was = append(was, Kept{Ref: ref})
	}
	if len(was) == 0 {
		return c.Delete(ctx, set.parentRef(), "")
	}
	return writeInventory(ctx, c, set, was)
}

type restoring struct {
	conn *api.Conn
	was  Snapshot
	of   string
	seen *Seen

	mu    sync.Mutex
	out   Restored
	stand []Applied
}

// one puts one object back.
func (r *restoring) one(ctx context.Context, b Before) error {
	live := r.seen.Of(b.Ref)
	mine := live != nil && live.GetAnnotations()[RunKey] == r.of
	switch {
	case b.absent() && live == nil:
		return nil
	case b.absent() && slices.Contains(stays, b.Ref.Kind):
		return r.note(ctx, "left "+b.Ref.String(), func() { r.out.Left = append(r.out.Left, b.Ref) })
	case b.absent() && mine:
		return r.remove(ctx, b, live)
	case b.absent():
		return &op.Conflict{What: b.Ref.String(), Wanted: "absent", Found: "one that somebody else has made"}
	case live == nil && !r.was.Replaces:
		return &op.Conflict{What: b.Ref.String(), Wanted: "as it was", Found: "absent"}
	case live == nil:
		return r.make(ctx, b)
	case !mine && b.Owned != nil && digest(owned(live, api.Manager)) == digest(b.Owned):
		return r.stays(ctx, b, live)
	case !mine && b.Owned == nil && fieldsOf(live, api.Manager) == nil:
		return r.stays(ctx, b, live)
	case !mine && b.Owned != nil:
		return &op.Conflict{What: b.Ref.String(), Wanted: "as it was", Found: "changed by somebody else"}
	case b.All != nil:
		return r.giveBack(ctx, b, live)
	}
	return r.reapply(ctx, b, live)
}

// stays notes an object that is as it was.
func (r *restoring) stays(ctx context.Context, b Before, live *api.Object) error {
	if err := r.release(ctx, b, live); err != nil {
		return err
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	r.stands(b, live, true)
	return nil
}

// stands notes what must be live again. It wants the lock.
func (r *restoring) stands(b Before, o *api.Object, unchanged bool) {
	if b.Live {
		a := applied(o)
		a.Unchanged = unchanged
		r.stand = append(r.stand, a)
	}
}

// release gives up a count that the op has handed over.
func (r *restoring) release(ctx context.Context, b Before, live *api.Object) error {
	if b.Keeps || fieldsOf(live, handover) == nil {
		return nil
	}
	if err := handOver(ctx, r.conn, live, nil); err != nil {
		return fmt.Errorf("cannot put %s back: %w", b.Ref, plain(err))
	}
	return nil
}

// note remembers what was done, one at a time.
func (r *restoring) note(ctx context.Context, step string, f func()) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	f()
	return op.Half(ctx, step)
}

func (r *restoring) remove(ctx context.Context, b Before, live *api.Object) error {
	if err := r.conn.Delete(ctx, b.Ref, live.GetUID()); err != nil && !noKind(err) {
		return fmt.Errorf("cannot remove %s: %w", b.Ref, plain(err))
	}
	return r.note(ctx, "removed "+b.Ref.String(), func() { r.out.Changed++ })
}

// config is what runner had applied, with the mark of the op that had.
func (b Before) config() *api.Object {
	o := (&api.Object{Object: b.Owned}).DeepCopy()
	if b.Run != "" {
		mark(o, b.Run)
	}
	return o
}

// reapply applies what was applied before: fields that the failed version has added go. Nothing is taken from others: a
// field that somebody has written since, and that would change, is a conflict.
func (r *restoring) reapply(ctx context.Context, b Before, live *api.Object) error {
	if err := r.keepReplicas(ctx, b, live); err != nil {
		return fmt.Errorf("cannot keep the replicas of %s: %w", b.Ref, err)
	}
	config := b.config()
	o, err := r.conn.Apply(ctx, config, api.Applying{})
	if taken := conflicts(b.Ref, live, err); len(taken) > 0 {
		_, auto := r.seen.Scaled[keyOf(b.Ref)]
		rivals := sorted(taken, auto, false)
		if t := rivals.others; len(t) > 0 {
			return &op.Conflict{What: b.Ref.String(), Wanted: "as it was", Found: t[0].Field + " as " + t[0].Manager + " has it"}
		}
		if config, err = without(config, rivals.left); err == nil {
			o, err = r.conn.Apply(ctx, config, api.Applying{Force: len(rivals.own) > 0})
		}
	}
	if immutable(err) && r.was.Replaces {
		if err = remove(ctx, r.conn, live); err == nil {
			return r.make(ctx, b)
		}
	}
	if err != nil {
		return fmt.Errorf("cannot put %s back: %w", b.Ref, plain(err))
	}
	bare(config)
	if digest(owned(o, api.Manager)) != digest(config.Object) {
		return fmt.Errorf("cannot put %s back: the server has made something else of what it was", b.Ref)
	}
	if err := r.release(ctx, b, o); err != nil {
		return err
	}
	if err := r.unstick(ctx, live); err != nil {
		return fmt.Errorf("cannot free %s of its failed pods: %w", b.Ref, plain(err))
	}
	return r.put(ctx, b, o)
}

// unstick deletes the pods of a StatefulSet's failed revision that are not ready: the controller waits for each of them
// before it goes on, so the revision before would never come.
func (r *restoring) unstick(ctx context.Context, failed *api.Object) error {
	revision, _, _ := unstructured.NestedString(failed.Object, "status", "updateRevision")
	current, _, _ := unstructured.NestedString(failed.Object, "status", "currentRevision")
	if failed.GetKind() != "StatefulSet" || revision == "" || revision == current {
		return nil
	}
	pods, _, err := r.conn.List(ctx, podKind, failed.GetNamespace(), "controller-revision-hash="+revision)
	for _, p := range pods {
		if isReady(&p) {
			continue
		}
		err = errors.Join(err, r.conn.Delete(ctx, api.Ref{Version: "v1", Kind: "Pod", Namespace: p.GetNamespace(), Name: p.GetName()}, p.GetUID()))
	}
	return err
}

var podKind = schema.GroupVersionKind{Version: "v1", Kind: "Pod"}

func isReady(pod *api.Object) bool {
	all, _, _ := unstructured.NestedSlice(pod.Object, "status", "conditions")
	return slices.ContainsFunc(all, func(c any) bool {
		m, _ := c.(map[string]any)
		return m["type"] == "Ready" && m["status"] == "True"
	})
}

// put notes an object that was put back.
func (r *restoring) put(ctx context.Context, b Before, o *api.Object) error {
	return r.note(ctx, "put back "+b.Ref.String(), func() {
		r.out.Changed++
		r.stands(b, o, false)
	})
}

// keepReplicas hands the count of a workload over where the version before did not say one and the failed one did.
func (r *restoring) keepReplicas(ctx context.Context, b Before, live *api.Object) error {
	_, said, _ := unstructured.NestedFieldNoCopy(b.Owned, "spec", "replicas")
	n, has, _ := unstructured.NestedInt64(live.Object, "spec", "replicas")
	if said || !has || !scalable(b.Ref) || !ownsReplicas(live) {
		return nil
	}
	return handOver(ctx, r.conn, live, &n)
}

// make makes an object that was deleted to be made anew.
func (r *restoring) make(ctx context.Context, b Before) error {
	var o *api.Object
	var err error
	if b.Owned != nil {
		o, err = r.conn.Apply(ctx, b.config(), api.Applying{Force: true})
	} else {
		o, err = r.conn.Create(ctx, (&api.Object{Object: b.All}).DeepCopy())
	}
	if err != nil {
		return fmt.Errorf("cannot make %s again: %w", b.Ref, plain(err))
	}
	return r.put(ctx, b, o)
}

// giveBack makes an object what it was, and its fields those of their owners of then. Its status may change meanwhile, so
// it is tried again; but what others have written since is not overwritten.
func (r *restoring) giveBack(ctx context.Context, b Before, live *api.Object) error {
	for {
		if who := since(b.All, live); who != "" {
			return &op.Conflict{What: b.Ref.String(), Wanted: "as it was", Found: "changed by " + who}
		}
		o := (&api.Object{Object: b.All}).DeepCopy()
		o.SetResourceVersion(live.GetResourceVersion())
		o.SetUID(live.GetUID())
		if n, ok, _ := unstructured.NestedInt64(live.Object, "spec", "replicas"); ok {
			if _, auto := r.seen.Scaled[keyOf(b.Ref)]; auto {
				unstructured.SetNestedField(o.Object, n, "spec", "replicas")
			}
		}
		now, err := r.conn.Update(ctx, o)
		if api.IsConflict(err) {
			if live, err = r.conn.Get(ctx, b.Ref); err == nil && live != nil {
				continue
			}
		}
		if err == nil {
			now, err = r.own(ctx, b)
		}
		if err != nil {
			return fmt.Errorf("cannot put %s back: %w", b.Ref, plain(err))
		}
		return r.put(ctx, b, now)
	}
}

// own gives an object's fields to those who owned them.
func (r *restoring) own(ctx context.Context, b Before) (*api.Object, error) {
	owners, _, _ := unstructured.NestedFieldNoCopy(b.All, "metadata", "managedFields")
	patch, err := json.Marshal([]map[string]any{{"op": "replace", "path": "/metadata/managedFields", "value": owners}})
	if err != nil {
		return nil, err
	}
	return r.conn.Patch(ctx, b.Ref, types.JSONPatchType, patch)
}

// since names a manager that has written an object since it was as it was, other than runner and the controllers.
func since(all map[string]any, live *api.Object) string {
	type entry struct{ manager, operation, sub string }
	before := map[entry]*metav1.Time{}
	for _, m := range (&api.Object{Object: all}).GetManagedFields() {
		before[entry{m.Manager, string(m.Operation), m.Subresource}] = m.Time
	}
	for _, m := range live.GetManagedFields() {
		if m.Subresource != "" || m.Manager == api.Manager || m.Manager == handover || controllers.MatchString(m.Manager) {
			continue
		}
		if at, ok := before[entry{m.Manager, string(m.Operation), m.Subresource}]; !ok || !m.Time.Equal(at) {
			return m.Manager
		}
	}
	return ""
}

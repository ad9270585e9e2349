package reconcile

import (
	"context"
	"slices"
	"sync"

	"golang.org/x/sync/errgroup"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"

	"github.com/erlmcp/runner/builtins/kube/api"
)

const (
	// atOnce is how many requests are under way side by side.
	atOnce = 16
	// many is from how many objects of a kind on one list costs less than asking for each.
	many = 3
)

// group is the objects of a kind in a namespace that are looked for.
type group struct {
	kind      schema.GroupVersionKind
	namespace string
}

// Observe reads what a cluster has of a set: what is wanted, what was applied, and which workloads it scales by itself.
// A kind or a namespace that is not there yet has no objects.
func Observe(ctx context.Context, c *api.Conn, set Set, wants []Want) (*Seen, error) {
	seen := &Seen{Live: map[key]*api.Object{}, Scaled: map[key]int64{}}
	var err error
	if seen.Inventory, err = readInventory(ctx, c, set); err != nil {
		return nil, err
	}
	refs := Refs(wants)
	for _, k := range seen.Inventory {
		if !slices.ContainsFunc(refs, k.Same) {
			refs = append(refs, k.Ref)
		}
	}
	groups := map[group][]api.Ref{}
	for _, r := range refs {
		g := group{r.GVK(), r.Namespace}
		groups[g] = append(groups[g], r)
	}
	var mu sync.Mutex
	parts, ctx := errgroup.WithContext(ctx)
	parts.SetLimit(atOnce)
	for g, refs := range groups {
		if len(refs) >= many {
			parts.Go(func() error { return list(ctx, c, g, refs, seen, &mu) })
			continue
		}
		for _, r := range refs {
			parts.Go(func() error { return get(ctx, c, r, seen, &mu) })
		}
	}
	for _, namespace := range spaces(wants) {
		parts.Go(func() error { return scaled(ctx, c, namespace, seen, &mu) })
	}
	return seen, parts.Wait()
}

// Refs names what is wanted.
func Refs(wants []Want) (out []api.Ref) {
	for _, w := range wants {
		out = append(out, api.RefOf(&w.Object))
	}
	return out
}

func get(ctx context.Context, c *api.Conn, r api.Ref, seen *Seen, mu *sync.Mutex) error {
	o, err := c.Get(ctx, r)
	if err != nil && !noKind(err) {
		return err
	}
	mu.Lock()
	defer mu.Unlock()
	seen.Live[keyOf(r)] = o
	return nil
}

func list(ctx context.Context, c *api.Conn, g group, refs []api.Ref, seen *Seen, mu *sync.Mutex) error {
	all, _, err := c.List(ctx, g.kind, g.namespace, "")
	if err != nil && !noKind(err) {
		return err
	}
	byName := map[string]*api.Object{}
	for i := range all {
		all[i].SetGroupVersionKind(g.kind)
		byName[all[i].GetName()] = &all[i]
	}
	mu.Lock()
	defer mu.Unlock()
	for _, r := range refs {
		seen.Live[keyOf(r)] = byName[r.Name]
	}
	return nil
}

var autoscaler = schema.GroupVersionKind{Group: "autoscaling", Version: "v2", Kind: "HorizontalPodAutoscaler"}

// spaces are the namespaces whose autoscalers matter: those with workloads.
func spaces(wants []Want) (out []string) {
	for _, w := range wants {
		if n := w.Object.GetNamespace(); scalable(api.RefOf(&w.Object)) && !slices.Contains(out, n) {
			out = append(out, n)
		}
	}
	return out
}

func scalable(r api.Ref) bool {
	return r.Group == "apps" && (r.Kind == "Deployment" || r.Kind == "StatefulSet" || r.Kind == "ReplicaSet")
}

func scaled(ctx context.Context, c *api.Conn, namespace string, seen *Seen, mu *sync.Mutex) error {
	all, _, err := c.List(ctx, autoscaler, namespace, "")
	if err != nil {
		return err
	}
	mu.Lock()
	defer mu.Unlock()
	for i := range all {
		k, least := scales(&all[i])
		seen.Scaled[k] = least
	}
	return nil
}

// scales is the workload that an autoscaler scales, and the least count that it gives it.
func scales(o *api.Object) (key, int64) {
	target, _, _ := unstructured.NestedStringMap(o.Object, "spec", "scaleTargetRef")
	least, ok, _ := unstructured.NestedInt64(o.Object, "spec", "minReplicas")
	if !ok {
		least = 1
	}
	gv, _ := schema.ParseGroupVersion(target["apiVersion"])
	return key{gv.Group, target["kind"], o.GetNamespace(), target["name"]}, least
}

package reconcile

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"k8s.io/apimachinery/pkg/runtime/schema"

	"github.com/erlmcp/runner/builtins/kube/api"
)

// precious are the kinds that are pruned only where a caller names them: with them goes what cannot be made again.
var precious = []string{"Namespace", "PersistentVolumeClaim", "PersistentVolume", "CustomResourceDefinition"}

// Pruned is what Prune has done.
type Pruned struct {
	Removed []api.Ref
	Kept    []api.Ref // precious ones, and configurations that a ReplicaSet still names
}

// Surplus lists what was applied once, is wanted no more, and may go: it has the set's label still. Precious kinds are
// left unless they are named, and so is a configuration that pods of a ReplicaSet read.
func Surplus(ctx context.Context, c *api.Conn, set Set, also []string) (Pruned, error) {
	kept, err := readInventory(ctx, c, set)
	if err != nil {
		return Pruned{}, err
	}
	var out Pruned
	needed := map[string]map[key]bool{} // by namespace
	for _, k := range kept {
		if k.Asked != "" {
			continue
		}
		live, err := c.Get(ctx, k.Ref)
		if err != nil && !noKind(err) {
			return Pruned{}, err
		}
		if live == nil || live.GetLabels()[partOf] != set.ID() {
			continue
		}
		if slices.Contains(precious, k.Kind) && !slices.Contains(also, k.Kind) {
			out.Kept = append(out.Kept, k.Ref)
			continue
		}
		if k.Group == "" && (k.Kind == "ConfigMap" || k.Kind == "Secret") {
			if needed[k.Namespace] == nil {
				if needed[k.Namespace], err = read(ctx, c, k.Namespace); err != nil {
					return Pruned{}, err
				}
			}
			if needed[k.Namespace][keyOf(k.Ref)] {
				out.Kept = append(out.Kept, k.Ref)
				continue
			}
		}
		out.Removed = append(out.Removed, k.Ref)
	}
	return out, nil
}

// Prune removes what Surplus lists, and goes on past what cannot be removed.
func Prune(ctx context.Context, c *api.Conn, set Set, also []string) (Pruned, error) {
	out, err := Surplus(ctx, c, set, also)
	if err != nil {
		return Pruned{}, err
	}
	var bad error
	removed := []api.Ref{}
	for _, r := range out.Removed {
		if err := c.Delete(ctx, r, ""); err != nil && !noKind(err) {
			bad = errors.Join(bad, fmt.Errorf("cannot remove %s: %w", r, plain(err)))
			continue
		}
		removed = append(removed, r)
	}
	out.Removed = removed
	kept, err := readInventory(ctx, c, set)
	if err != nil {
		return out, errors.Join(bad, err)
	}
	left := slices.DeleteFunc(slices.Clone(kept), func(k Kept) bool {
		return k.Asked == "" && !slices.ContainsFunc(out.Kept, k.Same) && (bad == nil || slices.ContainsFunc(removed, k.Same))
	})
	if len(left) < len(kept) {
		bad = errors.Join(bad, writeInventory(ctx, c, set, left))
	}
	return out, bad
}

var replicaSet = schema.GroupVersionKind{Group: "apps", Version: "v1", Kind: "ReplicaSet"}

// read are the configurations that the pods of a namespace's ReplicaSets read: with them an earlier revision can still
// be brought back, by whatever tool.
func read(ctx context.Context, c *api.Conn, namespace string) (map[key]bool, error) {
	all, _, err := c.List(ctx, replicaSet, namespace, "")
	out := map[key]bool{}
	for _, rs := range all {
		named(rs.Object["spec"], func(kind, name string) { out[key{"", kind, namespace, name}] = true })
	}
	return out, err
}

// named finds the ConfigMaps and Secrets that a pod's specification names, at any depth.
func named(v any, found func(kind, name string)) {
	switch v := v.(type) {
	case map[string]any:
		for field, child := range v {
			m, _ := child.(map[string]any)
			name, _ := m["name"].(string)
			switch field {
			case "configMap", "configMapRef", "configMapKeyRef":
				found("ConfigMap", name)
			case "secretRef", "secretKeyRef":
				found("Secret", name)
			case "secret":
				if secret, ok := m["secretName"].(string); ok {
					name = secret
				}
				found("Secret", name)
			}
			named(child, found)
		}
	case []any:
		for _, child := range v {
			named(child, found)
		}
	}
}

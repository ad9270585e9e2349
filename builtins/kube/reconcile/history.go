package reconcile

import (
	"context"
	"slices"

	"github.com/erlmcp/runner/builtins/kube/api"
)

// Inventory reads what was applied last, and what lies in the cluster since before and was not pruned yet.
func Inventory(ctx context.Context, c *api.Conn, set Set) ([]Kept, error) {
	return readInventory(ctx, c, set)
}

// Same reports whether two inventories ask for the same. What waits to be pruned asks for nothing.
func Same(a, b []Kept) bool {
	asked := func(all []Kept) (out []string) {
		for _, k := range all {
			if k.Asked != "" {
				out = append(out, k.Group+"/"+k.Kind+"/"+k.Namespace+"/"+k.Name+"="+k.Asked)
			}
		}
		slices.Sort(out)
		return out
	}
	return slices.Equal(asked(a), asked(b))
}

// Images are the images of all containers of a set, each once.
func Images(wants []Want) []string {
	out := []string{}
	for _, w := range wants {
		images(w.Object.Object, &out)
	}
	slices.Sort(out)
	return slices.Compact(out)
}

// images finds the containers in what has the shape of a pod's specification, at any depth.
func images(v any, out *[]string) {
	switch v := v.(type) {
	case map[string]any:
		for name, child := range v {
			list, _ := child.([]any)
			if name == "containers" || name == "initContainers" {
				for _, c := range list {
					if m, ok := c.(map[string]any); ok {
						if image, ok := m["image"].(string); ok {
							*out = append(*out, image)
						}
					}
				}
			}
			images(child, out)
		}
	case []any:
		for _, child := range v {
			images(child, out)
		}
	}
}

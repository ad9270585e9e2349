package kube

import (
	"context"
	"fmt"
	"strings"

	"github.com/erlmcp/runner/builtins/kube/api"
	"github.com/erlmcp/runner/runtime/builtin"
	"k8s.io/apimachinery/pkg/runtime/schema"
)

var (
	podKind = schema.GroupVersionKind{Version: "v1", Kind: "Pod"}
	setKind = schema.GroupVersionKind{Group: "apps", Version: "v1", Kind: "ReplicaSet"}
)

// runs are the kinds that have pods, in the order in which a name is looked for.
func runs() []schema.GroupVersionKind {
	return []schema.GroupVersionKind{{Group: "apps", Version: "v1", Kind: "Deployment"}, {Group: "apps", Version: "v1", Kind: "StatefulSet"},
		{Group: "apps", Version: "v1", Kind: "DaemonSet"}, {Group: "batch", Version: "v1", Kind: "Job"}, podKind}
}

// workload finds what runs pods by its name, such as "web" or "statefulset/web".
func (at place) workload(ctx context.Context, name string) (*api.Object, error) {
	kind, bare, given := strings.Cut(name, "/")
	if !given {
		kind, bare = "", name
	}
	known := false
	for _, k := range runs() {
		if given && !strings.EqualFold(kind, k.Kind) {
			continue
		}
		known = true
		o, err := at.conn.Get(ctx, api.Ref{Group: k.Group, Version: k.Version, Kind: k.Kind, Namespace: at.set.Namespace, Name: bare})
		if err != nil || o != nil {
			return o, err
		}
	}
	if !known {
		return nil, fmt.Errorf(`name: want a name such as "web" or "statefulset/web", got %q`, name)
	}
	var names []string
	for _, k := range runs()[:4] {
		list, _, err := at.conn.List(ctx, k, at.set.Namespace, "")
		if err != nil {
			return nil, err
		}
		for i := range list {
			names = append(names, list[i].GetName())
		}
	}
	return nil, fmt.Errorf("name: nothing in the namespace %s is called %s%s", at.set.Namespace, bare, builtin.DidYouMean(bare, names))
}

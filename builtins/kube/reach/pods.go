// Package reach finds the pods that a workload's newest revision runs, and leads connections to them: what is asked there
// is the new version, whatever a Service or an Ingress says. It judges nothing.
package reach

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"

	"github.com/erlmcp/runner/builtins/kube/api"
	"github.com/erlmcp/runner/builtins/kube/verdict"
)

// Workload names what runs pods, such as "deployment/web".
func Workload(namespace, name string) (api.Ref, error) {
	kind, name, _ := strings.Cut(name, "/")
	for _, k := range []string{"Deployment", "StatefulSet", "DaemonSet"} {
		if strings.EqualFold(k, kind) && name != "" {
			return api.Ref{Group: "apps", Version: "v1", Kind: k, Namespace: namespace, Name: name}, nil
		}
	}
	return api.Ref{}, fmt.Errorf("want a workload such as deployment/web, got %q", kind+"/"+name)
}

var (
	podKind = schema.GroupVersionKind{Version: "v1", Kind: "Pod"}
	setKind = schema.GroupVersionKind{Group: "apps", Version: "v1", Kind: "ReplicaSet"}
)

// Pods gives the ready pods of a workload's newest revision, sorted by name. No pod and no error says that none is ready.
func Pods(ctx context.Context, c *api.Conn, workload api.Ref) ([]*api.Object, error) {
	o, err := c.Get(ctx, workload)
	if err != nil {
		return nil, err
	}
	if o == nil {
		return nil, fmt.Errorf("there is no %s in %s", workload, workload.Namespace)
	}
	all, err := Current(ctx, c, o)
	return slices.DeleteFunc(all, func(p *api.Object) bool { return !Ready(p) }), err
}

// Current gives the pods of a workload's newest revision that are not on their way out, sorted by name; a pod's is itself.
func Current(ctx context.Context, c *api.Conn, workload *api.Object) ([]*api.Object, error) {
	if workload.GetKind() == "Pod" {
		return []*api.Object{workload}, nil
	}
	selector, err := selectorOf(workload)
	if err != nil {
		return nil, err
	}
	var sets []api.Object
	if workload.GetKind() == "Deployment" {
		if sets, _, err = c.List(ctx, setKind, workload.GetNamespace(), selector); err != nil {
			return nil, err
		}
	}
	pods, _, err := c.List(ctx, podKind, workload.GetNamespace(), selector)
	if err != nil {
		return nil, err
	}
	out := verdict.Current(workload, refs(sets), refs(pods))
	slices.SortFunc(out, func(a, b *api.Object) int { return strings.Compare(a.GetName(), b.GetName()) })
	return out, nil
}

func refs(list []api.Object) (out []*api.Object) {
	for i := range list {
		out = append(out, &list[i])
	}
	return out
}

func selectorOf(o *api.Object) (string, error) {
	raw, _, _ := unstructured.NestedMap(o.Object, "spec", "selector")
	var form metav1.LabelSelector
	if err := runtime.DefaultUnstructuredConverter.FromUnstructured(raw, &form); err != nil {
		return "", err
	}
	if len(form.MatchLabels)+len(form.MatchExpressions) == 0 {
		return "", errors.New("it selects no pods")
	}
	s, err := metav1.LabelSelectorAsSelector(&form)
	if err != nil {
		return "", err
	}
	return s.String(), nil
}

// Ready reports whether a pod says that it serves.
func Ready(pod *api.Object) bool {
	all, _, _ := unstructured.NestedSlice(pod.Object, "status", "conditions")
	return slices.ContainsFunc(all, func(c any) bool {
		m, _ := c.(map[string]any)
		return m["type"] == "Ready" && m["status"] == "True"
	})
}

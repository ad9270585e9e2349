// Package reach finds the pods that a workload's newest revision runs, and leads connections to them: what is asked there
// is the new version, whatever a Service or an Ingress says. It judges nothing.
package reach

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"strconv"
	"strings"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/types"

	"github.com/erlmcp/runner/builtins/kube/api"
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
	podKind        = schema.GroupVersionKind{Version: "v1", Kind: "Pod"}
	replicaSetKind = schema.GroupVersionKind{Group: "apps", Version: "v1", Kind: "ReplicaSet"}
	controllerKind = schema.GroupVersionKind{Group: "apps", Version: "v1", Kind: "ControllerRevision"}
)

// Pods gives the ready pods of a workload's newest revision, sorted by name. No pod and no error says that none is ready.
func Pods(ctx context.Context, c *api.Conn, workload api.Ref) ([]api.Object, error) {
	o, err := c.Get(ctx, workload)
	if err != nil {
		return nil, err
	}
	if o == nil {
		return nil, fmt.Errorf("there is no %s in %s", workload, workload.Namespace)
	}
	selector, err := selectorOf(o)
	if err != nil {
		return nil, err
	}
	newest, err := revision(ctx, c, o, selector)
	if err != nil {
		return nil, err
	}
	all, _, err := c.List(ctx, podKind, workload.Namespace, selector)
	all = slices.DeleteFunc(all, func(p api.Object) bool { return !newest(&p) || p.GetDeletionTimestamp() != nil || !Ready(&p) })
	slices.SortFunc(all, func(a, b api.Object) int { return strings.Compare(a.GetName(), b.GetName()) })
	return all, err
}

func selectorOf(o *api.Object) (string, error) {
	raw, _, _ := unstructured.NestedMap(o.Object, "spec", "selector")
	var form metav1.LabelSelector
	if err := runtime.DefaultUnstructuredConverter.FromUnstructured(raw, &form); err != nil {
		return "", err
	}
	s, err := metav1.LabelSelectorAsSelector(&form)
	if err != nil {
		return "", err
	}
	return s.String(), nil
}

// revision gives what tells pods of the newest revision from others.
func revision(ctx context.Context, c *api.Conn, o *api.Object, selector string) (func(*api.Object) bool, error) {
	if o.GetKind() == "StatefulSet" {
		hash, _, _ := unstructured.NestedString(o.Object, "status", "updateRevision")
		return func(p *api.Object) bool {
			return p.GetLabels()["controller-revision-hash"] == hash && owned(p, o.GetUID())
		}, nil
	}
	kind, number := replicaSetKind, func(r *api.Object) int64 {
		n, _ := strconv.ParseInt(r.GetAnnotations()["deployment.kubernetes.io/revision"], 10, 64)
		return n
	}
	if o.GetKind() == "DaemonSet" {
		kind, number = controllerKind, func(r *api.Object) int64 {
			n, _, _ := unstructured.NestedInt64(r.Object, "revision")
			return n
		}
	}
	all, _, err := c.List(ctx, kind, o.GetNamespace(), selector)
	all = slices.DeleteFunc(all, func(r api.Object) bool { return !owned(&r, o.GetUID()) })
	if err != nil || len(all) == 0 {
		return func(*api.Object) bool { return false }, err
	}
	last := slices.MaxFunc(all, func(a, b api.Object) int { return cmp.Compare(number(&a), number(&b)) })
	if o.GetKind() == "DaemonSet" {
		hash := last.GetLabels()["controller-revision-hash"]
		return func(p *api.Object) bool {
			return p.GetLabels()["controller-revision-hash"] == hash && owned(p, o.GetUID())
		}, nil
	}
	return func(p *api.Object) bool { return owned(p, last.GetUID()) }, nil
}

func owned(o *api.Object, by types.UID) bool {
	return slices.ContainsFunc(o.GetOwnerReferences(), func(r metav1.OwnerReference) bool { return r.UID == by })
}

// Ready reports whether a pod says that it serves.
func Ready(pod *api.Object) bool {
	all, _, _ := unstructured.NestedSlice(pod.Object, "status", "conditions")
	return slices.ContainsFunc(all, func(c any) bool {
		m, _ := c.(map[string]any)
		return m["type"] == "Ready" && m["status"] == "True"
	})
}

// Package rights tells which rights a deployment needs, and, before anything changes, all those that are missing at once.
// It gives nobody a right.
package rights

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"strings"
	"sync"

	"golang.org/x/sync/errgroup"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"

	"github.com/erlmcp/runner/builtins/kube/api"
	"github.com/erlmcp/runner/runtime/op"
)

// Right is one thing that somebody may do.
type Right struct {
	Verb      string
	Group     string
	Resource  string // such as "deployments" or "pods/log"
	Namespace string // "" for what is in none
}

// rights are verbs on resources, as "get,list pods pods/log".
func rights(group, namespace, verbs string, resources ...string) (out []Right) {
	for _, r := range resources {
		for v := range strings.FieldsSeq(verbs) {
			out = append(out, Right{v, group, r, namespace})
		}
	}
	return out
}

// State are the rights on what runs keep in a state namespace: the lease, undo logs, the inventory and the history.
func State(namespace string) []Right {
	return slices.Concat(rights("coordination.k8s.io", namespace, "get list watch create update", "leases"),
		rights("", namespace, "get list watch create patch update delete", "secrets"))
}

// Following are the rights to tell in a namespace whether something is live, and why it is not.
func Following(namespace string) []Right {
	return slices.Concat(
		rights("", namespace, "get list watch delete", "pods"), rights("", namespace, "get", "pods/log"),
		rights("", namespace, "list watch", "events"),
		rights("apps", namespace, "list watch", "replicasets"),
		rights("autoscaling", namespace, "list", "horizontalpodautoscalers"),
		rights("discovery.k8s.io", namespace, "list watch", "endpointslices"))
}

// Reaching are the rights to send requests to the new pods of a workload.
func Reaching(namespace string) []Right {
	return slices.Concat(rights("", namespace, "get create", "pods/portforward"),
		rights("", namespace, "list", "pods"), rights("apps", namespace, "list", "replicasets"))
}

// Running are the rights to run a Job of a name of its own, and to show what it prints.
func Running(namespace string) []Right {
	return slices.Concat(rights("batch", namespace, "get list watch create delete", "jobs"),
		rights("", namespace, "get list watch", "pods"), rights("", namespace, "get", "pods/log"), rights("", namespace, "list watch", "events"))
}

// Objects are the rights to apply objects, to wait for them and to take that back. Of what is in no namespace they are
// to read: a Namespace or a CustomResourceDefinition that is there need not be anybody's to change, and one that is not
// comes first.
func Objects(ctx context.Context, c *api.Conn, refs []api.Ref) (out []Right, err error) {
	for _, ref := range refs {
		res, err := c.Resource(ctx, ref.GVK())
		switch {
		case err != nil: // of a kind that the set itself brings
			continue
		case res.Namespaced:
			out = append(out, rights(res.Group, ref.Namespace, "get list watch create patch update delete", res.GroupVersionResource.Resource)...)
		default:
			out = append(out, rights(res.Group, "", "get", res.GroupVersionResource.Resource)...)
		}
	}
	return out, nil
}

// Deployment are the rights that a deployment of objects needs.
func Deployment(ctx context.Context, c *api.Conn, refs []api.Ref, state string) ([]Right, error) {
	out, err := Objects(ctx, c, refs)
	for _, ref := range refs {
		if ref.Namespace != "" {
			out = append(out, Following(ref.Namespace)...)
		}
	}
	return append(out, State(state)...), err
}

func (r Right) compare(o Right) int {
	return cmp.Or(cmp.Compare(r.Namespace, o.Namespace), cmp.Compare(r.Group, o.Group), cmp.Compare(r.Resource, o.Resource), cmp.Compare(r.Verb, o.Verb))
}

// Check names every right that is missing, in one error.
func Check(ctx context.Context, c *api.Conn, wants []Right) error {
	wants = slices.Clone(wants)
	slices.SortFunc(wants, Right.compare)
	missing, err := Missing(ctx, c, slices.Compact(wants))
	if err != nil {
		return fmt.Errorf("cannot ask the cluster which rights there are: %w", err)
	}
	if len(missing) == 0 {
		return nil
	}
	return op.Hint(fmt.Errorf("these credentials may not %s", text(missing)), "runner setup ENVIRONMENT prints the commands that give them, for who may call those")
}

// text is rights as people say them: "create and patch deployments.apps, list events in shop".
func text(all []Right) string {
	slices.SortFunc(all, Right.compare)
	var spaces []string
	for len(all) > 0 {
		var things []string
		in := all[0].Namespace
		for len(all) > 0 && all[0].Namespace == in {
			first, verbs := all[0], []string{}
			for len(all) > 0 && all[0].Namespace == in && all[0].Group == first.Group && all[0].Resource == first.Resource {
				verbs, all = append(verbs, all[0].Verb), all[1:]
			}
			what := first.Resource
			if first.Group != "" {
				what += "." + first.Group
			}
			things = append(things, and(verbs)+" "+what)
		}
		if in != "" {
			in = " in " + in
		}
		spaces = append(spaces, strings.Join(things, ", ")+in)
	}
	return strings.Join(spaces, "; ")
}

func and(words []string) string {
	last := len(words) - 1
	if last == 0 {
		return words[0]
	}
	return strings.Join(words[:last], ", ") + " and " + words[last]
}

// atOnce is how many questions are asked side by side.
const atOnce = 16

// Missing are the rights that are not there: one question for each namespace, and one for each right that its answer does
// not show, since not every authorizer can list what it allows.
func Missing(ctx context.Context, c *api.Conn, wants []Right) ([]Right, error) {
	known := map[string][]rule{}
	for _, w := range wants {
		if _, asked := known[w.Namespace]; asked || w.Namespace == "" {
			continue
		}
		rules, err := rulesIn(ctx, c, w.Namespace)
		if err != nil {
			return nil, err
		}
		known[w.Namespace] = rules
	}
	var (
		mu      sync.Mutex
		missing []Right
	)
	g, ctx := errgroup.WithContext(ctx)
	g.SetLimit(atOnce)
	for _, w := range wants {
		if slices.ContainsFunc(known[w.Namespace], func(r rule) bool { return r.allows(w) }) {
			continue
		}
		g.Go(func() error {
			allowed, err := ask(ctx, c, w)
			mu.Lock()
			defer mu.Unlock()
			if err == nil && !allowed {
				missing = append(missing, w)
			}
			return err
		})
	}
	return missing, g.Wait()
}

// rule is one of an answer: that verbs are allowed on resources.
type rule struct{ verbs, groups, resources []string }

func (r rule) allows(w Right) bool {
	return has(r.verbs, w.Verb) && has(r.groups, w.Group) && has(r.resources, w.Resource)
}

func has(all []string, one string) bool {
	return slices.Contains(all, one) || slices.Contains(all, "*")
}

// rulesIn are the rules that hold for all objects of a namespace.
func rulesIn(ctx context.Context, c *api.Conn, namespace string) (out []rule, err error) {
	got, err := c.Create(ctx, review("SelfSubjectRulesReview", map[string]any{"namespace": namespace}))
	if err != nil {
		return nil, err
	}
	rules, _, err := unstructured.NestedSlice(got.Object, "status", "resourceRules")
	for _, r := range rules {
		fields, _ := r.(map[string]any)
		part := func(name string) []string {
			list, _, _ := unstructured.NestedStringSlice(fields, name)
			return list
		}
		if len(part("resourceNames")) == 0 {
			out = append(out, rule{part("verbs"), part("apiGroups"), part("resources")})
		}
	}
	return out, err
}

func ask(ctx context.Context, c *api.Conn, w Right) (bool, error) {
	resource, sub, _ := strings.Cut(w.Resource, "/")
	got, err := c.Create(ctx, review("SelfSubjectAccessReview", map[string]any{"resourceAttributes": map[string]any{
		"verb": w.Verb, "group": w.Group, "resource": resource, "subresource": sub, "namespace": w.Namespace,
	}}))
	if err != nil {
		return false, err
	}
	allowed, _, err := unstructured.NestedBool(got.Object, "status", "allowed")
	return allowed, err
}

func review(kind string, spec map[string]any) *api.Object {
	return &api.Object{Object: map[string]any{"apiVersion": "authorization.k8s.io/v1", "kind": kind, "spec": spec}}
}

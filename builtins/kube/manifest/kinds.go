package manifest

import (
	"fmt"
	"maps"
	"reflect"
	"slices"
	"strings"

	admissionregistrationv1 "k8s.io/api/admissionregistration/v1"
	appsv1 "k8s.io/api/apps/v1"
	autoscalingv1 "k8s.io/api/autoscaling/v1"
	autoscalingv2 "k8s.io/api/autoscaling/v2"
	batchv1 "k8s.io/api/batch/v1"
	certificatesv1 "k8s.io/api/certificates/v1"
	coordinationv1 "k8s.io/api/coordination/v1"
	corev1 "k8s.io/api/core/v1"
	discoveryv1 "k8s.io/api/discovery/v1"
	eventsv1 "k8s.io/api/events/v1"
	flowcontrolv1 "k8s.io/api/flowcontrol/v1"
	networkingv1 "k8s.io/api/networking/v1"
	nodev1 "k8s.io/api/node/v1"
	policyv1 "k8s.io/api/policy/v1"
	rbacv1 "k8s.io/api/rbac/v1"
	schedulingv1 "k8s.io/api/scheduling/v1"
	storagev1 "k8s.io/api/storage/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"

	"github.com/erlmcp/runner/builtins/kube/api"
	"github.com/erlmcp/runner/runtime/builtin"
)

// kinds are the kinds that every cluster serves, as Go types. They are gathered when a set is loaded: a start of runner
// does not pay for them.
type kinds struct {
	types map[schema.GroupVersionKind]reflect.Type
}

func newKinds() *kinds {
	s := runtime.NewScheme()
	for _, add := range []func(*runtime.Scheme) error{
		admissionregistrationv1.AddToScheme, appsv1.AddToScheme, autoscalingv1.AddToScheme, autoscalingv2.AddToScheme, batchv1.AddToScheme,
		certificatesv1.AddToScheme, coordinationv1.AddToScheme, corev1.AddToScheme, discoveryv1.AddToScheme, eventsv1.AddToScheme,
		flowcontrolv1.AddToScheme, networkingv1.AddToScheme, nodev1.AddToScheme, policyv1.AddToScheme, rbacv1.AddToScheme,
		schedulingv1.AddToScheme, storagev1.AddToScheme,
	} {
		if err := add(s); err != nil {
			panic(err) // two types of one kind: the library contradicts itself
		}
	}
	k := &kinds{types: map[schema.GroupVersionKind]reflect.Type{}}
	for gvk, t := range s.AllKnownTypes() {
		if _, object := t.FieldByName("ObjectMeta"); object && gvk.Version != runtime.APIVersionInternal {
			k.types[gvk] = t
		}
	}
	return k
}

// untyped are kinds that every cluster serves and that the library has no types for.
func untyped(k schema.GroupVersionKind) bool {
	return k.Version == "v1" && (k.Group == "apiextensions.k8s.io" && k.Kind == "CustomResourceDefinition" || k.Group == "apiregistration.k8s.io" && k.Kind == "APIService")
}

// gone are kinds that clusters have served and serve no more, with what came in their place.
func gone(kind string) string {
	return map[string]string{
		"PodSecurityPolicy":  "it is gone from Kubernetes: label the namespace pod-security.kubernetes.io/enforce instead",
		"ComponentStatus":    "it is gone from Kubernetes",
		"PodPreset":          "it is gone from Kubernetes",
		"ThirdPartyResource": "it is gone from Kubernetes: CustomResourceDefinition of apiextensions.k8s.io/v1 takes its place",
	}[kind]
}

// builtInGroup reports whether a group is Kubernetes' own.
func (k *kinds) builtInGroup(group string) bool {
	if group == "extensions" || group == "apiextensions.k8s.io" || group == "apiregistration.k8s.io" {
		return true
	}
	for gvk := range k.types {
		if gvk.Group == group {
			return true
		}
	}
	return false
}

// served are the versions in which a kind of this name is served, whatever the group.
func (k *kinds) served(kind string) (out []string) {
	for gvk := range k.types {
		if gvk.Kind == kind && gvk.Group != "events.k8s.io" {
			out = append(out, gvk.GroupVersion().String())
		}
	}
	for _, group := range []string{"apiextensions.k8s.io", "apiregistration.k8s.io"} {
		if gvk := (schema.GroupVersionKind{Group: group, Version: "v1", Kind: kind}); untyped(gvk) {
			out = append(out, group+"/v1")
		}
	}
	slices.SortFunc(out, func(a, b string) int { return strings.Compare(b, a) }) // autoscaling/v2 before v1
	return out
}

func (k *kinds) names() []string {
	out := map[string]bool{"CustomResourceDefinition": true, "APIService": true}
	for gvk := range k.types {
		out[gvk.Kind] = true
	}
	return slices.Collect(maps.Keys(out))
}

// unknown is what is wrong with an apiVersion and a kind, "" where a cluster may serve them.
func (k *kinds) unknown(gvk schema.GroupVersionKind) (text, hint string) {
	served := k.served(gvk.Kind)
	version := gvk.GroupVersion().String()
	dotted := strings.Contains(gvk.Group, ".")
	switch {
	case k.types[gvk] != nil || untyped(gvk):
		return "", ""
	case gone(gvk.Kind) != "" && (!dotted || k.builtInGroup(gvk.Group)):
		return fmt.Sprintf("no cluster serves %s of %s", gvk.Kind, version), gone(gvk.Kind)
	case !k.builtInGroup(gvk.Group) && dotted:
		if near := builtin.Nearest(gvk.Group, k.groups()); len(served) > 0 && near != "" {
			return fmt.Sprintf("there is no apiVersion %s of %s", version, gvk.Kind), "write apiVersion: " + served[0]
		}
		return "", "" // a custom resource's
	case len(served) > 0 && k.has(gvk.Group, gvk.Kind):
		return fmt.Sprintf("no cluster serves %s of %s any more", gvk.Kind, version), "write apiVersion: " + served[0] + renamed(gvk)
	case len(served) > 0:
		return fmt.Sprintf("there is no %s of %s", gvk.Kind, version), "write apiVersion: " + served[0] + renamed(gvk)
	case strings.Contains(gvk.Version, "alpha") || strings.Contains(gvk.Version, "beta"):
		return "", "" // served where somebody has turned it on
	}
	text = fmt.Sprintf("there is no kind %s of %s%s", gvk.Kind, version, builtin.DidYouMean(gvk.Kind, k.names()))
	if near := builtin.Nearest(gvk.Kind, k.names()); near == "" && !dotted {
		hint = "a custom resource has an apiVersion such as example.com/v1"
	}
	return text, hint
}

// renamed says what else has changed with the version.
func renamed(gvk schema.GroupVersionKind) string {
	switch {
	case gvk.Kind == "Ingress":
		return "; a path takes pathType, and backend: {service: {name: ..., port: {number: ...}}}"
	case gvk.Kind == "Deployment" && gvk.Group == "extensions", gvk.Kind == "DaemonSet" && gvk.Group == "extensions":
		return "; spec.selector is required there"
	}
	return ""
}

func (k *kinds) has(group, kind string) bool {
	for gvk := range k.types {
		if gvk.Group == group && gvk.Kind == kind {
			return true
		}
	}
	return untyped(schema.GroupVersionKind{Group: group, Version: "v1", Kind: kind})
}

func (k *kinds) groups() (out []string) {
	for gvk := range k.types {
		if gvk.Group != "" && !slices.Contains(out, gvk.Group) {
			out = append(out, gvk.Group)
		}
	}
	return out
}

// scope tells whether objects of a kind lie in a namespace; known is false where only a cluster can tell.
func (l *loading) scope(gvk schema.GroupVersionKind) (namespaced, known bool) {
	if r, ok := api.BuiltIn(gvk); ok {
		return r.Namespaced, true
	}
	if l.kinds.types[gvk] != nil {
		return slices.Contains(strings.Fields("PodTemplate CSIStorageCapacity Event"), gvk.Kind), true
	}
	for _, o := range l.objects {
		if o.GetKind() == "CustomResourceDefinition" && text(o, "spec", "group") == gvk.Group && text(o, "spec", "names", "kind") == gvk.Kind {
			return text(o, "spec", "scope") == "Namespaced", true
		}
	}
	return true, false
}

// text is a text of an object, "" where there is none.
func text(o *Object, path ...string) string {
	s, _ := dig(o.Object.Object, path...).(string)
	return s
}

// dig is the value at a path of mappings, nil where there is none.
func dig(v any, path ...string) any {
	for _, key := range path {
		m, _ := v.(map[string]any)
		v = m[key]
	}
	return v
}

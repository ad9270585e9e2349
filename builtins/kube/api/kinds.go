package api

import (
	"context"
	"fmt"
	"strings"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"
)

// Ref names one object.
type Ref struct {
	Group     string `json:"group,omitempty"`
	Version   string `json:"version"`
	Kind      string `json:"kind"`
	Namespace string `json:"namespace,omitempty"` // "" where the kind has none
	Name      string `json:"name"`
}

// GVK is the kind of the object, with its group and version.
func (r Ref) GVK() schema.GroupVersionKind {
	return schema.GroupVersionKind{Group: r.Group, Version: r.Version, Kind: r.Kind}
}

// String is how people name the object, such as "deployment/web".
func (r Ref) String() string { return strings.ToLower(r.Kind) + "/" + r.Name }

// Same reports whether two refs name one object, whatever the version that they see it in.
func (r Ref) Same(o Ref) bool {
	r.Version, o.Version = "", ""
	return r == o
}

// Resource is where a kind is served.
type Resource struct {
	schema.GroupVersionResource
	Namespaced bool
}

// builtIn are the kinds that every cluster serves, by group: kind and plural, those of a whole cluster behind "/". They
// need no discovery. A version is asked of the manifest.
var builtIn = map[string]string{
	"": "Pod=pods Service=services ConfigMap=configmaps Secret=secrets ServiceAccount=serviceaccounts Event=events Endpoints=endpoints " +
		"PersistentVolumeClaim=persistentvolumeclaims ReplicationController=replicationcontrollers ResourceQuota=resourcequotas LimitRange=limitranges " +
		"Namespace=/namespaces Node=/nodes PersistentVolume=/persistentvolumes",
	"apps":                      "Deployment=deployments ReplicaSet=replicasets StatefulSet=statefulsets DaemonSet=daemonsets ControllerRevision=controllerrevisions",
	"batch":                     "Job=jobs CronJob=cronjobs",
	"autoscaling":               "HorizontalPodAutoscaler=horizontalpodautoscalers",
	"policy":                    "PodDisruptionBudget=poddisruptionbudgets",
	"networking.k8s.io":         "Ingress=ingresses NetworkPolicy=networkpolicies IngressClass=/ingressclasses",
	"rbac.authorization.k8s.io": "Role=roles RoleBinding=rolebindings ClusterRole=/clusterroles ClusterRoleBinding=/clusterrolebindings",
	"coordination.k8s.io":       "Lease=leases",
	"authorization.k8s.io":      "SelfSubjectRulesReview=/selfsubjectrulesreviews SelfSubjectAccessReview=/selfsubjectaccessreviews",
	"discovery.k8s.io":          "EndpointSlice=endpointslices",
	"storage.k8s.io":            "StorageClass=/storageclasses CSIDriver=/csidrivers",
	"scheduling.k8s.io":         "PriorityClass=/priorityclasses",
	"apiextensions.k8s.io":      "CustomResourceDefinition=/customresourcedefinitions",
	"apiregistration.k8s.io":    "APIService=/apiservices",
	"node.k8s.io":               "RuntimeClass=/runtimeclasses",
	"admissionregistration.k8s.io": "MutatingWebhookConfiguration=/mutatingwebhookconfigurations ValidatingWebhookConfiguration=/validatingwebhookconfigurations " +
		"ValidatingAdmissionPolicy=/validatingadmissionpolicies ValidatingAdmissionPolicyBinding=/validatingadmissionpolicybindings",
}

// BuiltIn finds where every cluster serves a kind.
func BuiltIn(k schema.GroupVersionKind) (Resource, bool) {
	for _, pair := range strings.Fields(builtIn[k.Group]) {
		if kind, plural, _ := strings.Cut(pair, "="); kind == k.Kind {
			bare := strings.TrimPrefix(plural, "/")
			return Resource{k.GroupVersion().WithResource(bare), bare == plural}, true
		}
	}
	return Resource{}, false
}

// ErrNoKind says that a cluster does not serve a kind.
type ErrNoKind struct{ schema.GroupVersionKind }

// Error implements error.
func (e *ErrNoKind) Error() string {
	return fmt.Sprintf("the cluster serves no %s of %s", e.Kind, e.GroupVersion())
}

// Resource finds where a kind is served: those of every cluster without a request, others by one for their group and
// version. What a cluster did not serve is asked again, since a CustomResourceDefinition may have come meanwhile.
func (c *Conn) Resource(ctx context.Context, k schema.GroupVersionKind) (Resource, error) {
	if r, ok := BuiltIn(k); ok {
		return r, nil
	}
	c.kinds.mu.Lock()
	r, ok := c.kinds.known[k]
	c.kinds.mu.Unlock()
	if ok {
		return r, nil
	}
	var list metav1.APIResourceList
	err := c.again(ctx, func(ctx context.Context) error {
		return c.rest.Get().AbsPath("/apis", k.Group, k.Version).Do(ctx).Into(&list)
	})
	if err != nil && !IsNotFound(err) {
		return Resource{}, fmt.Errorf("cannot ask which kinds %s has: %w", k.GroupVersion(), err)
	}
	c.kinds.mu.Lock()
	defer c.kinds.mu.Unlock()
	for _, a := range list.APIResources {
		if !strings.Contains(a.Name, "/") {
			c.kinds.known[k.GroupVersion().WithKind(a.Kind)] = Resource{k.GroupVersion().WithResource(a.Name), a.Namespaced}
		}
	}
	if r, ok := c.kinds.known[k]; ok {
		return r, nil
	}
	return Resource{}, &ErrNoKind{k}
}

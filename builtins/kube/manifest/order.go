package manifest

import (
	"cmp"
	"slices"
	"strings"

	"github.com/erlmcp/runner/runtime/builtin"
)

// sequence is the order of kinds in a stage: what others refer to first. It is what people see; nothing waits by it.
const sequence = "Namespace CustomResourceDefinition PriorityClass RuntimeClass StorageClass IngressClass ResourceQuota LimitRange NetworkPolicy ServiceAccount " +
	"Secret ConfigMap PersistentVolume PersistentVolumeClaim ClusterRole ClusterRoleBinding Role RoleBinding Service PodDisruptionBudget " +
	"DaemonSet Pod ReplicationController ReplicaSet Deployment StatefulSet Job CronJob HorizontalPodAutoscaler Ingress APIService " +
	"MutatingWebhookConfiguration ValidatingWebhookConfiguration"

// barrier reports whether everything else waits until objects of the kind are there.
func barrier(o *Object) bool {
	group := o.GroupVersionKind().Group
	return o.GetKind() == "Namespace" && group == "" || o.GetKind() == "CustomResourceDefinition" && group == "apiextensions.k8s.io"
}

// stages says which objects come together.
func (l *loading) stages() {
	after := map[*Object][]*Object{}
	for _, o := range l.objects {
		after[o] = l.after(o)
	}
	stage := map[*Object]int{}
	for _, o := range l.objects {
		if !l.stage(o, after, stage, nil) {
			return
		}
	}
}

// sort orders the objects.
func (l *loading) sort() {
	kinds := strings.Fields(sequence)
	rank := func(o *Object) int {
		if i := slices.Index(kinds, o.GetKind()); i >= 0 {
			return i
		}
		return len(kinds)
	}
	slices.SortStableFunc(l.objects, func(a, b *Object) int {
		return cmp.Or(cmp.Compare(a.Stage, b.Stage), cmp.Compare(rank(a), rank(b)), cmp.Compare(a.GetKind(), b.GetKind()),
			cmp.Compare(a.GetNamespace(), b.GetNamespace()), cmp.Compare(a.GetName(), b.GetName()))
	})
}

// stage counts the stage of an object, behind those that come before it; false where they wait for one another.
func (l *loading) stage(o *Object, after map[*Object][]*Object, known map[*Object]int, chain []*Object) bool {
	if n, ok := known[o]; ok {
		o.Stage = n
		return true
	}
	if i := slices.Index(chain, o); i >= 0 {
		var names []string
		for _, c := range append(chain[i:], o) {
			names = append(names, title(c))
		}
		l.mistaken(o, []string{"metadata", "annotations", AnnotationAfter}, "objects wait for one another: %s", strings.Join(names, " -> ")).
			hint("take out one " + AnnotationAfter + " of the chain")
		return false
	}
	n := 1
	if barrier(o) {
		n = 0
	}
	for _, before := range after[o] {
		if !l.stage(before, after, known, append(chain, o)) {
			return false
		}
		n = max(n, before.Stage+1)
	}
	o.Stage, known[o] = n, n
	return true
}

// after are the objects that an object's annotation names.
func (l *loading) after(o *Object) (out []*Object) {
	path := []string{"metadata", "annotations", AnnotationAfter}
	for _, ref := range strings.FieldsFunc(o.GetAnnotations()[AnnotationAfter], func(r rune) bool { return r == ',' || r == ' ' || r == '\n' }) {
		kind, name, ok := strings.Cut(ref, "/")
		if !ok {
			l.mistaken(o, path, "%s: want objects of the set such as Job/migrate, got %q", AnnotationAfter, ref)
			continue
		}
		var best *Object
		var names []string
		for _, c := range l.objects {
			names = append(names, c.GetKind()+"/"+c.Plain())
			if strings.EqualFold(c.GetKind(), kind) && c.Plain() == name && (best == nil || c.GetNamespace() == o.GetNamespace()) {
				best = c
			}
		}
		switch {
		case best == nil && l.partial:
		case best == nil:
			l.mistaken(o, path, "%s: the set has no %s%s", AnnotationAfter, ref, builtin.DidYouMean(ref, names))
		case best.apart():
			l.mistaken(o, path, "%s: %s is not applied: it is run by its name", AnnotationAfter, ref)
		case barrier(o) && !barrier(best):
			l.mistaken(o, path, "%s: a %s comes before all others", AnnotationAfter, o.GetKind())
		default:
			out = append(out, best)
		}
	}
	return out
}

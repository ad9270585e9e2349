package reconcile

import (
	"encoding/base64"
	"fmt"
	"slices"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"

	"github.com/erlmcp/runner/builtins/kube/api"
)

// Kind is what an act does.
type Kind string

// The kinds of acts.
const (
	Create Kind = "create" // the object is not there
	Change Kind = "change" // it is runner's, and is, or was asked for, otherwise
	Adopt  Kind = "adopt"  // it is there, and was never runner's
)

// Act is one thing to do.
type Act struct {
	Kind    Kind
	Ref     api.Ref
	Stage   int
	Config  *api.Object // what is applied, without the annotation of the op
	Live    *api.Object // what is there; nil for Create
	Keep    *int64      // replicas that are handed over to the autoscaler before the field is given up
	Cause   string
	asked   string // the digest of what is asked for
	auto    bool   // an autoscaler scales it
	pending bool   // its namespace or its kind comes with the plan, so nothing can be asked about it before
}

// Plan is what is to be done, in the order of stages.
type Plan struct {
	Acts  []Act
	Stay  []Applied // objects that are as they should be
	Gone  []api.Ref // applied before, and wanted no more: they stay until they are pruned
	Notes []string
	kept  []Kept // of the objects that stay
}

// NewPlan compares what is wanted with what a cluster has. It is pure.
func NewPlan(set Set, wants []Want, seen *Seen) *Plan {
	p := &Plan{}
	scaled := scaledBy(wants, seen)
	comes := coming(wants, seen)
	for _, w := range wants {
		ref := api.RefOf(&w.Object)
		config := prepared(&w.Object, set)
		live := seen.Of(ref)
		least, auto := scaled[keyOf(ref)]
		auto = auto && scalable(ref)
		asked := config
		if auto {
			asked = config.DeepCopy()
			unstructured.RemoveNestedField(asked.Object, "spec", "replicas")
		}
		act := Act{Ref: ref, Stage: w.Stage, Config: asked, Live: live, asked: digest(asked.Object), auto: auto, pending: comes.has(ref)}
		kept, known := seen.kept(ref)
		switch {
		case live == nil:
			act.Kind, act.Cause = Create, "it is not there"
			if auto {
				act.Config = config // a workload begins with its count: an autoscaler needs a while to say one
				beginWith(act.Config, least)
			}
		case fieldsOf(live, api.Manager) == nil:
			act.Kind, act.Cause = Adopt, "it is there, and was never applied by runner"
		case known && kept.Asked == act.asked && kept.Owned == digest(owned(live, api.Manager)) && live.GetDeletionTimestamp() == nil:
			stay := applied(live)
			stay.Unchanged = true
			p.Stay = append(p.Stay, stay)
			p.kept = append(p.kept, kept)
			continue
		case known && kept.Asked == act.asked:
			act.Kind, act.Cause = Change, "somebody has changed it"
		case known:
			act.Kind, act.Cause = Change, "it is asked for otherwise"
		default:
			act.Kind, act.Cause = Change, "what was asked for before is not known"
		}
		if auto && live != nil {
			if ownsReplicas(live) {
				if n, ok, _ := unstructured.NestedInt64(live.Object, "spec", "replicas"); ok {
					act.Keep = &n
				}
			}
			p.Notes = append(p.Notes, fmt.Sprintf("%s keeps the replicas that its autoscaler gives it", ref))
		}
		p.Acts = append(p.Acts, act)
	}
	slices.SortStableFunc(p.Acts, func(a, b Act) int { return a.Stage - b.Stage })
	refs := Refs(wants)
	for _, k := range seen.Inventory {
		if !slices.ContainsFunc(refs, k.Same) && seen.Of(k.Ref) != nil {
			p.Gone = append(p.Gone, k.Ref)
		}
	}
	slices.SortFunc(p.Gone, order)
	return p
}

// prepared is an object as it is applied: what a server fills in is taken out, and the set's label is put on, never on
// selectors or pods.
func prepared(o *api.Object, set Set) *api.Object {
	o = o.DeepCopy()
	unstructured.RemoveNestedField(o.Object, "status")
	for _, field := range []string{"creationTimestamp", "deletionTimestamp", "generation", "managedFields", "resourceVersion", "selfLink", "uid"} {
		unstructured.RemoveNestedField(o.Object, "metadata", field)
	}
	bare(o)
	encode(o)
	labels := o.GetLabels()
	if labels == nil {
		labels = map[string]string{}
	}
	labels[partOf] = set.ID()
	o.SetLabels(labels)
	return o
}

// encode puts what a Secret says as text where the server keeps it: what is applied can be compared with what is there.
func encode(o *api.Object) {
	text, ok, _ := unstructured.NestedStringMap(o.Object, "stringData")
	if !ok || o.GetKind() != "Secret" {
		return
	}
	for name, value := range text {
		unstructured.SetNestedField(o.Object, base64.StdEncoding.EncodeToString([]byte(value)), "data", name)
	}
	unstructured.RemoveNestedField(o.Object, "stringData")
}

// scaledBy are the workloads that an autoscaler scales, of the set or of the cluster.
func scaledBy(wants []Want, seen *Seen) map[key]int64 {
	out := map[key]int64{}
	for k, least := range seen.Scaled {
		out[k] = least
	}
	for _, w := range wants {
		if r := api.RefOf(&w.Object); r.Group == autoscaler.Group && r.Kind == autoscaler.Kind {
			k, least := scales(&w.Object)
			out[k] = least
		}
	}
	return out
}

// beginWith gives a new workload at least the count that its autoscaler would.
func beginWith(o *api.Object, least int64) {
	if n, ok, _ := unstructured.NestedInt64(o.Object, "spec", "replicas"); !ok || n < least {
		unstructured.SetNestedField(o.Object, least, "spec", "replicas")
	}
}

// come is what a set brings along that others of its objects need before a server knows them.
type come struct {
	namespaces map[string]bool
	kinds      map[[2]string]bool // group and kind
}

func (c come) has(r api.Ref) bool {
	return c.namespaces[r.Namespace] || c.kinds[[2]string{r.Group, r.Kind}]
}

func coming(wants []Want, seen *Seen) come {
	c := come{map[string]bool{}, map[[2]string]bool{}}
	for _, w := range wants {
		r := api.RefOf(&w.Object)
		if seen.Of(r) != nil {
			continue
		}
		switch r.Kind {
		case "Namespace":
			c.namespaces[r.Name] = true
		case "CustomResourceDefinition":
			group, _, _ := unstructured.NestedString(w.Object.Object, "spec", "group")
			kind, _, _ := unstructured.NestedString(w.Object.Object, "spec", "names", "kind")
			c.kinds[[2]string{group, kind}] = true
		}
	}
	return c
}

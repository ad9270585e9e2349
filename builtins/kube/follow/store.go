package follow

import (
	"github.com/erlmcp/runner/builtins/kube/api"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/types"
)

// store is what the sources have told, by uid, and who belongs to whom.
type store struct {
	objects map[types.UID]*api.Object
	from    map[types.UID]int                // the source that told of it
	below   map[types.UID]map[types.UID]bool // what an object controls
	about   map[types.UID]map[types.UID]bool // events about an object
}

func newStore() *store {
	return &store{objects: map[types.UID]*api.Object{}, from: map[types.UID]int{}, below: map[types.UID]map[types.UID]bool{}, about: map[types.UID]map[types.UID]bool{}}
}

// put takes an object, unless a newer one is there already.
func (s *store) put(source int, o *api.Object) {
	s.objects[o.GetUID()], s.from[o.GetUID()] = o, source
	for _, r := range o.GetOwnerReferences() {
		add(s.below, r.UID, o.GetUID())
	}
	if subject := subjectOf(o); subject != "" {
		add(s.about, subject, o.GetUID())
	}
}

func add(index map[types.UID]map[types.UID]bool, key, uid types.UID) {
	if index[key] == nil {
		index[key] = map[types.UID]bool{}
	}
	index[key][uid] = true
}

func (s *store) remove(o *api.Object) {
	delete(s.objects, o.GetUID())
	delete(s.from, o.GetUID())
	for _, r := range o.GetOwnerReferences() {
		delete(s.below[r.UID], o.GetUID())
	}
	if subject := subjectOf(o); subject != "" {
		delete(s.about[subject], o.GetUID())
	}
}

// replace takes all that a source has, and gives what has gone.
func (s *store) replace(source int, all []api.Object) (gone []*api.Object) {
	now := map[types.UID]bool{}
	for i := range all {
		now[all[i].GetUID()] = true
		s.put(source, &all[i])
	}
	for uid, from := range s.from {
		if from == source && !now[uid] {
			gone = append(gone, s.objects[uid])
		}
	}
	for _, o := range gone {
		s.remove(o)
	}
	return gone
}

// subjectOf is what an event is about, "" for what is no event.
func subjectOf(o *api.Object) types.UID {
	if o.GetKind() != "Event" {
		return ""
	}
	uid, _, _ := unstructured.NestedString(o.Object, "involvedObject", "uid")
	return types.UID(uid)
}

// owners are those that an object may decide about: itself, what it is about, and all that control it.
func (s *store) owners(o *api.Object) (out []types.UID) {
	out = append(out, o.GetUID())
	next := controllers(o.GetOwnerReferences())
	if subject := subjectOf(o); subject != "" {
		next = append(next, subject)
	}
	for len(next) > 0 && len(out) < 16 {
		uid := next[0]
		next, out = next[1:], append(out, uid)
		if o := s.objects[uid]; o != nil {
			next = append(next, controllers(o.GetOwnerReferences())...)
		}
	}
	return out
}

func controllers(refs []metav1.OwnerReference) (out []types.UID) {
	for _, r := range refs {
		out = append(out, r.UID)
	}
	return out
}

// owned are all that an object controls, and what those control, and the events about any of them.
func (s *store) owned(uid types.UID) (objects, events []*api.Object) {
	next := []types.UID{uid}
	seen := map[types.UID]bool{}
	for len(next) > 0 {
		uid := next[0]
		next = next[1:]
		if seen[uid] {
			continue
		}
		seen[uid] = true
		for event := range s.about[uid] {
			events = append(events, s.objects[event])
		}
		for below := range s.below[uid] {
			objects = append(objects, s.objects[below])
			next = append(next, below)
		}
	}
	return objects, events
}

// of are the objects of a kind in a namespace.
func (s *store) of(kind, namespace string) (out []*api.Object) {
	for _, o := range s.objects {
		if o.GetKind() == kind && o.GetNamespace() == namespace {
			out = append(out, o)
		}
	}
	return out
}

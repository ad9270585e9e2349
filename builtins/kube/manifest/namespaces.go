package manifest

import (
	"slices"
)

// namespaces says of every object in which namespace it is.
func (l *loading) namespaces() {
	for _, o := range l.objects {
		namespaced, known := l.scope(o.GroupVersionKind())
		wanted := o.GetNamespace()
		switch {
		case !namespaced && wanted != "":
			l.mistaken(o, []string{"metadata", "namespace"}, "metadata.namespace: a %s belongs to no namespace", o.GetKind()).
				hint("take the line out")
		case namespaced && wanted == "":
			o.SetNamespace(l.c.Namespace)
			o.Unsure = !known
		case wanted != "" && wanted != l.c.Namespace:
			l.warned(o, []string{"metadata", "namespace"}, "%s is in the namespace %s, not in the target's %s", title(o), wanted, l.c.Namespace)
		}
	}
}

// twice finds objects that are there more than once.
func (l *loading) twice() {
	type key struct{ group, kind, namespace, name string }
	first := map[key]*Object{}
	for _, o := range l.objects {
		r := o.Ref()
		k := key{r.Group, r.Kind, r.Namespace, r.Name}
		if other := first[k]; other != nil {
			l.mistaken(o, []string{"metadata", "name"}, "%s is there twice: first at %s", title(o), other.place([]string{"metadata", "name"}, "").at())
			continue
		}
		first[k] = o
	}
}

// find is the object of a kind and a name in a namespace, nil where the set has none.
func (l *loading) find(namespace, kind, name string) *Object {
	i := slices.IndexFunc(l.objects, func(o *Object) bool {
		return o.GetKind() == kind && o.GetName() == name && (o.GetNamespace() == namespace || o.GetNamespace() == "")
	})
	if i < 0 {
		return nil
	}
	return l.objects[i]
}

// exported takes out what an API server sets, of objects that were read from one.
func (l *loading) exported() {
	set := []string{"creationTimestamp", "deletionGracePeriodSeconds", "deletionTimestamp", "generation", "managedFields", "resourceVersion", "selfLink", "uid"}
	for _, o := range l.objects {
		meta, _ := o.Object.Object["metadata"].(map[string]any)
		found := false
		for _, field := range set {
			if v, has := meta[field]; has {
				delete(meta, field)
				found = found || v != nil // creationTimestamp: null is what tools write
			}
		}
		status, has := o.Object.Object["status"]
		delete(o.Object.Object, "status")
		if m, _ := status.(map[string]any); has && len(m) > 0 || found {
			l.warned(o, []string{"metadata"}, "%s was read from a cluster: its status, and what else a cluster sets, is left out", title(o))
		}
	}
}

// setLabel sets a label of the object itself.
func setLabel(o *Object, name, value string) {
	labels := o.GetLabels()
	if labels == nil {
		labels = map[string]string{}
	}
	labels[name] = value
	o.SetLabels(labels)
}

package reconcile

import (
	"bytes"
	"strings"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"sigs.k8s.io/structured-merge-diff/v6/fieldpath"
	"sigs.k8s.io/structured-merge-diff/v6/value"

	"github.com/erlmcp/runner/builtins/kube/api"
)

// fieldsOf are the fields of an object that a manager has applied; nil where it has none.
func fieldsOf(o *api.Object, manager string) *fieldpath.Set {
	for _, m := range o.GetManagedFields() {
		if m.Manager == manager && m.Operation == metav1.ManagedFieldsOperationApply && m.Subresource == "" {
			return parse(m)
		}
	}
	return nil
}

func parse(m metav1.ManagedFieldsEntry) *fieldpath.Set {
	var set fieldpath.Set
	if m.FieldsV1 == nil || set.FromJSON(strings.NewReader(m.FieldsV1.GetRawString())) != nil {
		return &fieldpath.Set{}
	}
	return &set
}

// owned is what a manager has applied of an object, with the values that it has now: the configuration which, applied
// again, changes nothing. Nil where it has applied nothing. Which op did so is left out.
func owned(o *api.Object, manager string) map[string]any {
	set := fieldsOf(o, manager)
	if set == nil {
		return nil
	}
	out, _ := pick(o.Object, set).(map[string]any)
	if out == nil {
		out = map[string]any{}
	}
	u := unstructured.Unstructured{Object: out}
	u.SetAPIVersion(o.GetAPIVersion())
	u.SetKind(o.GetKind())
	u.SetName(o.GetName())
	if o.GetNamespace() != "" {
		u.SetNamespace(o.GetNamespace())
	}
	bare(&u)
	return u.Object
}

// bare takes away the annotation of the op that applied an object.
func bare(o *api.Object) {
	unstructured.RemoveNestedField(o.Object, "metadata", "annotations", RunKey)
	if all, ok, _ := unstructured.NestedMap(o.Object, "metadata", "annotations"); ok && len(all) == 0 {
		unstructured.RemoveNestedField(o.Object, "metadata", "annotations")
	}
}

// pick is the part of a value that a set of fields names. A field that stands without children is whole.
func pick(v any, set *fieldpath.Set) any {
	switch v := v.(type) {
	case map[string]any:
		out := map[string]any{}
		for name, child := range v {
			pe := fieldpath.PathElement{FieldName: &name}
			if below, ok := set.Children.Get(pe); ok {
				out[name] = pick(child, below)
			} else if set.Members.Has(pe) {
				out[name] = child
			}
		}
		return out
	case []any:
		out := []any{}
		for _, item := range v {
			if got, ok := pickItem(item, set); ok {
				out = append(out, got)
			}
		}
		return out
	}
	return v
}

// pickItem finds an item of a list that a set names by its keys or by its value. The library's iterators cannot be left
// early, so these are not.
func pickItem(item any, set *fieldpath.Set) (out any, ok bool) {
	set.Members.Iterate(func(pe fieldpath.PathElement) {
		if isItem(pe, item) || pe.Value != nil && value.Equals(*pe.Value, value.NewValueInterface(item)) {
			out, ok = item, true
		}
	})
	set.Children.Iterate(func(pe fieldpath.PathElement) {
		if isItem(pe, item) {
			below, _ := set.Children.Get(pe)
			out, ok = pick(item, below), true
		}
	})
	return out, ok
}

// isItem reports whether an item is the one that a path element names by its keys.
func isItem(pe fieldpath.PathElement, item any) bool {
	m, isMap := item.(map[string]any)
	if pe.Key == nil || !isMap {
		return false
	}
	for _, k := range *pe.Key {
		if have, there := m[k.Name]; there && !value.Equals(k.Value, value.NewValueInterface(have)) {
			return false
		}
	}
	return true
}

// ownsReplicas reports whether runner, and nobody else, says how many replicas an object has.
func ownsReplicas(o *api.Object) bool {
	path := fieldpath.MakePathOrDie("spec", "replicas")
	ours := false
	for _, m := range o.GetManagedFields() {
		if m.FieldsV1 == nil || !bytes.Contains(m.FieldsV1.GetRawBytes(), []byte("f:replicas")) || !parse(m).Has(path) {
			continue
		}
		if m.Manager != api.Manager || m.Operation != metav1.ManagedFieldsOperationApply {
			return false
		}
		ours = true
	}
	return ours
}

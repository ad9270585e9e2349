package manifest

import (
	"slices"
	"strconv"
)

// podPath is where a kind has the template of its pods, nil where it has none; a Pod is its own.
func podPath(o *Object) []string {
	group := o.GroupVersionKind().Group
	switch kind := o.GetKind(); {
	case group == "" && kind == "Pod":
		return []string{}
	case group == "apps" && slices.Contains([]string{"Deployment", "StatefulSet", "DaemonSet", "ReplicaSet"}, kind),
		group == "batch" && kind == "Job", group == "" && kind == "ReplicationController":
		return []string{"spec", "template"}
	case group == "batch" && kind == "CronJob":
		return []string{"spec", "jobTemplate", "spec", "template"}
	case group == "" && kind == "PodTemplate":
		return []string{"template"}
	}
	return nil
}

// part is a value in an object, and where.
type part struct {
	path  []string
	value map[string]any
}

// in is the part below a part, with a nil value where it is no mapping.
func (p part) in(path ...string) part {
	m, _ := dig(p.value, path...).(map[string]any)
	return part{slices.Concat(p.path, path), m}
}

// each are the parts that a list below a part holds.
func (p part) each(path ...string) (out []part) {
	list, _ := dig(p.value, path...).([]any)
	for i, item := range list {
		if m, ok := item.(map[string]any); ok {
			out = append(out, part{slices.Concat(p.path, path, []string{strconv.Itoa(i)}), m})
		}
	}
	return out
}

// text is a text of the part, "" where there is none.
func (p part) text(path ...string) string {
	s, _ := dig(p.value, path...).(string)
	return s
}

// whole is the object as a part; nil has none.
func whole(o *Object) part {
	if o == nil {
		return part{}
	}
	return part{nil, o.Object.Object}
}

// podOf is the template of an object's pods: metadata and spec; its value is nil where the object has none.
func podOf(o *Object) part {
	path := podPath(o)
	if path == nil {
		return part{}
	}
	return whole(o).in(path...)
}

// containersOf are all containers of an object's pods, those that prepare first.
func containersOf(o *Object) []part {
	spec := podOf(o).in("spec")
	return slices.Concat(spec.each("initContainers"), spec.each("containers"))
}

// Workload reports whether an object runs pods.
func (o *Object) Workload() bool { return podPath(o) != nil }

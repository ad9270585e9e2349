package manifest

import (
	"slices"
	"strconv"
)

// mention is a place in the spec of a pod that names a ConfigMap or a Secret.
type mention struct {
	kind     string
	part     part
	field    string   // that holds the name
	keys     []string // what of it must be there
	keyAt    []string // where the first of them is asked for
	optional bool
}

func (r mention) name() string { return r.part.text(r.field) }

// mentions are those of an object's pods.
func mentions(o *Object) (out []mention) {
	spec := podOf(o).in("spec")
	for _, p := range spec.each("imagePullSecrets") {
		out = append(out, mention{kind: "Secret", part: p, field: "name", optional: true}) // a node asks for the image without it
	}
	for _, c := range slices.Concat(containersOf(o), spec.each("ephemeralContainers")) {
		for _, e := range c.each("envFrom") {
			out = append(out, named(e.in("configMapRef"), "ConfigMap", "name"), named(e.in("secretRef"), "Secret", "name"))
		}
		for _, e := range c.each("env") {
			out = append(out, keyed(e.in("valueFrom", "configMapKeyRef"), "ConfigMap"), keyed(e.in("valueFrom", "secretKeyRef"), "Secret"))
		}
	}
	for _, v := range spec.each("volumes") {
		out = append(out, items(v.in("configMap"), "ConfigMap", "name"), items(v.in("secret"), "Secret", "secretName"))
		for _, s := range v.each("projected", "sources") {
			out = append(out, items(s.in("configMap"), "ConfigMap", "name"), items(s.in("secret"), "Secret", "name"))
		}
		out = append(out, named(v.in("csi", "nodePublishSecretRef"), "Secret", "name"), named(v.in("azureFile"), "Secret", "secretName"))
		for _, driver := range []string{"cephfs", "flexVolume", "iscsi", "rbd", "scaleIO", "storageos"} {
			out = append(out, named(v.in(driver, "secretRef"), "Secret", "name"))
		}
	}
	return slices.DeleteFunc(out, func(r mention) bool { return r.name() == "" })
}

func named(p part, kind, field string) mention {
	optional, _ := p.value["optional"].(bool)
	return mention{kind: kind, part: p, field: field, optional: optional}
}

func keyed(p part, kind string) mention {
	r := named(p, kind, "name")
	if key := p.text("key"); key != "" {
		r.keys, r.keyAt = []string{key}, at(p.path, "key")
	}
	return r
}

func items(p part, kind, field string) mention {
	r := named(p, kind, field)
	for i, item := range p.each("items") {
		if i == 0 {
			r.keyAt = at(p.path, "items")
		}
		r.keys = append(r.keys, item.text("key"))
	}
	return r
}

// keysOf are the keys that a ConfigMap or Secret has.
func keysOf(o *Object) (out []string) {
	for _, field := range []string{"data", "binaryData", "stringData"} {
		m, _ := o.Object.Object[field].(map[string]any)
		for k := range m {
			out = append(out, k)
		}
	}
	slices.Sort(out)
	return slices.Compact(out)
}

// texts visits every text of a value, with its path.
func texts(v any, path []string, visit func(path []string, text string)) {
	switch v := v.(type) {
	case string:
		visit(path, v)
	case []any:
		for i, item := range v {
			texts(item, append(path, strconv.Itoa(i)), visit)
		}
	case map[string]any:
		for k, item := range v {
			texts(item, append(path, k), visit)
		}
	}
}

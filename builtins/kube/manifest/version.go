package manifest

import (
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"slices"
	"strings"
)

// settleSecrets makes one field of the two that a Secret may have: what stringData says is said in data.
func (l *loading) settleSecrets() {
	for _, o := range l.objects {
		plain, has := o.Object.Object["stringData"].(map[string]any)
		if delete(o.Object.Object, "stringData"); !has || o.GetKind() != "Secret" {
			continue
		}
		data, _ := o.Object.Object["data"].(map[string]any)
		if data == nil {
			data = map[string]any{}
		}
		for k, v := range plain {
			s, _ := v.(string)
			data[k] = base64.StdEncoding.EncodeToString([]byte(s))
		}
		o.Object.Object["data"] = data
	}
}

// version gives ConfigMaps and Secrets that pods of the set refer to a name by their content, and pods the new names: a
// pod that starts again, or an older ReplicaSet that comes back, finds what it was made for.
func (l *loading) version() {
	used, elsewhere := l.uses()
	names := map[*Object]string{}
	for _, o := range l.objects {
		if !l.versions(o, used[o], elsewhere[o]) {
			continue
		}
		names[o] = o.GetName() + "-" + digestOf(o)
	}
	for _, o := range l.objects {
		for _, r := range mentions(o) {
			if to := names[l.find(o.GetNamespace(), r.kind, r.name())]; to != "" {
				r.part.value[r.field] = to
			}
		}
	}
	for o, name := range names {
		setLabel(o, LabelName, o.GetName())
		o.Object.Object["immutable"] = true
		o.Versioned = true
		o.SetName(name)
	}
}

const (
	maxLabel    = 63  // of a label's value
	maxDNSName  = 253 // of an object's name
	digestChars = 8
)

func (l *loading) versions(o *Object, used, elsewhere bool) bool {
	switch said := o.GetAnnotations()[AnnotationVersioned]; {
	case o.GroupVersionKind().Group != "" || o.GetKind() != "ConfigMap" && o.GetKind() != "Secret":
		return false
	case o.Versioned || said == "false" || said != "true" && (!used || elsewhere):
		return false
	case o.GetKind() == "Secret" && text(o, "type") == "kubernetes.io/service-account-token":
		return false // the cluster fills it
	}
	return len(o.GetName()) <= maxLabel && len(o.GetName())+1+digestChars <= maxDNSName
}

// uses tells which ConfigMaps and Secrets pods of the set refer to, and which of them something else seems to name:
// that would not find them by another name.
func (l *loading) uses() (used, elsewhere map[*Object]bool) {
	used, elsewhere = map[*Object]bool{}, map[*Object]bool{}
	configs := map[string][]*Object{}
	for _, o := range l.objects {
		if o.GetKind() == "ConfigMap" || o.GetKind() == "Secret" {
			configs[o.GetName()] = append(configs[o.GetName()], o)
		}
	}
	for _, o := range l.objects {
		own := map[string]bool{}
		for _, r := range mentions(o) {
			own[strings.Join(at(r.part.path, r.field), "\x00")] = true
			if to := l.find(o.GetNamespace(), r.kind, r.name()); to != nil {
				used[to] = true
			}
		}
		if o.GetKind() == "ConfigMap" || o.GetKind() == "Secret" {
			continue
		}
		texts(o.Object.Object, nil, func(path []string, text string) {
			if len(configs[text]) > 0 && !own[strings.Join(path, "\x00")] && naming(path) {
				for _, c := range configs[text] {
					elsewhere[c] = true
				}
			}
		})
	}
	return used, elsewhere
}

// naming reports whether a text at a path may be the name of a ConfigMap or a Secret.
func naming(path []string) bool {
	return slices.ContainsFunc(path, func(key string) bool {
		key = strings.ToLower(key)
		return strings.Contains(key, "secret") || strings.Contains(key, "config") || key == "resourcenames"
	})
}

// digestOf is a digest of what a ConfigMap or a Secret holds.
func digestOf(o *Object) string {
	held := map[string]any{}
	for _, field := range []string{"data", "binaryData", "type"} {
		if v, has := o.Object.Object[field]; has {
			held[field] = v
		}
	}
	b, err := json.Marshal(held)
	if err != nil {
		panic(err) // JSON, read a moment ago
	}
	sum := sha256.Sum256(b)
	return hex.EncodeToString(sum[:])[:digestChars]
}

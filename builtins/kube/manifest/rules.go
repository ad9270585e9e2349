package manifest

import (
	"encoding/json"
	"fmt"
	"maps"
	"math"
	"regexp"
	"slices"
	"strings"

	"k8s.io/apimachinery/pkg/api/validation/path"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/apimachinery/pkg/util/validation"
)

// rules finds what every API server refuses though each field for itself is right, and what cannot be meant.
func (l *loading) rules() {
	for _, o := range l.objects {
		l.names(o)
		if o.Workload() {
			l.workload(o)
			l.pod(o, podOf(o))
			l.asked(o)
		}
		switch o.GroupVersionKind().Group + "/" + o.GetKind() {
		case "/Service":
			l.service(o)
		case "networking.k8s.io/Ingress":
			l.ingress(o)
		case "autoscaling/HorizontalPodAutoscaler":
			l.autoscaler(o)
		case "policy/PodDisruptionBudget":
			l.budget(o)
		case "/PersistentVolumeClaim":
			l.claim(o, whole(o))
		case "rbac.authorization.k8s.io/RoleBinding", "rbac.authorization.k8s.io/ClusterRoleBinding":
			l.binding(o)
		case "/ConfigMap", "/Secret":
			l.keys(o)
		}
	}
}

// whether is a condition with what a name that fails it is told.
type whether struct {
	fails func(string) []string
	want  string
}

func subdomain() whether {
	return whether{validation.IsDNS1123Subdomain, "small letters, digits, - and . (at most 253)"}
}

func label() whether {
	return whether{validation.IsDNS1123Label, "small letters, digits and - (at most 63)"}
}

func (l *loading) named(o *Object, path []string, name string, w whether) {
	if name == "" || len(w.fails(name)) == 0 {
		return
	}
	m := l.mistaken(o, path, "%s: want %s, got %s", spelled(path), w.want, kindOf(name))
	if try := tidy(name); try != name && len(w.fails(try)) == 0 {
		m.hint("write %s", try)
	}
}

// tidy is a name as Kubernetes might take it.
func tidy(name string) string {
	return strings.Trim(regexp.MustCompile(`[^a-z0-9.]+`).ReplaceAllString(strings.ToLower(name), "-"), "-.")
}

// names checks an object's name, its labels and its annotations.
func (l *loading) names(o *Object) {
	name := []string{"metadata", "name"}
	group := o.GroupVersionKind().Group
	switch kind := o.GetKind(); {
	case group == "rbac.authorization.k8s.io":
		l.named(o, name, o.GetName(), whether{path.IsValidPathSegmentName, "a name without / and %"})
	case group == "" && (kind == "Namespace" || kind == "Service"):
		l.named(o, name, o.GetName(), label())
	case group == "batch" && kind == "CronJob" && len(o.GetName()) > 52:
		l.mistaken(o, name, "metadata.name: want at most 52 characters: its jobs' names are longer; got %d", len(o.GetName()))
	default:
		l.named(o, name, o.GetName(), subdomain())
	}
	if o.GetKind() == "CustomResourceDefinition" {
		if want := text(o, "spec", "names", "plural") + "." + text(o, "spec", "group"); o.GetName() != want && len(want) > 1 {
			l.mistaken(o, name, "metadata.name: want %s, its plural and its group, got %q", want, o.GetName())
		}
	}
	l.labels(o, whole(o).in("metadata"))
	l.labels(o, podOf(o).in("metadata"))
	for key := range whole(o).in("metadata", "annotations").value {
		if len(validation.IsQualifiedName(strings.ToLower(key))) > 0 {
			l.mistaken(o, []string{"metadata", "annotations", key}, "an annotation is called NAME or example.com/NAME, not %s", kindOf(key))
		}
	}
}

func (l *loading) labels(o *Object, meta part) {
	all := meta.in("labels")
	for key, v := range all.value {
		value, _ := v.(string)
		if len(validation.IsQualifiedName(key)) > 0 {
			l.mistaken(o, at(all.path, key), "a label is called NAME or example.com/NAME, not %s", kindOf(key))
		}
		if len(validation.IsValidLabelValue(value)) > 0 {
			l.mistaken(o, at(all.path, key), "%s: want at most 63 letters, digits, -, _ and ., got %s", spelled(at(all.path, key)), kindOf(value))
		}
	}
}

func (l *loading) keys(o *Object) {
	for _, field := range []string{"data", "binaryData", "stringData"} {
		for key := range whole(o).in(field).value {
			if len(validation.IsConfigMapKey(key)) > 0 {
				l.mistaken(o, []string{field, key}, "a key has letters, digits, -, _ and ., not %s", kindOf(key))
			}
			if _, both := whole(o).in("data").value[key]; both && field == "binaryData" {
				l.mistaken(o, []string{field, key}, "%s is in data already", key)
			}
		}
	}
}

// integer is a whole number, as YAML or JSON gives it.
func integer(v any) (int64, bool) {
	switch v := v.(type) {
	case int64:
		return v, true
	case int:
		return int64(v), true
	case float64:
		return int64(v), v == math.Trunc(v) && math.Abs(v) < 1<<53
	}
	return 0, false
}

// atLeast refuses a number below the least.
func (l *loading) atLeast(o *Object, p part, field string, least int64) {
	if n, ok := integer(p.value[field]); ok && n < least {
		l.mistaken(o, at(p.path, field), "%s: want %d or more, got %d", spelled(at(p.path, field)), least, n)
	}
}

// workload checks what makes and keeps pods.
func (l *loading) workload(o *Object) {
	spec := whole(o).in("spec")
	group := o.GroupVersionKind().Group
	l.atLeast(o, spec, "replicas", 0)
	l.atLeast(o, spec, "minReadySeconds", 0)
	if group == "apps" {
		l.selector(o, spec)
	}
	switch o.GetKind() {
	case "Deployment":
		l.strategy(o, spec.in("strategy"))
		deadline, said := integer(spec.value["progressDeadlineSeconds"])
		if ready, ok := integer(spec.value["minReadySeconds"]); ok && said && ready >= deadline {
			l.mistaken(o, at(spec.path, "minReadySeconds"), "spec.minReadySeconds: want less than progressDeadlineSeconds, %d, got %d", deadline, ready)
		}
	case "StatefulSet":
		for _, c := range spec.each("volumeClaimTemplates") {
			l.claim(o, c)
		}
	case "CronJob":
		l.schedule(o, spec)
	}
	want := "Always"
	if group == "batch" {
		want = "OnFailure or Never"
	}
	pod := podOf(o)
	said := pod.text("spec", "restartPolicy")
	switch {
	case o.GetKind() == "Pod" || pod.in("spec").value == nil:
	case said == "" && group == "batch":
		l.mistaken(o, at(pod.path, "spec"), "%s: want restartPolicy: OnFailure, or Never", spelled(at(pod.path, "spec")))
	case said != "" && !strings.Contains(want, said) && slices.Contains([]string{"Always", "OnFailure", "Never"}, said):
		l.mistaken(o, at(pod.path, "spec", "restartPolicy"), "%s: want %s of a %s, got %q", spelled(at(pod.path, "spec", "restartPolicy")), want, o.GetKind(), said)
	}
}

// selector holds a workload's selector against the labels of its pods.
func (l *loading) selector(o *Object, spec part) {
	sel := spec.in("selector")
	have := podOf(o).in("metadata", "labels")
	if len(sel.value) == 0 {
		m := l.mistaken(o, at(spec.path, "selector"), "spec.selector: want labels of its pods")
		for _, key := range slices.Sorted(maps.Keys(have.value)) {
			m.hint("write selector: {matchLabels: {%s: %v}}", key, have.value[key])
			break
		}
		return
	}
	match := sel.in("matchLabels")
	wrong := false
	for _, key := range slices.Sorted(maps.Keys(match.value)) {
		if has := have.value[key]; has != match.value[key] {
			wrong = true
			said := fmt.Sprintf("which have %s: %v", key, has)
			if has == nil {
				said = "which have no " + key
			}
			l.mistaken(o, at(match.path, key), "spec.selector: want a label of the pods, %s, got %s", said, kindOf(match.value[key])).
				hint("the same stands in %s", spelled(at(have.path)))
		}
	}
	if s := selectorOf(sel.value); !wrong && s != nil && !s.Matches(setOf(have.value)) {
		l.mistaken(o, at(spec.path, "selector"), "spec.selector: its pods do not match it")
	}
}

// selectorOf is a label selector as it selects; nil where it is none.
func selectorOf(v map[string]any) labels.Selector {
	var s metav1.LabelSelector
	b, err := json.Marshal(v)
	if err != nil || json.Unmarshal(b, &s) != nil {
		return nil
	}
	out, err := metav1.LabelSelectorAsSelector(&s)
	if err != nil {
		return nil
	}
	return out
}

func setOf(v map[string]any) labels.Set {
	out := labels.Set{}
	for key, value := range v {
		if s, ok := value.(string); ok {
			out[key] = s
		}
	}
	return out
}

func (l *loading) strategy(o *Object, p part) {
	rolling := p.in("rollingUpdate")
	if p.text("type") == "Recreate" && rolling.value != nil {
		l.mistaken(o, rolling.path, "spec.strategy: want no rollingUpdate with type: Recreate")
	}
	surge, hasSurge := l.share(o, rolling, "maxSurge")
	less, hasLess := l.share(o, rolling, "maxUnavailable")
	if hasSurge && hasLess && surge == 0 && less == 0 {
		l.mistaken(o, rolling.path, "spec.strategy.rollingUpdate: with maxSurge 0 and maxUnavailable 0 no pod can ever be replaced").hint("write maxSurge: 1")
	}
}

// share is a number of pods, or a part of them in per cent; false where it is not said, or wrong.
func (l *loading) share(o *Object, p part, field string) (int64, bool) {
	path := at(p.path, field)
	switch v := p.value[field].(type) {
	case string:
		if !regexp.MustCompile(`^[0-9]{1,3}%$`).MatchString(v) {
			l.mistaken(o, path, "%s: want a number or a part such as 25%%, got %q", spelled(path), v)
			return 0, false
		}
		var n int64
		fmt.Sscanf(v, "%d", &n)
		return n, true
	case int64:
		l.atLeast(o, p, field, 0)
		return v, v >= 0
	}
	return 0, false
}

var cron = regexp.MustCompile(`^(@(yearly|annually|monthly|weekly|daily|midnight|hourly|every \S+)|[0-9*,/?-]+ [0-9*,/?-]+ [0-9*,/?L-]+ [0-9A-Za-z*,/?-]+ [0-9A-Za-z*,/?-]+)$`)

func (l *loading) schedule(o *Object, spec part) {
	said := oneLine(spec.text("schedule"))
	if !cron.MatchString(said) {
		l.mistaken(o, at(spec.path, "schedule"), "spec.schedule: want minute, hour, day, month and weekday, got %s", kindOf(said)).
			hint(`write it in quotes, such as "0 3 * * *"`)
	}
}

package reconcile

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"testing"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"sigs.k8s.io/yaml"

	"github.com/erlmcp/runner/builtins/kube/api"
)

func object(t *testing.T, text string) *api.Object {
	t.Helper()
	data, err := yaml.YAMLToJSON([]byte(text))
	if err != nil {
		t.Fatal(err)
	}
	var o unstructured.Unstructured
	if err := o.UnmarshalJSON(data); err != nil {
		t.Fatal(err)
	}
	return &o
}

var shopSet = Set{Name: "shop", Namespace: "shop", State: "shop"}

const planned = `{apiVersion: apps/v1, kind: Deployment, metadata: {name: web, namespace: shop}, spec: {replicas: 3, template: {spec: {containers: [{name: app, image: "app:1"}]}}}}`

// asApplied is an object as a server has it behind an apply of runner's: with a default, and with who owns what.
func asApplied(t *testing.T, replicasOf string) *api.Object {
	t.Helper()
	o := object(t, planned)
	unstructured.SetNestedField(o.Object, "Always", "spec", "template", "spec", "restartPolicy")
	o.SetLabels(map[string]string{partOf: shopSet.ID()})
	fields := `{"f:metadata":{"f:labels":{"f:` + partOf + `":{}}},"f:spec":{REPLICAS"f:template":{"f:spec":{"f:containers":{"k:{\"name\":\"app\"}":{".":{},"f:image":{},"f:name":{}}}}}}}`
	entry := func(manager, operation, sub, fields string) map[string]any {
		var v any
		if err := json.Unmarshal([]byte(fields), &v); err != nil {
			t.Fatal(err)
		}
		return map[string]any{"manager": manager, "operation": operation, "subresource": sub, "apiVersion": "apps/v1", "fieldsType": "FieldsV1", "fieldsV1": v}
	}
	mine := ""
	all := []any{}
	if replicasOf == api.Manager {
		mine = `"f:replicas":{},`
	} else {
		all = append(all, entry(replicasOf, "Update", "scale", `{"f:spec":{"f:replicas":{}}}`))
	}
	all = append(all, entry(api.Manager, "Apply", "", strings.ReplaceAll(fields, "REPLICAS", mine)))
	unstructured.SetNestedSlice(o.Object, all, "metadata", "managedFields")
	return o
}

// TestOwned: what a manager has applied is picked out of an object, less what the server or others say.
func TestOwned(t *testing.T) {
	got := owned(asApplied(t, scaler), api.Manager)
	want := prepared(object(t, planned), shopSet)
	unstructured.RemoveNestedField(want.Object, "spec", "replicas")
	if digest(got) != digest(want.Object) {
		t.Errorf("%v\nwant %v", got, want.Object)
	}
	if owned(object(t, planned), api.Manager) != nil {
		t.Error("of an object that runner has not applied something is its own")
	}
	if !ownsReplicas(asApplied(t, api.Manager)) || ownsReplicas(asApplied(t, scaler)) {
		t.Error("who owns the replicas is told wrongly")
	}
}

// TestPlan: what is there, what is known of it and what is wanted decide about each object.
func TestPlan(t *testing.T) {
	hpa := object(t, `{apiVersion: autoscaling/v2, kind: HorizontalPodAutoscaler, metadata: {name: web, namespace: shop}, spec: {minReplicas: 4, scaleTargetRef: {apiVersion: apps/v1, kind: Deployment, name: web}}}`)
	ref := api.RefOf(object(t, planned))
	asked := func(without bool) string {
		o := prepared(object(t, planned), shopSet)
		if without {
			unstructured.RemoveNestedField(o.Object, "spec", "replicas")
		}
		return digest(o.Object)
	}
	kept := func(o *api.Object, asked string) []Kept {
		return []Kept{{Ref: ref, Asked: asked, Owned: digest(owned(o, api.Manager))}}
	}
	changed := asApplied(t, api.Manager)
	list, _, _ := unstructured.NestedSlice(changed.Object, "spec", "template", "spec", "containers")
	list[0].(map[string]any)["image"] = "app:hand"
	unstructured.SetNestedSlice(changed.Object, list, "spec", "template", "spec", "containers")
	for name, c := range map[string]struct {
		live  *api.Object
		kept  []Kept
		auto  bool
		more  []*api.Object
		want  string
		count int64 // what is applied as replicas; -1 for none
	}{
		"nothing is there":                        {want: "+ deployment/web: it is not there", count: 3},
		"nothing is there, and it will be scaled": {more: []*api.Object{hpa}, want: "+ deployment/web: it is not there", count: 4},
		"as it should be":                         {live: asApplied(t, api.Manager), kept: kept(asApplied(t, api.Manager), asked(false)), want: "", count: -1},
		"asked for otherwise":                     {live: asApplied(t, api.Manager), kept: kept(asApplied(t, api.Manager), "other"), want: "~ deployment/web: it is asked for otherwise", count: 3},
		"changed by hand":                         {live: changed, kept: kept(asApplied(t, api.Manager), asked(false)), want: "~ deployment/web: somebody has changed it", count: 3},
		"nothing is known of it":                  {live: asApplied(t, api.Manager), want: "~ deployment/web: what was asked for before is not known", count: 3},
		"somebody else's":                         {live: object(t, planned), want: "~ deployment/web is adopted: it is there, and was never applied by runner", count: 3},
		"scaled, and as it should be":             {live: asApplied(t, scaler), kept: kept(asApplied(t, scaler), asked(true)), auto: true, want: "", count: -1},
		"it begins to be scaled": {live: asApplied(t, api.Manager), kept: kept(asApplied(t, api.Manager), asked(false)), auto: true,
			want: "~ deployment/web: it is asked for otherwise (3 replicas handed over)", count: -1},
	} {
		seen := &Seen{Live: map[key]*api.Object{keyOf(ref): c.live}, Scaled: map[key]int64{}, Inventory: c.kept}
		if c.auto {
			seen.Scaled[keyOf(ref)] = 3
		}
		wants := []Want{{Object: *object(t, planned), Stage: 1}}
		for _, o := range c.more {
			wants = append(wants, Want{Object: *o, Stage: 1})
		}
		p := NewPlan(shopSet, wants, seen)
		got := ""
		for _, a := range p.Acts {
			if a.Ref != ref {
				continue
			}
			got = a.String()
			if a.Keep != nil {
				got += fmt.Sprintf(" (%d replicas handed over)", *a.Keep)
			}
			n, has, _ := unstructured.NestedInt64(a.Config.Object, "spec", "replicas")
			if !has {
				n = -1
			}
			if n != c.count {
				t.Errorf("%s: %d replicas are applied, want %d", name, n, c.count)
			}
		}
		if got != c.want {
			t.Errorf("%s: %q, want %q", name, got, c.want)
		}
	}
}

// TestSorted: who owns a field in the way decides what becomes of it.
func TestSorted(t *testing.T) {
	for _, c := range []struct {
		manager    string
		auto, take bool
		want       string
	}{
		{"kubectl-edit using apps/v1", false, false, "others"},
		{"kubectl-edit using apps/v1", false, true, "others"},
		{"helm", false, false, "others"},
		{"cert-manager-cainjector", false, false, "left"},
		{"some-operator using v1", false, true, "left"},
		{`kube-controller-manager with subresource "scale"`, true, false, "left"},
		{`kube-controller-manager with subresource "scale"`, false, false, "own"},
		{`kubectl with subresource "scale" using apps/v1`, false, false, "left"},
		{`kubectl with subresource "scale" using apps/v1`, false, true, "others"},
		{"runner-handover", false, false, "own"},
		{"", false, false, "others"},
	} {
		r := sorted([]*Taken{{Manager: c.manager}}, c.auto, c.take)
		got := map[bool]string{len(r.left) > 0: "left", len(r.own) > 0: "own", len(r.others) > 0: "others"}[true]
		if got != c.want {
			t.Errorf("%q (auto %v, take %v): %s, want %s", c.manager, c.auto, c.take, got, c.want)
		}
	}
}

// TestConflicts: a field in the way is told with whose it is, and when that manager has last written.
func TestConflicts(t *testing.T) {
	live := object(t, `{apiVersion: apps/v1, kind: Deployment, metadata: {name: web, managedFields: [
  {manager: runner, operation: Apply, time: "2026-01-26T14:00:00Z"}, {manager: kubectl-set, operation: Update, time: "2026-01-26T12:00:00Z"},
  {manager: kubectl-set, operation: Update, subresource: scale, time: "2026-01-26T13:00:00Z"}, {manager: kubectl-edit, operation: Update}]}}`)
	for message, want := range map[string]string{
		`conflict with "kubectl-set" using apps/v1`:    ".spec.x belongs to kubectl-set using apps/v1, last written at 2026-01-26T13:00:00Z",
		`conflict with "kubectl-edit" using apps/v1`:   ".spec.x belongs to kubectl-edit using apps/v1",
		`conflict with "helm"`:                         ".spec.x belongs to helm",
		`conflict with "a b" with subresource "scale"`: `.spec.x belongs to a b with subresource "scale"`,
	} {
		refused := apierrors.NewApplyConflict([]metav1.StatusCause{{Type: metav1.CauseTypeFieldManagerConflict, Message: message, Field: ".spec.x"}}, "conflict")
		if got := conflicts(api.RefOf(live), live, refused); len(got) != 1 || got[0].Error() != want {
			t.Errorf("%s: %v, want %s", message, got, want)
		}
	}
}

// TestDifferences: a difference names the field; noise and what a Secret holds are not shown.
func TestDifferences(t *testing.T) {
	a := object(t, `{apiVersion: v1, kind: Secret, metadata: {name: s, resourceVersion: "1"}, data: {key: b25l, same: eA==}, list: [{name: a, v: 1}, {name: b, v: 2}]}`)
	b := object(t, `{apiVersion: v1, kind: Secret, metadata: {name: s, resourceVersion: "2"}, data: {key: dGhyZWU=, same: eA==}, list: [{name: b, v: 3}]}`)
	want := []string{"data.key: (3 bytes) -> (5 bytes)", "list[a].name: a -> (none)", "list[a].v: 1 -> (none)", "list[b].v: 2 -> 3"}
	if got := Differences(a, b); !slices.Equal(got, want) {
		t.Errorf("%q", got)
	}
}

// TestNamed: what pods read is found wherever a pod's specification may name it.
func TestNamed(t *testing.T) {
	o := object(t, `{kind: X, apiVersion: v1, containers: [{envFrom: [{configMapRef: {name: a}}, {secretRef: {name: b}}], env: [{valueFrom: {configMapKeyRef: {name: c, key: k}}}, {valueFrom: {secretKeyRef: {name: d, key: k}}}]}],
  volumes: [{configMap: {name: e}}, {secret: {secretName: f}}, {projected: {sources: [{configMap: {name: g}}, {secret: {name: h}}]}}]}`)
	var got []string
	named(o.Object, func(kind, name string) { got = append(got, kind[:1]+name) })
	slices.Sort(got)
	if strings.Join(got, " ") != "Ca Cc Ce Cg Sb Sd Sf Sh" {
		t.Errorf("%q", got)
	}
}

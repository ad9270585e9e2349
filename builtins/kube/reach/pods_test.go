package reach

import (
	"strings"
	"testing"

	"sigs.k8s.io/yaml"

	"github.com/erlmcp/runner/builtins/kube/api"
)

func object(t *testing.T, text string) *api.Object {
	t.Helper()
	o := &api.Object{}
	if err := yaml.Unmarshal([]byte(text), &o.Object); err != nil {
		t.Fatal(err)
	}
	return o
}

func TestWorkload(t *testing.T) {
	for name, want := range map[string]string{"deployment/web": "Deployment web", "StatefulSet/db": "StatefulSet db", "daemonset/log": "DaemonSet log"} {
		got, err := Workload("shop", name)
		if err != nil || got.Kind+" "+got.Name != want || got.Namespace != "shop" || got.Group != "apps" {
			t.Errorf("%s: %+v, %v", name, got, err)
		}
	}
	for _, name := range []string{"", "web", "deployment/", "job/migrate", "/web"} {
		if _, err := Workload("shop", name); err == nil || !strings.Contains(err.Error(), "want a workload such as deployment/web") {
			t.Errorf("%q: %v", name, err)
		}
	}
}

func TestSelector(t *testing.T) {
	for text, want := range map[string]string{
		`{spec: {selector: {matchLabels: {app: web, tier: front}}}}`:                                                     "app=web,tier=front",
		`{spec: {selector: {matchExpressions: [{key: app, operator: In, values: [b, a]}, {key: x, operator: Exists}]}}}`: "app in (a,b),x",
	} {
		if got, err := selectorOf(object(t, text)); err != nil || got != want {
			t.Errorf("%s: %q, %v", text, got, err)
		}
	}
	for text, want := range map[string]string{
		`{spec: {selector: {}}}`: "it selects no pods", // and not all of the namespace
		`{spec: {}}`:             "it selects no pods",
		`{spec: {selector: {matchExpressions: [{key: app, operator: Near, values: [a]}]}}}`: "Near",
	} {
		if got, err := selectorOf(object(t, text)); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %q, %v", text, got, err)
		}
	}
}

func TestReady(t *testing.T) {
	for text, want := range map[string]bool{
		`{status: {conditions: [{type: Ready, status: "True"}]}}`:                                                true,
		`{status: {conditions: [{type: ContainersReady, status: "True"}, {type: Ready, status: "False"}]}}`:      false,
		`{status: {conditions: [{type: Initialized, status: "True"}, {type: ContainersReady, status: "True"}]}}`: false,
		`{status: {conditions: [none]}}`: false,
		`{}`:                             false,
	} {
		if Ready(object(t, text)) != want {
			t.Error(text)
		}
	}
}

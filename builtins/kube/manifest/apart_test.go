package manifest

import (
	"slices"
	"strings"
	"testing"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
)

const migrate = `apiVersion: batch/v1
kind: Job
metadata: {name: migrate, annotations: {runner.erlmcp.org/apply: "false"}}
spec:
  template:
    spec:
      restartPolicy: Never
      containers: [{name: migrate, image: "app:1", envFrom: [{configMapRef: {name: conf}}]}]
---
apiVersion: v1
kind: ConfigMap
metadata: {name: conf}
data: {a: b}
`

// A Job that is run by its name is in no deployment, and is what it would be in one: its image, and the name of its
// ConfigMap, which is applied.
func TestJobsApart(t *testing.T) {
	c := shop()
	c.Images = map[string]string{"app": ":2"}
	for _, files := range []map[string]string{{"k8s/a.yaml": migrate}, {"k8s/kustomization.yaml": "resources: [a.yaml]", "k8s/a.yaml": migrate}} {
		s := loaded(t, c, Overrides{}, files)
		if got := titles(s); !slices.Equal(got, []string{"1 shop ConfigMap/conf"}) || len(s.Jobs) != 1 {
			t.Fatalf("%q, %d Jobs", got, len(s.Jobs))
		}
		job, names, applied := s.Job("migrate")
		if job == nil || !slices.Equal(names, []string{"migrate"}) || applied || !slices.Equal(s.Images, []string{"app:2"}) {
			t.Errorf("%v, %q, %t, images %q", job, names, applied, s.Images)
		}
		list, _, _ := unstructured.NestedSlice(job.Object.Object, "spec", "template", "spec", "containers")
		from := list[0].(map[string]any)["envFrom"].([]any)[0].(map[string]any)["configMapRef"].(map[string]any)["name"]
		if from != s.Objects[0].GetName() || from == "conf" || list[0].(map[string]any)["image"] != "app:2" {
			t.Errorf("it reads %v of %s: %v", from, s.Objects[0].GetName(), list)
		}
	}
	s := loaded(t, c, Overrides{}, map[string]string{"k8s/a.yaml": strings.Replace(migrate, `"false"`, `"true"`, 1)})
	if job, _, applied := s.Job("migrate"); job != nil || !applied || len(s.Objects) != 2 {
		t.Errorf("%v, %t, %q", job, applied, titles(s))
	}
}

// What is not applied can be waited for by nothing, and is a Job.
func TestJobsApartMistakes(t *testing.T) {
	text := strings.Replace(migrate, "{name: conf}\ndata", `{name: conf, annotations: {runner.erlmcp.org/apply: "no", runner.erlmcp.org/after: Job/migrate}}`+"\ndata", 1) + `---
apiVersion: v1
kind: ConfigMap
metadata: {name: other, annotations: {runner.erlmcp.org/apply: "false"}}
`
	_, err := load(t, shop(), Overrides{}, map[string]string{"k8s/a.yaml": text})
	got := strings.Join(mistakes(t, err), "\n")
	for _, want := range []string{
		`runner.erlmcp.org/apply: want "true" or "false", got "no"`,
		"runner.erlmcp.org/after: Job/migrate is not applied: it is run by its name",
		"runner.erlmcp.org/apply: a Job alone can be run by its name, and this is a ConfigMap",
	} {
		if !strings.Contains(got, want) {
			t.Errorf("no %q in\n%s", want, got)
		}
	}
}

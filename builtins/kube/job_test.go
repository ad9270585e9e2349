package kube

import (
	"strings"
	"testing"
	"time"

	"github.com/erlmcp/runner/builtins/cluster"
	"github.com/erlmcp/runner/builtins/kube/api"
	"github.com/erlmcp/runner/runtime/op"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"sigs.k8s.io/yaml"
)

// once is a Job of a manifest as r makes it.
func once(t *testing.T, r RunJob, spec string) (map[string]any, *api.Object, error) {
	t.Helper()
	o := &api.Object{}
	text := "apiVersion: batch/v1\nkind: Job\nmetadata: {name: migrate, namespace: shop, labels: {app: shop}, annotations: {runner.erlmcp.org/apply: 'false'}}\nspec: " + spec
	if err := yaml.Unmarshal([]byte(text), &o.Object); err != nil {
		t.Fatal(err)
	}
	data, _ := o.MarshalJSON()
	if err := o.UnmarshalJSON(data); err != nil {
		t.Fatal(err)
	}
	job, err := r.once(o)
	if err != nil {
		return nil, nil, err
	}
	made, _, _ := unstructured.NestedMap(job.Object, "spec")
	return made, job, nil
}

const podSpec = "template: {spec: {containers: [{name: a, image: 'app:1', args: [x]}, {name: b, image: 'b:1'}]}}"

// A Job is tried once, ends soon behind runner's time, and goes a day later; what its manifest says within that stays.
func TestOnce(t *testing.T) {
	r := RunJob{Cluster: cluster.Cluster{Namespace: "shop", Name: "shop"}, Name: "migrate", Within: op.Duration(90500 * time.Millisecond), Key: "20260126t120000-test/7"}
	for _, c := range []struct {
		spec                     string
		backoff, deadline, after any
	}{
		{"{" + podSpec + "}", int64(0), int64(121), int64(86400)},
		{"{suspend: true, completions: 1, backoffLimit: 3, activeDeadlineSeconds: 60, ttlSecondsAfterFinished: 600, " + podSpec + "}", int64(3), int64(60), int64(600)},
		{"{activeDeadlineSeconds: 6000, ttlSecondsAfterFinished: 0, " + podSpec + "}", int64(0), int64(121), int64(300)},
	} {
		spec, job, err := once(t, r, c.spec)
		if err != nil || spec["backoffLimit"] != c.backoff || spec["activeDeadlineSeconds"] != c.deadline || spec["ttlSecondsAfterFinished"] != c.after || spec["suspend"] != nil {
			t.Errorf("%s: %v, %v", c.spec, spec, err)
		}
		if l := job.GetLabels(); l["app"] != "shop" || l["runner.erlmcp.org/name"] != "migrate" || l["runner.erlmcp.org/target"] != "shop" {
			t.Errorf("labels %v", l)
		}
		if a := job.GetAnnotations(); len(a) != 1 || a["runner.erlmcp.org/run"] != string(r.Key) {
			t.Errorf("annotations %v", a)
		}
	}
	if _, _, err := once(t, r, "{completions: 2, "+podSpec+"}"); err == nil || err.Error() != "completions: want 1 of a Job that is run by its name, got 2" {
		t.Error(err)
	}
	r.Command = []string{"/app", "migrate"}
	spec, _, _ := once(t, r, "{"+podSpec+"}")
	list, _, _ := unstructured.NestedSlice(spec, "template", "spec", "containers")
	if a, b := list[0].(map[string]any), list[1].(map[string]any); len(a["command"].([]any)) != 2 || a["args"] != nil || b["command"] != nil {
		t.Errorf("%v", list)
	}
}

// The name is the op's own: the same in each attempt, another in another op, and never too long.
func TestUniqueName(t *testing.T) {
	long := strings.Repeat("x", 63)
	a, again, b := uniqueName("migrate", "run/1"), uniqueName("migrate", "run/1"), uniqueName("migrate", "run/2")
	if a != again || a == b || !strings.HasPrefix(a, "migrate-") || len(a) != len("migrate-")+keyChars {
		t.Errorf("%s, %s, %s", a, again, b)
	}
	if n := uniqueName(long, "run/1"); len(n) != 63 || !cluster.IsName(n) {
		t.Errorf("%s has %d characters", n, len(n))
	}
}

func TestRunJobCheck(t *testing.T) {
	stays := cluster.Cluster{Namespace: "shop", Name: "shop", Context: "lab", AfterMigration: "stay"}
	good := RunJob{Cluster: stays, Name: "migrate", Within: op.Duration(time.Minute), OK: []int{0}}
	for want, change := range map[string]func(*RunJob){
		"":         func(*RunJob) {},
		"name":     func(r *RunJob) { r.Name = "Migrate" },
		"leaves":   func(r *RunJob) { r.Leaves = "all" },
		"migrated": func(r *RunJob) { r.Migrated, r.Cluster.AfterMigration = true, "" },
		"ok":       func(r *RunJob) { r.OK = []int{300} },
		"within":   func(r *RunJob) { r.Within = 0 },
		"command":  func(r *RunJob) { r.Command = []string{} },
	} {
		r := good
		change(&r)
		err := r.Check()
		if (err == nil) != (want == "") || err != nil && !strings.HasPrefix(err.Error(), want+":") {
			t.Errorf("%s: %v", want, err)
		}
	}
	good.Migrated = true
	if good.Stays() == "" || good.Grade() != op.ClassFinal {
		t.Error("what has migrated data stays")
	}
	if good.Cluster.AfterMigration = "undo"; good.Stays() != "" {
		t.Error(good.Stays())
	}
	if good.Leaves = "nothing"; good.Grade() != op.ClassMake {
		t.Error("what leaves nothing is not to be taken back")
	}
}

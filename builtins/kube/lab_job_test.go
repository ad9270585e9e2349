//go:build labs

package kube

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/erlmcp/runner/builtins/cluster"
	"github.com/erlmcp/runner/builtins/kube/api"
	"github.com/erlmcp/runner/builtins/kube/kubetest"
	"github.com/erlmcp/runner/runtime/op"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"
)

const migrateJob = `apiVersion: batch/v1
kind: Job
metadata: {name: migrate, annotations: {runner.erlmcp.org/apply: "false"}}
spec:
  template:
    metadata: {annotations: {NOTES}}
    spec:
      restartPolicy: Never
      containers: [{name: migrate, image: "registry.invalid/app:IMAGE", envFrom: [{configMapRef: {name: conf}}]}]
---
apiVersion: v1
kind: ConfigMap
metadata: {name: conf}
data: {a: b}
`

// writes lays manifests into the project, and applies nothing.
func (l *liveLab) writes(text string) {
	l.t.Helper()
	file := filepath.Join(l.d.Host.Project, "k8s", "app.yaml")
	if err := errors.Join(os.MkdirAll(filepath.Dir(file), 0o700), os.WriteFile(file, []byte(text), 0o600)); err != nil {
		l.t.Fatal(err)
	}
}

func (l *liveLab) job(key op.Key) RunJob {
	return RunJob{Cluster: l.target, Name: "migrate", Within: op.Duration(time.Minute), OK: []int{0}, Key: key}
}

// jobs are those of the namespace.
func (l *liveLab) jobs() []api.Object {
	l.t.Helper()
	list, _, err := l.Conn(l.t).List(l.t.Context(), schema.GroupVersionKind{Group: "batch", Version: "v1", Kind: "Job"}, l.target.Namespace, "")
	if err != nil {
		l.t.Fatal(err)
	}
	return list
}

func (l *liveLab) manifests(notes, image string) {
	l.writes(strings.NewReplacer("NOTES", notes, "IMAGE", image).Replace(migrateJob))
}

// TestLabRunJob: apply leaves the Job alone; a run of it has its own, with the versioned ConfigMap; a second attempt finds it.
func TestLabRunJob(t *testing.T) {
	l := newLiveLab(t)
	l.manifests("", "1")
	applied, err := Apply{Cluster: l.target, Timeout: op.Duration(time.Minute), Key: "run/1"}.Do(l.ctx(), l.d)
	if err != nil || len(applied.Objects) != 1 || len(l.jobs()) != 0 {
		t.Fatalf("%v, %v, %d Jobs", applied.Objects, err, len(l.jobs()))
	}
	r := l.job("run/2")
	r.Images = map[string]string{"registry.invalid/app": ":2"}
	first, err := r.Do(l.ctx(), l.d)
	if err != nil || first.Code != 0 {
		t.Fatalf("%+v, %v", first, err)
	}
	again, err := r.Do(l.ctx(), l.d)
	if err != nil || again.Name != first.Name || len(l.jobs()) != 1 {
		t.Errorf("a second attempt: %+v, %v, %d Jobs", again, err, len(l.jobs()))
	}
	list, _, _ := unstructured.NestedSlice(l.jobs()[0].Object, "spec", "template", "spec", "containers")
	c := list[0].(map[string]any)
	from := c["envFrom"].([]any)[0].(map[string]any)["configMapRef"].(map[string]any)["name"]
	if c["image"] != "registry.invalid/app:2" || from != applied.Objects[0].Name {
		t.Errorf("%v, where %s was applied", c, applied.Objects[0].Name)
	}
	simple := l.job("run/3")
	simple.Name, simple.Image = "ask", "registry.invalid/ask:1"
	if other, err := simple.Do(l.ctx(), l.d); err != nil || !strings.HasPrefix(other.Name, "ask-") || len(l.jobs()) != 2 {
		t.Errorf("%+v, %v", other, err)
	}
}

// TestLabRunJobFails: its code is told, and may be one that is taken for success; what never starts does not stay.
func TestLabRunJobFails(t *testing.T) {
	l := newLiveLab(t)
	l.manifests(`lab/exit-code: "3"`, "1")
	l.Kubectl(t, "create", "configmap", "-n", l.target.Namespace, "other")
	if _, err := (Apply{Cluster: l.target, Timeout: op.Duration(time.Minute), Key: "run/1"}).Do(l.ctx(), l.d); err != nil {
		t.Fatal(err)
	}
	_, err := l.job("run/2").Do(l.ctx(), l.d)
	if err == nil || !strings.HasPrefix(err.Error(), "cannot run the Job migrate of shop: job/migrate-") || !strings.Contains(err.Error(), "container migrate exits with 3") {
		t.Error(err)
	}
	if said := strings.Join(l.said, "\n"); !strings.Contains(said, "job/migrate-") || !strings.Contains(said, "what the cluster says") {
		t.Error(said)
	}
	if len(l.jobs()) != 1 {
		t.Errorf("%d Jobs: one that failed is there to look at", len(l.jobs()))
	}
	fine := l.job("run/3")
	fine.OK = []int{0, 3}
	if out, err := fine.Do(l.ctx(), l.d); err != nil || out.Code != 3 {
		t.Errorf("%+v, %v", out, err)
	}
	l.manifests("", "1-fault-imagepull")
	_, err = l.job("run/4").Do(l.ctx(), l.d)
	if err == nil || !strings.Contains(err.Error(), "which the registry does not have") || len(l.jobs()) != 2 {
		t.Errorf("%v, %d Jobs", err, len(l.jobs()))
	}
	wrong := l.job("run/5")
	wrong.Name = "migrat"
	if _, err = wrong.Do(l.ctx(), l.d); err == nil || !strings.Contains(err.Error(), "no manifest has a Job migrat that is run by its name (did you mean migrate?)") {
		t.Error(err)
	}
}

// TestLabRunJobEnds: a Job is gone when its time is over, or when the run is stopped.
func TestLabRunJobEnds(t *testing.T) {
	l := newLiveLab(t)
	l.manifests(`lab/run-for: "10m"`, "1")
	if _, err := (Apply{Cluster: l.target, Timeout: op.Duration(time.Minute), Key: "run/1"}).Do(l.ctx(), l.d); err != nil {
		t.Fatal(err)
	}
	late := l.job("run/2")
	late.Within = op.Duration(3 * time.Second)
	_, err := late.Do(l.ctx(), l.d)
	if err == nil || !strings.Contains(err.Error(), "it ran longer than 3s") || len(l.jobs()) != 0 {
		t.Errorf("%v, %d Jobs", err, len(l.jobs()))
	}
	why := errors.New("enough")
	ctx, stop := context.WithCancelCause(l.ctx())
	time.AfterFunc(3*time.Second, func() { stop(why) })
	begun := time.Now()
	_, err = l.job("run/3").Do(ctx, l.d)
	if !errors.Is(err, why) || time.Since(begun) > 6*time.Second || len(l.jobs()) != 0 {
		t.Errorf("%v after %s, %d Jobs", err, time.Since(begun), len(l.jobs()))
	}
}

// TestLabRunJobFaults: a request that fails makes no second Job, and no failure of the first.
func TestLabRunJobFaults(t *testing.T) {
	l := newLiveLab(t)
	l.manifests("", "1")
	p := l.Proxy(t)
	l.target = cluster.Cluster{Namespace: l.target.Namespace, Name: "shop", Kubeconfig: p.Kubeconfig, Context: p.Context}
	if _, err := (Apply{Cluster: l.target, Timeout: op.Duration(time.Minute), Key: "run/1"}).Do(l.ctx(), l.d); err != nil {
		t.Fatal(err)
	}
	p.Times(1, "create jobs", kubetest.Fault{Cut: true})
	p.Times(2, "watch jobs", kubetest.Fault{Status: 410, Event: true})
	p.Times(2, "list pods", kubetest.Fault{Drop: true})
	if out, err := l.job("run/2").Do(l.ctx(), l.d); err != nil || len(l.jobs()) != 1 {
		t.Errorf("%+v, %v, %d Jobs", out, err, len(l.jobs()))
	}
}

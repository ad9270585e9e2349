//go:build labs

package follow

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/erlmcp/runner/builtins/kube/api"
	"github.com/erlmcp/runner/builtins/kube/kubetest"
	"github.com/erlmcp/runner/builtins/kube/verdict"
	"sigs.k8s.io/yaml"
)

// lab is a namespace of a real control plane.
type lab struct {
	*kubetest.Lab
	t    *testing.T
	conn *api.Conn
	ns   string
}

func newLab(t *testing.T) *lab {
	l := kubetest.Start(t)
	return &lab{l, t, l.Conn(t), l.Namespace(t)}
}

func (l *lab) apply(text string) (out []Item) {
	l.t.Helper()
	for _, doc := range strings.Split(text, "\n---\n") {
		o := &api.Object{}
		if err := yaml.Unmarshal([]byte(doc), &o.Object); err != nil {
			l.t.Fatal(err)
		}
		data, err := yaml.YAMLToJSON([]byte(doc))
		if err == nil {
			err = o.UnmarshalJSON(data)
		}
		if err != nil {
			l.t.Fatal(err)
		}
		o.SetNamespace(l.ns)
		done, err := l.conn.Apply(l.t.Context(), o, api.Applying{Force: true})
		if err != nil {
			l.t.Fatal(err)
		}
		out = append(out, ItemOf(done, false))
	}
	return out
}

// deployed is a Deployment, with annotations and a pod's spec of its own.
func deployed(name, annotations, spec string) string {
	return fmt.Sprintf(`apiVersion: apps/v1
kind: Deployment
metadata: {name: %s}
spec:
  replicas: 3
  selector: {matchLabels: {app: %s}}
  strategy: {rollingUpdate: {maxSurge: 1, maxUnavailable: 0}}
  template:
    metadata: {labels: {app: %s}, annotations: {%s}}
    spec: {%s}`, name, name, name, annotations, spec)
}

const plainPod = `containers: [{name: app, image: "registry.invalid/app:1"}]`

// told keeps what is reported, with when.
type told struct {
	mu    sync.Mutex
	lines []string
	first map[verdict.Cause]time.Time
}

func (o *told) hear(c Change) {
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.first == nil {
		o.first = map[verdict.Cause]time.Time{}
	}
	if _, heard := o.first[c.Cause]; !heard {
		o.first[c.Cause] = time.Now()
	}
	o.lines = append(o.lines, c.String())
}

func (l *lab) follow(items []Item, within time.Duration) (*told, Result, error) {
	l.t.Helper()
	ctx, cancel := context.WithTimeoutCause(l.t.Context(), within, errors.New("its time is over"))
	defer cancel()
	heard := &told{}
	began := time.Now()
	r, err := Follow(ctx, l.conn, items, Options{}, heard.hear)
	l.t.Logf("%s: %v after %s", l.t.Name(), err, time.Since(began).Round(time.Millisecond))
	return heard, r, err
}

func TestLabReady(t *testing.T) {
	t.Parallel()
	l := newLab(t)
	items := l.apply(deployed("web", "", plainPod) + `
---
apiVersion: v1
kind: Service
metadata: {name: web}
spec: {selector: {app: web}, ports: [{port: 80}]}
---
apiVersion: v1
kind: ConfigMap
metadata: {name: conf}
---
apiVersion: v1
kind: PersistentVolumeClaim
metadata: {name: data}
spec: {accessModes: [ReadWriteOnce], storageClassName: later, resources: {requests: {storage: 1Gi}}}
---
apiVersion: batch/v1
kind: Job
metadata: {name: migrate}
spec: {ttlSecondsAfterFinished: 0, template: {spec: {restartPolicy: Never, containers: [{name: app, image: "registry.invalid/app:1"}]}}}
---
apiVersion: apps/v1
kind: StatefulSet
metadata: {name: db}
spec: {replicas: 2, serviceName: db, selector: {matchLabels: {app: db}}, template: {metadata: {labels: {app: db}}, spec: {` + plainPod + `}}}
---
apiVersion: apps/v1
kind: DaemonSet
metadata: {name: agent}
spec: {selector: {matchLabels: {app: agent}}, template: {metadata: {labels: {app: agent}}, spec: {` + plainPod + `}}}
---
apiVersion: policy/v1
kind: PodDisruptionBudget
metadata: {name: web}
spec: {minAvailable: 1, selector: {matchLabels: {app: web}}}`)
	class := &api.Object{Object: map[string]any{"apiVersion": "storage.k8s.io/v1", "kind": "StorageClass", "metadata": map[string]any{"name": "later"},
		"provisioner": "kubernetes.io/no-provisioner", "volumeBindingMode": "WaitForFirstConsumer"}}
	if _, err := l.conn.Apply(t.Context(), class, api.Applying{Force: true}); err != nil {
		t.Fatal(err)
	}
	_, r, err := l.follow(items, time.Minute)
	if err != nil {
		t.Fatal(err)
	}
	for _, s := range r.Standing {
		if s.State != verdict.Ready {
			t.Errorf("%s: %+v", s.Ref, s.Verdict)
		}
	}
}

// A faulty version over a healthy one: Available stays True, and only the pods tell.
func TestLabFaultsOverAHealthyVersion(t *testing.T) {
	for _, c := range []struct {
		name, annotations, spec string
		cause                   verdict.Cause
		within                  time.Duration // from when it is told first to the end
	}{
		{"crashloop", `lab/fault: crashloop`, plainPod, verdict.CrashLoop, 15 * time.Second},
		{"imagepull", `lab/fault: imagepull`, plainPod, verdict.ImageMissing, time.Second},
		{"configerror", `lab/fault: configerror`, plainPod, verdict.ConfigMissing, time.Second},
		{"quota", `round: two`, plainPod, verdict.Quota, time.Second},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			l := newLab(t)
			if _, _, err := l.follow(l.apply(deployed("web", "", plainPod)), time.Minute); err != nil {
				t.Fatal(err)
			}
			if c.cause == verdict.Quota {
				l.apply("apiVersion: v1\nkind: ResourceQuota\nmetadata: {name: small}\nspec: {hard: {pods: \"3\"}}")
				time.Sleep(time.Second) // until its controller has counted
			}
			items := l.apply(deployed("web", c.annotations, c.spec))
			heard, _, err := l.follow(items, time.Minute)
			var failure *Failure
			if !errors.As(err, &failure) || failure.Verdict.Cause != c.cause || failure.Cause != nil {
				t.Fatalf("%v\n%s", err, strings.Join(heard.lines, "\n"))
			}
			if took := time.Since(heard.first[c.cause]); took > c.within {
				t.Errorf("from the first sign to the end: %s", took)
			}
		})
	}
}

func TestLabSuspects(t *testing.T) {
	for _, c := range []struct {
		name, annotations, spec, want string
	}{
		{"unready", `lab/fault: unready`, plainPod, "runs, but its readiness probe fails: it is answered with 503; failing in 2m0s unless it recovers"},
		{"unschedulable", ``, `containers: [{name: app, image: "registry.invalid/app:1", resources: {requests: {cpu: "1000"}}}]`, "Insufficient cpu; failing in 1m0s unless it recovers"},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			l := newLab(t)
			heard, _, err := l.follow(l.apply(deployed("web", c.annotations, c.spec)), 8*time.Second)
			if err == nil || !strings.Contains(strings.Join(heard.lines, "\n"), c.want) {
				t.Errorf("%v\n%s", err, strings.Join(heard.lines, "\n"))
			}
		})
	}
}

// The last status write to the end. The watch of the test itself says when the write was to be seen.
func TestLabEndsWithTheLastWrite(t *testing.T) {
	l := newLab(t)
	items := l.apply(deployed("web", "", plainPod))
	best := time.Hour
	for i := range 5 {
		items = l.apply(deployed("web", fmt.Sprintf("round: r%d", i), plainPod))
		ended := make(chan time.Time, 1)
		go func() {
			if _, err := Follow(t.Context(), l.conn, items, Options{}, func(Change) {}); err != nil {
				t.Error(err)
			}
			ended <- time.Now()
		}()
		var seen time.Time
		err := l.conn.Until(t.Context(), items[0].Ref, func(o *api.Object) bool {
			seen = time.Now()
			v, _ := verdict.Judge(verdict.Input{Object: o, Write: verdict.Write{Generation: items[0].Generation}})
			return v.State == verdict.Ready
		})
		if err != nil {
			t.Fatal(err)
		}
		best = min(best, (<-ended).Sub(seen))
	}
	t.Log("from when the write is seen to the end:", best)
	if best > 20*time.Millisecond {
		t.Error(best)
	}
}

func TestLabAPIServerThatRestartsInTheMiddle(t *testing.T) {
	l := newLab(t)
	items := l.apply(deployed("web", `lab/ready-after: 12s`, plainPod))
	ended := make(chan error, 1)
	heard := &told{}
	go func() {
		_, err := Follow(t.Context(), l.conn, items, Options{}, heard.hear)
		ended <- err
	}()
	time.Sleep(2 * time.Second)
	l.KillAPIServer(t)
	time.Sleep(2 * time.Second)
	l.RestartAPIServer(t)
	select {
	case err := <-ended:
		if text := strings.Join(heard.lines, "\n"); err != nil || !strings.Contains(text, "the API server does not answer") || !strings.Contains(text, "answers again") {
			t.Error(err, text)
		}
	case <-time.After(time.Minute):
		t.Error("it does not end:", strings.Join(heard.lines, "\n"))
	}
}

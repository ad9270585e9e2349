//go:build labs

package reconcile

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"

	"github.com/erlmcp/runner/builtins/kube/api"
	"github.com/erlmcp/runner/builtins/kube/kubetest"
	"github.com/erlmcp/runner/runtime/op"
)

func TestLabFirstNoopChange(t *testing.T) {
	w := newWorld(t)
	first := w.objects(v(shop, "1"))
	snap, key, p := w.mustApply(first, Options{})
	if len(p.Acts) != 4 || slices.ContainsFunc(p.Acts, func(a Act) bool { return a.Kind != Create }) {
		t.Errorf("first: %s", strings.Join(p.Lines(), "\n"))
	}
	if _, _, p := w.mustApply(first, Options{}); len(p.Acts) != 0 || len(p.Stay) != 4 {
		t.Errorf("nothing has changed: %s", strings.Join(p.Lines(), "\n"))
	}
	_, _, p = w.mustApply(w.objects(v(shop, "2")), Options{})
	if len(p.Acts) != 1 || p.Acts[0].Ref.String() != "deployment/web" {
		t.Errorf("one has changed: %s", strings.Join(p.Lines(), "\n"))
	}
	if _, err := Restore(t.Context(), w.conn, w.set, snap, key, nobody); err == nil || !strings.Contains(err.Error(), "deployment/web") {
		t.Errorf("what a later op has changed is taken back: %v", err)
	}
}

func TestLabForesee(t *testing.T) {
	w := newWorld(t)
	w.mustApply(w.objects(v(shop, "1")), Options{})
	next := w.objects(strings.ReplaceAll(v(shop, "2"), "correct horse", "battery staple") + "\n---\napiVersion: v1\nkind: ConfigMap\nmetadata: {name: more}\ndata: {a: b}")
	p := NewPlan(w.set, next, w.observe(next))
	was := w.state()
	f, err := p.Foresee(t.Context(), w.conn, Options{})
	if err != nil || len(f.Refused) > 0 {
		t.Fatal(err, f.Refused)
	}
	w.same(was, "foreseeing")
	text := strings.Join(f.Lines, "\n")
	for _, want := range []string{"spec.template.spec.containers[app].image: app:1 -> app:2", "data.password: (13 bytes) -> (14 bytes)", "+ configmap/more: it is not there", "stays: 2 objects"} {
		if !strings.Contains(text, want) {
			t.Errorf("no %q in\n%s", want, text)
		}
	}
	if strings.Contains(text, "horse") || strings.Contains(text, "YmF0") {
		t.Errorf("a secret is shown:\n%s", text)
	}
}

func TestLabUndo(t *testing.T) {
	for _, c := range []struct{ name, was, then string }{
		{"to nothing", "", shop},
		{"a field that was added goes", shop, strings.ReplaceAll(shop, "value: one}", "value: two}, {name: B, value: b}") + "\n---\napiVersion: v1\nkind: ConfigMap\nmetadata: {name: more}\ndata: {a: b}"},
		{"an autoscaler comes", shop, shop + hpa},
		{"an autoscaler was there", shop + hpa, v(shop+hpa, "2")},
	} {
		t.Run(c.name, func(t *testing.T) {
			w := newWorld(t)
			if c.was != "" {
				w.mustApply(w.objects(v(c.was, "1")), Options{})
			}
			was := w.state()
			steps := w.steps(func(ctx context.Context) (Snapshot, op.Key, error) {
				snap, key, _, err := w.apply(ctx, w.objects(v(c.then, "2")), Options{})
				return snap, key, err
			}, was)
			if steps < 3 {
				t.Errorf("%d steps", steps)
			}
		})
	}
}

// steps stops an op behind each of its steps, takes it back, and compares. It says how many there were.
func (w *world) steps(do func(context.Context) (Snapshot, op.Key, error), was map[string]string) int {
	w.t.Helper()
	for stop := 1; ; stop++ {
		h := &halver{left: stop}
		snap, key, err := do(op.WithSpeaker(w.t.Context(), h))
		if err != nil && !errors.Is(err, errHalf) {
			w.t.Fatal(err)
		}
		for again := range 2 {
			if _, err := Restore(w.t.Context(), w.conn, w.set, snap, key, nobody); err != nil {
				w.t.Fatalf("step %d (%s), undo %d: %v", stop, h.at, again+1, err)
			}
			w.same(was, fmt.Sprintf("step %d (%s), undo %d", stop, h.at, again+1))
		}
		if err == nil || w.t.Failed() {
			return stop
		}
	}
}

var errHalf = errors.New("stopped by the test")

type halver struct {
	op.Silent
	left int
	at   string
}

func (h *halver) Half(step string) error {
	if h.left--; h.left <= 0 {
		h.at = step
		return errHalf
	}
	return nil
}

func TestLabAutoscaler(t *testing.T) {
	w := newWorld(t)
	w.mustApply(w.objects(v(shop, "1")), Options{})
	w.mustApply(w.objects(v(shop+hpa, "1")), Options{}) // the hand-over
	if n := w.replicas("web"); n != 3 {
		t.Errorf("behind the hand-over %d replicas", n)
	}
	w.kubectl("scale", "deployment/web", "--replicas=7")
	snap, key, _ := w.mustApply(w.objects(v(shop+hpa, "2")), Options{})
	if n := w.replicas("web"); n != 7 {
		t.Errorf("behind an apply %d replicas", n)
	}
	w.kubectl("scale", "deployment/web", "--replicas=8")
	if _, err := Restore(t.Context(), w.conn, w.set, snap, key, nobody); err != nil {
		t.Fatal(err)
	}
	if n := w.replicas("web"); n != 8 {
		t.Errorf("behind an undo %d replicas", n)
	}
	w.mustApply(w.objects(v(strings.ReplaceAll(shop, "replicas: 3", "replicas: 4"), "1")), Options{Take: true})
	w.kubectl("delete", "hpa", "web")
	w.mustApply(w.objects(v(strings.ReplaceAll(shop, "replicas: 3", "replicas: 5"), "1")), Options{Take: true})
	if n := w.replicas("web"); n != 5 {
		t.Errorf("without an autoscaler %d replicas", n)
	}
}

func TestLabOwners(t *testing.T) {
	w := newWorld(t)
	w.mustApply(w.objects(v(shop, "1")), Options{})
	w.kubectl("set", "env", "deployment/web", "A=mine")
	_, _, p, err := w.apply(t.Context(), w.objects(v(shop, "2")), Options{})
	if err == nil || !strings.Contains(err.Error(), "cannot apply deployment/web: .spec.template.spec.containers[name=\"app\"].env[name=\"A\"].value belongs to kubectl-set using apps/v1, last written at 20") || op.HintOf(err) == "" {
		t.Errorf("%v; %s", err, strings.Join(p.Lines(), "\n"))
	}
	snap, key, _ := w.mustApply(w.objects(v(shop, "2")), Options{Take: true})
	time.Sleep(1100 * time.Millisecond) // a server keeps the time of a write by the second
	w.kubectl("set", "env", "deployment/web", "A=again")
	_, err = Restore(t.Context(), w.conn, w.set, snap, key, nobody)
	var conflict *op.Conflict
	if !errors.As(err, &conflict) {
		t.Errorf("what somebody has changed since is taken back: %v", err)
	}
	if got := w.kubectl("get", "deployment/web", "-o", "jsonpath={.spec.template.spec.containers[0].env[0].value}"); got != "again" {
		t.Errorf("it is %s", got)
	}
}

func TestLabAdopt(t *testing.T) {
	w := newWorld(t)
	theirs := strings.ReplaceAll(v(shop, "1"), "value: one}", "value: one}, {name: OLD, value: old}")
	w.kubectl("apply", "-f", w.file(theirs))
	was := w.state()
	w.steps(func(ctx context.Context) (Snapshot, op.Key, error) {
		snap, key, _, err := w.apply(ctx, w.objects(v(shop, "2")), Options{})
		return snap, key, err
	}, was)
	w.mustApply(w.objects(v(shop, "2")), Options{})
	if got := w.kubectl("get", "deployment/web", "-o", "jsonpath={.spec.template.spec.containers[0].env[*].name}"); got != "A" {
		t.Errorf("variables %s", got)
	}
}

func TestLabReplace(t *testing.T) {
	w := newWorld(t)
	w.mustApply(w.objects(v(shop, "1")), Options{})
	other := strings.ReplaceAll(v(shop, "1"), "{app: web}", "{app: web, tier: front}")
	_, _, _, err := w.apply(t.Context(), w.objects(other), Options{})
	if err == nil || !strings.Contains(err.Error(), "immutable") || !strings.Contains(op.HintOf(err), "replace = True") {
		t.Fatalf("%v (%s)", err, op.HintOf(err))
	}
	w.mustApply(w.objects(v(shop, "1")), Options{})
	was := w.state()
	w.steps(func(ctx context.Context) (Snapshot, op.Key, error) {
		snap, key, _, err := w.apply(ctx, w.objects(other), Options{Replace: true})
		return snap, key, err
	}, was)
}

const deployment = `apiVersion: apps/v1
kind: Deployment
metadata: {name: web, labels: {app: web}}
spec:
  replicas: 3
  selector: {matchLabels: {app: web}}
  template:
    metadata: {labels: {app: web}}
    spec:
      containers:
      - {name: app, image: "app:IMAGE", env: [{name: A, value: one}], ports: [{containerPort: 8080}]}
`

const shop = deployment + `
---
apiVersion: v1
kind: Service
metadata: {name: web}
spec: {selector: {app: web}, ports: [{port: 80, targetPort: 8080}]}
---
apiVersion: v1
kind: Secret
metadata: {name: keys}
stringData: {password: "correct horse"}
---
apiVersion: v1
kind: ConfigMap
metadata: {name: conf}
data: {level: info}
`

const hpa = `
---
apiVersion: autoscaling/v2
kind: HorizontalPodAutoscaler
metadata: {name: web}
spec: {scaleTargetRef: {apiVersion: apps/v1, kind: Deployment, name: web}, minReplicas: 3, maxReplicas: 10, metrics: [{type: Resource, resource: {name: cpu, target: {type: Utilization, averageUtilization: 70}}}]}
`

func v(text, image string) string { return strings.ReplaceAll(text, "IMAGE", image) }

// TestLabEveryRequestIsCut: the run dies at each request that changes something, before the server has it or when it has
// done it; what was there is put back.
func TestLabEveryRequestIsCut(t *testing.T) {
	w := newWorld(t)
	w.mustApply(w.objects(v(shop, "1")), Options{})
	was := w.state()
	proxy := w.lab.Proxy(t)
	for _, f := range []kubetest.Fault{{Drop: true}, {Cut: true}} {
		for n := 1; ; n++ {
			ctx, die := context.WithCancel(t.Context())
			left := n
			proxy.Fail(func(r kubetest.Request) *kubetest.Fault {
				if !r.Changes() {
					return nil
				}
				if left--; left > 0 {
					return nil
				}
				die()
				return &f
			})
			w.conn = proxy.Conn(t)
			snap, key, _, err := w.apply(ctx, w.objects(v(shop+hpa, "2")), Options{})
			die()
			proxy.Settle()
			proxy.Heal()
			w.conn = w.lab.Conn(t)
			if _, err := Restore(t.Context(), w.conn, w.set, snap, key, nobody); err != nil {
				t.Fatalf("request %d, %+v: %v", n, f, err)
			}
			w.same(was, fmt.Sprintf("request %d, %+v", n, f))
			if err == nil {
				if n < 5 {
					t.Errorf("%d requests", n)
				}
				break
			}
			if t.Failed() {
				return
			}
		}
	}
}

const stateful = `apiVersion: apps/v1
kind: StatefulSet
metadata: {name: db}
spec:
  replicas: 2
  serviceName: db
  selector: {matchLabels: {app: db}}
  template:
    metadata: {labels: {app: db}}
    spec: {terminationGracePeriodSeconds: 1, containers: [{name: db, image: "db:IMAGE"}]}
`

// TestLabStatefulSetIsFreed: the pods of a StatefulSet's failed revision go with it: its controller would wait for them.
func TestLabStatefulSetIsFreed(t *testing.T) {
	w := newWorld(t)
	db := api.Ref{Group: "apps", Version: "v1", Kind: "StatefulSet", Namespace: w.set.Namespace, Name: "db"}
	ready := func(o *api.Object) bool {
		n, _, _ := unstructured.NestedInt64(o.Object, "status", "readyReplicas")
		current, _, _ := unstructured.NestedString(o.Object, "status", "currentRevision")
		update, _, _ := unstructured.NestedString(o.Object, "status", "updateRevision")
		return n == 2 && current == update
	}
	until := func(ok func(*api.Object) bool) {
		t.Helper()
		ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
		defer cancel()
		if err := w.conn.Until(ctx, db, ok); err != nil {
			t.Fatal(err)
		}
	}
	w.mustApply(w.objects(v(stateful, "1")), Options{})
	until(ready)
	snap, key, _ := w.mustApply(w.objects(v(stateful, "2-fault-crashloop")), Options{})
	until(func(o *api.Object) bool {
		n, _, _ := unstructured.NestedInt64(o.Object, "status", "updatedReplicas")
		seen, _, _ := unstructured.NestedInt64(o.Object, "status", "observedGeneration")
		return n == 1 && seen == o.GetGeneration()
	})
	if _, err := Restore(t.Context(), w.conn, w.set, snap, key, nobody); err != nil {
		t.Fatal(err)
	}
	until(ready)
	if got := w.kubectl("get", "pods", "-o", "jsonpath={.items[*].spec.containers[0].image}"); got != "db:1 db:1" {
		t.Errorf("there are %s", got)
	}
}

// TestLabServersAndTheirTroubles: what a server refuses for the moment is asked again, and what it refuses for good is said.
func TestLabServersAndTheirTroubles(t *testing.T) {
	w := newWorld(t)
	proxy := w.lab.Proxy(t)
	w.conn = proxy.Conn(t)
	for i, f := range []kubetest.Fault{
		{Status: 409, Reason: metav1.StatusReasonConflict, Text: "the object has been modified; please apply your changes to the latest version"},
		{Status: 429, After: 1},
		{Status: 500, Reason: metav1.StatusReasonInternalError, Text: `failed calling webhook "policy.example.com": context deadline exceeded`},
	} {
		proxy.Times(2, "apply deployments", f)
		w.mustApply(w.objects(v(shop, fmt.Sprint(i))), Options{})
		proxy.Heal()
	}
	proxy.Times(1, "apply deployments", kubetest.Fault{Status: 403, Reason: metav1.StatusReasonForbidden, Text: `admission webhook "policy.example.com" denied the request: images come from our registry`})
	_, _, _, err := w.apply(t.Context(), w.objects(v(shop, "9")), Options{})
	if err == nil || !strings.Contains(err.Error(), "cannot apply deployment/web: ") || !strings.Contains(err.Error(), "images come from our registry") {
		t.Errorf("%v", err)
	}
}

// TestLabOneNameOneTarget: two targets of one name do not share an inventory, by which one would prune the other.
func TestLabOneNameOneTarget(t *testing.T) {
	w := newWorld(t)
	w.mustApply(w.objects(v(shop, "1")), Options{})
	other := w.set
	other.Namespace = w.lab.Namespace(t)
	_, err := Observe(t.Context(), w.conn, other, nil)
	if err == nil || !strings.Contains(err.Error(), "it is of the target shop in the namespace "+w.set.Namespace) || op.HintOf(err) == "" {
		t.Errorf("%v", err)
	}
	if _, err := Prune(t.Context(), w.conn, other, nil); err == nil {
		t.Error("it prunes what is another's")
	}
}

// TestLabForeseeAdoption: what a plan says of objects that are others' is what an apply then does.
func TestLabForeseeAdoption(t *testing.T) {
	for _, c := range []struct {
		flags   []string
		refused int
	}{{nil, 0}, {[]string{"--server-side"}, 1}} {
		w := newWorldIn(t)
		w.kubectl(append([]string{"apply", "-f", w.file(v(deployment, "1"))}, c.flags...)...)
		wants := w.objects(v(deployment, "2"))
		f, err := NewPlan(w.set, wants, w.observe(wants)).Foresee(t.Context(), w.conn, Options{})
		if err != nil || len(f.Refused) != c.refused {
			t.Errorf("%v: %v, %q", c.flags, err, f.Lines)
		}
		if _, _, _, err := w.apply(t.Context(), wants, Options{}); (err != nil) != (c.refused > 0) {
			t.Errorf("%v: %v", c.flags, err)
		}
	}
}

//go:build labs

package kube

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"k8s.io/apimachinery/pkg/runtime/schema"

	"github.com/erlmcp/runner/builtins/cluster"
	"github.com/erlmcp/runner/builtins/kube/api"
	"github.com/erlmcp/runner/builtins/kube/connect"
	"github.com/erlmcp/runner/builtins/kube/kubetest"
	"github.com/erlmcp/runner/builtins/kube/reconcile"
	"github.com/erlmcp/runner/runtime/builtin"
	"github.com/erlmcp/runner/runtime/host"
	"github.com/erlmcp/runner/runtime/op"
	"github.com/erlmcp/runner/runtime/optest"
)

// opKey is the one that optest gives to every op.
const opKey op.Key = "20260126t120000-test/7"

// lab is a target of a test's own on the simulated cluster, and a project that says what is to be there.
type lab struct {
	t      testing.TB
	lab    *kubetest.Lab
	d      *Kubernetes
	target cluster.Cluster
}

func newLab(t testing.TB) *lab {
	t.Helper()
	k := kubetest.Start(t)
	ns := k.Namespace(t)
	h := &host.Host{Files: host.OS{}, Clock: host.SystemClock{}, Procs: host.Linux{}, Net: host.Internet{}, Project: t.TempDir(), Scratch: t.TempDir(), Env: append(os.Environ(), "KUBECONFIG="+k.Kubeconfig)}
	return &lab{t: t, lab: k, d: &Kubernetes{Pool: connect.NewPool(h), Host: h}, target: cluster.Cluster{Namespace: ns, Name: "shop", Context: k.Context}}
}

const web = `apiVersion: apps/v1
kind: Deployment
metadata: {name: web}
spec:
  replicas: 2
  selector: {matchLabels: {app: web}}
  template:
    metadata: {labels: {app: web}}
    spec:
      containers:
      - {name: app, image: "app:IMAGE", envFrom: [{configMapRef: {name: conf}}], ports: [{containerPort: 8080}], readinessProbe: {httpGet: {path: /, port: 8080}}}
---
apiVersion: v1
kind: Service
metadata: {name: web}
spec: {selector: {app: web}, ports: [{port: 80, targetPort: 8080}]}
---
apiVersion: v1
kind: ConfigMap
metadata: {name: conf}
data: {level: LEVEL}
`

// say lays manifests into the project: of an image and a configuration, with more documents behind.
func (l *lab) say(image, level string, more ...string) {
	l.t.Helper()
	text := strings.NewReplacer("IMAGE", image, "LEVEL", level).Replace(web) + strings.Join(more, "")
	if err := os.MkdirAll(filepath.Join(l.d.Host.Project, "k8s"), 0o755); err != nil {
		l.t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(l.d.Host.Project, "k8s", "app.yaml"), []byte(text), 0o600); err != nil {
		l.t.Fatal(err)
	}
}

// apply applies the manifests in a run, and accepts it where version is given.
func (l *lab) apply(run, version string) Applied {
	l.t.Helper()
	a := Apply{Cluster: l.target, Timeout: 60e9, Key: op.Key(run + "/1")}
	out, err := a.Do(l.t.Context(), l.d)
	if err == nil && version != "" {
		_, err = Accept{Cluster: l.target, Version: version, Key: op.Key(run + "/2")}.Do(l.t.Context(), l.d)
	}
	if err != nil {
		l.t.Fatal(err)
	}
	return out
}

// state is what the namespace has, and what is marked good.
func (l *lab) state() string {
	l.t.Helper()
	at, err := l.d.at(l.t.Context(), l.target)
	if err != nil {
		l.t.Fatal(err)
	}
	var lines []string
	for _, k := range []schema.GroupVersionKind{{Group: "apps", Version: "v1", Kind: "Deployment"}, {Version: "v1", Kind: "Service"}, {Version: "v1", Kind: "ConfigMap"}} {
		all, _, err := at.conn.List(l.t.Context(), k, l.target.Namespace, "")
		if err != nil {
			l.t.Fatal(err)
		}
		for _, o := range all {
			if o.GetName() != "kube-root-ca.crt" {
				lines = append(lines, fmt.Sprintln(o.GetKind(), o.GetName(), o.GetUID(), o.GetAnnotations()[reconcile.RunKey], o.Object["data"], strings.Join(reconcile.Images([]reconcile.Want{{Object: o}}), " ")))
			}
		}
	}
	goods, err := at.goods(l.t.Context())
	if err != nil {
		l.t.Fatal(err)
	}
	for _, g := range goods {
		lines = append(lines, fmt.Sprintln("good", g.Number, g.Run, g.Version, g.Live))
	}
	slices.Sort(lines)
	return strings.Join(lines, "")
}

func (l *lab) world(params any) optest.World {
	return optest.World{Host: l.d.Host, Params: params, Snapshot: l.state}
}

// TestLabOps holds every op that changes a target to the rules of all ops, in worlds on a cluster.
func TestLabOps(t *testing.T) {
	served := func(t testing.TB) *lab {
		l := newLab(t)
		l.say("1", "info")
		l.apply("20260126t110000-aaaa", "1.0")
		return l
	}
	optest.Run(t, optest.Suite{
		Family: func(h *host.Host) builtin.Family { return Family(h, connect.NewPool(h)) },
		Worlds: optest.Worlds{
			"apply: nothing is there": func(t testing.TB) optest.World {
				l := newLab(t)
				l.say("1", "info")
				return l.world(Apply{Cluster: l.target, Timeout: 60e9})
			},
			"apply: another serves": func(t testing.TB) optest.World {
				l := served(t)
				l.say("2", "debug")
				return l.world(Apply{Cluster: l.target, Timeout: 60e9})
			},
			"rollback": func(t testing.TB) optest.World {
				l := served(t)
				l.say("2", "debug")
				l.apply("20260126t113000-bbbb", "2.0")
				return l.world(Rollback{Cluster: l.target, To: "20260126t110000-aaaa", Timeout: 60e9})
			},
			"accept": func(t testing.TB) optest.World {
				l := served(t)
				l.say("2", "debug")
				run, _, _ := strings.Cut(string(opKey), "/")
				l.apply(run, "")
				return l.world(Accept{Cluster: l.target, Version: "2.0"})
			},
		},
	})
}

// TestLabHistory: what was accepted can be gone back to, by number, run and version; what is not needed goes, and what is stays.
func TestLabHistory(t *testing.T) {
	t.Parallel()
	l := newLab(t)
	for i, version := range []string{"1.0", "2.0", "3.0"} {
		l.say(version, "level"+version, map[string]string{"1.0": "---\napiVersion: v1\nkind: Service\nmetadata: {name: old}\nspec: {selector: {app: web}, ports: [{port: 81, targetPort: 8080}]}\n"}[version])
		l.apply(fmt.Sprintf("run%d", i+1), version)
	}
	if out := l.apply("run4", ""); out.Changed != 0 {
		t.Errorf("nothing has changed, and %d were applied", out.Changed)
	}
	find := func(name string) string {
		t.Helper()
		r, err := Find{Cluster: l.target, Name: name}.Do(t.Context(), l.d)
		if err != nil {
			t.Fatal(err)
		}
		return r.Version
	}
	if a, b, c, d := find(""), find("1"), find("run1"), find("1.0"); a != "2.0" || b != "1.0" || c != "1.0" || d != "1.0" {
		t.Errorf("found %s, %s, %s, %s", a, b, c, d)
	}
	if _, err := (Find{Cluster: l.target, Name: "2.1"}).Do(t.Context(), l.d); err == nil || !strings.Contains(err.Error(), "there is no good deployment 2.1 (did you mean 2.0?)") {
		t.Errorf("%v", err)
	}
	pruned, err := Prune{Cluster: l.target, Keep: 2, Key: "run4/5"}.Do(t.Context(), l.d)
	if err != nil || !slices.Equal(pruned.Objects, []string{"service/old"}) || !slices.Equal(pruned.Deployments, []string{"run1"}) || len(pruned.Left) != 2 {
		t.Errorf("pruned %+v, %v", pruned, err)
	}
	if again, err := (Prune{Cluster: l.target, Keep: 2, Key: "run4/6"}).Do(t.Context(), l.d); err != nil || len(again.Objects)+len(again.Deployments) > 0 {
		t.Errorf("pruned again %+v, %v", again, err)
	}
	back := Rollback{Cluster: l.target, To: "2", Timeout: 60e9, Key: "run5/1"}
	if _, err := back.Do(t.Context(), l.d); err != nil {
		t.Fatal(err)
	}
	o, err := l.lab.Conn(t).Get(t.Context(), api.Ref{Group: "apps", Version: "v1", Kind: "Deployment", Namespace: l.target.Namespace, Name: "web"})
	if err != nil || !slices.Equal(reconcile.Images([]reconcile.Want{{Object: *o}}), []string{"app:2.0"}) {
		t.Errorf("%v, %v", reconcile.Images([]reconcile.Want{{Object: *o}}), err)
	}
	h, err := History{Cluster: l.target}.Do(t.Context(), l.d)
	if err != nil || len(h) != 2 || !h[1].Live || h[0].Live {
		t.Errorf("%+v, %v", h, err)
	}
}

// TestLabUndoToWhatWasNotLive: an undo waits for what was live to be so again, and not for what was broken before.
func TestLabUndoToWhatWasNotLive(t *testing.T) {
	t.Parallel()
	l := newLab(t)
	apply := func(run, image string) (Restore, error) {
		t.Helper()
		l.say(image, "info")
		a := Apply{Cluster: l.target, Timeout: 60e9, Key: op.Key(run + "/1")}
		inverse, err := a.Inverse(t.Context(), l.d)
		if err != nil {
			t.Fatal(err)
		}
		_, err = a.Do(t.Context(), l.d)
		return inverse.(Restore), err
	}
	if _, err := apply("run1", "1-fault-imagepull"); err == nil {
		t.Fatal("what cannot be pulled is live")
	}
	before := l.state()
	undo, err := apply("run2", "2-fault-imagepull")
	if err == nil || !strings.Contains(err.Error(), "app:2-fault-imagepull") {
		t.Fatalf("%v", err)
	}
	if r, err := undo.Do(t.Context(), l.d); err != nil || r.Already || l.state() != before {
		t.Errorf("%+v, %v\n%s\nwas\n%s", r, err, l.state(), before)
	}
	if _, err := apply("run3", "3"); err != nil {
		t.Fatal(err)
	}
	live := l.state()
	undo, err = apply("run4", "4-fault-imagepull")
	if err == nil {
		t.Fatal("what cannot be pulled is live")
	}
	at, err := l.d.at(t.Context(), l.target)
	if err != nil {
		t.Fatal(err)
	}
	waits := false
	if _, err := reconcile.Restore(t.Context(), at.conn, at.set, undo.Was.Snapshot, undo.Of, func(_ context.Context, stand []reconcile.Applied) error {
		waits = slices.ContainsFunc(stand, func(a reconcile.Applied) bool { return a.Kind == "Deployment" })
		return errors.New("killed while it waits")
	}); err == nil || !waits {
		t.Errorf("it does not wait: %v", err)
	}
	if r, err := undo.Do(t.Context(), l.d); err != nil || !r.Already || l.state() != live {
		t.Errorf("%+v, %v\n%s\nwas\n%s", r, err, l.state(), live)
	}
}

// TestLabNoNamespace: a namespace that is missing is named before anything is applied, but for one that the set brings.
func TestLabNoNamespace(t *testing.T) {
	l := newLab(t)
	l.say("v1", "a", "---\napiVersion: v1\nkind: ConfigMap\nmetadata: {name: far, namespace: nowhere}\n")
	_, err := Diff{Cluster: l.target}.Do(t.Context(), l.d)
	if err == nil || !strings.HasSuffix(err.Error(), `there is no namespace "nowhere"`) || !strings.Contains(op.HintOf(err), "runner setup") {
		t.Errorf("%v; %s", err, op.HintOf(err))
	}
	l.say("v1", "a", "---\napiVersion: v1\nkind: ConfigMap\nmetadata: {name: far, namespace: nowhere}\n", "---\napiVersion: v1\nkind: Namespace\nmetadata: {name: nowhere}\n")
	if _, err := (Diff{Cluster: l.target}).Do(t.Context(), l.d); err != nil {
		t.Error(err)
	}
	l.target.StateNamespace = "nowhere" // it keeps the lease before the set is there
	_, err = Diff{Cluster: l.target}.Do(t.Context(), l.d)
	if err == nil || !strings.HasSuffix(err.Error(), `there is no namespace "nowhere"`) {
		t.Error(err)
	}
}

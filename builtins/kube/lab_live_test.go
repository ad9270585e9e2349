//go:build labs

package kube

import (
	"context"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/erlmcp/runner/builtins/cluster"
	"github.com/erlmcp/runner/builtins/kube/connect"
	"github.com/erlmcp/runner/builtins/kube/kubetest"
	"github.com/erlmcp/runner/runtime/host"
	"github.com/erlmcp/runner/runtime/op"
	"github.com/erlmcp/runner/runtime/secret"
)

// liveLab is a project with manifests, and a namespace that somebody else applies them to.
type liveLab struct {
	*kubetest.Lab
	t      *testing.T
	d      *Kubernetes
	target cluster.Cluster

	op.Silent
	mu   sync.Mutex
	said []string
}

func newLiveLab(t *testing.T) *liveLab {
	t.Helper()
	l := &liveLab{Lab: kubetest.Start(t), t: t}
	dir := t.TempDir()
	h := &host.Host{Files: host.OS{}, Clock: host.SystemClock{}, Project: dir, Scratch: filepath.Join(dir, "scratch"), Env: os.Environ(),
		Secrets: &secret.Vault{Scrubber: &secret.Scrubber{}}}
	l.d = &Kubernetes{Pool: connect.NewPool(h), Host: h}
	l.target = cluster.Cluster{Namespace: l.Namespace(t), Name: "shop", Kubeconfig: l.Kubeconfig, Context: l.Context}
	return l
}

// Output implements op.Speaker.
func (l *liveLab) Output(line string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.said = append(l.said, line)
}

func (l *liveLab) ctx() context.Context { return op.WithSpeaker(l.t.Context(), l) }

func (l *liveLab) manifest(text string) {
	l.t.Helper()
	file := filepath.Join(l.d.Host.Project, "k8s", "app.yaml")
	if err := os.MkdirAll(filepath.Dir(file), 0o700); err != nil {
		l.t.Fatal(err)
	}
	if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
		l.t.Fatal(err)
	}
	l.Kubectl(l.t, "apply", "-n", l.target.Namespace, "-f", file)
}

const liveApp = `apiVersion: apps/v1
kind: Deployment
metadata: {name: web}
spec:
  replicas: 2
  selector: {matchLabels: {app: web}}
  template: {metadata: {labels: {app: web}}, spec: {containers: [{name: app, image: "registry.invalid/app:1"}]}}
---
apiVersion: v1
kind: Service
metadata: {name: web}
spec: {selector: {app: web}, ports: [{port: 80}]}
---
apiVersion: v1
kind: ConfigMap
metadata: {name: conf}
`

// TestLabLive: what is live is told to be, what is not fails the wait at once, with why on one screen.
func TestLabLive(t *testing.T) {
	l := newLiveLab(t)
	l.manifest(liveApp)
	all, err := Wait{Cluster: l.target, Within: op.Duration(time.Minute)}.Do(l.ctx(), l.d)
	if err != nil || len(all) != 3 {
		t.Fatalf("%v, %v", all, err)
	}
	for _, s := range all {
		if s.State != "ready" {
			t.Errorf("%+v", s)
		}
	}
	l.manifest(strings.Replace(liveApp, "app:1", "app:2-fault-imagepull", 1))
	_, err = Wait{Cluster: l.target, Within: op.Duration(time.Minute)}.Do(l.ctx(), l.d)
	const why = "container app has the image registry.invalid/app:2-fault-imagepull, which the registry does not have"
	if err == nil || !strings.HasPrefix(err.Error(), "shop is not live: deployment/web: pod web-") || !strings.Contains(err.Error(), why) || op.HintOf(err) != "check name and tag, and that it was pushed" {
		t.Error(err, op.HintOf(err))
	}
	found, err := Wait{Cluster: l.target}.Evidence(l.ctx(), l.d)
	if err != nil || len(found) < 2 || !strings.HasPrefix(found[0].Title, "deployment/web > replicaset/web-") || !strings.Contains(strings.Join(strings.Fields(found[0].Text), " "), why) || found[len(found)-1].Title != "what the cluster says" {
		t.Errorf("%+v, %v", found, err)
	}
	status, err := Status{Cluster: l.target}.Do(l.ctx(), l.d)
	if err != nil || len(status) != 3 {
		t.Fatal(status, err)
	}
	for _, s := range status {
		if want := map[string]string{"Deployment": "doomed", "Service": "ready", "ConfigMap": "ready"}[s.Kind]; s.State != want {
			t.Errorf("%+v", s)
		}
	}
	events, err := Events{Cluster: l.target}.Do(l.ctx(), l.d)
	if err != nil {
		t.Fatal(err)
	}
	about := map[string]bool{}
	for _, e := range events {
		kind, _, _ := strings.Cut(e.Object, "/")
		about[kind+" "+e.Reason] = true
	}
	for _, want := range []string{"deployment ScalingReplicaSet", "replicaset SuccessfulCreate", "pod Failed"} {
		if !about[want] {
			t.Errorf("no event %s in %v", want, about)
		}
	}
}

// TestLabSuspectIsToldWithItsTime: a crash loop is told at once, and fails within 15 s.
func TestLabSuspectIsToldWithItsTime(t *testing.T) {
	l := newLiveLab(t)
	l.manifest(strings.Replace(liveApp, "app:1", "app:1-fault-crashloop", 1))
	_, err := Wait{Cluster: l.target, Within: op.Duration(time.Minute)}.Do(l.ctx(), l.d)
	if err == nil || !strings.Contains(err.Error(), "again and again") {
		t.Error(err)
	}
	if said := strings.Join(l.said, "\n"); !strings.Contains(said, "failing in 25s unless it recovers") {
		t.Error(said)
	}
}

// TestLabWaitEnds: the time that is over is told with what is not ready; a name that is wrong, with the nearest.
func TestLabWaitEnds(t *testing.T) {
	l := newLiveLab(t)
	l.manifest(strings.Replace(liveApp, "template: {metadata: {", `template: {metadata: {annotations: {lab/ready-after: "60s"}, `, 1))
	_, err := Wait{Cluster: l.target, Within: op.Duration(3 * time.Second)}.Do(l.ctx(), l.d)
	if err == nil || !strings.Contains(err.Error(), "shop is not live: deployment/web: ") || !strings.HasSuffix(err.Error(), "1 more not ready: 3s are over") {
		t.Error(err)
	}
	_, err = Logs{Cluster: l.target, Name: "wep", Lines: 5}.Do(l.ctx(), l.d)
	if err == nil || !strings.Contains(err.Error(), `is called wep (did you mean web?)`) {
		t.Error(err)
	}
}

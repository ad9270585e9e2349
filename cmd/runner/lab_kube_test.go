//go:build labs

package main

import (
	"context"
	"encoding/json"
	"fmt"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"

	"github.com/erlmcp/runner/builtins/cluster"
	"github.com/erlmcp/runner/builtins/kube/api"
	"github.com/erlmcp/runner/builtins/kube/connect"
	"github.com/erlmcp/runner/builtins/kube/kubetest"
	"github.com/erlmcp/runner/runtime/event"
	"github.com/erlmcp/runner/runtime/host"
)

// kubeSite is a project whose target is a namespace of the simulated cluster: a Deployment behind a Service, with a
// configuration and a disruption budget.
type kubeSite struct {
	*site
	lab       *kubetest.Lab
	conn      *api.Conn
	namespace string
	extra     string // more documents
	as        string // who deploys
}

const kubeEnvironments = `
production = environment(
    app = "shop",
    target = cluster("%[1]s", "shop", context = "%[2]s", images = {"app": ":%[3]s"}, as_user = "%[4]s"),
    secrets = {"TOKEN": secret.env("TOKEN")},
    keep = 3,
)
`

const kubeManifests = `apiVersion: apps/v1
kind: Deployment
metadata: {name: web}
spec:
  replicas: 3
  strategy: {rollingUpdate: {maxSurge: 1, maxUnavailable: 0}}
  selector: {matchLabels: {app: web}}
  template:
    metadata: {labels: {app: web}}
    spec:
      containers:
      - name: app
        image: app:latest
        envFrom: [{configMapRef: {name: conf}}, {secretRef: {name: shop-secrets}}]
        ports: [{containerPort: 8080}]
        readinessProbe: {httpGet: {path: /health/ready, port: 8080}}
        lifecycle: {preStop: {sleep: {seconds: 1}}}
---
apiVersion: v1
kind: Service
metadata: {name: web}
spec: {selector: {app: web}, ports: [{port: 80, targetPort: 8080}]}
---
apiVersion: v1
kind: ConfigMap
metadata: {name: conf}
data: {version: "VERSION"}
---
apiVersion: policy/v1
kind: PodDisruptionBudget
metadata: {name: web}
spec: {maxUnavailable: 1, selector: {matchLabels: {app: web}}}
`

func newKubeSite(t testing.TB) *kubeSite {
	t.Helper()
	lab := kubetest.Start(t)
	s := &kubeSite{site: &site{t: t, dir: t.TempDir(), home: t.TempDir()}, lab: lab, conn: lab.Conn(t), namespace: lab.Namespace(t)}
	s.more = append(s.more, "KUBECONFIG="+lab.Kubeconfig)
	s.write("recover.star", "def main(environment):\n    lease(environment)\n")
	return s
}

// deploy is the stock deploy.star, of a version.
func (s *kubeSite) deploy(version string, more ...string) []string {
	s.t.Helper()
	s.write("environments.star", fmt.Sprintf(kubeEnvironments, s.namespace, s.lab.Context, version, s.as))
	if err := os.MkdirAll(s.dir+"/k8s", 0o755); err != nil {
		s.t.Fatal(err)
	}
	s.write("k8s/app.yaml", strings.ReplaceAll(kubeManifests, "VERSION", version)+s.extra)
	return append([]string{"deploy.star", "production", "--output", "plain"}, more...)
}

func (s *kubeSite) deployment() *api.Object {
	s.t.Helper()
	o, err := s.conn.Get(s.t.Context(), api.Ref{Group: "apps", Version: "v1", Kind: "Deployment", Namespace: s.namespace, Name: "web"})
	if err != nil {
		s.t.Fatal(err)
	}
	return o
}

// serves is the version whose pods are all ready; "" where that is none.
func (s *kubeSite) serves() string {
	o := s.deployment()
	if o == nil {
		return ""
	}
	at := func(path ...string) int64 {
		n, _, _ := unstructured.NestedInt64(o.Object, path...)
		return n
	}
	want := at("spec", "replicas")
	if at("status", "observedGeneration") < o.GetGeneration() || at("status", "updatedReplicas") != want || at("status", "readyReplicas") != want || at("status", "replicas") != want {
		return ""
	}
	list, _, _ := unstructured.NestedSlice(o.Object, "spec", "template", "spec", "containers")
	return strings.TrimPrefix(list[0].(map[string]any)["image"].(string), "app:")
}

func (s *kubeSite) replicas() int64 {
	s.t.Helper()
	n, _, _ := unstructured.NestedInt64(s.deployment().Object, "spec", "replicas")
	return n
}

func (s *kubeSite) wants(version string) {
	s.t.Helper()
	if got := s.serves(); got != version {
		s.t.Fatalf("%q serves, want %q\n%s", got, version, s.out.String())
	}
}

// settles waits until a version serves: the cluster may still be at what somebody else has asked of it.
func (s *kubeSite) settles(version string) {
	s.t.Helper()
	ctx, cancel := context.WithTimeout(s.t.Context(), time.Minute)
	defer cancel()
	err := s.conn.Until(ctx, api.RefOf(s.deployment()), func(*api.Object) bool { return s.serves() == version })
	if err != nil {
		s.t.Fatalf("%q serves, want %q: %v\n%s", s.serves(), version, err, s.out.String())
	}
}

// state is what the namespace has, as far as runner changes it. What the cluster says by itself is left out.
func (s *kubeSite) state() string {
	s.t.Helper()
	var lines []string
	for _, k := range []schema.GroupVersionKind{{Group: "apps", Version: "v1", Kind: "Deployment"}, {Version: "v1", Kind: "Service"}, {Version: "v1", Kind: "ConfigMap"}, {Version: "v1", Kind: "Secret"},
		{Group: "policy", Version: "v1", Kind: "PodDisruptionBudget"}, {Group: "autoscaling", Version: "v2", Kind: "HorizontalPodAutoscaler"}} {
		all, _, err := s.conn.List(s.t.Context(), k, s.namespace, "")
		if err != nil {
			s.t.Fatal(err)
		}
		for _, o := range all {
			if strings.HasPrefix(o.GetName(), "runner-") || o.GetName() == "kube-root-ca.crt" {
				continue
			}
			notes := o.GetAnnotations()
			delete(notes, "deployment.kubernetes.io/revision")
			text, err := json.Marshal([]any{o.GetUID(), notes, o.GetLabels(), o.Object["spec"], o.Object["data"]})
			if err != nil {
				s.t.Fatal(err)
			}
			lines = append(lines, fmt.Sprintf("%s/%s %s\n", o.GetKind(), o.GetName(), text))
		}
	}
	slices.Sort(lines)
	return strings.Join(lines, "")
}

func (s *kubeSite) same(before, what string) {
	s.t.Helper()
	after := s.state()
	if after == before {
		return
	}
	was, is := strings.Split(before, "\n"), strings.Split(after, "\n")
	gone := slices.DeleteFunc(slices.Clone(was), func(l string) bool { return slices.Contains(is, l) })
	come := slices.DeleteFunc(slices.Clone(is), func(l string) bool { return slices.Contains(was, l) })
	s.t.Fatalf("%s: not as it was\n- %s\n+ %s\n%s", what, strings.Join(gone, "\n- "), strings.Join(come, "\n+ "), s.out.String())
}

// TestLabKubeDeploys: a deployment comes up, is found again, is replaced, fails in each way and is gone back from.
func TestLabKubeDeploys(t *testing.T) {
	t.Parallel()
	s := newKubeSite(t)
	s.runs(0, s.deploy("1.0")...)
	s.wants("1.0")
	s.says("production serves shop")
	first := s.state()

	s.runs(0, s.deploy("1.0")...)
	s.same(first, "what serves already is deployed again")
	if strings.Contains(s.out.String(), "kube.apply") {
		t.Errorf("what serves already is applied again\n%s", s.out.String())
	}
	s.runs(0, append([]string{"plan"}, s.deploy("1.1")...)...)
	s.says("app:1.0 -> app:1.1")
	s.same(first, "a plan")

	s.runs(0, s.deploy("1.1")...)
	s.wants("1.1")
	before := s.state()
	for fault, why := range map[string]string{"crashloop": "again and again", "imagepull": "which the registry does not have", "configerror": ""} {
		s.runs(10, s.deploy("1.2-fault-"+fault)...)
		s.says("every change is taken back", "deployment/web", why)
		s.wants("1.1")
		s.same(before, fault)
	}
	s.runs(0, "rollback.star", "production")
	s.wants("1.0")
	s.runs(0, "rollback.star", "production", "2")
	s.wants("1.1")
	s.runs(1, "rollback.star", "production", "7")
	s.says("there is no good deployment 7")
	if out := s.out.String(); strings.Contains(out, "canary") {
		t.Error("the secret is seen")
	}
}

// TestLabKubeNeverReady: a probe that goes on failing is given its time, counted down, and then is taken back.
func TestLabKubeNeverReady(t *testing.T) {
	t.Parallel()
	s := newKubeSite(t)
	s.runs(0, s.deploy("1.0")...)
	before := s.state()
	s.runs(10, s.deploy("1.1-fault-unready")...)
	s.says("deployment/web", "unless it recovers", "every change is taken back")
	s.wants("1.0")
	s.same(before, "never ready")
}

// committed reports whether the last run has committed, as its undo log in the cluster says.
func (s *kubeSite) committed() bool {
	s.t.Helper()
	h := &host.Host{Files: host.OS{}, Clock: host.SystemClock{}, Procs: host.Linux{}, Env: append(os.Environ(), s.more...)}
	at := clusterHome(connect.NewPool(h), cluster.Cluster{Namespace: s.namespace, Name: "shop", Context: s.lab.Context})
	runs, err := at.Logs(context.Background())
	if err != nil {
		s.t.Fatal(err)
	}
	mine := runID.FindString(s.out.String())
	if !slices.Contains(runs, mine) {
		return false // killed before it had one
	}
	records, err := at.Read(context.Background(), mine)
	if err != nil {
		s.t.Fatal(err)
	}
	return slices.ContainsFunc(records, func(r event.Record) bool { _, is := r.Fact.(event.Committed); return is })
}

// recovers has another machine take back what was killed; then the old version serves, as it was, or the new one where
// the killed run had committed.
func (s *kubeSite) recovers(old, next, before string) (committed bool) {
	s.t.Helper()
	out := s.out.String()
	committed = s.committed()
	s.otherMachine()
	s.runs(0, "recover.star", "production")
	switch got := s.serves(); {
	case committed && got == next:
		return true
	case got != old:
		s.t.Fatalf("killed: %q serves, want %q\n%s\n%s", got, old, out, s.out.String())
	}
	s.same(before, "killed\n"+out+"\n")
	return false
}

// TestLabKubeKilledAtEveryFact kills the real program behind each fact of an upgrade; then another machine recovers.
func TestLabKubeKilledAtEveryFact(t *testing.T) {
	t.Parallel()
	s := newKubeSite(t)
	s.runs(0, s.deploy("1.0")...)
	old, next := "1.0", "1.1"
	for n := 1; ; n++ {
		before := s.state()
		if s.process(n, s.deploy(next)...) == 0 {
			t.Logf("%d facts", n-1)
			return
		}
		if s.recovers(old, next, before) {
			old, next = next, old
		}
	}
}

// TestLabKubeKilledWhileItFails kills the real program behind each fact of a deployment whose image cannot be pulled, and
// of its undo.
func TestLabKubeKilledWhileItFails(t *testing.T) {
	t.Parallel()
	s := newKubeSite(t)
	s.runs(0, s.deploy("1.0")...)
	before := s.state()
	for n := 1; ; n++ {
		if s.process(n, s.deploy("1.1-fault-imagepull")...) == 10 {
			t.Logf("%d facts", n-1)
			return
		}
		s.recovers("1.0", "1.1-fault-imagepull", before)
	}
}

// TestLabKubeKilledWhileItRecovers kills a recovery behind each of its facts, and has a third machine end it.
func TestLabKubeKilledWhileItRecovers(t *testing.T) {
	t.Parallel()
	s := newKubeSite(t)
	s.runs(0, s.deploy("1.0")...)
	before := s.state()
	for n := 1; ; n++ {
		s.killBehind("kube.apply", s.deploy("1.1")...)
		s.otherMachine()
		if s.process(n, "recover.star", "production") == 0 {
			t.Logf("%d facts", n-1)
			if n < 3 {
				t.Errorf("%d facts\n%s", n-1, s.out.String())
			}
			s.same(before, "recovered")
			return
		}
		s.recovers("1.0", "1.1", before)
	}
}

//go:build labs

package main

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/erlmcp/runner/builtins/kube/api"
	"github.com/erlmcp/runner/scripts"
)

const kubeScaler = `---
apiVersion: autoscaling/v2
kind: HorizontalPodAutoscaler
metadata: {name: web}
spec: {scaleTargetRef: {apiVersion: apps/v1, kind: Deployment, name: web}, minReplicas: 3, maxReplicas: 10, metrics: [{type: Resource, resource: {name: cpu, target: {type: Utilization, averageUtilization: 70}}}]}
`

// TestLabKubeScaledMeanwhile: what an autoscaler has said while a deployment was under way holds, behind it and behind its
// undo.
func TestLabKubeScaledMeanwhile(t *testing.T) {
	t.Parallel()
	s := newKubeSite(t)
	s.extra = kubeScaler
	s.runs(0, s.deploy("1.0")...)
	scale := func(n int) {
		s.lab.Kubectl(t, "-n", s.namespace, "scale", "deployment/web", fmt.Sprint("--replicas=", n))
	}
	for i, version := range []string{"1.1", "1.2-fault-crashloop"} {
		run := s.begin(s.deploy(version)...)
		run.until("deployment/web: ")
		scale(5 + i)
		run.ends(10 * i)
		s.says("deployment/web keeps the replicas that its autoscaler gives it")
		s.settles("1.1")
		if n := s.replicas(); n != int64(5+i) {
			t.Errorf("behind %s there are %d replicas, want %d", version, n, 5+i)
		}
	}
}

// TestLabKubeTwoRunners: of two machines that deploy to one target, the second is told who holds it; when the first dies,
// the second takes back what it left.
func TestLabKubeTwoRunners(t *testing.T) {
	t.Parallel()
	s := newKubeSite(t)
	s.runs(0, s.deploy("1.0")...)
	before := s.state()
	first := s.begin(s.deploy("1.1-fault-unready")...)
	first.until("deployment/web: ")
	other := &kubeSite{site: &site{t: t, dir: t.TempDir(), home: t.TempDir(), more: s.more}, lab: s.lab, conn: s.conn, namespace: s.namespace}
	if code := other.process(0, other.deploy("1.2")...); code != 17 {
		t.Errorf("exit %d\n%s", code, other.out.String())
	}
	other.says("is held by")
	first.cmd.Process.Kill()
	first.ends(-1)
	other.runs(0, other.deploy("1.0")...)
	other.says("recover")
	other.wants("1.0")
	other.same(before, "taken over")
}

// TestLabKubeServerIsRestarted: the API server goes in the middle, and comes back; the run goes on. It is not side by side
// with others, which would lose the server too.
func TestLabKubeServerIsRestarted(t *testing.T) {
	s := newKubeSite(t)
	s.runs(0, s.deploy("1.0")...)
	for version, code := range map[string]int{"1.1": 0, "1.2-fault-crashloop": 10} {
		run := s.begin(s.deploy(version)...)
		run.until("deployment/web: ")
		s.lab.KillAPIServer(t)
		s.lab.RestartAPIServer(t)
		run.ends(code)
	}
	s.wants("1.1")
}

// TestLabKubeNewNamespaceAndKind: a namespace, a kind and an object of it come in one set; of a first deployment that fails
// nothing stays but the namespace.
func TestLabKubeNewNamespaceAndKind(t *testing.T) {
	t.Parallel()
	s := newKubeSite(t)
	there, group := s.namespace+"-new", s.namespace+".example.com"
	s.extra = fmt.Sprintf(`---
apiVersion: v1
kind: Namespace
metadata: {name: %[1]s}
---
apiVersion: apiextensions.k8s.io/v1
kind: CustomResourceDefinition
metadata: {name: widgets.%[2]s}
spec:
  group: %[2]s
  scope: Namespaced
  names: {plural: widgets, singular: widget, kind: Widget, listKind: WidgetList}
  versions: [{name: v1, served: true, storage: true, schema: {openAPIV3Schema: {type: object, x-kubernetes-preserve-unknown-fields: true}}}]
---
apiVersion: %[2]s/v1
kind: Widget
metadata: {name: one, namespace: %[1]s}
spec: {size: 1}
`, there, group)
	widget := api.Ref{Group: group, Version: "v1", Kind: "Widget", Namespace: there, Name: "one"}
	t.Cleanup(func() {
		ctx := context.Background()
		if err := errors.Join(s.conn.Delete(ctx, api.Ref{Version: "v1", Kind: "Namespace", Name: there}, ""),
			s.conn.Delete(ctx, api.Ref{Group: "apiextensions.k8s.io", Version: "v1", Kind: "CustomResourceDefinition", Name: "widgets." + group}, "")); err != nil {
			t.Error(err)
		}
	})
	s.runs(10, s.deploy("1.0-fault-imagepull")...)
	s.says("namespace/"+there+" stays", "every change is taken back")
	if left := s.state(); left != "" {
		t.Errorf("of a first deployment there is left\n%s", left)
	}
	if names := s.lab.Kubectl(t, "get", "crd", "-o", "name"); strings.Contains(names, group) {
		t.Errorf("the kind is left: %s", names)
	}
	s.runs(0, append([]string{"plan"}, s.deploy("1.0")...)...)
	s.runs(0, s.deploy("1.0")...)
	if o, err := s.conn.Get(t.Context(), widget); err != nil || o == nil {
		t.Errorf("%v, %v", o, err)
	}
	s.runs(0, s.deploy("1.1")...)
	s.wants("1.1")
}

// TestLabKubePlanOfWhatFails: a plan that knows of a failure is none, and says what to do.
func TestLabKubePlanOfWhatFails(t *testing.T) {
	t.Parallel()
	s := newKubeSite(t)
	s.runs(0, s.deploy("1.0")...)
	plan := append([]string{"plan"}, s.deploy("1.1")...)
	s.write("k8s/app.yaml", strings.ReplaceAll(s.read("k8s/app.yaml"), "{app: web}", "{app: site}"))
	s.runs(1, plan...)
	s.says("! cannot change deployment/web: spec.selector: ", "field is immutable; it must be made anew: kube.apply(..., replace = True)", "a run would fail by what is behind !")
}

// TestLabKube500: five hundred objects come, are found as they should be, and are put back.
func TestLabKube500(t *testing.T) {
	t.Parallel()
	s := newKubeSite(t)
	many := func(value string) string {
		var b strings.Builder
		for i := range 500 {
			fmt.Fprintf(&b, "---\napiVersion: v1\nkind: ConfigMap\nmetadata: {name: c%d, annotations: {runner.erlmcp.org/versioned: \"false\"}}\ndata: {value: %q}\n", i, value)
		}
		return b.String()
	}
	s.extra = many("1")
	s.runs(0, s.deploy("1.0")...)
	before := s.state()
	s.runs(0, s.deploy("1.0")...)
	s.same(before, "nothing has changed")
	s.extra = many("2")
	s.runs(10, s.deploy("1.1-fault-crashloop")...)
	s.wants("1.0")
	s.same(before, "500 objects")
}

// TestLabKubeMinimalRole: who has the Role that ships, and nothing else, deploys, fails and goes back; one right less is
// named before anything changes.
func TestLabKubeMinimalRole(t *testing.T) {
	t.Parallel()
	s := newKubeSite(t)
	role, err := scripts.FS.ReadFile("k8s/role.yaml")
	if err != nil {
		t.Fatal(err)
	}
	s.write("role.yaml", strings.ReplaceAll(string(role), "name: erlmcp-deployer", "name: "+s.namespace))
	s.lab.Kubectl(t, "apply", "-n", s.namespace, "-f", s.dir+"/role.yaml")
	s.lab.Kubectl(t, "create", "rolebinding", s.namespace, "-n", s.namespace, "--role", s.namespace, "--user", "ci-"+s.namespace)
	s.lab.Kubectl(t, "create", "clusterrolebinding", s.namespace, "--clusterrole", s.namespace, "--user", "ci-"+s.namespace)
	t.Cleanup(func() {
		for _, kind := range []string{"ClusterRole", "ClusterRoleBinding"} {
			if err := s.conn.Delete(context.Background(), api.Ref{Group: "rbac.authorization.k8s.io", Version: "v1", Kind: kind, Name: s.namespace}, ""); err != nil {
				t.Error(err)
			}
		}
	})
	s.as = "ci-" + s.namespace
	s.runs(0, s.deploy("1.0")...)
	s.runs(0, s.deploy("1.1")...)
	before := s.state()
	s.runs(10, s.deploy("1.2-fault-crashloop")...)
	s.same(before, "with the Role alone")
	s.runs(0, "rollback.star", "production")
	s.wants("1.0")
	before = s.state()
	s.lab.Kubectl(t, "patch", "role", s.namespace, "-n", s.namespace, "--type=json", "-p", `[{"op": "remove", "path": "/rules/3"}]`)
	if code := s.process(0, s.deploy("1.1")...); code != 1 && code != 18 {
		t.Errorf("exit %d", code)
	}
	s.says("deployments")
	s.same(before, "a right is missing")
}

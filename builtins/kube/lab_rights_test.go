//go:build labs

package kube

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/erlmcp/runner/builtins/kube/api"
	"github.com/erlmcp/runner/runtime/op"
	"github.com/erlmcp/runner/scripts"
)

// may makes a user who has a rule's rights in the namespace, and no others.
func (l *lab) may(name string, rule any) (user string) {
	l.t.Helper()
	const group = "rbac.authorization.k8s.io"
	user = name + "-" + l.target.Namespace
	for kind, fields := range map[string]map[string]any{
		"Role": {"rules": []any{rule}},
		"RoleBinding": {"roleRef": map[string]any{"apiGroup": group, "kind": "Role", "name": name},
			"subjects": []any{map[string]any{"kind": "User", "apiGroup": group, "name": user}}},
	} {
		fields["apiVersion"], fields["kind"] = group+"/v1", kind
		fields["metadata"] = map[string]any{"name": name, "namespace": l.target.Namespace}
		if _, err := l.lab.Conn(l.t).Create(l.t.Context(), &api.Object{Object: fields}); err != nil {
			l.t.Fatal(err)
		}
	}
	return user
}

// Who may only look, or nothing at all, is told all that is missing before anything changes.
func TestLabRightsAreMissing(t *testing.T) {
	l := newLab(t)
	l.say("1", "info")
	reader := l.may("reader", map[string]any{"apiGroups": []any{"*"}, "resources": []any{"*"}, "verbs": []any{"get", "list", "watch"}})
	for user, want := range map[string]string{
		reader:   "these credentials may not create, delete, patch and update configmaps, delete pods, create, delete, patch and update secrets, ",
		"nobody": "these credentials may not create, delete, get, list, patch, update and watch configmaps, list and watch events, ",
	} {
		l.target.AsUser = user
		a := Apply{Cluster: l.target, Timeout: 60e9, Key: opKey}
		_, err := a.Inverse(t.Context(), l.d)
		if err == nil || !strings.Contains(err.Error(), want) || !strings.Contains(err.Error(), "create, delete, ") || !strings.Contains(err.Error(), " deployments.apps") {
			t.Errorf("%s: %v, want\n%s", user, err, want)
		}
		if _, err := a.Difference(t.Context(), l.d); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: a plan: %v", user, err)
		}
	}
}

// Who may do all but ask the pods is told so before they are changed, where the target says that they are asked.
func TestLabRightToAskIsMissing(t *testing.T) {
	l := newLab(t)
	l.say("1", "info")
	some := func(resources ...any) any {
		return map[string]any{"apiGroups": []any{"*"}, "resources": resources, "verbs": []any{"*"}}
	}
	l.target.AsUser = l.may("deployer", some("configmaps", "secrets", "services", "deployments", "replicasets", "pods", "pods/log", "events", "leases", "horizontalpodautoscalers", "endpointslices", "poddisruptionbudgets"))
	for serves, want := range map[string]string{"": "", "deployment/web:8080": "these credentials may not create and get pods/portforward in " + l.target.Namespace} {
		l.target.Serves = serves
		_, err := Apply{Cluster: l.target, Timeout: 60e9, Key: opKey}.Inverse(t.Context(), l.d)
		if got := fmt.Sprint(err); err == nil && want != "" || err != nil && got != want {
			t.Errorf("serves %q: %v, want %q", serves, err, want)
		}
	}
}

// role gives the Role that ships, changed, to a user of the namespace's own, as whom the target is then used.
func (l *liveLab) role(replace ...string) {
	l.t.Helper()
	text, err := scripts.FS.ReadFile("k8s/role.yaml")
	if err != nil {
		l.t.Fatal(err)
	}
	ns := l.target.Namespace
	role, _, _ := strings.Cut(string(text), "\n---\n")
	changed := strings.NewReplacer(append(replace, "name: erlmcp-deployer", "name: "+ns)...).Replace(role)
	if len(replace) > 0 && !strings.Contains(role, replace[0]) {
		l.t.Fatalf("the Role has no %q", replace[0])
	}
	file := filepath.Join(l.d.Host.Project, "role.yaml")
	if err := os.WriteFile(file, []byte(changed), 0o600); err != nil {
		l.t.Fatal(err)
	}
	l.Kubectl(l.t, "apply", "-n", ns, "-f", file)
	if l.target.AsUser == "" {
		l.target.AsUser = "ci-" + ns
		l.Kubectl(l.t, "create", "rolebinding", "ci", "-n", ns, "--role", ns, "--user", l.target.AsUser)
	}
}

// Who has the Role that ships runs Jobs; a right to run them or to ask pods that is missing is named with the others,
// before anything changes.
func TestLabRightsOfJobsAndRequests(t *testing.T) {
	l := newLiveLab(t)
	l.manifests("", "1")
	l.role()
	l.target.Serves = "deployment/web:8080"
	apply := Apply{Cluster: l.target, Timeout: 60e9, Key: "run/1"}
	if _, err := apply.Inverse(l.ctx(), l.d); err != nil {
		t.Fatal(err)
	}
	if _, err := apply.Do(l.ctx(), l.d); err != nil {
		t.Fatal(err)
	}
	if out, err := l.job("run/2").Do(l.ctx(), l.d); err != nil || out.Code != 0 {
		t.Fatalf("%+v, %v", out, err)
	}
	asked := HTTP{Cluster: l.target, Path: "/", Status: 200, Count: 1, Timeout: op.Duration(time.Second)}
	if _, err := asked.Do(l.ctx(), l.d); err == nil || !strings.Contains(err.Error(), "there is no deployment/web in") {
		t.Error(err)
	}

	l.role("verbs: [get, list, watch, create, delete]", "verbs: [get, list]", "resources: [pods/log]", "resources: [pods/status]", "resources: [pods/portforward]", "resources: [pods/exec]")
	in := " in " + l.target.Namespace
	jobs := "get pods/log, create, delete and watch jobs.batch" + in
	requests := "create and get pods/portforward" + in
	all := "get pods/log, create and get pods/portforward, create, delete and watch jobs.batch" + in
	for what, c := range map[string]struct {
		try  func() error
		want string
	}{
		"a deployment": {func() error { _, err := apply.Inverse(l.ctx(), l.d); return err }, all},
		"a plan":       {func() error { _, err := apply.Difference(l.ctx(), l.d); return err }, all},
		"a Job":        {func() error { _, err := l.job("run/3").Do(l.ctx(), l.d); return err }, jobs},
		"a request":    {func() error { _, err := asked.Do(l.ctx(), l.d); return err }, requests},
		"an address":   {func() error { _, err := Forward{Cluster: l.target}.Do(l.ctx(), l.d); return err }, requests},
	} {
		if err := c.try(); err == nil || !strings.HasSuffix(err.Error(), "these credentials may not "+c.want) || !strings.Contains(op.HintOf(err), "runner setup") {
			t.Errorf("%s: %v, want\n%s", what, err, c.want)
		}
	}
	if n := len(l.jobs()); n != 1 {
		t.Errorf("%d Jobs", n)
	}
}

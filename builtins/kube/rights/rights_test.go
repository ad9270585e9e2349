package rights

import (
	"slices"
	"strings"
	"testing"

	"github.com/erlmcp/runner/builtins/cluster"
	"github.com/erlmcp/runner/builtins/kube/api"
	"github.com/erlmcp/runner/builtins/kube/manifest"
	"github.com/erlmcp/runner/runtime/host"
	"github.com/erlmcp/runner/runtime/secret"
	"github.com/erlmcp/runner/scripts"
	rbacv1 "k8s.io/api/rbac/v1"
	"k8s.io/client-go/rest"
	"sigs.k8s.io/yaml"
)

// roles are those of k8s/role.yaml.
func roles(t *testing.T) (role rbacv1.Role, cluster rbacv1.ClusterRole) {
	t.Helper()
	b, err := scripts.FS.ReadFile("k8s/role.yaml")
	if err != nil {
		t.Fatal(err)
	}
	first, second, _ := strings.Cut(string(b), "\n---\n")
	if err := yaml.UnmarshalStrict([]byte(first), &role); err != nil {
		t.Fatal(err)
	}
	if err := yaml.UnmarshalStrict([]byte(second), &cluster); err != nil {
		t.Fatal(err)
	}
	return role, cluster
}

// standard are the objects of the standard manifests.
func standard(t *testing.T, namespace string) (out []api.Ref) {
	t.Helper()
	h := &host.Host{Files: host.OS{}, Project: t.TempDir(), Standard: scripts.FS, Secrets: &secret.Vault{Scrubber: &secret.Scrubber{}}}
	set, err := manifest.Load(t.Context(), h, cluster.Cluster{Namespace: namespace, Name: "erlmcp", Context: "any", Manifests: []string{"k8s"}}, manifest.Overrides{})
	if err != nil {
		t.Fatal(err)
	}
	for _, o := range set.Objects {
		out = append(out, o.Ref())
	}
	return out
}

// The Role has what a deployment of the standard manifests needs, and no more.
func TestRoleIsMinimal(t *testing.T) {
	c, err := api.New(&rest.Config{Host: "https://127.0.0.1:1"}, host.SystemClock{}) // which is not asked
	if err != nil {
		t.Fatal(err)
	}
	wants, err := Deployment(t.Context(), c, standard(t, "erlmcp"), "erlmcp")
	if err != nil {
		t.Fatal(err)
	}
	wants = append(wants, Reaching("erlmcp")...)
	wants = append(wants, Running("erlmcp")...)
	wants = append(wants, Right{"list", "storage.k8s.io", "storageclasses", ""}) // without it, events say what a volume waits for
	var given []Right
	role, all := roles(t)
	for i, rules := range [][]rbacv1.PolicyRule{role.Rules, all.Rules} {
		for _, r := range rules {
			for _, resource := range r.Resources {
				given = append(given, rights(r.APIGroups[0], []string{"erlmcp", ""}[i], strings.Join(r.Verbs, " "), resource)...)
			}
		}
	}
	if more := without(given, wants); len(more) > 0 {
		t.Errorf("nobody needs to %s", text(more))
	}
	if less := without(wants, given); len(less) > 0 {
		t.Errorf("nobody may %s", text(less))
	}
}

func without(all, these []Right) []Right {
	return slices.DeleteFunc(slices.Clone(all), func(r Right) bool { return slices.Contains(these, r) })
}

func TestText(t *testing.T) {
	got := text([]Right{{"list", "", "events", "shop"}, {"patch", "apps", "deployments", "shop"}, {"create", "apps", "deployments", "shop"}, {"get", "", "namespaces", ""},
		{"watch", "coordination.k8s.io", "leases", "ops"}})
	if want := "get namespaces; watch leases.coordination.k8s.io in ops; list events, create and patch deployments.apps in shop"; got != want {
		t.Errorf("%s, want %s", got, want)
	}
}

func TestAllows(t *testing.T) {
	for _, c := range []struct {
		rule rule
		want bool
	}{
		{rule{[]string{"get"}, []string{""}, []string{"pods/log"}}, true}, {rule{[]string{"*"}, []string{"*"}, []string{"*"}}, true},
		{rule{[]string{"list"}, []string{""}, []string{"pods/log"}}, false}, {rule{[]string{"get"}, []string{"apps"}, []string{"pods/log"}}, false},
		{rule{[]string{"get"}, []string{""}, []string{"pods"}}, false},
	} {
		if got := c.rule.allows(Right{"get", "", "pods/log", "shop"}); got != c.want {
			t.Errorf("%+v: %t", c.rule, got)
		}
	}
}

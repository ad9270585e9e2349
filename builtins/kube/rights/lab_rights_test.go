//go:build labs

package rights

import (
	"context"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/erlmcp/runner/builtins/home"
	"github.com/erlmcp/runner/builtins/kube/api"
	"github.com/erlmcp/runner/builtins/kube/kubetest"
	"github.com/erlmcp/runner/builtins/kube/register"
	"github.com/erlmcp/runner/builtins/record"
	"github.com/erlmcp/runner/runtime/event"
	"github.com/erlmcp/runner/runtime/host"
	"github.com/erlmcp/runner/runtime/journal"
	"github.com/erlmcp/runner/runtime/op"
	rbacv1 "k8s.io/api/rbac/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/client-go/rest"
)

// deployer is somebody who has the Role in a namespace, as it is or changed, and nothing else.
func deployer(t *testing.T, change func(*rbacv1.Role)) (*api.Conn, *kubetest.Lab, string) {
	t.Helper()
	lab := kubetest.Start(t)
	namespace := lab.Namespace(t)
	role, all := roles(t)
	role.Namespace = namespace
	all.Name = namespace
	change(&role)
	who := []rbacv1.Subject{{Kind: "User", APIGroup: rbacv1.GroupName, Name: "ci-" + namespace}}
	here := &rbacv1.RoleBinding{Subjects: who, RoleRef: rbacv1.RoleRef{APIGroup: rbacv1.GroupName, Kind: "Role", Name: role.Name}}
	here.APIVersion, here.Kind, here.Name, here.Namespace = role.APIVersion, "RoleBinding", role.Name, namespace
	everywhere := &rbacv1.ClusterRoleBinding{Subjects: who, RoleRef: rbacv1.RoleRef{APIGroup: rbacv1.GroupName, Kind: "ClusterRole", Name: all.Name}}
	everywhere.APIVersion, everywhere.Kind, everywhere.Name = all.APIVersion, "ClusterRoleBinding", all.Name
	admin := lab.Conn(t)
	for _, o := range []any{&role, &all, here, everywhere} {
		fields, err := runtime.DefaultUnstructuredConverter.ToUnstructured(o)
		if err != nil {
			t.Fatal(err)
		}
		made, err := admin.Create(t.Context(), &api.Object{Object: fields})
		if err != nil {
			t.Fatal(err)
		}
		if made.GetNamespace() == "" {
			t.Cleanup(func() { admin.Delete(context.Background(), api.RefOf(made), "") })
		}
	}
	config := lab.Config()
	config.Impersonate = rest.ImpersonationConfig{UserName: who[0].Name}
	c, err := api.New(config, host.SystemClock{})
	if err != nil {
		t.Fatal(err)
	}
	return c, lab, namespace
}

func wants(t *testing.T, c *api.Conn, namespace string) []Right {
	t.Helper()
	all, err := Deployment(t.Context(), c, standard(t, namespace), namespace)
	if err != nil {
		t.Fatal(err)
	}
	return append(append(all, Reaching(namespace)...), Running(namespace)...)
}

// With the Role alone nothing is missing, and a run can take its lease, write its undo log, and do all else with it.
func TestLabRoleIsEnough(t *testing.T) {
	c, _, namespace := deployer(t, func(*rbacv1.Role) {})
	if err := Check(t.Context(), c, wants(t, c, namespace)); err != nil {
		t.Error(err)
	}
	boot, _ := host.BootID()
	at := home.Home{Target: "cluster:shop", Server: "the cluster", Host: &host.Host{Files: host.OS{}, Clock: host.SystemClock{}, Procs: host.Linux{Boot: boot}, Boot: boot, Env: os.Environ()},
		Open: func(context.Context) (record.Register, error) { return register.New(c, namespace, "shop"), nil }}
	must := func(err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}
	l, err := at.Take(t.Context(), journal.Owner{Run: "a"}, nil)
	must(err)
	queued := make(chan error, 1)
	heard := make(chan int, 1)
	go func() {
		next, err := at.Take(t.Context(), journal.Owner{Run: "b"}, func(journal.Owner, int) { heard <- 1 })
		if err == nil {
			err = next.Release()
		}
		queued <- err
	}()
	<-heard
	w, err := l.Open(t.Context(), "a")
	must(err)
	must(w.Append(t.Context(), event.Record{Time: time.Now(), Run: "a", Fact: event.Noted{Text: "x"}}, true))
	_, err = w.Put(t.Context(), make([]byte, 100<<10))
	must(err)
	must(w.Close())
	must(at.SwapHold(t.Context(), nil, &journal.Hold{Who: "ana", Why: "x", Since: time.Now()}))
	must(l.Check(t.Context()))
	must(l.Drop(t.Context(), "a"))
	must(l.Release())
	must(<-queued)
	// The API server says the same of each right: nobody may do what the Role does not say.
	for _, no := range []Right{{"create", "", "pods", namespace}, {"get", "", "secrets", "kube-system"}, {"patch", "rbac.authorization.k8s.io", "roles", namespace}, {"create", "", "namespaces", ""}} {
		if allowed, err := ask(t.Context(), c, no); err != nil || allowed {
			t.Errorf("%+v: %t, %v", no, allowed, err)
		}
	}
}

// Every right that is missing is named, in one error and with few requests, and nothing has changed.
func TestLabEveryMissingRightIsNamed(t *testing.T) {
	_, lab, namespace := deployer(t, func(r *rbacv1.Role) {
		for i := range r.Rules {
			rule := &r.Rules[i]
			switch rule.Resources[0] {
			case "leases":
				rule.Verbs = slices.DeleteFunc(rule.Verbs, func(v string) bool { return v == "update" })
			case "deployments":
				rule.Verbs = []string{"get", "list", "watch"}
			case "pods/log":
				rule.ResourceNames = []string{"one"} // which is not all of them
			}
		}
	})
	p := lab.Proxy(t)
	config := p.Config()
	config.Impersonate = rest.ImpersonationConfig{UserName: "ci-" + namespace}
	c, err := api.New(config, host.SystemClock{})
	if err != nil {
		t.Fatal(err)
	}
	err = Check(t.Context(), c, wants(t, c, namespace))
	want := "these credentials may not get pods/log, create, delete, patch and update deployments.apps, update leases.coordination.k8s.io in " + namespace
	if err == nil || err.Error() != want || !strings.Contains(op.HintOf(err), "runner setup") {
		t.Errorf("%v (%s), want\n%s", err, op.HintOf(err), want)
	}
	for what := range p.Counts() {
		if !strings.Contains(what, "selfsubject") {
			t.Errorf("asked for %s", what)
		}
	}
	if n := p.Asked(); n > 8 {
		t.Errorf("%d requests: %v", n, p.Counts())
	}
}

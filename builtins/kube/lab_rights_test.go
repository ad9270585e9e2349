//go:build labs

package kube

import (
	"fmt"
	"strings"
	"testing"

	"github.com/erlmcp/runner/builtins/kube/api"
)

// Who may only look, or nothing at all, is told all that is missing before anything changes.
func TestLabRightsAreMissing(t *testing.T) {
	l := newLab(t)
	l.say("1", "info")
	admin := l.lab.Conn(t)
	rbac := func(kind string, fields map[string]any) {
		t.Helper()
		fields["apiVersion"], fields["kind"] = "rbac.authorization.k8s.io/v1", kind
		fields["metadata"] = map[string]any{"name": "reader", "namespace": l.target.Namespace}
		if _, err := admin.Create(t.Context(), &api.Object{Object: fields}); err != nil {
			t.Fatal(err)
		}
	}
	rbac("Role", map[string]any{"rules": []any{map[string]any{"apiGroups": []any{"*"}, "resources": []any{"*"}, "verbs": []any{"get", "list", "watch"}}}})
	rbac("RoleBinding", map[string]any{"roleRef": map[string]any{"apiGroup": "rbac.authorization.k8s.io", "kind": "Role", "name": "reader"},
		"subjects": []any{map[string]any{"kind": "User", "apiGroup": "rbac.authorization.k8s.io", "name": "reader-" + l.target.Namespace}}})
	for user, want := range map[string]string{
		"reader-" + l.target.Namespace: "these credentials may not create, delete, patch and update configmaps, delete pods, create, delete, patch and update secrets, ",
		"nobody":                       "these credentials may not create, delete, get, list, patch, update and watch configmaps, list and watch events, ",
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
	admin := l.lab.Conn(t)
	rbac := func(kind string, fields map[string]any) {
		t.Helper()
		fields["apiVersion"], fields["kind"] = "rbac.authorization.k8s.io/v1", kind
		fields["metadata"] = map[string]any{"name": "deployer", "namespace": l.target.Namespace}
		if _, err := admin.Create(t.Context(), &api.Object{Object: fields}); err != nil {
			t.Fatal(err)
		}
	}
	some := func(resources ...any) any {
		return map[string]any{"apiGroups": []any{"*"}, "resources": resources, "verbs": []any{"*"}}
	}
	rbac("Role", map[string]any{"rules": []any{some("configmaps", "secrets", "services", "deployments", "replicasets", "pods", "pods/log", "events", "leases", "horizontalpodautoscalers", "endpointslices", "poddisruptionbudgets")}})
	rbac("RoleBinding", map[string]any{"roleRef": map[string]any{"apiGroup": "rbac.authorization.k8s.io", "kind": "Role", "name": "deployer"},
		"subjects": []any{map[string]any{"kind": "User", "apiGroup": "rbac.authorization.k8s.io", "name": "deployer-" + l.target.Namespace}}})
	l.target.AsUser = "deployer-" + l.target.Namespace
	for serves, want := range map[string]string{"": "", "deployment/web:8080": "these credentials may not create and get pods/portforward in " + l.target.Namespace} {
		l.target.Serves = serves
		_, err := Apply{Cluster: l.target, Timeout: 60e9, Key: opKey}.Inverse(t.Context(), l.d)
		if got := fmt.Sprint(err); err == nil && want != "" || err != nil && got != want {
			t.Errorf("serves %q: %v, want %q", serves, err, want)
		}
	}
}

//go:build labs

package reconcile

import (
	"context"
	"fmt"
	"testing"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/erlmcp/runner/builtins/kube/api"
	"github.com/erlmcp/runner/builtins/kube/kubetest"
)

// TestLabAKindIsServedLate: a cluster calls the definition of a kind established a moment before it serves the kind. Of a
// kind that the set does not define that is told at once.
func TestLabAKindIsServedLate(t *testing.T) {
	w := newWorld(t)
	group := w.set.Namespace + ".example.com"
	definition := api.Ref{Group: "apiextensions.k8s.io", Version: "v1", Kind: "CustomResourceDefinition", Name: "widgets." + group}
	direct := w.conn
	t.Cleanup(func() {
		if err := direct.Delete(context.Background(), definition, ""); err != nil {
			t.Error(err)
		}
	})
	proxy := w.lab.Proxy(t)
	w.conn = proxy.Conn(t)
	defined, asked := false, 0
	proxy.Fail(func(r kubetest.Request) *kubetest.Fault {
		defined = defined || r.String() == "apply customresourcedefinitions"
		if !defined || r.Resource != "/apis/"+group+"/v1" || asked == 3 {
			return nil
		}
		asked++
		return &kubetest.Fault{Status: 404, Reason: metav1.StatusReasonNotFound, Text: "the server could not find the requested resource"}
	})
	widget := fmt.Sprintf("apiVersion: %s/v1\nkind: Widget\nmetadata: {name: one}\nspec: {size: 1}\n", group)
	set := w.objects(fmt.Sprintf(`apiVersion: apiextensions.k8s.io/v1
kind: CustomResourceDefinition
metadata: {name: widgets.%[1]s}
spec:
  group: %[1]s
  scope: Namespaced
  names: {plural: widgets, singular: widget, kind: Widget, listKind: WidgetList}
  versions: [{name: v1, served: true, storage: true, schema: {openAPIV3Schema: {type: object, x-kubernetes-preserve-unknown-fields: true}}}]
---
%[2]s`, group, widget))
	w.mustApply(set, Options{})
	if asked != 3 {
		t.Errorf("it was asked %d times which kinds there are", asked)
	}
}

//go:build labs

package reconcile

import (
	"strings"
	"testing"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/erlmcp/runner/builtins/kube/kubetest"
)

const alone = `
apiVersion: v1
kind: ServiceAccount
metadata: {name: worker}
---
apiVersion: v1
kind: Pod
metadata: {name: worker}
spec:
  serviceAccountName: worker
  containers: [{name: app, image: app}]
`

// What the server refuses only because it is asked beforehand is no failure that a plan foresees; a denial is one.
func TestLabForeseeWhatCannotBeAsked(t *testing.T) {
	w := newWorld(t)
	proxy := w.lab.Proxy(t)
	w.conn = proxy.Conn(t)
	foresees := func(text, line string, refused int) {
		t.Helper()
		wants := w.objects(text)
		f, err := NewPlan(w.set, wants, w.observe(wants)).Foresee(t.Context(), w.conn, Options{})
		if err != nil || len(f.Refused) != refused || !strings.Contains(strings.Join(f.Lines, "\n"), line) {
			t.Errorf("%v, refused %q, want %q in\n%s", err, f.Refused, line, strings.Join(f.Lines, "\n"))
		}
	}
	foresees(alone, `+ pod/worker: it is not there; the server cannot check it beforehand: pods "worker" is forbidden: error looking up service account`, 0)
	w.mustApply(w.objects(v(shop, "1")), Options{})
	proxy.Times(1, "apply deployments", kubetest.Fault{Status: 400, Reason: metav1.StatusReasonBadRequest, Text: `admission webhook "policy.example.com" does not support dry run`})
	foresees(v(shop, "2"), `; the server cannot check it beforehand: admission webhook "policy.example.com" does not support dry run`, 0)
	proxy.Times(1, "apply deployments", kubetest.Fault{Status: 403, Reason: metav1.StatusReasonForbidden, Text: `admission webhook "policy.example.com" denied the request: no`})
	foresees(v(shop, "2"), `! cannot apply deployment/web: `, 1)
}

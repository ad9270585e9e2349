//go:build labs

package main

import (
	"fmt"
	"strings"
	"testing"

	"github.com/erlmcp/runner/builtins/kube/kubetest"
)

// A run whose target is on a cluster keeps its lease and its undo log there; another machine, with a project and a state
// of its own, finds the log, and no run in the way.
func TestLabClusterTarget(t *testing.T) {
	lab := kubetest.Start(t)
	namespace := lab.Namespace(t)
	machine := func() *site {
		s := &site{t: t, dir: t.TempDir(), home: t.TempDir()}
		s.more = append(s.more, "KUBECONFIG="+lab.Kubeconfig)
		s.write("environments.star", fmt.Sprintf(`staging = environment(app = "shop", target = cluster(%q, "shop", context = %q))`+"\n", namespace, lab.Context))
		s.write("x.star", "def main(environment):\n    lease(environment)\n    commit(\"done\")\n")
		return s
	}
	first := machine()
	if code := first.process(0, "x.star", "staging", "--output", "plain"); code != 0 {
		t.Fatalf("exit %d\n%s", code, first.out.String())
	}
	id := runID.FindString(first.out.String())
	if secrets := lab.Kubectl(t, "get", "secrets", "-n", namespace, "-o", "name"); !strings.Contains(secrets, "secret/runner-undo-shop-"+id+"-") {
		t.Errorf("run %s has left %q", id, secrets)
	}
	if holder := lab.Kubectl(t, "get", "lease", "runner-shop", "-n", namespace, "-o", "jsonpath={.spec.holderIdentity}"); holder != "" {
		t.Errorf("the lease is still %s's", holder)
	}
	second := machine()
	if code := second.process(0, "x.star", "staging", "--output", "plain"); code != 0 || strings.Contains(second.out.String(), "recover") {
		t.Errorf("exit %d\n%s", code, second.out.String())
	}
	second.write("environments.star", fmt.Sprintf(`staging = environment(app = "shop", target = cluster(%q, "shop", context = "labb"))`+"\n", namespace))
	if code := second.process(0, "x.star", "staging", "--output", "plain"); code == 0 || !strings.Contains(second.out.String(), "has no context labb (did you mean lab?)") {
		t.Errorf("another context: exit %d\n%s", code, second.out.String())
	}
	second.write("environments.star", fmt.Sprintf(`staging = environment(app = "shop", target = cluster(%q, "shop", context = %q, as_user = "nobody"))`+"\n", namespace, lab.Context))
	want := "these credentials may not create, delete, get, list, patch, update and watch secrets, create, get, list, update and watch leases.coordination.k8s.io in " + namespace
	if code := second.process(0, "x.star", "staging", "--output", "plain"); code == 0 || !strings.Contains(second.out.String(), want) {
		t.Errorf("without rights: exit %d\n%s", code, second.out.String())
	}
}

//go:build labs

package main

import (
	"context"
	"fmt"
	"strings"
	"testing"

	"github.com/erlmcp/runner/builtins/kube/api"
)

// widgetSite is a site with a custom resource beside the workload, whose kind the script has a rule for.
type widgetSite struct {
	*kubeSite
	group string
}

const widgetKind = `apiVersion: apiextensions.k8s.io/v1
kind: CustomResourceDefinition
metadata: {name: widgets.%[1]s}
spec:
  group: %[1]s
  scope: Namespaced
  names: {plural: widgets, singular: widget, kind: Widget, listKind: WidgetList}
  versions: [{name: v1, served: true, storage: true, subresources: {status: {}}, schema: {openAPIV3Schema: {type: object, x-kubernetes-preserve-unknown-fields: true}}}]
`

const widgetRule = `
def widget(object):
    status = object.get("status", {})
    phase = status.get("phase", "none")
    if phase == "Failed":
        return "doomed: " + status["message"]
    if phase == "Mute":
        return None
    if phase == "Misspelt":
        return "redy"
    if phase == "Odd":
        return status["nothing"]
    if phase == "Long":
        for i in range(10000000):
            pass
    return "ready" if phase == "Done" else "wait: its phase is " + phase
`

func newWidgetSite(t *testing.T) *widgetSite {
	t.Helper()
	s := &widgetSite{kubeSite: newKubeSite(t)}
	s.group = s.namespace + ".example.com"
	s.write("kind.yaml", fmt.Sprintf(widgetKind, s.group))
	s.lab.Kubectl(t, "apply", "-f", s.dir+"/kind.yaml")
	s.lab.Kubectl(t, "wait", "--for=condition=Established", "crd/widgets."+s.group)
	t.Cleanup(func() {
		if err := s.conn.Delete(context.Background(), api.Ref{Group: "apiextensions.k8s.io", Version: "v1", Kind: "CustomResourceDefinition", Name: "widgets." + s.group}, ""); err != nil {
			t.Error(err)
		}
	})
	return s
}

// deploy is the stock deploy.star of a version, for a machine whose environments.star ends with a text of its own.
func (s *widgetSite) deploy(on *kubeSite, version, more string, flags ...string) []string {
	s.t.Helper()
	on.extra = fmt.Sprintf("---\napiVersion: %s/v1\nkind: Widget\nmetadata: {name: one}\nspec: {version: %q}\n", s.group, version)
	args := on.deploy(version, flags...)
	text := strings.Replace(on.read("environments.star"), "as_user", fmt.Sprintf(`rules = {"Widget.%s": widget}, as_user`, s.group), 1)
	on.write("environments.star", widgetRule+text+more)
	return args
}

// status is what the widget's controller says, of the generation that is there now. Its condition Ready says the opposite.
func (s *widgetSite) status(phase string) {
	s.t.Helper()
	ref := api.Ref{Group: s.group, Version: "v1", Kind: "Widget", Namespace: s.namespace, Name: "one"}
	o, err := s.conn.Get(s.t.Context(), ref)
	if err != nil || o == nil {
		s.t.Fatal(o, err)
	}
	ready := "True"
	if phase == "Done" {
		ready = "False"
	}
	s.lab.Kubectl(s.t, "patch", "widgets."+s.group+"/one", "-n", s.namespace, "--subresource=status", "--type=merge", "-p", fmt.Sprintf(
		`{"status": {"phase": %q, "observedGeneration": %d, "message": "there is no such issuer", "conditions": [{"type": "Ready", "status": %q}]}}`, phase, o.GetGeneration(), ready))
}

// TestLabKubeRules: what a rule of the script says of a custom resource decides, in a deployment as in its undo, and a rule
// that goes wrong is a mistake of the script, which is taken back.
func TestLabKubeRules(t *testing.T) {
	t.Parallel()
	s := newWidgetSite(t)
	run := s.begin(s.deploy(s.kubeSite, "1.0", "")...)
	run.until(" to be live")
	s.status("Making")
	s.status("Done")
	run.ends(0)
	s.wants("1.0")
	before := s.state()

	fails := func(version, phase, back string, says ...string) {
		t.Helper()
		s.status("Done")
		run := s.begin(s.deploy(s.kubeSite, version, "", "--max-steps=1000000", "--undo-timeout=60s")...)
		run.until(" to be live")
		s.status("Making")
		s.status(phase)
		run.until("undo: ")
		run.until(" to be live")
		s.status(back)
		run.ends(10)
		s.says(says...)
		s.says("every change is taken back")
		s.wants("1.0")
		s.same(before, phase)
	}
	named := "widget/one: the rule widget (environments.star:2:1) for Widget." + s.group + ": "
	fails("1.1", "Failed", "Done", "cannot deploy shop: widget/one: there is no such issuer")
	fails("1.2", "Mute", "Done", named+"want a state and why", "got None", "every way through the function ends with return")
	fails("1.3", "Misspelt", "Done", named+`want ready, wait, suspect, doomed or skipped, got "redy" (did you mean ready?)`)
	fails("1.4", "Long", "Making", named+"the script has taken more than 1000000 steps", "environments.star:14:9",
		"note: Widget."+s.group+" is judged by its conditions: "+named) // it may take no more steps
	fails("1.5", "Odd", "Odd", named+`key "nothing" not in dict`, "environments.star:12:22",
		"note: Widget."+s.group+" is judged by its conditions: "+named)

	// What goes wrong with what is there already is found before anything changes.
	s.status("Odd")
	s.runs(2, s.deploy(s.kubeSite, "1.6", "")...)
	s.says("failed: environments.star:12:22: "+named+`the dict has no key "nothing"`, "nothing is changed")
	s.same(before, "found before anything changes")
	s.runs(1, "doctor", "production")
	s.says("deployment/web: ready", "widget/one is not ready: the rule widget (environments.star:2:1)")
}

// TestLabKubeRulesElsewhere: a machine whose script is another one takes a dead run back without the rule's function.
func TestLabKubeRulesElsewhere(t *testing.T) {
	t.Parallel()
	s := newWidgetSite(t)
	run := s.begin(s.deploy(s.kubeSite, "1.0", "")...)
	run.until(" to be live")
	s.status("Done")
	run.ends(0)
	before := s.state()
	for more, note := range map[string]string{"": "", "# another\n": "note: Widget." + s.group + " is judged by its conditions: the rule widget of environments.star is not loaded as it was"} {
		run := s.begin(s.deploy(s.kubeSite, "1.1", "")...)
		run.until(" to be live")
		run.cmd.Process.Kill()
		run.ends(-1)
		other := &kubeSite{site: &site{t: t, dir: t.TempDir(), home: t.TempDir(), more: s.more}, lab: s.lab, conn: s.conn, namespace: s.namespace}
		other.write("recover.star", "def main(environment):\n    lease(environment)\n")
		s.deploy(other, "1.1", more)
		recovering := other.begin("recover.star", "production", "--output", "plain", "--undo-timeout=60s")
		recovering.until(" to be live")
		if note == "" {
			s.status("Done") // Ready is False: the rule alone takes it for ready
		} else {
			s.status("Making")
		}
		recovering.ends(0)
		if text := other.out.String(); note != "" && strings.Count(text, note) != 1 || note == "" && strings.Contains(text, "by its conditions") {
			t.Errorf("want %q once in\n%s", note, text)
		}
		s.same(before, "recovered")
		s.status("Done")
	}
}

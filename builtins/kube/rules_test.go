package kube

import (
	"context"
	"errors"
	"strings"
	"testing"

	"github.com/erlmcp/runner/builtins/kube/reconcile"
	"github.com/erlmcp/runner/builtins/kube/verdict"
	"github.com/erlmcp/runner/runtime/op"
)

func TestAnswersOfRules(t *testing.T) {
	for _, c := range []struct {
		said  any
		state verdict.State
		why   string
	}{
		{"ready", verdict.Ready, "is ready"},
		{"ready: has 3 of 3 parts", verdict.Ready, "has 3 of 3 parts"},
		{" wait ", verdict.Wait, "is not ready yet"},
		{"wait: the issuer says: later", verdict.Wait, "the issuer says: later"},
		{"suspect: is degraded", verdict.Suspect, "is degraded"},
		{"doomed: no such issuer", verdict.Doomed, "no such issuer"},
		{"skipped:", verdict.Skipped, "is not waited for"},
		{"redy", "", `want ready, wait, suspect, doomed or skipped, got "redy" (did you mean ready?)`},
		{"Ready: x", "", `got "Ready" (did you mean ready?)`},
		{"gone: x", "", `want ready, wait, suspect, doomed or skipped, got "gone"`},
		{"", "", `got ""`},
		{"doomed", "", `doomed wants a reason behind it, such as "doomed: its disk is full"`},
		{"suspect: ", "", `suspect wants a reason behind it`},
		{nil, "", `want a state and why, such as "wait: it is being made", got None`},
		{true, "", "got True or False"},
		{int64(3), "", "got 3"},
		{[]any{"ready"}, "", "got a list"},
		{map[string]any{"state": "ready"}, "", "got a dict"},
	} {
		v, err := answer(c.said)
		if c.state == "" {
			if err == nil || !strings.Contains(err.Error(), c.why) {
				t.Errorf("%v: %v, want %s", c.said, err, c.why)
			}
		} else if err != nil || v.State != c.state || v.Why != c.why {
			t.Errorf("%v: %+v, %v", c.said, v, err)
		}
	}
}

// spoken is what an op has said.
type spoken struct {
	op.Silent
	lines []string
}

// Output implements op.Speaker.
func (s *spoken) Output(line string) { s.lines = append(s.lines, line) }

// Where a rule's function is not to be had, as in a recovery on another machine, or goes wrong in an undo, the conditions
// tell, and that is said in one line; in a run it is a mistake of the script.
func TestRulesThatCannotBeAsked(t *testing.T) {
	object := &verdict.Object{Object: map[string]any{"apiVersion": "example.com/v1", "kind": "Widget", "metadata": map[string]any{"name": "w"}}}
	f := op.Func{Module: "environments.star", Name: "widget", At: "environments.star:3:1"}
	wrong := f
	wrong.Call = func(context.Context, ...any) (any, error) { return "redy", nil }
	const answered = `widget/w: the rule widget (environments.star:3:1) for Widget.example.com: want ready, wait, suspect, doomed or skipped, got "redy" (did you mean ready?)`
	for _, c := range []struct {
		of      op.Func
		undoing bool
		said    string
		err     string
	}{
		{f, true, "note: Widget.example.com is judged by its conditions: the rule widget of environments.star is not loaded as it was", ""},
		{f, false, "note: Widget.example.com is judged by its conditions: the rule widget of environments.star is not loaded as it was", ""},
		{wrong, true, "note: Widget.example.com is judged by its conditions: " + answered, ""},
		{wrong, false, "", answered},
	} {
		heard := &spoken{}
		r := rules{by: map[string]op.Func{"Widget.example.com": c.of}, noted: map[string]bool{}, undoing: c.undoing}
		var err error
		for range 2 {
			var judged bool
			_, judged, err = r.of(op.WithSpeaker(t.Context(), heard))["Widget.example.com"](object)
			if judged {
				t.Error("it has an answer")
			}
		}
		if got := strings.Join(heard.lines, "\n"); got != c.said {
			t.Errorf("said %q, want %q", got, c.said)
		}
		if c.err == "" && err != nil || c.err != "" && (err == nil || err.Error() != c.err || !errors.As(err, new(*op.Misuse))) {
			t.Errorf("got  %v\nwant %s", err, c.err)
		}
	}
}

// Who only looks is told of all objects: of one whose rule goes wrong, that.
func TestARuleThatGoesWrongKeepsNothingElseFromBeingTold(t *testing.T) {
	object := &verdict.Object{Object: map[string]any{"apiVersion": "example.com/v1", "kind": "Widget", "metadata": map[string]any{"name": "w"}}}
	f := op.Func{Name: "widget", At: "environments.star:3:1", Call: func(context.Context, ...any) (any, error) { return "redy", nil }}
	r := rules{by: map[string]op.Func{"Widget.example.com": f}, looking: true}
	v, judged, err := r.of(t.Context())["Widget.example.com"](object)
	const why = `the rule widget (environments.star:3:1) for Widget.example.com: want ready, wait, suspect, doomed or skipped, got "redy" (did you mean ready?)`
	if err != nil || !judged || v.State != verdict.Suspect || v.Why != why || v.Cause != verdict.Ruled {
		t.Errorf("%+v, %v, %v", v, judged, err)
	}
}

func TestRulesThatAreMisspelt(t *testing.T) {
	var wants []reconcile.Want
	for _, kind := range []string{"Certificate.cert-manager.io/v1", "Issuer.cert-manager.io/v1", "Deployment.apps/v1"} {
		name, version, _ := strings.Cut(kind, ".")
		wants = append(wants, reconcile.Want{Object: verdict.Object{Object: map[string]any{"apiVersion": version, "kind": name, "metadata": map[string]any{"name": "x"}}}})
	}
	for keys, want := range map[string]string{
		"Certificate.cert-manager.io":                             "",
		"Certificat.cert-manager.io":                              "the rule for Certificat.cert-manager.io judges no object (did you mean Certificate.cert-manager.io?)",
		"Certificat.cert-manager.io Certificate.cert-manager.io":  "",
		"Certificates.certmanager.io Certificate.cert-manager.io": "",
		"Kafka.kafka.strimzi.io":                                  "",
	} {
		by := map[string]op.Func{}
		for key := range strings.FieldsSeq(keys) {
			by[key] = op.Func{Name: "f"}
		}
		if got := strings.Join(misspelt(by, wants), "\n"); got != want {
			t.Errorf("%s: got %q, want %q", keys, got, want)
		}
	}
}

package follow

import (
	"errors"
	"testing"
	"time"

	"github.com/erlmcp/runner/builtins/kube/api"
	"github.com/erlmcp/runner/builtins/kube/verdict"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
)

var theWidget = Item{Ref: api.Ref{Group: "example.com", Version: "v1", Kind: "Widget", Namespace: "shop", Name: "w"}}

var errPhase = errors.New("widget/w: the rule knows no such phase")

// phased judges widgets by status.phase, which is a state's name; the phase odd is an error.
func phased(o *verdict.Object) (verdict.Verdict, bool, error) {
	phase, found, _ := unstructured.NestedString(o.Object, "status", "phase")
	if phase == "odd" {
		return verdict.Verdict{}, false, errPhase
	}
	return verdict.ByRule(verdict.State(phase), "its phase is "+phase), found, nil
}

const phase = `
apiVersion: example.com/v1
kind: Widget
metadata: {name: w}
status: {conditions: [{type: Ready, status: "True"}], phase: `

func TestRules(t *testing.T) {
	how := Options{Rules: Rules{"Widget.example.com": phased}}
	f := newFake(t)
	f.put(phase + "wait}")
	w := f.follow(how, theWidget)
	w.hears("widget/w: its phase is wait")
	f.put(phase + "suspect}")
	w.hears("widget/w: its phase is suspect; failing in 1m0s unless it recovers")
	w.clock.Advance(59 * time.Second)
	w.goesOn()
	w.clock.Advance(time.Second)
	w.ends("widget/w: its phase is suspect")

	f.put(phase + "wait}")
	w = f.follow(how, theWidget)
	w.hears("its phase is wait")
	f.put(phase + "doomed}")
	w.ends("widget/w: its phase is doomed")

	f.put(phase + "wait}")
	w = f.follow(how, theWidget)
	w.hears("its phase is wait")
	f.put(phase + "ready}")
	w.ends("")
}

// A rule that goes wrong ends it, whatever the object is; other groups' kinds of the name are not its own.
func TestRuleThatGoesWrong(t *testing.T) {
	f := newFake(t)
	f.put(phase + "wait}")
	w := f.follow(Options{Rules: Rules{"Widget.example.com": phased}}, theWidget)
	w.hears("its phase is wait")
	f.put(phase + "odd}")
	if err := w.ends(errPhase.Error()); !errors.Is(err, errPhase) {
		t.Errorf("%#v", err)
	}
	conn, _ := f.conn()
	if _, err := Look(t.Context(), conn, []Item{theWidget}, Rules{"Widget.example.com": phased}); !errors.Is(err, errPhase) {
		t.Error(err)
	}
	r, err := Look(t.Context(), conn, []Item{theWidget}, Rules{"Widget.example.org": phased})
	if err != nil || r.Standing[0].Why != "is ready" {
		t.Errorf("%+v, %v", r, err)
	}
}

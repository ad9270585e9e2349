package verdict

import (
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	utiljson "k8s.io/apimachinery/pkg/util/json"
	"sigs.k8s.io/yaml"
)

// now is when each case is judged.
var now = time.Date(2026, 1, 26, 12, 0, 0, 0, time.UTC)

// A testCase is an object with what it owns, and the verdict on it. Spec, Status and Metadata are laid over the object's.
type testCase struct {
	Name     string
	Object   map[string]any
	Metadata map[string]any
	Spec     map[string]any
	Status   map[string]any
	Last     map[string]any
	Write    Write
	Rule     string           // what the kind's rule says; "none" where it has no answer
	Sets     []map[string]any // ReplicaSets
	Pods     []podCase
	Events   []eventCase
	Slices   []map[string]any
	Facts    Facts
	Want     struct {
		State     State
		Cause     Cause
		Why       string
		Hint      string // a part of it
		Pod       string
		Container string
		Budget    string
		Settle    string
		Paused    bool
	}
}

// A podCase is a pod in short.
type podCase struct {
	Name, Of, Phase, Unschedulable, Gated, RestartPolicy, Reason, Message string
	Labels                                                                map[string]string
	Ready, Deleted                                                        bool
	Gates                                                                 string // what readiness gates say
	Containers, Init                                                      []containerCase
}

type containerCase struct {
	Name, Image, Memory                  string
	Ready, Running, Sidecar, Startup     bool
	Started                              *bool
	Restarts                             int
	Waiting, Terminated, Last, Readiness map[string]any
}

type eventCase struct {
	About, Reason, Message, Field string
	Ago                           int // seconds
}

func TestJudge(t *testing.T) {
	files, err := filepath.Glob("testdata/*.yaml")
	if err != nil || len(files) == 0 {
		t.Fatal("no cases", err)
	}
	total := 0
	for _, file := range files {
		data, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		var doc struct {
			Have  any // what cases refer to
			Cases []testCase
		}
		asJSON, err := yaml.YAMLToJSONStrict(data)
		if err == nil {
			d := json.NewDecoder(strings.NewReader(string(asJSON)))
			d.DisallowUnknownFields()
			err = d.Decode(&doc)
		}
		if err != nil {
			t.Fatal(file, err)
		}
		for _, c := range doc.Cases {
			total++
			t.Run(strings.TrimSuffix(filepath.Base(file), ".yaml")+"/"+c.Name, func(t *testing.T) { c.run(t) })
		}
	}
	if total < 120 {
		t.Errorf("%d cases: some are not read", total)
	}
}

func (c testCase) run(t *testing.T) {
	in := Input{Write: c.Write, Facts: c.Facts}
	in.Now = now
	if c.Object != nil {
		in.Object = object(t, over(c.Object, map[string]any{"metadata": c.Metadata, "spec": c.Spec, "status": c.Status}))
	}
	if c.Last != nil {
		in.Last = object(t, c.Last)
	}
	for _, s := range c.Sets {
		in.ReplicaSets = append(in.ReplicaSets, object(t, s))
	}
	for _, s := range c.Slices {
		in.Slices = append(in.Slices, object(t, s))
	}
	for _, p := range c.Pods {
		in.Pods = append(in.Pods, object(t, p.object()))
	}
	for _, e := range c.Events {
		in.Events = append(in.Events, object(t, e.object()))
	}
	if c.Rule != "" {
		in.Rule = func(o *Object) (Verdict, bool, error) {
			state, why, _ := strings.Cut(c.Rule, ": ")
			return ByRule(State(state), why), state != "none", nil
		}
	}
	got, err := Judge(in)
	if err != nil {
		t.Fatal(err)
	}
	want := c.Want
	if got.State != want.State || got.Cause != want.Cause || got.Why != want.Why || got.Paused != want.Paused ||
		got.Pod != want.Pod || got.Container != want.Container || short(got.Budget) != want.Budget || short(got.Settle) != want.Settle ||
		!strings.Contains(got.Hint, want.Hint) {
		t.Errorf("got  %s %q pod %q container %q budget %s settle %s paused %v\n%s\nhint %s\nwant %s %q pod %q container %q budget %s settle %s paused %v\n%s\nhint %s",
			got.State, got.Cause, got.Pod, got.Container, got.Budget, got.Settle, got.Paused, got.Why, got.Hint,
			want.State, want.Cause, want.Pod, want.Container, want.Budget, want.Settle, want.Paused, want.Why, want.Hint)
	}
	if (got.State == Doomed || got.State == Suspect || got.State == Gone) == (got.Cause == "") || (got.State == Suspect) != (got.Budget > 0) {
		t.Errorf("a verdict that is not whole: %+v", got)
	}
	if strings.ContainsAny(got.Why, "\n") || got.Why == "" || len(got.Why) > 400 {
		t.Errorf("not one line: %q", got.Why)
	}
}

func short(d time.Duration) string {
	if d == 0 {
		return ""
	}
	return strings.TrimSuffix(d.String(), "m0s") + strings.Repeat("m", min(1, strings.Count(d.String(), "m0s")))
}

// over lays maps over those of an object.
func over(base, with map[string]any) map[string]any {
	out := maps.Clone(base)
	for k, v := range with {
		below, isMap := v.(map[string]any)
		old, wasMap := out[k].(map[string]any)
		switch {
		case v == nil:
			delete(out, k)
		case !isMap:
			out[k] = v
		case below == nil: // nothing lies over it
		case wasMap:
			out[k] = over(old, below)
		default:
			out[k] = below
		}
	}
	return out
}

// object is a map as what an API server answers; an owner is named by metadata.of, an uid that is not given is the name.
func object(t *testing.T, m map[string]any) *Object {
	t.Helper()
	data, err := json.Marshal(m)
	if err != nil {
		t.Fatal(err)
	}
	out := &Object{}
	if err := utiljson.Unmarshal(data, &out.Object); err != nil {
		t.Fatal(err)
	}
	meta := out.Object["metadata"].(map[string]any)
	if meta["uid"] == nil {
		meta["uid"] = meta["name"]
	}
	if meta["namespace"] == nil {
		meta["namespace"] = "shop"
	}
	if of, ok := meta["of"]; ok {
		meta["ownerReferences"] = []any{map[string]any{"uid": of, "controller": true}}
		delete(meta, "of")
	}
	return out
}

func ago(seconds int) string {
	return now.Add(-time.Duration(seconds) * time.Second).Format(time.RFC3339)
}

func (e eventCase) object() map[string]any {
	return map[string]any{"apiVersion": "v1", "kind": "Event", "metadata": map[string]any{"name": fmt.Sprint(e.About, e.Reason, e.Ago)},
		"involvedObject": map[string]any{"uid": e.About, "fieldPath": e.Field}, "reason": e.Reason, "message": e.Message, "lastTimestamp": ago(e.Ago)}
}

func (p podCase) object() map[string]any {
	meta := map[string]any{"name": p.Name, "labels": p.Labels}
	if p.Of != "" {
		meta["of"] = p.Of
	}
	if p.Deleted {
		meta["deletionTimestamp"] = ago(1)
	}
	spec := map[string]any{"restartPolicy": "Always", "nodeName": "node-1"}
	if p.RestartPolicy != "" {
		spec["restartPolicy"] = p.RestartPolicy
	}
	conditions := []any{map[string]any{"type": "PodScheduled", "status": "True"}}
	switch {
	case p.Gated != "":
		spec["schedulingGates"] = []any{map[string]any{"name": p.Gated}}
		conditions = []any{map[string]any{"type": "PodScheduled", "status": "False", "reason": "SchedulingGated"}}
	case p.Unschedulable != "":
		conditions = []any{map[string]any{"type": "PodScheduled", "status": "False", "reason": "Unschedulable", "message": p.Unschedulable}}
	}
	ready := map[string]any{"type": "Ready", "status": "False"}
	if p.Ready {
		ready["status"] = "True"
	}
	if p.Gates != "" {
		ready["reason"], ready["message"] = "ReadinessGatesNotReady", p.Gates
	}
	phase := p.Phase
	if phase == "" {
		phase = "Running"
	}
	status := map[string]any{"phase": phase, "reason": p.Reason, "message": p.Message, "conditions": append(conditions, ready)}
	spec["initContainers"], status["initContainerStatuses"] = states(p.Init, p.Ready)
	spec["containers"], status["containerStatuses"] = states(p.Containers, p.Ready)
	return map[string]any{"apiVersion": "v1", "kind": "Pod", "metadata": meta, "spec": spec, "status": status}
}

func states(cases []containerCase, allReady bool) (specs, status []any) {
	for _, c := range cases {
		name, image := c.Name, c.Image
		if name == "" {
			name = "app"
		}
		if image == "" {
			image = "app:2"
		}
		spec := map[string]any{"name": name, "image": image}
		if c.Memory != "" {
			spec["resources"] = map[string]any{"limits": map[string]any{"memory": c.Memory}}
		}
		if c.Sidecar {
			spec["restartPolicy"] = "Always"
		}
		if c.Startup {
			spec["startupProbe"] = map[string]any{}
		}
		if c.Readiness != nil {
			spec["readinessProbe"] = c.Readiness
		}
		state, last := map[string]any{}, map[string]any{}
		switch {
		case c.Waiting != nil:
			state["waiting"] = c.Waiting
		case c.Terminated != nil:
			state["terminated"] = c.Terminated
		default:
			state["running"] = map[string]any{}
		}
		if c.Last != nil {
			l := maps.Clone(c.Last)
			if n, ok := l["ago"].(float64); ok {
				l["finishedAt"] = ago(int(n))
				delete(l, "ago")
			}
			last["terminated"] = l
		}
		started := c.Waiting == nil
		if c.Started != nil {
			started = *c.Started
		}
		specs = append(specs, spec)
		status = append(status, map[string]any{"name": name, "image": image, "restartCount": c.Restarts, "ready": c.Ready || allReady, "started": started, "state": state, "lastState": last})
	}
	return specs, status
}

// An error of a rule is an error, and no verdict; a rule is not asked about what is not there, or about an older status.
func TestRuleIsAskedForWhatItKnows(t *testing.T) {
	wrong := errors.New("wrong")
	asked := 0
	rule := func(*Object) (Verdict, bool, error) { asked++; return Verdict{}, false, wrong }
	of := func(apiVersion, kind string, seen int64) *Object {
		return &Object{Object: map[string]any{"apiVersion": apiVersion, "kind": kind, "metadata": map[string]any{"name": "w", "uid": "w", "generation": int64(2)},
			"status": map[string]any{"observedGeneration": seen}}}
	}
	for _, c := range []struct {
		object *Object
		write  Write
		asks   bool
	}{
		{of("example.com/v1", "Widget", 2), Write{}, true},
		{of("example.com/v1", "Widget", 1), Write{}, false},
		{of("example.com/v1", "Widget", 2), Write{UID: "other"}, false},
		{of("example.com/v1", "Widget", 2), Write{Generation: 3}, false},
		{of("batch/v1", "Job", 2), Write{}, false},
		{of("networking.k8s.io/v1", "NetworkPolicy", 2), Write{}, false},
		{nil, Write{}, false},
	} {
		asked = 0
		v, err := Judge(Input{Object: c.object, Write: c.write, Rule: rule})
		if (asked == 1) != c.asks || asked > 1 || (err == wrong) != c.asks || (v.State == "") != c.asks {
			t.Errorf("%+v: asked %d times: %+v, %v", c, asked, v, err)
		}
	}
}

package follow

import (
	"time"

	"github.com/erlmcp/runner/builtins/kube/api"
	"github.com/erlmcp/runner/builtins/kube/groups"
	"github.com/erlmcp/runner/builtins/kube/verdict"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/labels"
)

// recovered is how long an object must be well before what it was suspect of is forgotten: what crashes again and again
// is well in between.
const recovered = 10 * time.Second

// item is an object that is followed.
type item struct {
	Item
	object, last *api.Object
	now          verdict.Verdict
	told         string

	spent    time.Duration // how long it was suspect
	counted  time.Time     // until when that was counted
	fine     time.Time     // since when it is not suspect
	since    time.Time     // since when it is ready
	checking bool          // the server is asked whether it still is suspect
	checked  bool          // it said so
}

// count adds the time since it was counted last to that of a suspect.
func (it *item) count(now time.Time, passing bool) {
	if passing && it.now.State == verdict.Suspect && !it.now.Paused {
		it.spent += now.Sub(it.counted)
	}
	it.counted = now
}

// take notes a new verdict.
func (it *item) take(v verdict.Verdict, now time.Time) {
	before := it.now
	switch {
	case v.State != verdict.Suspect && before.State == verdict.Suspect:
		it.fine = now
	case v.State == verdict.Suspect && before.State != verdict.Suspect && now.Sub(it.fine) >= recovered:
		it.spent = 0
	}
	if v.State == verdict.Ready && (before.State != verdict.Ready || v.Settle > 0 && before.Settle == 0) {
		it.since = now
	}
	it.now = v
}

// left is how long a suspect has until it counts as failed.
func (it *item) left() time.Duration { return max(it.now.Budget-it.spent, 0) }

// done reports that there is nothing to wait for any more.
func (it *item) done(now time.Time) bool {
	switch it.now.State {
	case verdict.Ready:
		return now.Sub(it.since) >= it.now.Settle
	case verdict.Skipped:
		return true
	}
	return false
}

// judge asks for a verdict on an item.
func (f *following) judge(it *item) (verdict.Verdict, error) {
	in := verdict.Input{Object: it.object, Last: it.last, Facts: f.facts, Rule: f.how.Rules[it.Ref.Kind+"."+it.Ref.Group],
		Write: verdict.Write{UID: it.UID, Generation: it.Generation, ResourceVersion: it.ResourceVersion, Unchanged: it.Unchanged}}
	in.Now = f.now()
	if in.Last == nil {
		in.Last = it.Object
	}
	if it.object == nil {
		return verdict.Judge(in)
	}
	objects, events := f.store.owned(it.object.GetUID())
	in.Events = events
	for _, o := range objects {
		switch o.GetKind() {
		case "ReplicaSet":
			in.ReplicaSets = append(in.ReplicaSets, o)
		case "Pod":
			in.Pods = append(in.Pods, o)
		}
	}
	if isService(it.Ref) {
		in.Pods, in.Slices = f.store.of("Pod", it.Ref.Namespace), f.store.of("EndpointSlice", it.Ref.Namespace)
		in.Behind = f.behind(it)
	}
	return verdict.Judge(in)
}

// behind is how many replicas of the set's workloads a Service selects, -1 when it selects none of them.
func (f *following) behind(service *item) int {
	found, _, _ := unstructured.NestedStringMap(service.object.Object, "spec", "selector")
	selector := labels.SelectorFromSet(found)
	n := -1
	for _, it := range f.items {
		if it.object == nil || it.Ref.Namespace != service.Ref.Namespace || !workload(it.Ref) {
			continue
		}
		path := []string{"spec", "template", "metadata", "labels"}
		if it.Ref.Kind == "Pod" {
			path = path[2:]
		}
		of, _, _ := unstructured.NestedStringMap(it.object.Object, path...)
		if len(of) == 0 || !selector.Matches(labels.Set(of)) {
			continue
		}
		replicas, given, _ := unstructured.NestedInt64(it.object.Object, "spec", "replicas")
		if !given {
			replicas = 1
		}
		n = max(n, 0) + int(replicas)
	}
	return n
}

// learn works out what the verdicts of some say about others, and reports whether that has changed.
func (f *following) learn() bool {
	before := f.facts
	f.facts.Coming, f.facts.Making = false, false
	for _, it := range f.items {
		switch {
		case workload(it.Ref) && it.now.State == verdict.Wait:
			f.facts.Coming = true
		case groups.Custom(it.Ref.Group) && !it.done(f.now()):
			f.facts.Making = true
		}
	}
	return before.Coming != f.facts.Coming || before.Making != f.facts.Making
}

func isService(r api.Ref) bool { return r.Group == "" && r.Kind == "Service" }

// workload reports a kind that runs pods.
func workload(r api.Ref) bool {
	switch r.Group + "/" + r.Kind {
	case "apps/Deployment", "apps/StatefulSet", "apps/DaemonSet", "apps/ReplicaSet", "batch/Job", "/Pod":
		return true
	}
	return false
}

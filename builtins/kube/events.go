package kube

import (
	"context"
	"slices"
	"strings"
	"time"

	"github.com/erlmcp/runner/builtins/cluster"
	"github.com/erlmcp/runner/builtins/kube/verdict"
	"github.com/erlmcp/runner/runtime/op"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/types"
)

// Events is kube.events.
type Events struct {
	_       op.Doc          `doc:"Reads what a cluster tells of the objects of a target and of the pods that they own, the newest last. Clusters forget events after an hour."`
	Cluster cluster.Cluster `json:"cluster" doc:"The target, such as environment.target."`
}

// Event is one thing that a cluster tells.
type Event struct {
	_       op.Doc `doc:"One thing that a cluster tells of an object."`
	Time    string `json:"time" doc:"When it happened last, in UTC."`
	Warning bool   `json:"warning" doc:"Whether it is a warning."`
	Object  string `json:"object" doc:"What it is about, such as \"pod/web-7c4\"."`
	Reason  string `json:"reason" doc:"What happened, as one word."`
	Message string `json:"message" doc:"What happened, in the cluster's words."`
	Count   int    `json:"count" doc:"How often it has happened."`
}

// Summary implements op.Op.
func (e Events) Summary() string { return "read the events of " + e.Cluster.Name }

// Do implements op.Op.
func (e Events) Do(ctx context.Context, d *Kubernetes) ([]Event, error) {
	at, items, err := d.items(ctx, e.Cluster)
	if err != nil {
		return nil, err
	}
	ours := map[string]bool{}
	namespaces := []string{}
	for _, i := range items {
		ours[i.Ref.Kind+"/"+i.Ref.Namespace+"/"+i.Ref.Name] = true
		if i.Ref.Namespace != "" && !slices.Contains(namespaces, i.Ref.Namespace) {
			namespaces = append(namespaces, i.Ref.Namespace)
		}
	}
	var found []corev1.Event
	for _, ns := range namespaces {
		more, err := at.events(ctx, ns, ours)
		if err != nil {
			return nil, err
		}
		found = append(found, more...)
	}
	slices.SortStableFunc(found, func(a, b corev1.Event) int { return verdict.EventTime(a).Compare(verdict.EventTime(b)) })
	out := []Event{}
	for _, f := range found {
		count := int(f.Count)
		if f.Series != nil {
			count = int(f.Series.Count)
		}
		out = append(out, Event{Time: verdict.EventTime(f).UTC().Format(time.RFC3339), Warning: f.Type == corev1.EventTypeWarning,
			Object: strings.ToLower(f.InvolvedObject.Kind) + "/" + f.InvolvedObject.Name, Reason: f.Reason, Message: f.Message, Count: max(count, 1)})
	}
	return out, nil
}

// events are those of a namespace about objects of the set, and about what these own.
func (at place) events(ctx context.Context, ns string, ours map[string]bool) (out []corev1.Event, err error) {
	owners := map[types.UID][]types.UID{}
	set := map[types.UID]bool{}
	for _, k := range []schema.GroupVersionKind{setKind, podKind} {
		list, _, err := at.conn.List(ctx, k, ns, "")
		if err != nil {
			return nil, err
		}
		for i := range list {
			for _, r := range list[i].GetOwnerReferences() {
				owners[list[i].GetUID()] = append(owners[list[i].GetUID()], r.UID)
				if ours[r.Kind+"/"+ns+"/"+r.Name] {
					set[r.UID] = true
				}
			}
		}
	}
	list, _, err := at.conn.List(ctx, schema.GroupVersionKind{Version: "v1", Kind: "Event"}, ns, "")
	if err != nil {
		return nil, err
	}
	for i := range list {
		var e corev1.Event
		if err := runtime.DefaultUnstructuredConverter.FromUnstructured(list[i].Object, &e); err != nil {
			continue
		}
		if on := e.InvolvedObject; ours[on.Kind+"/"+ns+"/"+on.Name] || belongs(on.UID, owners, set) {
			out = append(out, e)
		}
	}
	return out, nil
}

// belongs reports whether an object is owned, by whatever way, by one of a set.
func belongs(uid types.UID, owners map[types.UID][]types.UID, set map[types.UID]bool) bool {
	return set[uid] || slices.ContainsFunc(owners[uid], func(o types.UID) bool { return belongs(o, owners, set) })
}

package verdict

import (
	"strconv"
	"strings"
	"time"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"

	"github.com/erlmcp/runner/builtins/kube/groups"
)

// Judge says how an object stands. An error is one of its rule.
func Judge(in Input) (Verdict, error) {
	if v := judgeWrite(in); v.State != "" {
		return v, nil
	}
	group, kind := in.Object.GroupVersionKind().Group, in.Object.GetKind()
	judge, known := kinds[group+"/"+kind]
	switch {
	case known:
		return judge(in), nil
	case !groups.Custom(group):
		return ready("is there"), nil
	case in.Rule != nil:
		return judgeByRule(in)
	}
	return judgeCustom(in), nil
}

// judgeWrite judges an object of which nothing that was written now is to be seen yet; any other has no verdict.
func judgeWrite(in Input) Verdict {
	o := in.Object
	switch {
	case o == nil:
		return judgeAbsent(in.Last)
	case in.Write.UID != "" && string(o.GetUID()) != in.Write.UID:
		return Verdict{State: Gone, Cause: Replaced, Why: "somebody has removed it and made another of the same name"}
	case older(o.GetResourceVersion(), in.Write.ResourceVersion) || o.GetGeneration() < in.Write.Generation:
		return wait("the API server does not show the new version yet")
	case o.GetDeletionTimestamp() != nil && o.GetKind() != "Namespace" && !hasEnded(o):
		return Verdict{State: Gone, Cause: Removed, Why: "is being removed" + finalizers(o)}
	}
	if stale(o) {
		return unseen()
	}
	return Verdict{}
}

// hasEnded reports whether a Job has ended. One that removes itself then is judged by how.
func hasEnded(o *Object) bool {
	return o.GetKind() == "Job" && (condition(o, "Complete").Status == "True" || condition(o, "Failed").Status == "True")
}

func unseen() Verdict { return wait("its controller has not seen the new version yet") }

// kinds are the kinds that more is known of than that they are there.
var kinds = map[string]func(Input) Verdict{
	"apps/Deployment":                     judgeDeployment,
	"apps/ReplicaSet":                     judgeReplicaSet,
	"apps/StatefulSet":                    judgeStatefulSet,
	"apps/DaemonSet":                      judgeDaemonSet,
	"batch/Job":                           judgeJob,
	"batch/CronJob":                       judgeCronJob,
	"/Pod":                                judgeBarePod,
	"/Service":                            judgeService,
	"/Namespace":                          judgeNamespace,
	"/PersistentVolumeClaim":              judgeClaim,
	"networking.k8s.io/Ingress":           judgeIngress,
	"autoscaling/HorizontalPodAutoscaler": judgeAutoscaler,
	"apiextensions.k8s.io/CustomResourceDefinition": judgeDefinition,
	"apiregistration.k8s.io/APIService":             judgeAPIService,
}

// Plain reports whether there is nothing more to be known of a kind than that an object of it is there.
func Plain(group, kind string) bool {
	_, known := kinds[group+"/"+kind]
	return !known && !groups.Custom(group)
}

// judgeAbsent judges what is not there: a Job that removes itself has ended well, unless it was seen to fail.
func judgeAbsent(last *Object) Verdict {
	if last != nil && last.GetKind() == "Job" {
		_, removesItself, _ := unstructured.NestedFieldNoCopy(last.Object, "spec", "ttlSecondsAfterFinished")
		if condition(last, "Complete").Status == "True" {
			return ready("completed")
		}
		if removesItself && condition(last, "Failed").Status != "True" {
			return ready("completed, and has removed itself")
		}
	}
	return Verdict{State: Gone, Cause: Removed, Why: "is not there: somebody has removed it"}
}

func finalizers(o *Object) string {
	if f := o.GetFinalizers(); len(f) > 0 {
		return ", which waits for " + strings.Join(f, ", ")
	}
	return ""
}

// older reports whether one resource version comes before another. They are numbers on every server that is certified; of
// others nothing is concluded.
func older(version, than string) bool {
	a, errA := strconv.ParseUint(version, 10, 64)
	b, errB := strconv.ParseUint(than, 10, 64)
	return errA == nil && errB == nil && a < b
}

// stale reports whether the status tells of an earlier generation. The built-in controllers that tell it at all tell it with
// their first status.
func stale(o *Object) bool {
	seen, found, _ := unstructured.NestedInt64(o.Object, "status", "observedGeneration")
	if found {
		return seen < o.GetGeneration()
	}
	switch o.GroupVersionKind().Group + "/" + o.GetKind() {
	case "apps/Deployment", "apps/ReplicaSet", "apps/StatefulSet", "apps/DaemonSet":
		return true
	}
	return false
}

// as reads an object into its type; what does not fit is left at its zero value.
func as[T any](o *Object) T {
	var out T
	_ = runtime.DefaultUnstructuredConverter.FromUnstructured(o.Object, &out)
	return out
}

// Condition is one condition of an object's status.
type Condition struct {
	Type, Status, Reason, Message string
	ObservedGeneration            int64
	Updated                       time.Time // when its controller set it, where it says so
}

// condition finds a condition; its Status is "" where there is none.
func condition(o *Object, kind string) Condition {
	list, _, _ := unstructured.NestedSlice(o.Object, "status", "conditions")
	for _, item := range list {
		m, _ := item.(map[string]any)
		if m == nil || m["type"] != kind {
			continue
		}
		c := Condition{Type: kind}
		c.Status, _ = m["status"].(string)
		c.Reason, _ = m["reason"].(string)
		c.Message, _ = m["message"].(string)
		c.ObservedGeneration, _ = m["observedGeneration"].(int64)
		updated, _ := m["lastUpdateTime"].(string)
		c.Updated, _ = time.Parse(time.RFC3339, updated)
		return c
	}
	return Condition{Type: kind}
}

// text is what a condition says, its reason where it has no message.
func (c Condition) text() string {
	if c.Message != "" {
		return line(c.Message)
	}
	return c.Reason
}

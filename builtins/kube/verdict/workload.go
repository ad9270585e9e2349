package verdict

import (
	"fmt"
	"slices"
	"time"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/equality"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apimachinery/pkg/util/intstr"
)

func judgeDeployment(in Input) Verdict {
	d := as[appsv1.Deployment](in.Object)
	if d.Spec.Paused {
		return skipped("is paused, so nothing of it is rolled out")
	}
	want := replicas(d.Spec.Replicas)
	now := NewReplicaSet(in.Object, in.ReplicaSets)
	pods := in.podsOf(now)
	v := judgePods(pods)
	if in.missed() {
		return late(v, d)
	}
	if v.rank() > 1 {
		return v
	}
	s := d.Status
	if c := condition(in.Object, "ReplicaFailure"); c.Status == "True" && s.UpdatedReplicas < want && !in.refusedOfOthers(d, now) {
		return in.refused(c.Message, in.roomComes(d, now, pods))
	}
	switch {
	case s.UpdatedReplicas < want:
		return behind(v, fmt.Sprintf("%d of %d new replicas are made", s.UpdatedReplicas, want))
	case s.Replicas > s.UpdatedReplicas:
		return behind(v, fmt.Sprintf("%s still to be ended", count(int(s.Replicas-s.UpdatedReplicas), "old replica")))
	case s.AvailableReplicas < s.UpdatedReplicas || s.ReadyReplicas < want:
		return behind(v, fmt.Sprintf("%d of %d new replicas are available", min(s.AvailableReplicas, s.ReadyReplicas), want))
	}
	return done(v, s.ReadyReplicas, want)
}

// done is the verdict on a workload that has its replicas: that of its pods where one has just been restarted.
func done(pods Verdict, ready, want int32) Verdict {
	if pods.State == Ready && pods.Settle > 0 {
		return pods
	}
	return Verdict{State: Ready, Why: fmt.Sprintf("%d of %s ready", ready, plural(int(want), "replica"))}
}

func plural(n int, what string) string {
	if n == 1 {
		return "1 " + what + " is"
	}
	return fmt.Sprintf("%d %ss are", n, what)
}

// behind is a wait with what a pod waits for.
func behind(pods Verdict, why string) Verdict {
	if pods.State == Wait {
		pods.Why = why + "; " + pods.Why
		return pods
	}
	return wait(why)
}

// missed reports whether a Deployment's progress deadline is over. It takes a second at least, so one that was set before the
// object was changed last is that of another version: on a way back it stands until there is progress.
func (in Input) missed() bool {
	c := condition(in.Object, "Progressing")
	return c.Status == "False" && c.Reason == "ProgressDeadlineExceeded" && (c.Updated.IsZero() || c.Updated.After(changed(in.Object)))
}

// late is the verdict on a Deployment whose progress deadline is over: what its pods suffer from is the reason.
func late(pods Verdict, d appsv1.Deployment) Verdict {
	limit := int32(600)
	if d.Spec.ProgressDeadlineSeconds != nil {
		limit = *d.Spec.ProgressDeadlineSeconds
	}
	over := fmt.Sprintf("no progress for %s, which progressDeadlineSeconds allows", time.Duration(limit)*time.Second)
	if pods.rank() == 0 {
		return doomed(Deadline, over, "")
	}
	pods.State, pods.Budget, pods.Paused = Doomed, 0, false
	pods.Why += "; " + over
	if pods.Cause == "" {
		pods.Cause = Deadline
	}
	return pods
}

// NewReplicaSet is the one whose pods are as a Deployment's template says, the oldest of several; nil where there is none
// yet. It is what the deployment controller takes for the new one.
func NewReplicaSet(deployment *Object, sets []*Object) *Object {
	template := bare(deployment)
	var found *Object
	for _, r := range sets {
		if !controls(deployment.GetUID(), r.GetOwnerReferences()) || !equality.Semantic.DeepEqual(template, bare(r)) {
			continue
		}
		made, first := r.GetCreationTimestamp(), found == nil
		if first || made.Before(ptr(found.GetCreationTimestamp())) {
			found = r
		}
	}
	return found
}

func ptr[T any](v T) *T { return &v }

// bare is an object's pod template without the label that tells ReplicaSets apart.
func bare(o *Object) map[string]any {
	t, _, _ := unstructured.NestedMap(o.Object, "spec", "template")
	unstructured.RemoveNestedField(t, "metadata", "labels", appsv1.DefaultDeploymentUniqueLabelKey)
	unstructured.RemoveNestedField(t, "metadata", "creationTimestamp")
	return t
}

func (in Input) podsOf(set *Object) []pod {
	if set == nil {
		return nil
	}
	return in.pods(set.GetUID(), nil)
}

// refusedOfOthers reports whether the pods that a Deployment's condition tells of are those of another version than the one
// that is asked for now: the condition stands for all, and outlives a way back for a while.
func (in Input) refusedOfOthers(d appsv1.Deployment, now *Object) bool {
	refused := func(o *Object) bool { return condition(o, "ReplicaFailure").Status == "True" }
	return now != nil && !refused(now) && slices.ContainsFunc(in.ReplicaSets, func(r *Object) bool { return controls(d.UID, r.GetOwnerReferences()) && refused(r) })
}

// roomComes reports whether pods of a Deployment that a quota does not let in may come in by waiting: old ones go first,
// or leave now.
func (in Input) roomComes(d appsv1.Deployment, now *Object, pods []pod) bool {
	sets := map[types.UID]bool{}
	for _, r := range in.ReplicaSets {
		if controls(d.UID, r.GetOwnerReferences()) {
			sets[r.GetUID()] = true
		}
	}
	old := false
	for _, o := range in.Pods {
		refs := o.GetOwnerReferences()
		if len(refs) == 0 || !sets[refs[0].UID] {
			continue
		}
		if o.GetDeletionTimestamp() != nil {
			return true
		}
		old = old || now == nil || refs[0].UID != now.GetUID()
	}
	return old && (len(pods) > 0 || d.Spec.Strategy.Type == appsv1.RecreateDeploymentStrategyType || mayLack(d) > 0)
}

// mayLack is how many replicas of a Deployment may be missing during an update.
func mayLack(d appsv1.Deployment) int {
	if d.Spec.Strategy.RollingUpdate == nil || d.Spec.Strategy.RollingUpdate.MaxUnavailable == nil {
		return 1
	}
	n, err := intstr.GetScaledValueFromIntOrPercent(d.Spec.Strategy.RollingUpdate.MaxUnavailable, int(replicas(d.Spec.Replicas)), false)
	if err != nil {
		return 0
	}
	return n
}

func replicas(n *int32) int32 {
	if n == nil {
		return 1
	}
	return *n
}

func judgeReplicaSet(in Input) Verdict {
	r := as[appsv1.ReplicaSet](in.Object)
	v := judgePods(in.pods(r.UID, nil))
	if v.rank() > 1 {
		return v
	}
	if c := condition(in.Object, "ReplicaFailure"); c.Status == "True" {
		return in.refused(c.Message, false)
	}
	if want := replicas(r.Spec.Replicas); r.Status.AvailableReplicas < want || r.Status.Replicas != want {
		return behind(v, fmt.Sprintf("%d of %d replicas are available", r.Status.AvailableReplicas, want))
	}
	return done(v, r.Status.ReadyReplicas, replicas(r.Spec.Replicas))
}

func judgeStatefulSet(in Input) Verdict {
	s := as[appsv1.StatefulSet](in.Object)
	want, st := replicas(s.Spec.Replicas), s.Status
	ours := in.pods(s.UID, func(p corev1.Pod) bool { return p.Labels[appsv1.StatefulSetRevisionLabel] == st.UpdateRevision })
	v := judgePods(ours)
	if v.rank() > 1 {
		return v
	}
	if st.Replicas < want {
		if message := in.notMade(); message != "" {
			return in.refused(message, len(in.leaving(s.UID)) > 0)
		}
		return behind(v, fmt.Sprintf("%d of %d replicas are made", st.Replicas, want))
	}
	from := int32(0)
	if u := s.Spec.UpdateStrategy.RollingUpdate; u != nil && u.Partition != nil {
		from = *u.Partition
	}
	onDelete := s.Spec.UpdateStrategy.Type == appsv1.OnDeleteStatefulSetStrategyType
	if !onDelete && st.UpdatedReplicas < max(want-from, 0) {
		if b := in.blocked(s); b != nil {
			return *b
		}
		return behind(v, fmt.Sprintf("%d of %d replicas are of the new revision", st.UpdatedReplicas, max(want-from, 0)))
	}
	if st.ReadyReplicas < want || st.AvailableReplicas < want {
		return behind(v, fmt.Sprintf("%d of %d replicas are available", min(st.ReadyReplicas, st.AvailableReplicas), want))
	}
	if st.Replicas > want {
		return behind(v, fmt.Sprintf("%s still to be ended", count(int(st.Replicas-want), "replica")))
	}
	out := done(v, st.ReadyReplicas, want)
	switch {
	case onDelete && st.UpdateRevision != st.CurrentRevision:
		out.Why += "; pods of the new revision come as old ones are deleted by hand (OnDelete)"
	case from > 0:
		out.Why += fmt.Sprintf("; those below %d keep the old revision (partition)", from)
	}
	return out
}

// blocked finds a pod of an earlier revision that is not well: with ordered pods the controller waits for it for ever.
func (in Input) blocked(s appsv1.StatefulSet) *Verdict {
	if s.Spec.PodManagementPolicy == appsv1.ParallelPodManagement {
		return nil
	}
	old := in.pods(s.UID, func(p corev1.Pod) bool { return p.Labels[appsv1.StatefulSetRevisionLabel] != s.Status.UpdateRevision })
	v := judgePods(old)
	if v.rank() < 2 {
		return nil
	}
	b := suspect(Blocked, retryBudget, v.Why+"; it is of an earlier revision, and is not replaced before it is ready", "delete the pod "+v.Pod+", so that it comes back as the new revision")
	b.Pod, b.Container = v.Pod, v.Container
	return &b
}

func judgeDaemonSet(in Input) Verdict {
	d := as[appsv1.DaemonSet](in.Object)
	v := judgePods(in.pods(d.UID, func(p corev1.Pod) bool { return p.Labels[templateGeneration] == generationOf(d) }))
	if v.rank() > 1 {
		return v
	}
	s := d.Status
	want := s.DesiredNumberScheduled
	onDelete := d.Spec.UpdateStrategy.Type == appsv1.OnDeleteDaemonSetStrategyType
	switch {
	case want == 0:
		return ready("no node wants a pod of it")
	case s.CurrentNumberScheduled < want:
		if message := in.notMade(); message != "" {
			return in.refused(message, len(in.leaving(d.UID)) > 0)
		}
		return behind(v, fmt.Sprintf("%d of %d nodes have a pod", s.CurrentNumberScheduled, want))
	case !onDelete && s.UpdatedNumberScheduled < want:
		return behind(v, fmt.Sprintf("%d of %d pods are of the new revision", s.UpdatedNumberScheduled, want))
	case s.NumberAvailable < want || s.NumberReady < want:
		return behind(v, fmt.Sprintf("%d of %d pods are available", min(s.NumberAvailable, s.NumberReady), want))
	}
	if v.State == Ready && v.Settle > 0 {
		return v
	}
	out := ready(fmt.Sprintf("%d of %s ready", s.NumberReady, plural(int(want), "pod")))
	if onDelete && s.UpdatedNumberScheduled < want {
		out.Why += "; pods of the new revision come as old ones are deleted by hand (OnDelete)"
	}
	return out
}

// leaving are the pods of an owner that are on their way out.
func (in Input) leaving(owner types.UID) (out []*Object) {
	for _, o := range in.Pods {
		if o.GetDeletionTimestamp() != nil && controls(owner, o.GetOwnerReferences()) {
			out = append(out, o)
		}
	}
	return out
}

package verdict

import (
	"fmt"
	"slices"
	"strings"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
)

// pod is one pod with what was told of it.
type pod struct {
	corev1.Pod
	events []corev1.Event
	Facts
	job bool // it is tried again as its Job says, so that an end is no loop
}

// pods reads those of a list that an owner controls and that are not on their way out.
func (in Input) pods(owner types.UID, keep func(corev1.Pod) bool) (out []pod) {
	for _, o := range in.Pods {
		if !controls(owner, o.GetOwnerReferences()) || o.GetDeletionTimestamp() != nil {
			continue
		}
		p := pod{Pod: as[corev1.Pod](o), events: in.events(o.GetUID()), Facts: in.Facts}
		if keep == nil || keep(p.Pod) {
			out = append(out, p)
		}
	}
	slices.SortFunc(out, func(a, b pod) int { return strings.Compare(a.Name, b.Name) })
	return out
}

func controls(owner types.UID, refs []metav1.OwnerReference) bool {
	return slices.ContainsFunc(refs, func(r metav1.OwnerReference) bool { return r.UID == owner })
}

// events reads those about an object, the newest last.
func (in Input) events(uid types.UID) (out []corev1.Event) {
	for _, o := range in.Events {
		if e := as[corev1.Event](o); e.InvolvedObject.UID == uid {
			out = append(out, e)
		}
	}
	slices.SortStableFunc(out, func(a, b corev1.Event) int { return EventTime(a).Compare(EventTime(b)) })
	return out
}

// EventTime is when an event was last seen: which of its fields says so depends on who wrote it.
func EventTime(e corev1.Event) time.Time {
	at := e.CreationTimestamp.Time
	for _, t := range []time.Time{e.LastTimestamp.Time, e.EventTime.Time} {
		if t.After(at) {
			at = t
		}
	}
	if e.Series != nil && e.Series.LastObservedTime.After(at) {
		at = e.Series.LastObservedTime.Time
	}
	return at
}

// last finds the newest event with one of some reasons whose message holds a text; nil where there is none.
func (p pod) last(text string, reasons ...string) *corev1.Event {
	for i := len(p.events) - 1; i >= 0; i-- {
		if e := &p.events[i]; slices.Contains(reasons, e.Reason) && strings.Contains(strings.ToLower(e.Message), text) {
			return e
		}
	}
	return nil
}

// judgePods is the worst of some pods.
func judgePods(pods []pod) Verdict {
	out := Verdict{State: Ready}
	for _, p := range pods {
		v := p.judge()
		if v.Settle > out.Settle && v.State == Ready && out.State == Ready {
			out.Settle, out.Why = v.Settle, v.Why
		}
		out = worse(out, v)
	}
	return out
}

func (p pod) judge() Verdict {
	v := p.verdict()
	v.Pod = p.Name
	where := "pod " + p.Name
	if v.Container != "" {
		where += ": container " + v.Container
	}
	v.Why = where + " " + v.Why
	return v
}

func (p pod) verdict() Verdict {
	switch p.Status.Phase {
	case corev1.PodSucceeded:
		return ready("has completed")
	case corev1.PodFailed:
		return p.failed()
	}
	if c := p.condition(corev1.PodScheduled); c.Status == corev1.ConditionFalse {
		return p.unscheduled(c)
	}
	v := Verdict{State: Ready}
	for _, c := range p.containers() {
		v = worse(v, c.judge())
		if v.rank() == 0 {
			v.Settle = max(v.Settle, c.settle())
		}
	}
	if v.rank() < 2 && p.Status.Phase == corev1.PodPending {
		v = worse(v, p.starting())
	}
	if v.rank() > 0 {
		return v
	}
	if c := p.condition(corev1.PodReady); c.Status != corev1.ConditionTrue {
		if c.Reason == "ReadinessGatesNotReady" {
			return wait("waits for its readiness gates: " + line(c.Message))
		}
		return wait("is not ready yet")
	}
	v.Why = "is ready"
	if v.Settle > 0 {
		v.Why = "is ready, but has just been restarted"
	}
	return v
}

// failed judges a pod that has ended. One that its node has turned out is replaced by its owner.
func (p pod) failed() Verdict {
	why := "has failed"
	if p.Status.Reason != "" {
		why += ": " + p.Status.Reason
	}
	if p.Status.Message != "" {
		why += ": " + line(p.Status.Message)
	}
	if len(p.OwnerReferences) > 0 {
		return wait(why)
	}
	v := doomed(PodFailed, why, "")
	for _, c := range p.containers() {
		if t := c.State.Terminated; t != nil && t.ExitCode != 0 {
			v.Container, v.Why = c.Name, exit(t.ExitCode, t.Signal)
			break
		}
	}
	return v
}

func (p pod) condition(kind corev1.PodConditionType) corev1.PodCondition {
	for _, c := range p.Status.Conditions {
		if c.Type == kind {
			return c
		}
	}
	return corev1.PodCondition{}
}

func (p pod) unscheduled(c corev1.PodCondition) Verdict {
	if c.Reason == corev1.PodReasonSchedulingGated {
		return wait("is held back by a scheduling gate: " + p.Spec.SchedulingGates[0].Name)
	}
	if c.Reason != corev1.PodReasonUnschedulable {
		return wait("waits for a node")
	}
	why := "fits no node"
	if c.Message != "" {
		why += ": " + line(c.Message)
	}
	if has(c.Message, "persistentvolumeclaim") {
		budget := scheduleBudget
		if has(c.Message, "unbound") {
			budget = claimBudget
		}
		return suspect(Volume, budget, why, "look at the claim: kubectl describe pvc -n "+p.Namespace)
	}
	v := suspect(Unschedulable, scheduleBudget, why, scheduleHint(c.Message))
	up := p.last("", "TriggeredScaleUp", "Nominated", "ProvisioningRequestAccepted")
	not := p.last("", "NotTriggerScaleUp")
	switch {
	case up != nil && (not == nil || !EventTime(*up).Before(EventTime(*not))):
		v.Paused = true
		v.Why += "; an autoscaler adds nodes"
	case not != nil:
		v.Budget = scheduleBudgetAlone
		v.Why += "; the autoscaler does not help: " + line(not.Message)
	}
	return v
}

func scheduleHint(message string) string {
	switch {
	case has(message, "insufficient"):
		return "lower what the containers request, or add nodes"
	case has(message, "untolerated taint"):
		return "give the pod a toleration, or take the taint off a node"
	case has(message, "affinity", "node selector"):
		return "compare nodeSelector and affinity with the labels of the nodes"
	}
	return ""
}

// starting judges what happens before there are containers: volumes and the network.
func (p pod) starting() Verdict {
	if e := p.last("", "FailedMount", "FailedAttachVolume"); e != nil && !p.since(e, "SuccessfulAttachVolume", "Pulling", "Pulled") {
		if what, missing := lacking(e.Message); missing {
			return p.lacks(what)
		}
		return suspect(Volume, retryBudget, "cannot have a volume: "+line(e.Message), "")
	}
	if e := p.last("", "FailedCreatePodSandBox"); e != nil && !p.since(e, "Pulling", "Pulled") {
		return suspect(Sandbox, retryBudget, "gets no network or sandbox: "+line(e.Message), "look at the network plugin of node "+p.Spec.NodeName)
	}
	if e := p.last("", "Pulling"); e != nil && p.last("", "Pulled") == nil {
		return wait("pulls its image")
	}
	return wait("is starting")
}

// since reports whether an event with one of some reasons came after another.
func (p pod) since(than *corev1.Event, reasons ...string) bool {
	e := p.last("", reasons...)
	return e != nil && EventTime(*e).After(EventTime(*than))
}

// lacks judges a pod that names a Secret or ConfigMap that is not there.
func (p pod) lacks(what string) Verdict {
	if p.Making {
		return suspect(ConfigMissing, retryBudget, "needs "+what+"; something of the set may be making it", "")
	}
	hint := "make it in the namespace %s, or correct the name in the pod's template"
	if strings.HasPrefix(what, "the key ") {
		hint = "add the key in the namespace %s, or correct its name in the pod's template"
	}
	return doomed(ConfigMissing, "needs "+what, fmt.Sprintf(hint, p.Namespace))
}

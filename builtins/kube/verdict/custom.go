package verdict

import "k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"

// Rule judges an object of a kind that only its controller knows, by what the author of a script knows of it. It is pure.
// Without a verdict the object is judged by its conditions.
type Rule func(o *Object) (v Verdict, judged bool, err error)

// OfRule is what a rule may say: gone is for the API server to tell.
func OfRule() []State { return []State{Ready, Wait, Suspect, Doomed, Skipped} }

// ByRule is the verdict that a rule gives, and why.
func ByRule(state State, why string) Verdict {
	v := Verdict{State: state, Why: line(why)}
	switch state {
	case Suspect:
		v.Cause, v.Budget = Ruled, retryBudget
	case Doomed:
		v.Cause = Ruled
	}
	return v
}

// judgeByRule asks the rule, unless the status is of an earlier generation.
func judgeByRule(in Input) (Verdict, error) {
	if condition(in.Object, "Ready").stale(in.Object) {
		return unseen(), nil
	}
	v, judged, err := in.Rule(in.Object)
	switch {
	case err != nil:
		return Verdict{}, err
	case !judged:
		return judgeCustom(in), nil
	}
	return in.settled(v, in.Write.ResourceVersion == in.Object.GetResourceVersion()), nil
}

// judgeCustom judges an object by what most controllers tell.
func judgeCustom(in Input) Verdict {
	if c := condition(in.Object, "Stalled"); c.Status == "True" && !c.stale(in.Object) {
		return in.settled(doomed(Stalled, "is stalled: "+c.text(), ""), in.Write.ResourceVersion == in.Object.GetResourceVersion())
	}
	c := condition(in.Object, "Ready")
	v := ready("is there")
	switch {
	case c.Status != "" && c.stale(in.Object):
		return unseen()
	case c.Status == "True":
		v = ready("is ready")
	case c.Status != "":
		why := "is not ready yet"
		if text := c.text(); text != "" {
			why += ": " + text
		}
		return wait(why)
	}
	return in.settled(v, in.Write.ResourceVersion == in.Object.GetResourceVersion() || c.Status == "")
}

// settled is a verdict that must last a while where the object does not tell of which generation its status is, and may
// not have been seen by its controller since it was written.
func (in Input) settled(v Verdict, unheard bool) Verdict {
	_, tells, _ := unstructured.NestedInt64(in.Object.Object, "status", "observedGeneration")
	if !unheard || tells || in.Write.Unchanged || condition(in.Object, "Ready").ObservedGeneration > 0 {
		return v
	}
	switch v.State {
	case Ready:
		v.Settle = settleStatus
	case Doomed:
		v.State, v.Budget = Suspect, settleStatus
	}
	return v
}

func (c Condition) stale(o *Object) bool {
	return c.ObservedGeneration > 0 && c.ObservedGeneration < o.GetGeneration()
}

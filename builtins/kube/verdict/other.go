package verdict

import (
	"strings"

	autoscalingv2 "k8s.io/api/autoscaling/v2"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
)

// judgeClaim lets a claim be that waits for its first pod: there may be none, and where there is one, the pod tells.
func judgeClaim(in Input) Verdict {
	c := as[corev1.PersistentVolumeClaim](in.Object)
	switch c.Status.Phase {
	case corev1.ClaimBound:
		return ready("is bound")
	case corev1.ClaimLost:
		return doomed(Volume, "has lost its volume "+c.Spec.VolumeName, "the data is not there any more; restore it, or make a new claim")
	}
	events := in.events(c.UID)
	if name := c.Spec.StorageClassName; name != nil && in.Classes[*name] {
		return ready("waits for the first pod that uses it")
	}
	for i := len(events) - 1; i >= 0; i-- {
		e := events[i]
		switch e.Reason {
		case "WaitForFirstConsumer", "WaitForPodScheduled":
			return ready("waits for the first pod that uses it")
		case "ProvisioningFailed", "FailedBinding", "VolumeMismatch":
			hint := ""
			if has(e.Message, "storageclass") && has(e.Message, "not found") {
				hint = "correct storageClassName, or make the StorageClass"
			} else if has(e.Message, "no storage class is set") {
				hint = "name a storageClassName: the cluster has no default"
			}
			return suspect(Volume, retryBudget, "is not bound: "+line(e.Message), hint)
		}
	}
	return wait("is not bound yet")
}

// judgeAutoscaler takes an autoscaler as it is, but for what its own settings make impossible: metrics come and go.
func judgeAutoscaler(in Input) Verdict {
	h := as[autoscalingv2.HorizontalPodAutoscaler](in.Object)
	if c := condition(in.Object, "AbleToScale"); c.Status == "False" && c.Reason == "FailedGetScale" {
		return suspect(Scaling, retryBudget, "cannot scale "+h.Spec.ScaleTargetRef.Name+": "+c.text(), "compare scaleTargetRef with the workload")
	}
	c := condition(in.Object, "ScalingActive")
	switch {
	case c.Status != "False" || c.Reason == "ScalingDisabled":
		return ready("is there")
	case strings.HasPrefix(c.Reason, "FailedGet"):
		return ready("is there; it has no metrics now: " + c.text())
	}
	return suspect(Scaling, retryBudget, "cannot scale: "+c.text(), "")
}

func judgeDefinition(in Input) Verdict {
	names, established := condition(in.Object, "NamesAccepted"), condition(in.Object, "Established")
	switch {
	case names.Status == "False":
		return doomed(Names, "cannot be served: "+names.text(), "another definition has these names")
	case established.Status == "True":
		return ready("is established")
	case established.Status == "False" && established.Reason != "Installing" && established.Reason != "NotAccepted":
		return suspect(Names, retryBudget, "is not established: "+established.text(), "")
	}
	return wait("is not established yet")
}

func judgeAPIService(in Input) Verdict {
	switch c := condition(in.Object, "Available"); c.Status {
	case "True":
		return ready("is available")
	case "False":
		return suspect(Unavailable, retryBudget, "is not available: "+c.text(), "look at the pods behind its service")
	}
	return wait("is not available yet")
}

func judgeNamespace(in Input) Verdict {
	phase, _, _ := unstructured.NestedString(in.Object.Object, "status", "phase")
	if phase == "Terminating" || in.Object.GetDeletionTimestamp() != nil {
		return doomed(Terminating, "is being removed"+finalizers(in.Object), "wait until it is gone, then try again")
	}
	return ready("is there")
}

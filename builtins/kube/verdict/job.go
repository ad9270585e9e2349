package verdict

import (
	"fmt"

	batchv1 "k8s.io/api/batch/v1"
	corev1 "k8s.io/api/core/v1"
)

// judgeJob wants a Job complete: one that runs is not ready. What ends a try is the Job's matter, which counts them; what
// no try can mend ends it.
func judgeJob(in Input) Verdict {
	j := as[batchv1.Job](in.Object)
	pods := in.pods(j.UID, nil)
	for i := range pods {
		pods[i].job = true
	}
	if condition(in.Object, "Complete").Status == "True" {
		return ready("completed")
	}
	for _, kind := range []string{"Failed", "FailureTarget"} {
		if c := condition(in.Object, kind); c.Status == "True" {
			return jobFailed(c, pods)
		}
	}
	if j.Spec.Suspend != nil && *j.Spec.Suspend {
		return skipped("is suspended")
	}
	v := judgePods(pods)
	if v.rank() > 1 {
		return v
	}
	if j.Status.Active == 0 && len(pods) == 0 {
		if message := in.notMade(); message != "" {
			return in.refused(message, len(in.leaving(j.UID)) > 0)
		}
	}
	why := "runs"
	if j.Status.Active == 0 {
		why = "is starting"
	}
	if j.Status.Failed > 0 {
		tries := int32(7)
		if j.Spec.BackoffLimit != nil {
			tries = *j.Spec.BackoffLimit + 1
		}
		why += fmt.Sprintf("; %d of %d tries have failed", j.Status.Failed, tries)
	}
	if n := j.Spec.Completions; n != nil && *n > 1 {
		why += fmt.Sprintf("; %d of %d pods have completed", j.Status.Succeeded, *n)
	}
	return wait(why)
}

// jobFailed says why with the code of a pod that failed, where one is still there.
func jobFailed(c Condition, pods []pod) Verdict {
	why := "has failed"
	switch c.Reason {
	case "BackoffLimitExceeded":
		why += " as often as it may be tried"
	case "DeadlineExceeded":
		why += ": it ran longer than activeDeadlineSeconds"
	default:
		why += ": " + c.text()
	}
	v := doomed(JobFailed, why, "")
	for i := len(pods) - 1; i >= 0; i-- {
		for _, k := range pods[i].containers() {
			t := k.State.Terminated
			if t == nil {
				t = k.LastTerminationState.Terminated
			}
			if t == nil || t.ExitCode == 0 {
				continue
			}
			v.Pod, v.Container = pods[i].Name, k.Name
			v.Why += "; pod " + v.Pod + ": container " + k.Name + " " + exit(t.ExitCode, t.Signal)
			if t.Reason == "OOMKilled" {
				v.Why += ", for want of memory" + k.limit()
			}
			return v
		}
	}
	return v
}

func judgeCronJob(in Input) Verdict {
	c := as[batchv1.CronJob](in.Object)
	if c.Spec.Suspend != nil && *c.Spec.Suspend {
		return ready("is there; it is suspended")
	}
	return ready("is there; it runs at " + c.Spec.Schedule)
}

// judgeBarePod judges a pod that no workload makes again.
func judgeBarePod(in Input) Verdict {
	p := as[corev1.Pod](in.Object)
	v := pod{Pod: p, events: in.events(p.UID), Facts: in.Facts}.judge()
	if v.rank() == 0 {
		v.Pod = ""
		v.Why = "is ready"
		if p.Status.Phase == "Succeeded" {
			v.Why = "has completed"
		}
	}
	return v
}

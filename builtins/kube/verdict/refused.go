package verdict

import (
	"strings"
	"time"
)

// refused judges a workload whose pods the API server does not take.
func (in Input) refused(message string, roomComes bool) Verdict {
	text := reason(message)
	switch {
	case has(message, "exceeded quota"):
		return orPasses(roomComes, Quota, "gets no more pods: "+text, "raise the ResourceQuota, or ask for less")
	case has(message, "failed quota"):
		return doomed(Quota, "gets no pods: "+text, "the ResourceQuota wants each container to say its requests and limits")
	case has(message, "error looking up service account", "serviceaccount") && has(message, "not found"):
		return suspect(AccountMissing, accountBudget, "gets no pods: "+text, "make the ServiceAccount, or correct serviceAccountName")
	case has(message, "failed calling webhook", "failed to call webhook"):
		return suspect(Admission, retryBudget, "gets no pods: "+text, "the webhook's own service does not answer; look at its pods")
	case has(message, "is being terminated", "because it is being terminated"):
		return doomed(Terminating, "gets no pods: "+text, "the namespace is being removed")
	case has(message, "podsecurity"):
		return doomed(Admission, "gets no pods: "+text, "the namespace's pod security level does not allow the pod's securityContext")
	case has(message, "denied the request", "validatingadmissionpolicy", "forbidden", "is invalid"):
		return doomed(Admission, "gets no pods: "+text, "")
	}
	return suspect(CreateFailed, retryBudget, "gets no pods: "+text, "")
}

// orPasses is suspect while waiting may help, else doomed.
func orPasses(may bool, c Cause, why, hint string) Verdict {
	if may {
		return suspect(c, retryBudget, why, hint)
	}
	return doomed(c, why, hint)
}

// reason is what an API server says, without the pod's name, which is made up anew each time.
func reason(message string) string {
	for _, before := range []string{"Error creating: ", "create Pod "} {
		if _, after, found := strings.Cut(message, before); found {
			message = after
		}
	}
	if i := strings.Index(message, " is forbidden: "); i >= 0 {
		message = message[i+len(" is forbidden: "):]
	}
	return line(message)
}

// notMade is what was said last of pods that could not be made, since the object was changed last. The kinds that have no
// condition for it tell it by events only.
func (in Input) notMade() string {
	events := in.events(in.Object.GetUID())
	changed := changed(in.Object)
	for i := len(events) - 1; i >= 0; i-- {
		e := events[i]
		if e.Reason == "FailedCreate" && !EventTime(e).Before(changed) {
			return e.Message
		}
		if e.Reason == "SuccessfulCreate" {
			return ""
		}
	}
	return ""
}

// changed is when somebody changed an object last, other than its status.
func changed(o *Object) time.Time {
	at := o.GetCreationTimestamp().Time
	for _, m := range o.GetManagedFields() {
		if m.Subresource == "" && m.Time != nil && m.Time.After(at) {
			at = m.Time.Time
		}
	}
	return at
}

// Package verdict says how an object of a cluster stands: whether it is as it was asked for, on its way, or will never be.
// Judge is pure: it sees an object, what that owns, and a few facts, and asks no server and no clock. A status that is
// older than what was written is no evidence of anything.
package verdict

import (
	"time"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
)

// Object is one object of a cluster as its JSON.
type Object = unstructured.Unstructured

// State is how an object stands.
type State string

// The states.
const (
	Ready   State = "ready"   // as it was asked for
	Wait    State = "wait"    // on its way, and nothing speaks against it
	Suspect State = "suspect" // something is wrong that may pass: where it lasts longer than Budget it counts as Doomed
	Doomed  State = "doomed"  // it does not come to be ready by waiting
	Gone    State = "gone"    // somebody has removed it
	Skipped State = "skipped" // it is told not to go on, so there is nothing to wait for
)

// Cause is what is wrong, as one stable word.
type Cause string

// The causes.
const (
	CrashLoop         Cause = "crash_loop"
	OutOfMemory       Cause = "out_of_memory"
	ExecFormat        Cause = "exec_format"
	NoProgram         Cause = "no_program"
	ImageMissing      Cause = "image_missing"
	ImageUnauthorised Cause = "image_unauthorised"
	ImageInvalid      Cause = "image_invalid"
	ImagePlatform     Cause = "image_platform"
	ImagePull         Cause = "image_pull"
	ConfigMissing     Cause = "config_missing"
	ConfigInvalid     Cause = "config_invalid"
	CreateFailed      Cause = "create_failed"
	Probe             Cause = "probe"
	Unschedulable     Cause = "unschedulable"
	Volume            Cause = "volume"
	Sandbox           Cause = "sandbox"
	Quota             Cause = "quota"
	Admission         Cause = "admission"
	AccountMissing    Cause = "service_account_missing"
	JobFailed         Cause = "job_failed"
	PodFailed         Cause = "pod_failed"
	Deadline          Cause = "deadline"
	Blocked           Cause = "blocked"
	NoEndpoints       Cause = "no_endpoints"
	Scaling           Cause = "scaling"
	Names             Cause = "names"
	Unavailable       Cause = "unavailable"
	Stalled           Cause = "stalled"
	Terminating       Cause = "terminating"
	Removed           Cause = "removed"
	Replaced          Cause = "replaced"
	Ruled             Cause = "rule"
)

// Verdict is how an object stands, and why.
type Verdict struct {
	State     State
	Why       string        // one line: "pod web-7c4-x: container app exits with 1 again and again (3 restarts)"
	Pod       string        // the pod that it is about, "" where it is about the object
	Container string        // the container, likewise
	Cause     Cause         // "" where nothing is wrong
	Hint      string        // what to look at or to do, "" where there is nothing to say
	Budget    time.Duration // of a Suspect: how long it may last
	Paused    bool          // of a Suspect: its time does not pass now, since an autoscaler is at work
	Settle    time.Duration // of a Ready: how long it must last before it counts
}

// Write is what the server answered to the write of an object: what it tells of earlier does not count.
type Write struct {
	UID             string
	Generation      int64
	ResourceVersion string
	Unchanged       bool // nothing had to be changed, so that what was there before counts
}

// Input is all that a verdict depends on. What is in the slices and belongs to other objects is left out of account.
type Input struct {
	Object *Object // as the cluster has it; nil where it is not there
	Last   *Object // as it was seen last, or written; for one that is not there
	Write  Write
	Rule   Rule // how an object of a custom kind is judged; nil for by its conditions
	Facts

	ReplicaSets []*Object // of a Deployment
	Pods        []*Object
	Slices      []*Object // EndpointSlices, of a Service
	Events      []*Object
}

// Facts are what neither the object nor what it owns tells.
type Facts struct {
	Now     time.Time
	Coming  bool            // other workloads of the set are on their way: a database may not be up yet
	Making  bool            // custom resources of the set are on their way, which may make Secrets and the like
	Classes map[string]bool // StorageClasses, and whether each waits for a first consumer; nil where they cannot be read
	Behind  int             // of a Service: how many replicas of the set's workloads it selects; -1 when it selects none of them
}

// Each budget is as long as what passes by itself takes, with some room, and no longer: a person waits for it.
const (
	// A container that ends is started again at once, then after 10 s, then after 20 s. One that ends a third time, about
	// 12 s after the first, has failed without anything being in its way; a start may be slow, hence the longer one.
	crashBudget      = 12 * time.Second
	crashBudgetFirst = 25 * time.Second
	// While others of the set start, a container may end for want of them; its fifth start is at 70 s.
	crashBudgetComing = 75 * time.Second
	// A pull that fails is tried again after 10, 20 and 40 s: a registry that restarts is back within three tries.
	pullBudget = 75 * time.Second
	// A readiness probe may fail while an application starts. What takes longer has a startup probe, which is waited for.
	probeBudget = 2 * time.Minute
	// The scheduler tries again as soon as a pod ends or a node comes; an autoscaler takes some 10 to 30 s to say that it
	// works on it, and says at once where it cannot.
	scheduleBudget      = time.Minute
	scheduleBudgetAlone = 30 * time.Second
	// Controllers and kubelets try again every few seconds, with growing pauses: what passes has passed by then.
	retryBudget = time.Minute
	// A claim that is not bound says why itself, when the retryBudget is over: a pod that waits for it does not come before.
	claimBudget = retryBudget + 15*time.Second
	// What a controller makes by itself in a new namespace is there within a few seconds.
	accountBudget = 20 * time.Second
)

// settle is how long a container that has just failed must stay up before it counts; settleStatus is how long a kind that
// does not tell which generation its status is of has for its controller to notice a write.
const (
	settle       = 10 * time.Second
	settleStatus = 2 * time.Second
)

func ready(why string) Verdict   { return Verdict{State: Ready, Why: why} }
func wait(why string) Verdict    { return Verdict{State: Wait, Why: why} }
func skipped(why string) Verdict { return Verdict{State: Skipped, Why: why} }

func doomed(c Cause, why, hint string) Verdict {
	return Verdict{State: Doomed, Cause: c, Why: why, Hint: hint}
}

func suspect(c Cause, budget time.Duration, why, hint string) Verdict {
	return Verdict{State: Suspect, Cause: c, Why: why, Hint: hint, Budget: budget}
}

// rank orders verdicts by how much they decide.
func (v Verdict) rank() int {
	switch v.State {
	case Doomed:
		return 3
	case Suspect:
		return 2
	case Wait:
		return 1
	}
	return 0
}

// worse is the one of two that decides; of equals, a suspect whose time is over first, then the first.
func worse(a, b Verdict) Verdict {
	switch {
	case b.rank() > a.rank():
		return b
	case b.rank() == a.rank() && b.State == Suspect && (a.Paused && !b.Paused || a.Paused == b.Paused && b.Budget < a.Budget):
		return b
	}
	return a
}

package verdict

import (
	"fmt"
	"regexp"
	"slices"
	"strings"
	"time"

	corev1 "k8s.io/api/core/v1"
)

// container is one container of a pod as its node tells of it.
type container struct {
	corev1.ContainerStatus
	spec corev1.Container
	pod  pod
	init bool // it runs before the others, to its end
}

// containers are all of a pod that its node has told of, in the order in which they start.
func (p pod) containers() (out []container) {
	add := func(specs []corev1.Container, states []corev1.ContainerStatus, init bool) {
		for _, s := range specs {
			i := slices.IndexFunc(states, func(c corev1.ContainerStatus) bool { return c.Name == s.Name })
			sidecar := s.RestartPolicy != nil && *s.RestartPolicy == corev1.ContainerRestartPolicyAlways
			if i >= 0 {
				out = append(out, container{ContainerStatus: states[i], spec: s, pod: p, init: init && !sidecar})
			}
		}
	}
	add(p.Spec.InitContainers, p.Status.InitContainerStatuses, true)
	add(p.Spec.Containers, p.Status.ContainerStatuses, false)
	return out
}

func (c container) judge() Verdict {
	v := c.verdict()
	if v.rank() > 0 {
		v.Container = c.Name
	}
	if c.init && v.rank() > 1 {
		v.Why += "; it is an init container, so the others do not start"
	}
	return v
}

func (c container) verdict() Verdict {
	switch {
	case c.State.Waiting != nil:
		return c.waiting(*c.State.Waiting)
	case c.State.Terminated != nil:
		return c.terminated(*c.State.Terminated)
	case c.State.Running != nil:
		return c.running()
	}
	return wait("is not told of by its node yet")
}

func (c container) waiting(w corev1.ContainerStateWaiting) Verdict {
	switch w.Reason {
	case "ErrImagePull", "ImagePullBackOff", "ImageInspectError", "RegistryUnavailable", "ErrImageNeverPull", "InvalidImageName", "SignatureValidationFailed":
		return c.image(w)
	case "CreateContainerConfigError":
		return c.config(w.Message)
	case "CreateContainerError", "RunContainerError", "PreCreateHookError", "PreStartHookError", "PostStartHookError":
		return c.notCreated(w.Reason, w.Message)
	case "CrashLoopBackOff":
		if t := c.LastTerminationState.Terminated; t != nil {
			return c.loops(*t)
		}
		return c.loops(corev1.ContainerStateTerminated{ExitCode: -1})
	case "PodInitializing":
		return wait("waits for the init containers")
	}
	if c.RestartCount > 0 && c.LastTerminationState.Terminated != nil {
		return c.loops(*c.LastTerminationState.Terminated)
	}
	return wait("is being created")
}

// config judges a container whose configuration cannot be put together.
func (c container) config(message string) Verdict {
	switch what, missing := lacking(message); {
	case has(message, "failed to sync") && has(message, "cache"):
		return suspect(ConfigMissing, retryBudget, "waits for its node to read a Secret or ConfigMap: "+line(message), "")
	case missing:
		return c.pod.lacks(what)
	case has(message, "runasnonroot", "run as root", "non-numeric user"):
		return doomed(ConfigInvalid, "may not run as root, and its image says no other user by number", "set securityContext.runAsUser, or USER in the image to a number")
	}
	return doomed(ConfigInvalid, "cannot be configured: "+line(message), "")
}

// what kubelets say of Secrets and ConfigMaps that a pod names.
var (
	missingObject = regexp.MustCompile(`(?i)\b(secret|configmap)s?"? "?([^" ]+)"? not found|\b(configmap|secret) not found`)
	missingKey    = regexp.MustCompile(`(?i)couldn't find key (\S+) in (secret|configmap) (\S+)`)
	missingItem   = regexp.MustCompile(`(?i)references non-existent (secret|config) key: (\S+)`)
)

// lacking reads which Secret, ConfigMap or key is not there.
func lacking(message string) (what string, missing bool) {
	if m := missingKey.FindStringSubmatch(message); m != nil {
		_, name, found := strings.Cut(m[3], "/")
		if !found {
			name = m[3]
		}
		return fmt.Sprintf("the key %s, which the %s %s does not have", m[1], kindOf(m[2]), name), true
	}
	if m := missingItem.FindStringSubmatch(message); m != nil {
		return fmt.Sprintf("the key %s, which its %s does not have", m[2], kindOf(m[1])), true
	}
	if m := missingObject.FindStringSubmatch(message); m != nil {
		if m[2] == "" {
			return "a " + kindOf(m[3]) + " that is not there", true
		}
		name := m[2][strings.LastIndex(m[2], "/")+1:]
		return fmt.Sprintf("the %s %s, which is not there", kindOf(m[1]), name), true
	}
	return "", false
}

func kindOf(word string) string {
	if strings.HasPrefix(strings.ToLower(word), "config") {
		return "ConfigMap"
	}
	return "Secret"
}

// notCreated judges a container that its runtime does not start.
func (c container) notCreated(reason, message string) Verdict {
	switch {
	case has(message, "exec format error"):
		return c.wrongFormat()
	case has(message, "executable file not found", "no such file or directory", "no command specified", "is a directory"):
		return doomed(NoProgram, "has no such program: "+program(message), "compare command and args with what the image has")
	case has(message, "permission denied") && has(message, "exec"):
		return doomed(NoProgram, "may not run its program: "+program(message), "give the file in the image the right to be executed")
	}
	return suspect(CreateFailed, retryBudget, "cannot be started: "+strings.TrimSuffix(reason+": "+line(message), ": "), "")
}

func (c container) wrongFormat() Verdict {
	return doomed(ExecFormat, "cannot run its program: exec format error", "the image is for another processor, or its script has no #! line")
}

// program is the part of a runtime's message that names the file.
func program(message string) string {
	if i := strings.LastIndex(message, "exec: "); i >= 0 {
		message = message[i+len("exec: "):]
	}
	return line(strings.TrimSuffix(strings.TrimSpace(message), ": unknown"))
}

func (c container) terminated(t corev1.ContainerStateTerminated) Verdict {
	if t.ExitCode == 0 && (c.init || c.pod.Spec.RestartPolicy != corev1.RestartPolicyAlways) {
		return ready("has completed")
	}
	if t.Reason == "StartError" || t.Reason == "ContainerCannotRun" {
		if v := c.notCreated(t.Reason, t.Message); v.State == Doomed || c.RestartCount == 0 {
			return v
		}
	}
	if has(t.Message, "exec format error") {
		return c.wrongFormat()
	}
	if c.pod.Spec.RestartPolicy == corev1.RestartPolicyNever || c.RestartCount == 0 {
		return wait(exit(t.ExitCode, t.Signal))
	}
	return c.loops(t)
}

// loops judges a container that ends again and again.
func (c container) loops(t corev1.ContainerStateTerminated) Verdict {
	budget := crashBudget
	switch {
	case t.Reason == "StartError" || t.Reason == "ContainerCannotRun":
		if v := c.notCreated(t.Reason, t.Message); v.State == Doomed {
			return v
		}
	case has(t.Message, "exec format error"):
		return c.wrongFormat()
	case c.pod.job:
		return wait(exit(t.ExitCode, t.Signal) + ", and is tried again")
	}
	times := "(" + count(int(c.RestartCount), "restart") + ")"
	if c.RestartCount < 2 {
		budget = crashBudgetFirst
	}
	if t.Reason == "OOMKilled" {
		return suspect(OutOfMemory, budget, "runs out of memory again and again"+c.limit()+" "+times, "raise resources.limits.memory, or look for what needs so much")
	}
	if what, which := c.probed(t); what != "" {
		return suspect(Probe, budget, "is restarted again and again since its "+what+" "+times, probeHint(which))
	}
	if c.pod.Coming {
		budget = crashBudgetComing
	}
	switch {
	case t.ExitCode < 0:
		return suspect(CrashLoop, budget, "ends again and again "+times, "read its log")
	case t.ExitCode == 0:
		return suspect(CrashLoop, budget, "exits with 0 again and again: it does not keep running "+times, "a container of a workload must stay in the foreground; what ends is a Job")
	}
	return suspect(CrashLoop, budget, exit(t.ExitCode, t.Signal)+" again and again "+times, crashHint(t.ExitCode))
}

// probed says what a container's probe found, and which it is, where that is why its node has ended it; "" where it ended by
// itself, whatever a probe had found before. Its node says that it ends it; where that word is lost, a signal tells.
func (c container) probed(t corev1.ContainerStateTerminated) (what, which string) {
	for _, kind := range []string{"startup", "liveness"} {
		killed, failed := c.told("Killing", "failed "+kind+" probe", t.StartedAt.Time), c.unhealthy(kind)
		switch {
		case failed != nil && (killed || t.ExitCode == sigkill || t.ExitCode == sigterm):
			return probeSays(failed.Message), kind
		case killed:
			return kind + " probe fails", kind
		}
	}
	return "", ""
}

// exit codes of who ends by a signal.
const (
	sigkill = 128 + 9
	sigterm = 128 + 15
)

func probeHint(which string) string {
	if which == "startup" {
		return "read its log for why it does not come up, or raise failureThreshold of its startupProbe"
	}
	return "compare the probe with what the application serves, and give it time by a startupProbe"
}

func crashHint(code int32) string {
	switch code {
	case 126:
		return "126 means that its shell may not run the program"
	case 127:
		return "127 means that its shell finds no such program"
	case 137:
		return "SIGKILL without a word of memory: the node was short of it, or it did not end when told to"
	case 139:
		return "SIGSEGV is a fault in the program or a library of another build"
	}
	return "read its log below; the same image and settings fail the same way each time"
}

func (c container) limit() string {
	if m := c.spec.Resources.Limits.Memory(); !m.IsZero() {
		return ", of which it may have " + m.String()
	}
	return ""
}

func (c container) running() Verdict {
	last := c.LastTerminationState.Terminated
	switch {
	case c.Ready:
		return ready("is ready")
	case c.init:
		if c.RestartCount > 0 && last != nil && last.ExitCode != 0 {
			return c.loops(*last)
		}
		return wait("runs, and the others wait for its end")
	case c.RestartCount > 0 && !c.pod.job:
		if last == nil { // not every node tells
			last = &corev1.ContainerStateTerminated{ExitCode: -1}
		}
		return c.loops(*last)
	case c.Started != nil && !*c.Started && c.spec.StartupProbe != nil:
		if e := c.unhealthy("startup"); e != nil {
			return wait("is starting; so far its " + probeSays(e.Message))
		}
		return wait("is starting")
	}
	if e := c.unhealthy("readiness", "liveness"); e != nil {
		budget := probeBudget
		if p := c.spec.ReadinessProbe; p != nil {
			budget = max(budget, 2*time.Duration(p.PeriodSeconds*max(p.FailureThreshold, 1))*time.Second)
		}
		return suspect(Probe, budget, "runs, but its "+probeSays(e.Message), "compare the probe with what the application serves, and read its log")
	}
	return wait("runs, and is not ready yet")
}

// unhealthy finds the newest word of a failing probe of this container since it was started last.
func (c container) unhealthy(kinds ...string) *corev1.Event {
	for i := len(c.pod.events) - 1; i >= 0; i-- {
		e := &c.pod.events[i]
		if (e.Reason == "Unhealthy" || e.Reason == "ProbeWarning") && has(e.Message, kinds...) && c.names(e) {
			return e
		}
	}
	return nil
}

// told reports whether there is an event of a reason about this container, not older than a moment, that has some words.
func (c container) told(reason, words string, since time.Time) bool {
	return slices.ContainsFunc(c.pod.events, func(e corev1.Event) bool {
		return e.Reason == reason && has(e.Message, words) && c.names(&e) && !EventTime(e).Before(since)
	})
}

// names reports whether an event may be about this container.
func (c container) names(e *corev1.Event) bool {
	field := e.InvolvedObject.FieldPath
	return field == "" || strings.HasSuffix(field, "{"+c.Name+"}")
}

// probeSays turns "Readiness probe failed: HTTP probe failed with statuscode: 503" into what stands behind "its".
func probeSays(message string) string {
	kind, what, _ := strings.Cut(message, " probe failed: ")
	if what == "" {
		return line(strings.ToLower(message[:1]) + message[1:])
	}
	what = strings.Replace(what, "HTTP probe failed with statuscode: ", "it is answered with ", 1)
	return strings.ToLower(kind) + " probe fails: " + line(what)
}

// settle is how long a container that has just been restarted must stay up before it counts.
func (c container) settle() time.Duration {
	t := c.LastTerminationState.Terminated
	if c.Ready && c.RestartCount > 0 && t != nil && !c.init && c.pod.Now.Sub(t.FinishedAt.Time) < 3*settle {
		return settle
	}
	return 0
}

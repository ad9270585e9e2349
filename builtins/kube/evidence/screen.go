package evidence

import (
	"cmp"
	"fmt"
	"regexp"
	"slices"
	"strings"
	"time"

	"github.com/erlmcp/runner/builtins/kube/verdict"
	corev1 "k8s.io/api/core/v1"
)

// A screen has this many lines of this many columns; what is shown below a title is set in by two.
const (
	screenLines   = 24
	screenColumns = 98
	eventLines    = 3
)

// Part is a title and the lines below it.
type Part struct{ Title, Text string }

// Screen is what was found, on one screen. What the log does not need is its own: it tells most.
func (f Found) Screen() []Part {
	head := Part{Title: clip(f.path()), Text: strings.Join(f.head(), "\n")}
	out := []Part{head}
	events := f.telling()
	left := screenLines - 1 - lines(head.Text)
	if len(events) > 0 {
		left -= 1 + len(events)
	}
	out = append(out, f.logParts(left)...)
	if len(events) > 0 {
		out = append(out, Part{"what the cluster says", strings.Join(events, "\n")})
	}
	return out
}

func lines(text string) int {
	if text == "" {
		return 0
	}
	return 1 + strings.Count(text, "\n")
}

// head says what is wrong, how the container stands and ended, and the hint.
func (f Found) head() []string {
	why := f.Verdict.Why
	if f.Verdict.Pod != "" {
		why = strings.TrimPrefix(strings.TrimPrefix(why, "pod "+f.Verdict.Pod), ":")
	}
	out := wrap(strings.TrimSpace(why))
	if c, there := f.container(); there {
		if now := stateNow(c); now != "" {
			out = append(out, clip("now: "+now))
		}
		if t := ended(c); t != nil {
			out = append(out, clip("its last end: "+endText(*t)))
		}
	}
	if f.Unread != "" {
		out = append(out, clip("its log cannot be read: "+f.Unread))
	}
	if f.Verdict.Hint != "" {
		out = append(out, wrap("hint: "+f.Verdict.Hint)...)
	}
	return out
}

func stateNow(c corev1.ContainerStatus) string {
	switch {
	case c.State.Waiting != nil:
		return strings.TrimSuffix(c.State.Waiting.Reason+": "+oneLine(c.State.Waiting.Message), ": ")
	case c.State.Running != nil && !c.State.Running.StartedAt.IsZero():
		return "it runs since " + clock(c.State.Running.StartedAt.Time) + ", and is not ready"
	}
	return ""
}

func ended(c corev1.ContainerStatus) *corev1.ContainerStateTerminated {
	if c.State.Terminated != nil {
		return c.State.Terminated
	}
	return c.LastTerminationState.Terminated
}

func endText(t corev1.ContainerStateTerminated) string {
	text := fmt.Sprintf("exit code %d", t.ExitCode)
	if t.Signal > 0 {
		text = fmt.Sprintf("signal %d", t.Signal)
	}
	if t.Reason != "" && t.Reason != "Error" && t.Reason != "Completed" {
		text += ", " + t.Reason
	}
	if !t.FinishedAt.IsZero() {
		text += " at " + clock(t.FinishedAt.Time)
		if d := t.FinishedAt.Sub(t.StartedAt.Time); !t.StartedAt.IsZero() && d >= 0 {
			text += ", after " + d.Round(time.Second).String()
		}
	}
	if m := oneLine(t.Message); m != "" {
		text += ": " + m
	}
	return text
}

func clock(t time.Time) string { return t.UTC().Format("15:04:05Z") }

// logParts share what is left of the screen: what it wrote before it was started again tells why it ended, so that gets
// more.
func (f Found) logParts(left int) (out []Part) {
	name := f.Verdict.Container
	if c, there := f.container(); there {
		name = c.Name
	}
	before, now := f.Before, f.Now
	if len(before) > 0 && len(now) > 0 {
		room := left - 2
		n := min(len(now), room/3)
		before, now = tail(before, room-n), tail(now, max(n, room-len(before)))
	} else {
		before, now = tail(before, left-1), tail(now, left-1)
	}
	if len(before) > 0 {
		out = append(out, Part{"the log of " + name + " before it was started again ends with", strings.Join(before, "\n")})
	}
	if len(now) > 0 {
		out = append(out, Part{"the log of " + name + " ends with", strings.Join(now, "\n")})
	}
	return out
}

func tail(list []string, n int) (out []string) {
	for _, l := range list[max(0, len(list)-max(n, 0)):] {
		out = append(out, clip(strings.TrimRight(l, "\r")))
	}
	return out
}

// quiet are reasons of events that only say that things go their way.
var quiet = regexp.MustCompile(`^(Scheduled|Pulling|Pulled|Created|Started|SuccessfulCreate|ScalingReplicaSet|Killing|SuccessfulDelete)$`)

// vague are those that say less than what they come from.
var vague = regexp.MustCompile(`^(BackOff|FailedSync|BackoffLimitExceeded|DeadlineExceeded)$`)

// telling are the three events that tell most, in the order of time: warnings before others, what is said of the pod
// before what is said of its owners, one of a kind, the newest of each.
func (f Found) telling() []string {
	all := slices.Clone(f.Events)
	rank := func(e corev1.Event) int {
		n := 0
		if e.Type == corev1.EventTypeWarning {
			n -= 8
		}
		if vague.MatchString(e.Reason) {
			n += 4
		}
		if e.InvolvedObject.Kind == "Pod" {
			n -= 2
		}
		return n
	}
	slices.SortStableFunc(all, func(a, b corev1.Event) int {
		return cmp.Or(cmp.Compare(rank(a), rank(b)), verdict.EventTime(b).Compare(verdict.EventTime(a)))
	})
	var chosen []corev1.Event
	for _, e := range all {
		if quiet.MatchString(e.Reason) || len(chosen) == eventLines || slices.ContainsFunc(chosen, func(c corev1.Event) bool {
			return c.Reason == e.Reason && c.InvolvedObject.Kind == e.InvolvedObject.Kind
		}) {
			continue
		}
		chosen = append(chosen, e)
	}
	slices.SortStableFunc(chosen, func(a, b corev1.Event) int { return verdict.EventTime(a).Compare(verdict.EventTime(b)) })
	var out []string
	for _, e := range chosen {
		times := ""
		if n := max(e.Count, seriesCount(e)); n > 1 {
			times = fmt.Sprintf(" %d times", n)
		}
		out = append(out, clip(fmt.Sprintf("%s %s%s: %s", clock(verdict.EventTime(e)), e.Reason, times, oneLine(e.Message))))
	}
	if len(out) == 0 && f.EventErr != "" {
		out = append(out, clip("cannot be read: "+f.EventErr))
	}
	return out
}

func seriesCount(e corev1.Event) int32 {
	if e.Series == nil {
		return 0
	}
	return e.Series.Count
}

// noise is what messages of nodes have in front of, or around, what they mean.
var noise = regexp.MustCompile(`rpc error: code = \w+ desc = |[Ff]ailed to pull image "[^"]*": |[Ff]ailed to pull and unpack image "[^"]*": |[Ff]ailed to resolve reference "[^"]*": |` +
	`Back-off pulling image "[^"]*": ErrImagePull: |unexpected status from \w+ request to |container=(\S+) pod=\S+| in pod \S+\(\S*\)|Error creating: `)

func oneLine(text string) string {
	return strings.Join(strings.Fields(noise.ReplaceAllString(text, "$1")), " ")
}

func clip(line string) string {
	line = strings.ReplaceAll(line, "\t", "    ")
	if r := []rune(line); len(r) > screenColumns {
		return string(r[:screenColumns-1]) + "…"
	}
	return line
}

// wrap breaks a text into lines, at most three.
func wrap(text string) (out []string) {
	line := ""
	for _, word := range strings.Fields(text) {
		if line != "" && len([]rune(line+" "+word)) > screenColumns && len(out) < 2 {
			out, line = append(out, line), ""
		}
		line = strings.TrimSpace(line + " " + word)
	}
	return append(out, clip(line))
}

package reconcile

import (
	"fmt"
	"strings"
	"time"
)

// Outcome is what a Verdict says.
type Outcome int

// The outcomes.
const (
	Wait   Outcome = iota // not yet
	Ready                 // as it should be
	Doomed                // it will not come to be so
)

// Verdict is how a container stands to a condition, and why.
type Verdict struct {
	Outcome Outcome
	Why     string        // "healthy", "exited with 3", "started; it has no health check"
	Memory  bool          // for want of memory
	Settled bool          // a Ready for which nothing speaks but that it has run for a while
	Again   time.Duration // of a Wait that ends by itself: when to ask again
}

// settle is how long a container without a health check must have run. It proves little: most that cannot run at all end
// sooner.
const settle = 500 * time.Millisecond

// loops is after how many restarts a container that should run counts as one that cannot.
const loops = 2

// Since is what is known of a container beside its state: how it was when the wait began, and what came meanwhile.
type Since struct {
	Restarts int           // that it had before
	Exit     int           // the code of the last end that the engine has told of
	OOM      bool          // the engine has told that memory ran out
	Passed   bool          // its own check has passed, asked for by us
	Gone     bool          // it was removed
	Up       time.Duration // for how long it is known to have run without a break
}

// Judge says whether a container has come to a condition. It is pure.
func Judge(s State, since Since, condition string) Verdict {
	switch {
	case since.Gone:
		return Verdict{Outcome: Doomed, Why: "was removed by somebody else"}
	case s.Status == "":
		return Verdict{Why: "is not told of by the engine"}
	case s.Error != "" && !s.running():
		return Verdict{Outcome: Doomed, Why: "could not be started: " + said(s.Error)}
	case s.Restarts-since.Restarts >= loops:
		return Verdict{Outcome: Doomed, Memory: s.OOM || since.OOM, Why: fmt.Sprintf("does not stay up: it was restarted %s, and last %s", times(s.Restarts-since.Restarts), lastEnd(s, since))}
	case s.Status == "exited" || s.Status == "dead":
		return judgeEnded(s, since, condition)
	case s.Status == "created" || s.Status == "restarting":
		return Verdict{Why: "is " + s.Status}
	}
	return judgeRunning(s, since, condition)
}

func judgeEnded(s State, since Since, condition string) Verdict {
	again := s.Policy == "always" || s.Policy == "unless-stopped" || s.Policy == "on-failure" && s.Exit != 0 && (s.Tries == 0 || s.Restarts < s.Tries)
	switch {
	case s.OOM || since.OOM:
		if again && condition != completed {
			return Verdict{Why: "ran out of memory"}
		}
		return Verdict{Outcome: Doomed, Memory: true, Why: "ran out of memory" + limit(s) + ", and was killed by SIGKILL"}
	case s.Exit == 0 && !again && condition != healthy && s.Health == "":
		return Verdict{Outcome: Ready, Why: "completed"}
	case again:
		return Verdict{Why: ended(s)}
	}
	return Verdict{Outcome: Doomed, Why: ended(s)}
}

func judgeRunning(s State, since Since, condition string) Verdict {
	switch {
	case condition == completed:
		return Verdict{Why: "still runs"}
	case condition == started:
		return Verdict{Outcome: Ready, Why: "started"}
	case s.Health == "healthy" || s.Health == "starting" && since.Passed:
		return Verdict{Outcome: Ready, Why: "healthy"}
	case s.Health == "unhealthy":
		why := "is unhealthy"
		if line := lastLine(s.Output); line != "" {
			why += ": its check says: " + line
		}
		return Verdict{Outcome: Doomed, Why: why}
	case s.Health != "":
		return Verdict{Why: "is starting"}
	case condition == healthy:
		return Verdict{Outcome: Doomed, Why: "has no health check, and others wait for it to be healthy"}
	}
	if left := settle - since.Up; left > 0 {
		return Verdict{Why: "has just started", Again: left}
	}
	return Verdict{Outcome: Ready, Settled: true, Why: "started; it has no health check"}
}

// ended says how a container's process ended: "exited with 3", "exited with 137, as by SIGKILL".
func ended(s State) string {
	if s.OOM {
		return fmt.Sprintf("exited with %d: it ran out of memory%s", s.Exit, limit(s))
	}
	if name := signals[s.Exit-128]; s.Exit > 128 && name != "" {
		return fmt.Sprintf("exited with %d, as by %s", s.Exit, name)
	}
	return fmt.Sprintf("exited with %d", s.Exit)
}

// limit says how much memory a container may have.
func limit(s State) string {
	if s.Memory == 0 {
		return ""
	}
	return ", of which it may have " + size(s.Memory)
}

// size is a number of bytes as people write it: "32 MiB".
func size(n int64) string {
	for _, u := range []struct {
		name  string
		bytes int64
	}{{"GiB", 1 << 30}, {"MiB", 1 << 20}, {"KiB", 1 << 10}} {
		if n >= u.bytes {
			return strings.TrimSuffix(fmt.Sprintf("%.1f", float64(n)/float64(u.bytes)), ".0") + " " + u.name
		}
	}
	return fmt.Sprintf("%d bytes", n)
}

func lastEnd(s State, since Since) string {
	s.Exit, s.OOM = since.Exit, s.OOM || since.OOM
	return ended(s)
}

// signals are those that end processes, by number.
var signals = map[int]string{1: "SIGHUP", 2: "SIGINT", 3: "SIGQUIT", 4: "SIGILL", 6: "SIGABRT", 7: "SIGBUS", 8: "SIGFPE", 9: "SIGKILL", 11: "SIGSEGV", 13: "SIGPIPE", 14: "SIGALRM", 15: "SIGTERM"}

func lastLine(text string) string {
	lines := strings.Split(strings.TrimSpace(text), "\n")
	return clip2(strings.TrimSpace(lines[len(lines)-1]))
}

// maxLine is how much of a check's output stands in an error.
const maxLine = 200

func clip2(line string) string {
	if len(line) > maxLine {
		return strings.ToValidUTF8(line[:maxLine], "") + "…"
	}
	return line
}

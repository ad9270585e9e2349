//go:build labs

package main

import (
	"strings"
	"testing"
	"time"
)

// labFault is a version that misbehaves, what it is deployed as, and what has to become of that.
type labFault struct {
	name, environment string
	faults            []string
	exit              int
	says              []string
	under             time.Duration // from the switch to the end; 0 for any
}

var labFaults = []labFault{
	{"the start fails", "quick", []string{"{fail_start, error}."}, 10, []string{"has ended by itself", "told_to_fail", "1.0.0 serves and is healthy"}, 20 * time.Second},
	{"the node halts", "quick", []string{"{fail_start, halt}."}, 10, []string{"has ended by itself", "1.0.0 serves and is healthy"}, 20 * time.Second},
	{"the start fails in rehearsal", "careful", []string{"{fail_start, error}."}, 1, []string{"the trial has ended by itself", "told_to_fail", "nothing is changed"}, 0},
	{"health stays bad", "impatient", []string{"{health, unhealthy}."}, 10, []string{"503 unhealthy", "connection to 127.0.0.1:5432 refused"}, 0},
	{"degraded is refused", "impatient", []string{"{health, degraded}."}, 10, []string{"degraded"}, 0},
	{"a smoke test fails", "quick", []string{"{mcp, error}."}, 10, []string{"FAIL jsonrpc initialize /mcp", "2 of 3 smoke tests passed"}, 0},
	{"a smoke test fails in rehearsal", "careful", []string{"{mcp, error}."}, 1, []string{"FAIL jsonrpc initialize /mcp", "nothing is changed"}, 0},
	{"it crashes after 3 s", "stable", []string{"{crash_after, \"3s\"}."}, 10, []string{"has ended by itself", "erlmcp was told to crash"}, 0},
}

// TestLabFaults deploys versions that misbehave over one that serves: each is seen for what it is, and taken back.
func TestLabFaults(t *testing.T) {
	t.Parallel()
	l := newLab(t)
	l.runs(0, "deploy.star", "quick", "--skip-tests", "--output", "plain")
	for _, f := range labFaults {
		t.Run(f.name, func(t *testing.T) {
			l := l.in(t)
			before := l.serves("1.0.0")
			l.version("2.0.0", f.faults...)
			out := l.runs(f.exit, "deploy.star", f.environment, "--skip-tests", "--output", "plain")
			l.contains(out, f.says...)
			if after := l.serves("1.0.0"); f.exit == 1 && after.System.PID != before.System.PID {
				t.Errorf("process %s serves, before it was %s", after.System.PID, before.System.PID)
			}
			if took := between(t, out, "releases.activate: switch", "verdict:"); f.under > 0 && took > f.under {
				t.Errorf("it took %s to be seen and taken back", took)
			}
		})
	}
	t.Run("what is odd and not wrong", func(t *testing.T) { l.in(t).odd() })
}

// odd versions are deployed one after the other: slow to start, slow to stop, deaf to SIGTERM, degraded.
func (l *lab) odd() {
	l.t.Helper()
	deploy := func(environment, version string, faults ...string) string {
		l.t.Helper()
		l.version(version, faults...)
		out := l.runs(0, "deploy.star", environment, "--skip-tests", "--output", "plain")
		l.serves(version)
		return out
	}
	deploy("quick", "2.1.0", `{slow_start, "3s"}.`)
	deploy("quick", "2.2.0", `{slow_stop, "2s"}.`)
	out := deploy("quick", "2.3.0", `{ignore_term, true}.`)
	if took := between(l.t, out, "releases.activate: switch", "health.wait: wait"); took < time.Second || took > 6*time.Second {
		l.t.Errorf("a node that takes 2 s to stop was stopped within %s", took)
	}
	out = deploy("quick", "2.4.0")
	if took := between(l.t, out, "releases.activate: switch", "health.wait: wait"); took < 2*time.Second || took > 8*time.Second {
		l.t.Errorf("a node that ignores SIGTERM was ended within %s, its grace is 3 s", took)
	}
	deploy("lenient", "2.5.0", "{health, degraded}.")
	if d := l.document(); d.Status != "degraded" {
		l.t.Errorf("it is %s", d.Status)
	}
}

// between is the time between two lines of plain output, in whole seconds.
func between(t testing.TB, out, from, to string) time.Duration {
	t.Helper()
	at := func(text string) time.Time {
		for line := range strings.Lines(out) {
			if strings.Contains(line, text) {
				stamp, err := time.Parse(time.TimeOnly, line[:min(len(line), len(time.TimeOnly))])
				if err == nil {
					return stamp
				}
			}
		}
		return time.Time{}
	}
	begun, end := at(from), at(to)
	if begun.IsZero() || end.IsZero() || end.Before(begun) {
		return 0
	}
	return end.Sub(begun)
}

package reconcile

import (
	"testing"
	"time"
)

func TestJudge(t *testing.T) {
	up := Since{Up: time.Hour}
	for _, c := range []struct {
		name      string
		state     State
		since     Since
		condition string
		outcome   Outcome
		why       string
	}{
		{"runs, no check", State{Status: "running"}, up, ready, Ready, "started; it has no health check"},
		{"has just started", State{Status: "running"}, Since{}, ready, Wait, "has just started"},
		{"runs, others wait for health", State{Status: "running"}, up, healthy, Doomed, "has no health check, and others wait for it to be healthy"},
		{"healthy", State{Status: "running", Health: "healthy"}, up, healthy, Ready, "healthy"},
		{"starting", State{Status: "running", Health: "starting"}, up, ready, Wait, "is starting"},
		{"our own check passed", State{Status: "running", Health: "starting"}, Since{Passed: true}, ready, Ready, "healthy"},
		{"unhealthy", State{Status: "running", Health: "unhealthy", Output: "a\nno route\n"}, up, ready, Doomed, "is unhealthy: its check says: no route"},
		{"exited", State{Status: "exited", Exit: 3, Policy: "no"}, up, ready, Doomed, "exited with 3"},
		{"killed", State{Status: "exited", Exit: 137}, up, ready, Doomed, "exited with 137, as by SIGKILL"},
		{"completed", State{Status: "exited"}, up, completed, Ready, "completed"},
		{"a job that runs", State{Status: "running"}, up, completed, Wait, "still runs"},
		{"a job that failed", State{Status: "exited", Exit: 1, Policy: "no"}, up, completed, Doomed, "exited with 1"},
		{"a job tries again", State{Status: "exited", Exit: 1, Policy: "on-failure", Tries: 3, Restarts: 1}, Since{Restarts: 1}, completed, Wait, "exited with 1"},
		{"memory", State{Status: "exited", Exit: 137, OOM: true}, up, ready, Doomed, "ran out of memory, and was killed by SIGKILL"},
		{"loop", State{Status: "restarting", Restarts: 2, Policy: "always"}, Since{Exit: 3}, ready, Doomed, "does not stay up: it was restarted 2 times, and last exited with 3"},
		{"restarted long ago", State{Status: "running", Restarts: 9}, Since{Restarts: 9, Up: time.Hour}, ready, Ready, "started; it has no health check"},
		{"removed", State{Status: "running"}, Since{Gone: true}, ready, Doomed, "was removed by somebody else"},
		{"created", State{Status: "created"}, up, ready, Wait, "is created"},
		{"port taken", State{Status: "created", Error: "port is already allocated"}, up, ready, Doomed, "could not be started: port is already allocated"},
	} {
		if v := Judge(c.state, c.since, c.condition); v.Outcome != c.outcome || v.Why != c.why {
			t.Errorf("%s: %d, %q, want %d, %q", c.name, v.Outcome, v.Why, c.outcome, c.why)
		}
	}
}

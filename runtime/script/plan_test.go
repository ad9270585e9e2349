package script

import (
	"errors"
	"strings"
	"testing"

	"github.com/erlmcp/runner/runtime/builtin"
)

func planned(o *Options) { o.Plan = true }

func TestPlanMarksWhatItDoesNotKnow(t *testing.T) {
	o, err := run(t, `
new = releases.install("/opt")
releases.activate("/opt", "v%s" % new.id, timeout = new.timeout)
shell.exec(["x", new.id], env = {"A": new.id})
health.wait(probe(new.path))
parallel({"a": lambda: releases.activate("/opt", new.id)})
print("made", new.id)
`, planned)
	if err != nil {
		t.Fatal(Diagnose(err))
	}
	const mask = "‹known after releases.install›"
	want := `deploy.star:2:11 would install map[]
deploy.star:3:5 would releases.activate(root = "/opt", id = v` + mask + `, timeout = ` + mask + `) map[id:v` + mask + ` timeout:` + mask + `]
deploy.star:4:5 would shell.exec(argv = ` + mask + `, env = ` + mask + `) map[argv:` + mask + ` env:` + mask + `]
deploy.star:5:5 would health.wait(probe = ` + mask + `) map[probe:` + mask + `]
deploy.star:6:28 would releases.activate(root = "/opt", id = ` + mask + `) map[id:` + mask + `]
deploy.star:7:5 print made ` + mask
	if got := strings.Join(o.lines, "\n"); got != want {
		t.Errorf("got\n%s\nwant\n%s", got, want)
	}
}

func TestPlanEndsAtADecision(t *testing.T) {
	_, err := run(t, "new = releases.install(\"/opt\")\nstage(\"next\")\nif not new.ok and new.id == \"7\":\n    pass", planned)
	var used *builtin.UnknownUsed
	if !errors.As(err, &used) || used.At != "deploy.star:4:12" || used.Name != "‹known after releases.install›" || IsMistake(err) {
		t.Errorf("got %+v of %v", used, err)
	}
	_, err = run(t, "new = releases.install(\"/opt\")\nx = 1 + new.n", planned)
	if !errors.As(err, &used) || used.At != "deploy.star:3:11" {
		t.Errorf("an operator: %+v of %v", used, err)
	}
}

func TestPlanEndsAtADecisionInsideAttempt(t *testing.T) {
	_, err := run(t, "def f():\n    return releases.install(\"/opt\").id == \"7\"\nattempt(f)", planned)
	var used *builtin.UnknownUsed
	if !errors.As(err, &used) || used.At != "deploy.star:3:16" {
		t.Errorf("got %+v of %v", used, err)
	}
}

// Truth is asked where no rewriting reaches: the answer is never a guess.
func TestUnknownHasNoTruth(t *testing.T) {
	defer func() {
		var used *builtin.UnknownUsed
		if err := builtin.Caught(recover()); !errors.As(err, &used) {
			t.Errorf("got %v", err)
		}
	}()
	builtin.Unknown{}.Truth()
}

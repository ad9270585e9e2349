package shell

import (
	"errors"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/erlmcp/runner/runtime/host"
	"github.com/erlmcp/runner/runtime/op"
	"github.com/erlmcp/runner/runtime/optest"
	"github.com/erlmcp/runner/runtime/secret"
)

// shelled is a project in which a program changes the file state.
func shelled(params Run) func(testing.TB) optest.World {
	return func(t testing.TB) optest.World {
		boot, err := host.BootID()
		h := &host.Host{Files: host.OS{}, Procs: host.Linux{Boot: boot}, Clock: host.SystemClock{}, Boot: boot, Env: os.Environ(),
			Secrets: &secret.Vault{Getenv: os.LookupEnv, Scrubber: &secret.Scrubber{}}, Project: t.TempDir(), Scratch: t.TempDir()}
		state := filepath.Join(h.Project, "state")
		if err := errors.Join(err, os.WriteFile(state, []byte("old\n"), 0o644)); err != nil {
			t.Fatal(err)
		}
		params.Timeout, params.OK = op.Duration(time.Minute), []int{0}
		return optest.World{Host: h, Params: params, Blind: true, Snapshot: func() string {
			b, err := os.ReadFile(state)
			if err != nil {
				t.Error(err)
			}
			return string(b)
		}}
	}
}

func TestOps(t *testing.T) {
	script := func(s string) []string { return []string{"sh", "-c", s} }
	back := script(`echo "$WAS" >state`)
	env := map[string]secret.Text{"WAS": secret.Plain("old")}
	optest.Run(t, optest.Suite{Family: Family, Worlds: optest.Worlds{
		"run":                 shelled(Run{Argv: script("echo new >state")}),
		"run: leaves nothing": shelled(Run{Argv: []string{"true"}, Leaves: "nothing"}),
		"run: with undo":      shelled(Run{Argv: script("echo new >state"), Undo: back, Env: env}),
		"run: it is slow":     shelled(Run{Argv: script("echo half >state; sleep 1.2; echo new >state"), Undo: back, Env: env}),
	}})
}

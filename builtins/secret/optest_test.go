package secret

import (
	"os"
	"testing"

	"github.com/erlmcp/runner/runtime/host"
	"github.com/erlmcp/runner/runtime/optest"
	"github.com/erlmcp/runner/runtime/secret"
)

// newHost is a machine whose vault runs programs, and what it is in the environment of a run.
func newHost(t testing.TB) *host.Host {
	t.Helper()
	boot, err := host.BootID()
	if err != nil {
		t.Fatal(err)
	}
	h := &host.Host{Files: host.OS{}, Procs: host.Linux{Boot: boot}, Clock: host.SystemClock{}, Boot: boot, Project: t.TempDir(), Env: os.Environ()}
	h.Secrets = &secret.Vault{Getenv: os.LookupEnv, ReadFile: os.ReadFile, Run: Program(h), Scrubber: &secret.Scrubber{}}
	return h
}

func TestOps(t *testing.T) {
	asking := func(texts map[string]secret.Text) func(testing.TB) optest.World {
		return func(t testing.TB) optest.World {
			return optest.World{Host: newHost(t), Params: Missing{Secrets: texts}, Snapshot: func() string { return "" }}
		}
	}
	optest.Run(t, optest.Suite{Family: Family, Worlds: optest.Worlds{
		"missing":         asking(map[string]secret.Text{"A": secret.Env("PATH"), "B": secret.Env("NO_SUCH_VARIABLE")}),
		"missing: slowly": asking(map[string]secret.Text{"A": secret.Command("sh", "-c", "sleep 1.3; echo canary-71c1b2")}),
	}})
}

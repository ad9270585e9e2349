package script

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func write(t testing.TB, dir, name, src string) {
	t.Helper()
	path := filepath.Join(dir, name)
	if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, []byte(src), 0o600); err != nil {
		t.Fatal(err)
	}
}

func TestMainActsOnTheRun(t *testing.T) {
	o := open(t, map[string]string{"deploy.star": `
load("@std/verify.star", "verify")

def main(environment, skip_tests = False, timeout = "5m", note = ""):
    """Deploys.

    Args:
      environment: Where to.
      skip_tests: Leave
        them out.
    """
    stage("Roll out")
    lease(environment, force = note)
    new = releases.install(environment.target.root)
    releases.activate(environment.target.root, new.id,
                      service = environment.target.service)
    on_undo(health.wait, environment.health)
    verify(environment)
    print(environment.name, skip_tests, timeout, note, environment.secrets)
    commit("%s serves" % new.version)
`}, "deploy.star")
	if err := o.main(t.Context(), "production", "--skip-tests", "--timeout=90s", "--note=why"); err != nil {
		t.Fatal(Diagnose(err))
	}
	want := `deploy.star:12:5 stage Roll out
deploy.star:13:5 lease production {/opt/erlmcp {{} erlmcp.service}} (why)
install /opt/erlmcp
activate /opt/erlmcp 7
deploy.star:17:5 on undo health.wait
wait /health 0s
deploy.star:19:5 print production True 1m30s why {"TOKEN": ‹secret TOKEN›}
deploy.star:20:5 commit 1.7 serves`
	if got := strings.Join(o.lines, "\n"); got != want {
		t.Errorf("got\n%s\nwant\n%s", got, want)
	}
}

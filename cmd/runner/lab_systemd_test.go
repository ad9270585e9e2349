//go:build labs

package main

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/erlmcp/runner/builtins/docker/dockertest"
)

const systemdEnvironments = `
def _env(**more):
    return environment(
        app = "erlmcp",
        build = rebar3(profile = "prod", tests = []),
        config = "config/production.config",
        target = host(
            root = "/opt/erlmcp",
            service = systemd("erlmcp.service", port = 8080, grace = "10s"),
            user = "erlmcp",
        ),
        health = probe("/health", within = "60s", stable_for = "2s"),
        smoke = [smoke.http("/health/ready")],
        secrets = {"TOKEN": secret.env("TOKEN")},
        **more
    )

production = _env()
careful = _env(rehearse = True)
`

// systemdSite is a machine with systemd, on which deployer deploys releases of OTP that were built elsewhere.
type systemdSite struct {
	t       *testing.T
	machine dockertest.Machine
}

func newSystemdSite(t *testing.T) systemdSite {
	t.Helper()
	l := newLab(t)
	l.write("environments.star", systemdEnvironments)
	share, opt := t.TempDir(), t.TempDir()
	for name, faults := range map[string][]string{"1.0.0": nil, "1.1.0": nil, "1.2.0": {"{fail_start, error}."}} {
		l.version(name, faults...)
		l.tool("rebar3", "as", "prod", "release")
		l.tool("cp", "-rL", "_build/prod/rel/erlmcp", filepath.Join(share, name))
	}
	l.tool("cp", "-r", l.dir, filepath.Join(share, "project"))
	l.tool("cp", l.runner, filepath.Join(share, "runner"))
	if out, err := exec.Command("chown", "-R", "1000:1000", share).CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	if err := os.Chmod(opt, 0o755); err != nil {
		t.Fatal(err)
	}
	return systemdSite{t, dockertest.New(t).Machine(map[string]string{"/srv": share, "/opt": opt})}
}

// runs runs a line of shell in the project, as a user, wants an exit code, and texts in what it wrote.
func (s systemdSite) runs(code int, user, line string, texts ...string) string {
	s.t.Helper()
	out, got := s.machine.Run(user, "cd project && PATH=/srv:$PATH && "+line, "TOKEN=canary-of-systemd")
	if got != code {
		s.t.Fatalf("%s: %s: exit %d, want %d\n%s", user, line, got, code, out)
	}
	for _, text := range texts {
		if !strings.Contains(out, text) {
			s.t.Errorf("%s: %s: it does not say %q\n%s", user, line, text, out)
		}
	}
	if strings.Contains(out, "canary") {
		s.t.Errorf("%s: %s: the secret is told\n%s", user, line, out)
	}
	return out
}

func (s systemdSite) serves(version string) {
	s.t.Helper()
	s.runs(0, "guest", "curl -sS localhost:8080/health", `"version":"`+version+`"`)
	s.runs(0, "guest", "systemctl is-active erlmcp")
}

// TestLabSystemd: under a real systemd, somebody who is not root deploys an OTP release that runs as a third user.
func TestLabSystemd(t *testing.T) {
	t.Parallel()
	s := newSystemdSite(t)
	deploy := func(version string) string { return "runner deploy.star production --artifact /srv/" + version }

	s.runs(18, "deployer", deploy("1.0.0"), "production is not ready to be deployed to")
	s.runs(18, "root", "runner setup production", "groupadd --system erlmcp-deploy", "runner setup production --yes calls them")
	s.runs(0, "root", "runner setup production --yes", "production is set up")
	s.runs(0, "root", "runner setup production --yes", "nothing to do")
	s.runs(0, "root", "usermod --append --groups erlmcp-deploy,erlmcp deployer")

	s.runs(0, "deployer", deploy("1.0.0"), "1.0.0 serves and is healthy")
	s.serves("1.0.0")
	s.runs(0, "root", `test "$(ps -o user= -p "$(systemctl show --property=MainPID --value erlmcp)")" = erlmcp`)
	s.runs(0, "root", "systemctl is-enabled erlmcp")
	s.runs(0, "root", "systemctl cat erlmcp; systemctl show erlmcp; journalctl; cat /proc/*/cmdline") // runs looks for the secret
	s.runs(1, "guest", "cat /opt/erlmcp/.runner/service.env")

	s.runs(0, "deployer", "runner deploy.star careful --artifact /srv/1.1.0", "1.1.0 serves and is healthy")
	s.serves("1.1.0")
	s.runs(1, "deployer", "runner deploy.star careful --artifact /srv/1.2.0", "the trial has ended by itself", "told_to_fail", "nothing is changed")
	s.runs(10, "deployer", deploy("1.2.0"), "erlmcp.service has ended by itself 3 times: exit 1", "journalctl --unit erlmcp.service", "told_to_fail",
		"every change is taken back", "1.1.0 serves and is healthy; 1.2.0 was wanted")
	s.serves("1.1.0")

	s.runs(0, "deployer", "runner rollback.star production --yes", "1.0.0 serves and is healthy")
	s.serves("1.0.0")

	// Killed with the new version half-way up: the next run, by whomever of the group, takes it back first.
	s.runs(0, "deployer", deploy("1.1.0")+` >/tmp/out 2>&1 & run=$!; until grep -q "wait up to" /tmp/out; do sleep 0.05; done; kill -9 $run; wait $run; test $? = 137`)
	s.runs(0, "root", "usermod --append --groups erlmcp-deploy,erlmcp guest")
	s.runs(0, "guest", "mkdir /tmp/guest && cp environments.star /tmp/guest && cd /tmp/guest && echo 'def main(environment): lease(environment)' >recover.star && runner recover.star production",
		"its run ended unfinished (deploy.star by deployer on ", "is settled")
	s.serves("1.0.0")

	// systemd sees to a crash, and runner is told of it by nobody.
	s.runs(0, "root", "systemctl kill --kill-who=main --signal=KILL erlmcp")
	s.runs(0, "deployer", "runner health_check.star production", "healthy")
	s.serves("1.0.0")

	s.runs(0, "root", deploy("1.1.0"), "1.1.0 serves and is healthy")
	s.runs(0, "deployer", "runner rollback.star production --yes", "1.0.0 serves and is healthy")
	s.serves("1.0.0")
	s.runs(0, "deployer", "runner doctor production || true", "200 healthy, version 1.0.0")
}

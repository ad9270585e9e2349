//go:build labs

package main

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/erlmcp/runner/builtins/docker/dockertest"
)

// TestLabComposeShapes: profiles, services that run once, replicas, secrets and configs are what the files say of them.
func TestLabComposeShapes(t *testing.T) {
	t.Parallel()
	s := newComposeSite(t)
	prog, err := os.ReadFile(dockertest.New(t).Path("prog"))
	if err == nil {
		err = os.WriteFile(filepath.Join(s.dir, "prog"), prog, 0o755)
	}
	if err != nil {
		t.Fatal(err)
	}
	s.write("Prog", "FROM scratch\nLABEL "+dockertest.Label+"="+s.name+"\nCOPY prog /prog\nENTRYPOINT [\"/prog\"]\n")
	s.write(".dockerignore", "*\n!mcpd\n!worker\n!prog\n")
	s.write("settings.conf", "colour = blue\n")
	shapes := fmt.Sprintf(`
services:
  migrate:
    <<: &prog {image: %[1]s-prog, build: {context: ., dockerfile: Prog}}
    command: [print, data is migrated]
  reads-secret:
    <<: *prog
    command: [cat, /run/secrets/token]
    secrets: [token]
  reads-config:
    <<: *prog
    command: [cat, /etc/settings.conf]
    configs: [{source: settings, target: /etc/settings.conf}]
  many:
    <<: *prog
    command: [wait]
    stop_grace_period: 2s
    deploy: {replicas: 3}
    depends_on:
      migrate: {condition: service_completed_successfully}
      reads-secret: {condition: service_completed_successfully}
      reads-config: {condition: service_completed_successfully}
  debug:
    <<: *prog
    command: [wait]
    stop_grace_period: 2s
    profiles: [debug]
secrets: {token: {environment: TOKEN}}
configs: {settings: {file: ./settings.conf}}
`, s.name)
	s.write("compose.yaml", fmt.Sprintf(composeFile, s.name))
	s.write("shapes.yaml", shapes)
	environment := s.read("environments.star")
	with := func(more string) {
		s.write("environments.star", strings.Replace(environment, fmt.Sprintf("compose_project(%q,", s.name),
			fmt.Sprintf("compose_project(%q, files = [\"compose.yaml\", \"shapes.yaml\"],%s", s.name, more), 1))
	}
	with("")
	s.write("logs.star", "def main(environment, service):\n    print(compose.logs(environment.target, service = service))\n")
	s.runs(0, s.deploy("1.0.0")...)
	s.wants("1.0.0")
	for name, want := range map[string]int{"many": 3, "debug": 0, "migrate": 1} {
		if got := strings.Count(s.ids(), s.name+"-"+name+"-"); got != want {
			t.Errorf("%d containers of %s, want %d\n%s", got, name, want, s.ids())
		}
	}
	s.runs(0, "logs.star", "staging", "reads-config")
	s.says("colour = blue")
	s.runs(0, "logs.star", "staging", "reads-secret")
	s.says("‹secret TOKEN›")
	s.runs(0, "logs.star", "staging", "migrate")
	s.says("data is migrated")

	first := s.ids()
	s.runs(0, s.deploy("1.0.0")...)
	if s.ids() != first {
		t.Errorf("what has run once runs again\n%s\n%s", first, s.ids())
	}
	with(` profiles = ["debug"],`)
	s.write("shapes.yaml", strings.Replace(shapes, "replicas: 3", "replicas: 1", 1))
	s.runs(0, append([]string{"plan"}, s.deploy("1.0.0")...)...)
	s.says("+ debug:1: there is none", "many:3 is put aside: 1 replica is asked for", "plan: 3 changes")
	s.runs(0, s.deploy("1.0.0")...)
	if strings.Count(s.ids(), "-many-") != 1 || strings.Count(s.ids(), "-debug-") != 1 {
		t.Errorf("not as the files say now:\n%s", s.ids())
	}
	s.runs(0, "rollback.star", "staging")
	if strings.Count(s.ids(), "-many-") != 3 || strings.Count(s.ids(), "-debug-") != 0 {
		t.Errorf("not as it was:\n%s", s.ids())
	}
}

// TestLabComposeMigrates: behind a migration the environment decides what a failure leaves, and the verdict says it.
func TestLabComposeMigrates(t *testing.T) {
	t.Parallel()
	s := newComposeSite(t)
	s.runs(0, s.deploy("1.0.0")...)
	s.write("deploy.star", `
load("@std/compose.star", "build_images")
load("@std/rollout.star", "accept", "roll_out")

def main(environment):
    app = build_images(environment)
    lease(environment)
    compose.run(environment.target, "web", program = ["/mcpd", "-help"], images = app.images, migrated = True)
    roll_out(environment, app)
    accept(environment, app.version)
    commit("done")
`)
	s.runs(11, s.deploy("bad")...)
	s.says("web has migrated data", "run a container of")
	s.wants("bad")
	s.runs(0, s.deploy("1.1.0")...)
	s.wants("1.1.0")

	s.write("environments.star", strings.Replace(s.read("environments.star"), `after_migration = "stay"`, `after_migration = "undo"`, 1))
	s.runs(11, s.deploy("bad")...)
	s.wants("1.1.0")
	s.write("environments.star", strings.Replace(s.read("environments.star"), `, after_migration = "undo"`, "", 1))
	s.runs(2, s.deploy("1.2.0")...)
	s.says("the environment does not say what becomes of a run that fails behind it")
	s.wants("1.1.0")
}

//go:build labs

package main

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/erlmcp/runner/builtins/compose/reconcile"
	"github.com/erlmcp/runner/builtins/docker/daemon"
	"github.com/erlmcp/runner/builtins/docker/dockertest"
	"github.com/erlmcp/runner/builtins/stack"
	"github.com/erlmcp/runner/runtime/event"
	"github.com/erlmcp/runner/runtime/host"
	"github.com/erlmcp/runner/runtime/host/hosttest"
)

// composeSite is a project whose target is a Compose project on the engine of the labs: a web service of mcpd that is
// built from nothing, a worker that it needs, and a volume.
type composeSite struct {
	*site
	name   string
	engine *reconcile.Engine
}

const composeEnvironments = `
staging = environment(
    app = "mcpd",
    build = go(".", tests = []),
    target = compose_project("%[1]s", env = {"PORT": "%[2]d"}, after_migration = "stay"),
    base = "http://127.0.0.1:%[2]d",
    health = probe("/health", within = "%[3]s"),
    smoke = [smoke.http("/health/ready")],
    secrets = {"TOKEN": secret.env("TOKEN")},
    keep = 3,
)
`

const composeFile = `services:
  worker:
    image: %[1]s-worker
    build: {context: ., dockerfile: Worker}
    stop_grace_period: 2s
  web:
    image: %[1]s-web
    build: {context: ., args: {VERSION: dev}}
    environment: {TOKEN: "${TOKEN:?}"}
    ports: ["127.0.0.1:${PORT}:8080"]
    depends_on: [worker]
    volumes: ["data:/data"]
    stop_grace_period: 2s
volumes: {data: {}}
`

func newComposeSite(t testing.TB) *composeSite {
	t.Helper()
	return composeSiteAt(t, "")
}

// composeSiteAt is a project on an engine of an address, that of the labs where it is "".
func composeSiteAt(t testing.TB, address string) *composeSite {
	t.Helper()
	s := &composeSite{site: &site{t: t, dir: t.TempDir(), port: hosttest.Port(t), home: t.TempDir()}}
	s.connect(address)
	s.name = strings.ToLower(fmt.Sprintf("runner-test-%s-%d", regexp.MustCompile(`[^A-Za-z]`).ReplaceAllString(t.Name(), "")[7:], s.port))
	s.configure("3s")
	s.write("compose.yaml", fmt.Sprintf(composeFile, s.name))
	label := "LABEL " + dockertest.Label + "=" + s.name + "\n"
	s.write("Dockerfile", "FROM scratch\n"+label+"COPY mcpd /mcpd\nENV PORT=8080\nENTRYPOINT [\"/mcpd\", \"-listen\", \"0.0.0.0:8080\"]\n")
	s.write("Worker", "FROM scratch\n"+label+"COPY worker /mcpd\nENTRYPOINT [\"/mcpd\"]\n")
	s.write(".dockerignore", "*\n!mcpd\n!worker\n")
	s.write("recover.star", "def main(environment):\n    lease(environment)\n")
	s.program("1.0.0", "worker")
	t.Cleanup(s.wipe)
	return s
}

// connect opens an engine, that of the labs where address is "".
func (s *composeSite) connect(address string) {
	s.t.Helper()
	e, err := daemon.NewPool(&host.Host{Files: host.OS{}, Env: os.Environ()}).Open(context.Background(), address)
	if err != nil {
		s.t.Fatal(err)
	}
	s.engine = &reconcile.Engine{Client: e.Client, API: e.API}
	if address != "" {
		s.more = append(s.more, "DOCKER_HOST="+address)
	}
}

func (s *composeSite) configure(within string) {
	s.write("environments.star", fmt.Sprintf(composeEnvironments, s.name, s.port, within))
}

// program lays a version of mcpd into the project.
func (s *composeSite) program(version, name string) {
	s.t.Helper()
	bins, err := binaries()
	if err != nil {
		s.t.Fatal(err)
	}
	b, err := os.ReadFile(bins[version])
	if err == nil {
		err = os.WriteFile(filepath.Join(s.dir, name), b, 0o755)
	}
	if err != nil {
		s.t.Fatal(err)
	}
}

// deploy is the stock deploy.star, of a version.
func (s *composeSite) deploy(version string, more ...string) []string {
	s.program(version, "mcpd")
	s.write("VERSION", version+"\n")
	return append([]string{"deploy.star", "staging", "--output", "plain"}, more...)
}

// runs runs the real program and wants an exit code.
func (s *site) runs(code int, args ...string) {
	s.t.Helper()
	if got := s.process(0, args...); got != code {
		s.t.Fatalf("%v: exit %d, want %d\n%s", args, got, code, s.out.String())
	}
}

func (s *site) says(texts ...string) {
	s.t.Helper()
	for _, text := range texts {
		if !strings.Contains(s.out.String(), text) {
			s.t.Errorf("not said: %s\n%s", text, s.out.String())
		}
	}
}

// TestLabComposeDeploys: a deployment comes up, is found again, is replaced, fails in each way and is gone back from; and
// after each success Docker Compose takes the project for its own.
func TestLabComposeDeploys(t *testing.T) {
	t.Parallel()
	s := newComposeSite(t)
	s.runs(0, s.deploy("1.0.0")...)
	s.wants("1.0.0")
	s.says("staging serves mcpd 1.0.0")
	s.asReference()
	first := s.ids()

	s.runs(0, s.deploy("1.0.0")...)
	if s.ids() != first || strings.Contains(s.out.String(), "compose.up") {
		t.Errorf("what serves already is brought up again\n%s", s.out.String())
	}
	s.runs(0, "plan", "deploy.star", "staging")

	s.runs(0, s.deploy("1.1.0")...)
	s.wants("1.1.0")
	if kept, _, _ := strings.Cut(first[strings.Index(first, s.name+"-worker"):], "\n"); !strings.Contains(s.ids(), kept) {
		t.Errorf("a service that has not changed is replaced: %s was %s\n%s", s.ids(), first, s.out.String())
	}
	s.asReference()

	before, containers := s.state(), s.ids()
	for version, why := range map[string]string{"bad": "503 unhealthy", "crash": "web:1"} {
		s.runs(10, s.deploy(version)...)
		s.wants("1.1.0")
		s.says(why, "every change is taken back", "1.1.0 serves")
		if after := s.state(); after != before || s.ids() != containers {
			t.Errorf("%s: is not as it was\n%s\n%s\n%s", version, before, after, s.ids())
		}
		s.asReference()
	}

	s.runs(0, "rollback.star", "staging")
	s.wants("1.0.0")
	s.runs(0, "rollback.star", "staging", "1.1.0")
	s.wants("1.1.0")
	s.asReference()
	s.runs(1, "rollback.star", "staging", "1.1.1")
	s.says("there is no good deployment 1.1.1", "did you mean 1.1.0?")
	s.runs(0, "doctor", "staging")
	s.says("accepted as good")
	if out := s.out.String(); strings.Contains(out, "canary") {
		t.Error("the secret is seen")
	}
}

var killed = regexp.MustCompile(`(?m)^\d\d:\d\d:\d\d (.*)$`)

// last is what a killed run has said last.
func (s *composeSite) last() string {
	all := killed.FindAllStringSubmatch(s.out.String(), -1)
	if len(all) == 0 {
		return "its first word"
	}
	return all[len(all)-1][1]
}

// committed reports whether the last run has committed, as its undo log on the engine says.
func (s *composeSite) committed() bool {
	s.t.Helper()
	at := composeHome(daemon.NewPool(&host.Host{Files: host.OS{}, Clock: host.SystemClock{}, Env: append(os.Environ(), s.more...)}), stack.Project{Name: s.name})
	runs, err := at.Logs(context.Background())
	if err != nil || len(runs) == 0 {
		s.t.Fatalf("%v, %v", runs, err)
	}
	mine := runID.FindString(s.out.String())
	if !slices.Contains(runs, mine) {
		return false // killed before it had one
	}
	records, err := at.Read(context.Background(), mine)
	if err != nil {
		s.t.Fatal(err)
	}
	return slices.ContainsFunc(records, func(r event.Record) bool { _, is := r.Fact.(event.Committed); return is })
}

var runID = regexp.MustCompile(`\d{8}t\d{6}-[a-z0-9]{4}`)

// recovers has another machine take back what was killed; then the old version serves, as it was, or the new one where
// the killed run had committed.
func (s *composeSite) recovers(old, next, before string) (committed bool) {
	s.t.Helper()
	where, out := s.last(), s.out.String()
	committed = s.committed()
	s.otherMachine()
	s.runs(0, "recover.star", "staging")
	switch got := s.answers(); {
	case committed && got == next:
		return true
	case got != old:
		s.t.Fatalf("killed behind %s: %q answers, want %q\n%s\n%s", where, got, old, out, s.out.String())
	}
	if after := s.state(); after != before {
		s.t.Fatalf("killed behind %s: not as it was\n%s\nnow\n%s\n%s\n%s", where, before, after, out, s.out.String())
	}
	return false
}

// TestLabComposeKilledAtEveryFact kills the real program behind each fact of an upgrade; then another machine recovers.
func TestLabComposeKilledAtEveryFact(t *testing.T) {
	t.Parallel()
	s := newComposeSite(t)
	s.runs(0, s.deploy("1.0.0")...)
	old, next := "1.0.0", "1.1.0"
	for n := 1; ; n++ {
		before := s.state()
		if s.process(n, s.deploy(next)...) == 0 {
			t.Logf("%d facts", n-1)
			break
		}
		if s.recovers(old, next, before) {
			old, next = next, old
		}
	}
	s.asReference()
}

// TestLabComposeKilledWhileItFails kills the real program behind each fact of a deployment that is not healthy, and of
// its undo.
func TestLabComposeKilledWhileItFails(t *testing.T) {
	t.Parallel()
	s := newComposeSite(t)
	s.configure("200ms")
	s.runs(0, s.deploy("1.0.0")...)
	before := s.state()
	for n := 1; ; n++ {
		if s.process(n, s.deploy("bad")...) == 10 {
			t.Logf("%d facts", n-1)
			return
		}
		s.recovers("1.0.0", "bad", before)
	}
}

// TestLabComposeKilledWhileItRecovers kills a recovery behind each of its facts, and has a third machine end it.
func TestLabComposeKilledWhileItRecovers(t *testing.T) {
	t.Parallel()
	s := newComposeSite(t)
	s.runs(0, s.deploy("1.0.0")...)
	before := s.state()
	for n := 1; ; n++ {
		s.killBehind("compose.up", s.deploy("1.1.0")...)
		s.otherMachine()
		if s.process(n, "recover.star", "staging") == 0 {
			t.Logf("%d facts", n-1)
			if n < 3 || s.state() != before {
				t.Errorf("not as it was: %s", s.out.String())
			}
			return
		}
		s.recovers("1.0.0", "1.1.0", before)
	}
}

// killBehind runs the real program, killed behind the end of an op.
func (s *site) killBehind(op string, args ...string) {
	s.t.Helper()
	s.more = append(s.more, "RUNNER_TEST_KILL_AT="+op)
	if got := s.process(0, args...); got != -1 {
		s.t.Fatalf("exit %d: not killed behind %s\n%s", got, op, s.out.String())
	}
	s.more = s.more[:len(s.more)-1]
}

package main

import (
	"fmt"
	"io/fs"
	"net"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/erlmcp/runner/runtime/host"
	"github.com/erlmcp/runner/runtime/host/hosttest"
)

// everything is a script with an op of every kind, and everything that acts on the run.
const everything = `
def tidy(root):
    return releases.prune(root, keep = 1)

def looks(root, service):
    here = "127.0.0.1:%d" % service.port
    machine.memory()
    machine.platform()
    machine.tree()
    machine.tool("touch")
    machine.user("root")
    machine.root(root)
    machine.lease(root)
    machine.port(service.port)
    machine.connect(here)
    attempt(machine.certificate, here)
    git.status()
    git.head()
    git.changelog()
    secret.missing({"A": secret.command(["touch", "by-secret"])})
    attempt(service_answers, root)
    http.get("http://" + here, headers = {"X": secret.command(["touch", "by-secret"])})
    http.post("http://" + here, json = {})
    releases.list(root)
    backups.list(root)
    attempt(backups.find, root)
    attempt(backups.verify, root, "mcpd-backup-20260126-120000")
    files.glob("*")
    files.disk(".")

def service_answers(root):
    service.status(root)
    service.logs(root)
    service.ping(root)
    service.rpc(root, "init", "stop")

def main(environment):
    root = environment.target.root
    recover(environment)
    looks(root, environment.target.service)
    health.check(environment.health)
    health.wait(environment.health)
    app = build.go(".", output = "mcpd")
    build.make("mcpd")
    build.rebar3()
    build.rebar3_test()
    releases.fits(root, app)
    releases.serves(root, app)
    smoke.rehearse(root, app, environment.target.service, environment.health, tests = [smoke.command(["touch", "by-smoke"])])
    backups.create(root)
    files.write("notes.txt", "deployed")
    files.copy("notes.txt", to = "copy.txt")
    files.remove("VERSION")
    files.digest("list.star")
    lease(environment)
    on_undo(health.wait, probe = environment.health)
    releases.install(root, build.file("list.star", version = "9"))
    shell.run(["touch", "by-shell"], leaves = "nothing")
    shell.run(["touch", "by-shell"], undo = ["rm", "by-shell"])
    shell.run(["touch", "by-shell"], env = {"TOKEN": secret.env("TOKEN")})
    releases.activate(root, "000001", service = environment.target.service)
    service.stop(root)
    service.start(root)
    smoke.run([smoke.http("/"), smoke.command(["touch", "by-smoke"])], base = environment.base, junit = "smoke.xml")
    backups.prune(root)
    looks(root, environment.target.service)
    health.check(environment.health)
    health.wait(probe("tcp://127.0.0.1:%d" % environment.target.service.port))
    attempt(tidy, root)
    parallel([lambda: tidy(root), lambda: releases.accept(root)])
    confirm("Go on?")
    commit("done")
    print("reached the end")
`

// TestPlanTouchesNothing plans on a host where every write, process, request and wait fails the test, and compares the
// whole project, its target and its state before and behind.
func TestPlanTouchesNothing(t *testing.T) {
	s := newSite(t)
	s.write("everything.star", everything)
	s.write("build.star", "load(\"@std/project.star\", \"build_app\")\n\ndef main(environment):\n    build_app(environment)\n")
	planned := func(exit int, want string, args ...string) {
		t.Helper()
		before := snapshot(t, s.dir, s.home)
		args = append([]string{"plan"}, args...)
		code := s.inside(func(h *host.Host) *host.Host { return hosttest.Frozen(t, h) }, args...)
		if code != exit || !strings.Contains(s.out.String(), want) {
			t.Errorf("%v: exit %d, want %q in\n%s", args, code, want, s.out.String())
		}
		if after := snapshot(t, s.dir, s.home); after != before {
			t.Errorf("%v has changed something; before:\n%s\nbehind:\n%s", args, before, after)
		}
	}
	planned(0, "artifact = ‹known after build.command›", "deploy.star", "production")
	planned(0, "reached the end", "everything.star", "production")

	s.must(0, s.deploy("1.0.0")...)
	s.must(0, s.deploy("1.1.0")...)
	s.write("VERSION", "1.2.0\n")
	s.must(0, "build.star", "production")
	connections := s.replaceByListener()
	planned(18, "is held by process", "deploy.star", "production")
	planned(0, "install mcpd 1.2.0 into target", "deploy.star", "production", "--force", "a test")
	planned(0, "install mcpd 1.0.0 into target", "rollback.star", "production")
	planned(0, "switch target to 000001", "rollback.star", "production", "000001")
	planned(0, "reached the end", "everything.star", "production")
	if n := connections(); n != 0 {
		t.Errorf("a plan has opened %d connections", n)
	}
}

// replaceByListener kills the service and listens in its place; the result tells how many connections were opened.
func (s *site) replaceByListener() func() int64 {
	s.t.Helper()
	s.killService()
	l, err := net.Listen("tcp", fmt.Sprintf("127.0.0.1:%d", s.port))
	if err != nil {
		s.t.Fatal(err)
	}
	s.t.Cleanup(func() { l.Close() }) // before the service's port is cleared of whoever holds it
	var n atomic.Int64
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			n.Add(1)
			c.Close()
		}
	}()
	return func() int64 {
		l.Close()
		<-ended
		return n.Load()
	}
}

// snapshot is a line for everything below some folders: kind and mode, size, and when the content and the entry last
// changed.
func snapshot(t *testing.T, dirs ...string) string {
	t.Helper()
	var b strings.Builder
	for _, dir := range dirs {
		err := filepath.WalkDir(dir, func(name string, d fs.DirEntry, err error) error {
			if err != nil {
				return err
			}
			info, err := d.Info()
			if err != nil {
				return err
			}
			var stat unix.Stat_t
			if err := unix.Lstat(name, &stat); err != nil {
				return err
			}
			fmt.Fprintf(&b, "%s %s %d %v %v\n", name, info.Mode(), info.Size(), stat.Mtim, stat.Ctim)
			return nil
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	return b.String()
}

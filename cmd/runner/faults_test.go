package main

import (
	"fmt"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/erlmcp/runner/runtime/host"
)

// faultEnvironments are environments of one target that differ in what is wrong. Their releases are scripts of a few
// bytes, and some ballast, that become the mcpd of their version: they fit on a small disk.
const faultEnvironments = `
def _env(root = "target", port = %[2]d, argv = ["bin/mcpd"], healthy = ["healthy"], stable_for = "0s", within = "5s", ballast = 0, **env):
    text = "printf '#!/bin/sh\\nexec %[1]s/{version}\\n' > mcpd && head -c %%d /dev/zero | tr '\\0' '#' >> mcpd && chmod 755 mcpd" %% ballast
    return environment(
        app = "mcpd",
        build = command(["sh", "-c", text], output = "mcpd"),
        target = host(root = root, service = process(argv, port = port, grace = "300ms", env = env)),
        health = probe("/health", accept = healthy, stable_for = stable_for, within = within),
    )

def _bad(**more):
    return _env(within = "1s", **more)

production = _env()
big = _env(ballast = 9000000)
broken = _bad(MCPD_HEALTH = "unhealthy")
degraded = _bad(MCPD_HEALTH = "degraded")
tolerant = _env(MCPD_HEALTH = "degraded", healthy = ["healthy", "degraded"])
slow = _bad(MCPD_SLOW_START = "1m")
late = _env(MCPD_SLOW_START = "500ms")
dies = _env(MCPD_CRASH_AFTER = "1s", stable_for = "1200ms", within = "1600ms")
dies_within = _env(MCPD_CRASH_AFTER = "1s", stable_for = "1200ms", within = "1600ms", argv = ["sh", "-c", "bin/mcpd; sleep 60"])
unwatched = _env(MCPD_CRASH_AFTER = "1s")
garbage = _bad(MCPD_GARBAGE = "1")
brackets = _bad(MCPD_BRACKETS = "1")
redirect = _bad(MCPD_REDIRECT = "1")
deaf = _env(MCPD_IGNORE_TERM = "1")
deaf_and_broken = _bad(MCPD_IGNORE_TERM = "1", MCPD_HEALTH = "unhealthy")
absent = _env(argv = ["bin/absent"])
moved = _env(port = %[3]d)
neighbour = _env(root = "neighbour", port = %[3]d)
`

// faultSite is a site whose releases are small. The tests with one run side by side: they wait more than they work.
type faultSite struct {
	*site
	next *site // a neighbour's target, on the port that nobody has
}

// bareSite is a site on whose target nothing is yet.
func bareSite(t *testing.T) faultSite {
	t.Helper()
	t.Parallel()
	s, next := newSite(t), newSite(t)
	bins, err := binaries()
	if err != nil {
		t.Fatal(err)
	}
	s.write("environments.star", fmt.Sprintf(faultEnvironments, filepath.Dir(bins["1.0.0"]), s.port, next.port))
	return faultSite{s, next}
}

// servedSite is a site on whose target 1.0.0 serves.
func servedSite(t *testing.T) faultSite {
	t.Helper()
	s := bareSite(t)
	s.must(0, s.to("production", "1.0.0")...)
	s.wants("1.0.0")
	return s
}

// to is the stock deploy.star of a version, to an environment. --force is for disks that are small.
func (s faultSite) to(environment, version string, more ...string) []string {
	s.write("VERSION", version+"\n")
	return append([]string{"deploy.star", environment, "--output", "plain", "--force", "a test"}, more...)
}

// says wants texts in what the last run wrote.
func (s faultSite) says(texts ...string) {
	s.t.Helper()
	for _, text := range texts {
		if !strings.Contains(s.out.String(), text) {
			s.t.Fatalf("no %q in\n%s", text, s.out.String())
		}
	}
}

// fails runs the program with something around its host, and wants an exit code and texts.
func (s faultSite) fails(code int, wrap func(*host.Host) *host.Host, args []string, texts ...string) {
	s.t.Helper()
	if got := s.inside(wrap, args...); got != code {
		s.t.Fatalf("%v: exit %d, want %d\n%s", args, got, code, s.out.String())
	}
	s.says(texts...)
}

// untouched wants the process that served to serve still: not one like it.
func (s faultSite) untouched(pid int, version string) {
	s.t.Helper()
	s.wants(version)
	if now := s.service(); now != pid {
		s.t.Fatalf("process %d serves, want %d, which served before\n%s", now, pid, s.out.String())
	}
}

// goesOn wants the next deployment to succeed by itself and to leave nothing half done.
func (s faultSite) goesOn(version string) {
	s.t.Helper()
	s.must(0, s.to("production", version)...)
	s.wants(version)
	s.agrees()
	for _, glob := range []string{"releases/.*", ".*.new", ".runner/.*.new", ".runner/*/.*.new"} {
		if left, _ := filepath.Glob(s.root(glob)); len(left) > 0 {
			s.t.Fatalf("left behind: %v", left)
		}
	}
}

// Each is deployed over 1.0.0, found out by its health, and taken back.
func TestAFaultyVersionIsTakenBack(t *testing.T) {
	type fault struct{ environment, says string }
	for name, faults := range map[string][]fault{
		"by what it answers": {
			{"degraded", "200 degraded, want healthy: database: connection to 127.0.0.1:5432 refused"},
			{"garbage", "the body is no JSON"},
			{"brackets", "the body is over 1MiB long"},
			{"redirect", "302 to /login"},
		},
		"by what it does": {
			{"slow", "connection refused"},
			{"dies", "will not be healthy: process "},
			{"dies_within", "does not stay healthy for 1.2s"},
			{"deaf_and_broken", "503 unhealthy: database: connection to 127.0.0.1:5432 refused"},
		},
	} {
		t.Run(name, func(t *testing.T) {
			s := servedSite(t)
			for _, f := range faults {
				pid := s.service()
				s.fails(10, nil, s.to(f.environment, "1.1.0"), f.says, "1.0.0 serves and is healthy; 1.1.0 was wanted")
				if s.wants("1.0.0"); s.service() == pid {
					t.Errorf("%s: the old version was never stopped: the faulty one did not run", f.environment)
				}
				for _, line := range strings.Split(s.out.String(), "\n") {
					if len(line) > 1000 {
						t.Errorf("%s: a line of %d bytes", f.environment, len(line))
					}
				}
			}
			s.goesOn("1.2.0")
		})
	}
}

// What a policy allows is no fault.
func TestAFaultThatIsAllowed(t *testing.T) {
	for _, environment := range []string{"tolerant", "late"} {
		t.Run(environment, func(t *testing.T) {
			s := servedSite(t)
			s.fails(0, nil, s.to(environment, "1.1.0"))
			s.wants("1.1.0")
		})
	}
}

// Without stable_for a crash after a second is nobody's business: it is what catches it in the test above, whether the
// service's own process ends or one behind it.
func TestACrashWithoutStableFor(t *testing.T) {
	s := servedSite(t)
	s.fails(0, nil, s.to("unwatched", "1.1.0"))
	for end := time.Now().Add(patience); s.answers() != ""; time.Sleep(20 * time.Millisecond) {
		if time.Now().After(end) {
			t.Fatal("it does not crash")
		}
	}
	s.goesOn("1.2.0")
}

// A version that ignores SIGTERM is killed after its grace, when it is replaced.
func TestAVersionThatIgnoresSIGTERMIsReplaced(t *testing.T) {
	s := servedSite(t)
	s.fails(0, nil, s.to("deaf", "1.1.0"))
	deaf := s.service()
	begun := time.Now()
	s.goesOn("1.2.0")
	if took := time.Since(begun); took < 300*time.Millisecond {
		t.Errorf("it was ended after %s, before its grace", took)
	}
	if _, err := os.Stat(fmt.Sprintf("/proc/%d/exe", deaf)); err == nil {
		t.Errorf("process %d lives", deaf)
	}
}

// What can be found out before anything is stopped is: the old process serves on.
func TestAnOpThatFailsBeforeItsEffect(t *testing.T) {
	t.Run("a program that the release does not have", func(t *testing.T) {
		s := servedSite(t)
		pid := s.service()
		s.fails(10, nil, s.to("absent", "1.1.0"), "cannot start bin/absent: the release has no such file", "every change is taken back")
		s.untouched(pid, "1.0.0")
		s.goesOn("1.1.0")
	})
	t.Run("a port that is taken", func(t *testing.T) {
		s := servedSite(t)
		s.write("move.star", moveScript)
		pid := s.service()
		free := listen(t, s.next.port)
		s.fails(10, nil, []string{"move.star", "moved"},
			fmt.Sprintf("port %d is taken by process %d (", s.next.port, os.Getpid()), "what serves was not touched", "every change is taken back")
		s.untouched(pid, "1.0.0")
		free()
		s.must(0, s.to("moved", "1.1.0")...)
		s.next.wants("1.1.0")
		s.wants("")
	})
}

// moveScript does what deploy.star does, but for the check on undo: that asks at the new port, where nothing of the old
// version is.
const moveScript = `
def main(environment):
    lease(environment)
    releases.activate(environment.target.root, "000001", service = environment.target.service)
    health.wait(environment.health)
`

func TestTwoProjectsOnOneHost(t *testing.T) {
	s := bareSite(t)
	a, b := s.start(s.to("production", "1.0.0")...), s.next.start(s.next.deploy("1.1.0")...)
	a.exits(0)
	b.exits(0)
	mine, theirs := s.service(), s.next.service()
	s.fails(10, nil, s.to("broken", "1.2.0"))
	s.wants("1.0.0")
	s.fails(10, nil, s.to("neighbour", "1.2.0"), fmt.Sprintf("port %d is taken by process %d (mcpd)", s.next.port, theirs))
	faultSite{s.next, s.site}.untouched(theirs, "1.1.0")
	if s.service() == mine {
		t.Error("the broken version did not run")
	}
}

// Two checkouts that deploy to one root share its lease, its numbers and its history.
func TestTwoProjectsWithOneRoot(t *testing.T) {
	s := servedSite(t)
	text := strings.Replace(string(s.next.environments()), `_env("target")`, fmt.Sprintf("_env(%q)", s.root()), 1)
	s.next.write("environments.star", strings.Replace(text, fmt.Sprint(s.next.port), fmt.Sprint(s.port), 1))
	s.next.must(0, s.next.deploy("1.1.0")...)
	s.wants("1.1.0")
	s.must(0, "rollback.star", "production")
	s.wants("1.0.0")
	s.must(0, "runs", "production")
	if n := strings.Count(s.out.String(), "\n"); n != 3 {
		t.Errorf("want 3 runs\n%s", s.out.String())
	}
	s.next.must(0, s.next.deploy("1.1.0")...)
	s.goesOn("1.2.0")
}

// listen takes a port, as a foreign process does.
func listen(t *testing.T, port int) (free func()) {
	t.Helper()
	l, err := net.Listen("tcp", fmt.Sprintf("127.0.0.1:%d", port))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { l.Close() })
	return func() { l.Close() }
}

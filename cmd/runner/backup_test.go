package main

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/erlmcp/runner/runtime/event"
)

// backupEnvironments adds to those of a site: one that is rehearsed and tested, one whose versions take a second to start,
// one whose release is of many files.
const backupEnvironments = `
def _more(root = "target", recipe = production.build, rehearse = False, smoke = [], **env):
    return environment(
        app = "mcpd",
        build = recipe,
        target = host(root = root, service = process(["bin/mcpd"], port = production.target.service.port, grace = "2s", env = env)),
        health = probe("/health", within = "5s"),
        rehearse = rehearse,
        smoke = smoke,
        keep = 2,
    )

_MANY = "rm -rf out && mkdir -p out/bin out/data && %s out/bin/mcpd && cd out/data && seq 1 1000 | xargs touch"

tested = _more(rehearse = True, smoke = [smoke.http("/health"), smoke.http("/version")])
slow = _more(MCPD_SLOW_START = "1s")
many = _more(recipe = command(["sh", "-c", _MANY % " ".join(production.build.argv[:-1])], output = "out"))
`

// backupSite is a site on which 1.0.0, then 1.1.0 were deployed, so that there is something to go back to.
func backupSite(t *testing.T) *site {
	t.Helper()
	t.Parallel()
	s := newSite(t)
	s.write("environments.star", string(s.environments())+backupEnvironments)
	s.must(0, s.deploy("1.0.0")...)
	s.must(0, s.deploy("1.1.0")...)
	s.wants("1.1.0")
	return s
}

// kept are the backups on the disk, and what else lies among them.
func (s *site) kept() (names, halves []string) {
	s.t.Helper()
	entries, err := os.ReadDir(s.root("backups"))
	if err != nil {
		s.t.Fatal(err)
	}
	for _, e := range entries {
		_, err := os.Stat(s.root("backups", e.Name(), ".runner-backup.json"))
		if err == nil && !strings.HasPrefix(e.Name(), ".") {
			names = append(names, e.Name())
		} else {
			halves = append(halves, e.Name())
		}
	}
	return names, halves
}

// wholeScript prunes, reads every backup back, and finds one to go back to.
const wholeScript = `
def main(environment):
    root = environment.target.root
    lease(environment)
    backups.prune(root, keep = environment.keep)
    for b in backups.list(root):
        backups.verify(root, b.name)
    if backups.find(root).version == releases.current(root).version:
        fail("there is nothing to go back to")
`

// whole wants every backup to be whole, one to go back to, nothing half made among them, and no trial to be left.
func (s *site) whole() {
	s.t.Helper()
	s.write("whole.star", wholeScript)
	s.must(0, "whole.star", "production")
	names, halves := s.kept()
	if len(names) > 3 || len(halves) > 0 {
		s.t.Fatalf("backups %v, and %v among them; want two, and one to go back to", names, halves)
	}
	if _, err := os.Stat(s.root(".runner", "trial")); err == nil {
		s.t.Fatalf("a trial is left\n%s", s.out.String())
	}
	for end := time.Now().Add(patience); len(s.trials()) > 0; time.Sleep(5 * time.Millisecond) {
		if time.Now().After(end) {
			s.t.Fatalf("trials run: %v\n%s", s.trials(), s.out.String())
		}
	}
}

// trials are the processes that run in a trial's folder.
func (s *site) trials() (pids []string) {
	all, _ := filepath.Glob("/proc/[0-9]*/cwd")
	for _, name := range all {
		if to, err := os.Readlink(name); err == nil && strings.HasPrefix(to, s.root(".runner", "trial")) {
			pids = append(pids, filepath.Base(filepath.Dir(name)))
		}
	}
	return pids
}

// between lists the facts of the last run by their number, from the start of an op to the end of another, or of the run.
func (s *site) between(first, last string) (facts []int) {
	s.t.Helper()
	on := false
	for i, r := range s.journal() {
		switch f := r.Fact.(type) {
		case event.OpStarted:
			on = on || f.Name == first
		case event.OpFinished:
			if on && f.Name == last {
				return append(facts, i+1)
			}
		}
		if on {
			facts = append(facts, i+1)
		}
	}
	if len(facts) == 0 {
		s.t.Fatalf("no %s\n%s", first, s.out.String())
	}
	return facts
}

// TestKillAtEveryFact kills what such a deployment has in common with any other.
func TestKillAtEveryFactOfARehearsedDeployment(t *testing.T) {
	s := backupSite(t)
	tested := func(version string) []string {
		s.write("VERSION", version+"\n")
		return []string{"deploy.star", "tested"}
	}
	old, next := "1.0.0", "1.1.0"
	s.must(0, tested(old)...)
	facts := append(s.between("smoke.rehearse", "backups.create"), s.between("smoke.run", "")...)
	t.Logf("%d facts to be killed behind", len(facts))
	killed := 0
	for _, n := range facts {
		if s.process(n, tested(next)...) == -1 {
			killed++
		}
		s.recovers("a fact", old, next)
		s.must(0, tested(next)...)
		s.wants(next)
		s.whole()
		old, next = next, old
	}
	if killed < len(facts)-3 {
		t.Errorf("%d of %d runs were killed", killed, len(facts))
	}
	s.agrees()
}

func TestKillAtEveryFactOfARollbackToABackup(t *testing.T) {
	s := backupSite(t)
	old, next := "1.1.0", "1.0.0"
	for n := 1; ; n++ {
		if s.process(n, "rollback.star", "production") != -1 {
			t.Logf("%d facts to be killed behind", n-1)
			break
		}
		s.recovers("a fact", old, next)
		if s.answers() == old { // else it had committed
			s.must(0, "rollback.star", "production")
		}
		s.wants(next)
		s.must(0, "tidy.star", "production")
		old, next = next, old
	}
	s.must(0, s.deploy("1.2.0")...)
	s.wants("1.2.0")
	s.agrees()
	s.whole()
}

// What a backup left that was killed within, the next one sweeps away.
func TestKilledWithinABackup(t *testing.T) {
	s := backupSite(t)
	s.write("VERSION", "1.2.0\n")
	s.must(0, "deploy.star", "many")
	s.wants("1.2.0")
	pid := s.service()
	before, _ := s.kept()
	stale := "none"
	for _, args := range [][]string{s.deploy("1.0.0"), {"rollback.star", "production"}} {
		dead := s.start(args...)
		fresh := func(half string) bool { return !strings.Contains(half, stale) }
		for end := time.Now().Add(patience); ; {
			halves, _ := filepath.Glob(s.root("backups", ".new-*", "content", "data", "1*"))
			if slices.ContainsFunc(halves, fresh) {
				break
			}
			if time.Now().After(end) {
				t.Fatalf("no backup begins\n%s", dead.out)
			}
		}
		dead.send(syscall.SIGKILL)
		<-dead.ended
		now, halves := s.kept()
		if len(halves) != 1 || len(now) != len(before) {
			t.Fatalf("want half a backup, and those that were there: %v, %v\n%s", halves, now, dead.out)
		}
		stale = halves[0]
		s.wants("1.2.0")
		if s.service() != pid {
			t.Fatal("another process serves")
		}
	}
	s.must(0, "rollback.star", "production")
	s.wants("1.1.0")
	s.whole()
	s.must(0, s.deploy("1.0.0")...)
	s.wants("1.0.0")
	s.agrees()
	s.whole()
}

func TestTwoRollbacksAtOnce(t *testing.T) {
	s := backupSite(t)
	one := s.start("rollback.star", "slow")
	one.sees("health.wait: wait up to ")
	s.must(17, "rollback.star", "production")
	if text := s.out.String(); !strings.Contains(text, "is held by run ") || !strings.Contains(text, "(rollback.star by ") {
		t.Errorf("whose lease it is, is not said\n%s", text)
	}
	two := s.start("rollback.star", "production", "--wait")
	two.sees("waits for the lease of host:" + s.root() + ", held by run ")
	one.exits(0)
	one.says("slow serves mcpd 1.0.0")
	two.exits(0)
	two.says("production serves mcpd 1.1.0")
	s.wants("1.1.0")
	s.agrees()
	s.whole()
}

func TestARollbackWhileADeploymentHoldsTheLease(t *testing.T) {
	s := backupSite(t)
	s.write("VERSION", "1.2.0\n")
	deploys := s.start("deploy.star", "slow")
	deploys.sees("health.wait: wait up to ")
	s.must(17, "rollback.star", "production")
	waits := s.start("rollback.star", "production", "--wait")
	waits.sees("waits for the lease of host:" + s.root() + ", held by run ")
	deploys.exits(0)
	deploys.says("slow serves mcpd 1.2.0")
	waits.exits(0)
	waits.says("production serves mcpd 1.1.0") // what served when it began to wait is the backup now
	s.wants("1.1.0")
	s.agrees()
}

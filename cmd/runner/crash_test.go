package main

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/erlmcp/runner/runtime/host"
	"github.com/erlmcp/runner/runtime/host/hosttest"
)

func TestDeployUpgradeBreakRollBack(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	s.must(0, s.deploy("1.0.0")...)
	s.wants("1.0.0")
	s.must(0, s.deploy("1.1.0")...)
	s.wants("1.1.0")
	pid := s.service()
	s.must(10, s.deploy("bad")...)
	s.wants("1.1.0")
	if s.service() == pid {
		t.Error("the old version answers, but was never stopped: the broken one did not run")
	}
	s.must(0, "rollback.star", "production")
	s.wants("1.0.0")
	s.must(0, "rollback.star", "production")
	s.wants("1.1.0")
	s.agrees()
}

// mortal runs the program on a host that dies before the n-th change that it makes to the target or to a process; false
// when the run did not come to that.
func (s *site) mortal(n int, around func(*host.Host) *host.Host, args ...string) (died bool, where string) {
	return s.dies(func(m *hosttest.Mortal) { m.DieAt(n) }, around, args...)
}

func (s *site) dies(when func(*hosttest.Mortal), around func(*host.Host) *host.Host, args ...string) (died bool, where string) {
	s.begins()
	var m *hosttest.Mortal
	s.inside(func(h *host.Host) *host.Host {
		if around != nil {
			h = around(h)
		}
		m = hosttest.NewMortal(h)
		m.CountUnder(s.root())
		when(m)
		return m.Host()
	}, args...)
	m.Wait()
	select {
	case <-m.Dead():
		return true, m.Where()
	default:
		return false, ""
	}
}

// otherMachine takes away what the machine that ran knows: recovery has the target and nothing else.
func (s *site) otherMachine() {
	s.t.Helper()
	for _, name := range []string{"runs", "scratch"} {
		if err := os.RemoveAll(filepath.Join(s.dir, ".runner", name)); err != nil {
			s.t.Fatal(err)
		}
	}
	s.home = s.t.TempDir()
	if home, err := os.UserHomeDir(); err == nil {
		os.RemoveAll(filepath.Join(home, ".runner-mutant"))
	}
}

// committed reports whether the run that was killed last had committed, as its undo log says.
func (s *site) committed() bool {
	logs, _ := filepath.Glob(s.root(".runner", "runs", "*.jsonl"))
	for _, log := range logs {
		b, err := os.ReadFile(log)
		if err == nil && !s.logs[log] && strings.Contains(string(b), `"fact":"committed"`) {
			return true
		}
	}
	return false
}

// begins remembers the undo logs that are there before a run that is to be killed.
func (s *site) begins() {
	s.logs = map[string]bool{}
	logs, _ := filepath.Glob(s.root(".runner", "runs", "*.jsonl"))
	for _, log := range logs {
		s.logs[log] = true
	}
}

// recovers has another machine take back what was killed, and then wants one of the two versions to answer: the new one
// only where the killed run had committed.
func (s *site) recovers(where, old, next string) {
	s.t.Helper()
	committed := s.committed()
	s.otherMachine()
	s.must(0, "recover.star", "production")
	if got := s.answers(); got != old && !(committed && got == next) {
		s.t.Fatalf("killed before %s: %q answers, want %q\n%s", where, got, old, s.out.String())
	}
}

func TestKillAtEveryChangeOfADeployment(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	s.must(0, s.deploy("1.0.0")...)
	old, next := "1.0.0", "1.1.0"
	for n := 1; ; n++ {
		died, where := s.mortal(n, nil, s.deploy(next)...)
		if !died {
			t.Logf("%d places to die in", n-1)
			return
		}
		s.recovers(where, old, next)
		s.must(0, s.deploy(next)...)
		s.wants(next)
		s.agrees()
		old, next = next, old
	}
}

func TestKillAtEveryChangeOfAFirstDeployment(t *testing.T) {
	t.Parallel()
	for n := 1; ; n++ {
		s := newSite(t)
		died, where := s.mortal(n, nil, s.deploy("1.0.0")...)
		if !died {
			t.Logf("%d places to die in", n-1)
			return
		}
		s.recovers(where, "", "1.0.0")
		if s.answers() == "" {
			if _, err := os.Lstat(s.root("current")); err == nil {
				t.Fatalf("killed before %s: nothing serves, and current is there", where)
			}
		}
		s.must(0, s.deploy("1.0.0")...)
		s.wants("1.0.0")
		s.agrees()
		s.killService()
	}
}

func TestKillAtEveryChangeOfARollback(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	s.must(0, s.deploy("1.0.0")...)
	s.must(0, s.deploy("1.1.0")...)
	old, next := "1.1.0", "1.0.0"
	for n := 1; ; n++ {
		died, where := s.mortal(n, nil, "rollback.star", "production", next)
		if !died {
			t.Logf("%d places to die in", n-1)
			return
		}
		s.recovers(where, old, next)
		s.must(0, "rollback.star", "production", next)
		s.wants(next)
		s.agrees()
		old, next = next, old
	}
}

func TestKillAtEveryChangeOfAnUndo(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	s.write("environments.star", strings.Replace(string(s.environments()), `within = "3s"`, `within = "700ms"`, 1))
	s.must(0, s.deploy("1.0.0")...)
	for n := 30; ; n++ { // what comes before is the deployment's own test
		died, where := s.mortal(n, nil, s.deploy("bad")...)
		if !died {
			t.Logf("%d places to die in", n-1)
			break
		}
		s.recovers(where, "1.0.0", "")
	}
	s.must(0, s.deploy("1.1.0")...)
	s.wants("1.1.0")
	s.agrees()
}

func TestKillAtEveryChangeOfARecovery(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	s.must(0, s.deploy("1.0.0")...)
	for n := 1; ; n++ {
		s.killedAt("rename "+s.root("current"), "1.1.0")
		died, where := s.mortal(n, nil, "recover.star", "production")
		if !died {
			t.Logf("%d places to die in", n-1)
			break
		}
		s.recovers(where, "1.0.0", "")
	}
	s.must(0, s.deploy("1.1.0")...)
	s.wants("1.1.0")
	s.agrees()
}

// killedAt kills a deployment before a change by its name, which must be one that a deployment makes.
func (s *site) killedAt(what, version string) {
	s.t.Helper()
	died, _ := s.dies(func(m *hosttest.Mortal) { m.DieBefore(what) }, nil, s.deploy(version)...)
	if !died {
		s.t.Fatalf("no deployment comes to %s\n%s", what, s.out.String())
	}
}

func TestKillAtEveryFact(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	s.must(0, s.deploy("1.0.0")...)
	old, next := "1.0.0", "1.1.0"
	for n := 1; ; n++ {
		if s.process(n, s.deploy(next)...) != -1 {
			t.Logf("%d facts to be killed behind", n-1)
			return
		}
		s.recovers("a fact", old, next)
		s.must(0, s.deploy(next)...)
		s.wants(next)
		s.agrees()
		old, next = next, old
	}
}

// TestPowerLoss kills at every change, drops all that was not synced, ends every process, and has the target recovered.
func TestPowerLoss(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	s.must(0, s.deploy("1.0.0")...)
	old, next := "1.0.0", "1.1.0"
	for n := 1; ; n++ {
		var disk *hosttest.Volatile
		died, where := s.mortal(n, func(h *host.Host) *host.Host {
			disk = hosttest.NewVolatile(t, s.root())
			v := *h
			v.Files = disk
			return &v
		}, s.deploy(next)...)
		if !died {
			t.Logf("%d places to lose power in", n-1)
			return
		}
		s.killService()
		disk.Crash()
		s.restarted(where, old, next)
		s.must(0, s.deploy(next)...)
		s.wants(next)
		s.agrees()
		old, next = next, old
	}
}

// restarted is recovers behind a loss of power. Nothing restarts a process of this driver at boot, so what was not
// under way is started by hand here, as an init system would.
func (s *site) restarted(where, old, next string) {
	s.t.Helper()
	committed := s.committed()
	s.otherMachine()
	s.must(0, "recover.star", "production")
	if s.inside(nil, "start.star", "production") != 0 {
		tree, _ := filepath.Glob(s.root("releases", "*", "bin", "*"))
		link, _ := os.Readlink(s.root("current"))
		s.t.Fatalf("power lost before %s: cannot start what is live, %s of %v\n%s", where, link, tree, s.out.String())
	}
	s.must(0, "ready.star", "production")
	if got := s.answers(); got != old && !(committed && got == next) {
		s.t.Fatalf("power lost before %s: %q answers, want %q\n%s", where, got, old, s.out.String())
	}
}

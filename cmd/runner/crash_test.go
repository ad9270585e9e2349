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

// mortal runs the program on a host that dies before its n-th change of the world; false when it did not come to that.
func (s *site) mortal(n int, args ...string) (died bool, where string) {
	var m *hosttest.Mortal
	s.inside(func(h *host.Host) *host.Host {
		m = hosttest.NewMortal(h)
		m.DieAt(n)
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

// otherMachine takes away what the machine that ran knows: its state directory. Recovery has the target only.
func (s *site) otherMachine() {
	s.t.Helper()
	for _, name := range []string{"runs", "scratch"} {
		if err := os.RemoveAll(filepath.Join(s.dir, ".runner", name)); err != nil {
			s.t.Fatal(err)
		}
	}
	s.t.(*testing.T).Setenv("HOME", s.t.TempDir())
}

// committed reports whether the last run's undo log says that it is committed.
func (s *site) committed() bool {
	logs, _ := filepath.Glob(s.root(".runner", "runs", "*.jsonl"))
	if len(logs) == 0 {
		return false
	}
	b, err := os.ReadFile(logs[len(logs)-1])
	return err == nil && strings.Contains(string(b), `"fact":"committed"`)
}

// TestKillAtEveryChange kills a deployment over a live version before each single change that it makes to the world,
// and has it recovered by a machine that knows nothing but the target.
func TestKillAtEveryChange(t *testing.T) {
	s := newSite(t)
	s.must(0, s.deploy("1.0.0")...)
	versions := []string{"1.1.0", "1.0.0"}
	old := "1.0.0"
	for n, round := 1, 0; ; n, round = n+1, round+1 {
		next := versions[round%2]
		died, where := s.mortal(n, s.deploy(next)...)
		if !died {
			t.Logf("%d places to die in", n-1)
			break
		}
		committed := s.committed()
		s.otherMachine()
		s.must(0, "recover.star", "production")
		if got := s.answers(); got != old && !(committed && got == next) {
			t.Fatalf("killed before %s (%d): %q answers, want %s\n%s", where, n, got, old, s.out.String())
		}
		s.must(0, s.deploy(next)...)
		s.wants(next)
		s.agrees()
		old = next
	}
}

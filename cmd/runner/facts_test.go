package main

import (
	"strings"
	"testing"
)

// The real program, killed by kill -9 behind each fact that it tells. TestKillAtEveryFact does it to a deployment over a
// live version; these are the others.

func TestKillAtEveryFactOfAFirstDeployment(t *testing.T) {
	t.Parallel()
	for n := 1; ; n++ {
		s := newSite(t)
		if s.process(n, s.deploy("1.0.0")...) != -1 {
			t.Logf("%d facts to be killed behind", n-1)
			return
		}
		s.recovers("a fact", "", "1.0.0")
		s.must(0, s.deploy("1.0.0")...)
		s.wants("1.0.0")
		s.agrees()
		s.killService()
	}
}

func TestKillAtEveryFactOfARollback(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	s.must(0, s.deploy("1.0.0")...)
	s.must(0, s.deploy("1.1.0")...)
	old, next := "1.1.0", "1.0.0"
	for n := 1; ; n++ {
		if s.process(n, "rollback.star", "production", next) != -1 {
			t.Logf("%d facts to be killed behind", n-1)
			return
		}
		s.recovers("a fact", old, next)
		s.must(0, "rollback.star", "production", next)
		s.wants(next)
		s.agrees()
		old, next = next, old
	}
}

func TestKillAtEveryFactOfAnUndo(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	s.write("environments.star", strings.Replace(string(s.environments()), `within = "3s"`, `within = "700ms"`, 1))
	s.must(0, s.deploy("1.0.0")...)
	for n := 1; ; n++ {
		if s.process(n, s.deploy("bad")...) != -1 {
			t.Logf("%d facts to be killed behind", n-1)
			break
		}
		s.recovers("a fact", "1.0.0", "")
	}
	s.must(0, s.deploy("1.1.0")...)
	s.wants("1.1.0")
	s.agrees()
}

func TestKillAtEveryFactOfARecovery(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	s.must(0, s.deploy("1.0.0")...)
	for n := 1; ; n++ {
		s.killedAt("rename "+s.root("current"), "1.1.0")
		if s.process(n, "recover.star", "production") != -1 {
			t.Logf("%d facts to be killed behind", n-1)
			break
		}
		s.recovers("a fact", "1.0.0", "")
	}
	s.must(0, s.deploy("1.1.0")...)
	s.wants("1.1.0")
	s.agrees()
}

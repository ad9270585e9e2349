package main

import (
	"strings"
	"testing"
)

// What a dead run left is taken back first of all: the next run need not come to its lease for what served to serve.
func TestARunThatFailsEarlyHasRecovered(t *testing.T) {
	s := newSite(t)
	s.must(0, s.deploy("1.0.0")...)
	s.killedAt("rename "+s.root("current"), "1.1.0")
	s.wants("")
	text := string(s.environments())
	s.write("environments.star", strings.Replace(text, "return environment(", `return environment(tools = {"no-such-tool": ""}, `, 1))
	s.must(18, s.deploy("1.1.0")...)
	if got := s.out.String(); !strings.Contains(got, "no-such-tool is not installed") || !strings.Contains(got, "recover 2") {
		t.Errorf("it says\n%s", got)
	}
	s.wants("1.0.0")
	s.agrees()
}

package main

import (
	"fmt"
	"strings"
	"testing"

	"github.com/erlmcp/runner/runtime/host/hosttest"
)

// A deployment that moves the service to another port and fails is taken back: the check on undo asks where the old
// version answers, not where the new one was to.
func TestAMovedPortIsTakenBack(t *testing.T) {
	s := newSite(t)
	s.must(0, s.deploy("1.0.0")...)
	moved := strings.Replace(string(s.environments()), fmt.Sprintf("port = %d", s.port), fmt.Sprintf("port = %d", hosttest.Port(t)), 1)
	s.write("environments.star", moved)
	s.must(10, s.deploy("bad")...)
	s.wants("1.0.0")
	if !strings.Contains(s.out.String(), "1.0.0 serves and is healthy; bad was wanted") {
		t.Error(s.out.String())
	}
}

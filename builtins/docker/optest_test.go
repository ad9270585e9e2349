package docker

import (
	"testing"

	"github.com/erlmcp/runner/builtins/docker/daemon"
	"github.com/erlmcp/runner/runtime/builtin"
	"github.com/erlmcp/runner/runtime/host"
	"github.com/erlmcp/runner/runtime/op"
	"github.com/erlmcp/runner/runtime/optest"
)

func family(h *host.Host) builtin.Family { return Family(h, daemon.NewPool(h)) }

func TestOps(t *testing.T) { optest.Run(t, optest.Suite{Family: family}) }

func TestGrade(t *testing.T) {
	if c := (Run{}).Grade(); c != op.ClassFinal {
		t.Errorf("a run is a %s", c)
	}
	if c := (Run{Leaves: "nothing"}).Grade(); c != op.ClassMake {
		t.Errorf("a run that leaves nothing is a %s", c)
	}
}

package compose

import (
	"testing"

	"github.com/erlmcp/runner/builtins/docker/daemon"
	"github.com/erlmcp/runner/runtime/builtin"
	"github.com/erlmcp/runner/runtime/host"
	"github.com/erlmcp/runner/runtime/optest"
)

func TestOps(t *testing.T) {
	optest.Run(t, optest.Suite{
		Family:    func(h *host.Host) builtin.Family { return Family(h, daemon.NewPool(h)) },
		Elsewhere: "the labs: TestLabOps",
	})
}

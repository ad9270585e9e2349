package kube

import (
	"testing"

	"github.com/erlmcp/runner/builtins/kube/connect"
	"github.com/erlmcp/runner/runtime/builtin"
	"github.com/erlmcp/runner/runtime/host"
	"github.com/erlmcp/runner/runtime/optest"
)

func TestOps(t *testing.T) {
	optest.Run(t, optest.Suite{
		Family:    func(h *host.Host) builtin.Family { return Family(h, connect.NewPool(h)) },
		Elsewhere: "the labs: TestLabOps",
	})
}

package secret

import (
	"testing"

	"github.com/erlmcp/runner/runtime/builtin"
	"github.com/erlmcp/runner/runtime/host"
	"github.com/erlmcp/runner/runtime/optest"
)

func TestOps(t *testing.T) {
	optest.Run(t, optest.Suite{Family: func(*host.Host) builtin.Family { return Family() }})
}

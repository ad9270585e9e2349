package project_test

import (
	"testing"

	"github.com/erlmcp/runner/builtins/build"
	"github.com/erlmcp/runner/builtins/health"
	"github.com/erlmcp/runner/builtins/project"
	"github.com/erlmcp/runner/builtins/service"
	"github.com/erlmcp/runner/runtime/builtin"
	"github.com/erlmcp/runner/runtime/host"
	"github.com/erlmcp/runner/runtime/optest"
)

func TestOps(t *testing.T) {
	h := &host.Host{}
	optest.Run(t, optest.Suite{
		Family: func(*host.Host) builtin.Family { return project.Family() },
		Others: []builtin.Family{build.Family(h), health.Family(h), service.Family(h)},
	})
}

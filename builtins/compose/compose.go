// Package compose deploys Compose projects to a Docker engine as Docker Compose would, so that its own commands work on
// them afterwards; and, as it would not, by the run's rules: planned before, taken back when it fails. The parts are
// model (what files ask for), reconcile (from what is there to that) and register (what runs keep in the engine).
package compose

import (
	"github.com/erlmcp/runner/builtins/docker/daemon"
	"github.com/erlmcp/runner/runtime/builtin"
	"github.com/erlmcp/runner/runtime/host"
	"github.com/erlmcp/runner/runtime/op"
)

// Docker is what the ops work with: engines, and the machine that the files are on.
type Docker struct {
	Pool *daemon.Pool
	Host *host.Host
}

// Family is what scripts see as compose.
func Family(h *host.Host, pool *daemon.Pool) builtin.Family {
	d := &Docker{Pool: pool, Host: h}
	return builtin.NewFamily("compose", "Deploys Compose projects to a Docker engine; afterwards docker compose takes them for its own.",
		op.Read(d, Config{}),
	)
}

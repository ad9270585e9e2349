// Package compose deploys Compose projects to a Docker engine as Docker Compose would, so that its own commands work on
// them afterwards; and, as it would not, by the run's rules: planned before, taken back when it fails. The parts are
// model (what files ask for), reconcile (from what is there to that) and register (what runs keep in the engine).
package compose

import (
	"time"

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
		op.Read(d, Check{}),
		op.Watch(d, Changes{}),
		op.Watch(d, Ps{}),
		op.Watch(d, Logs{Lines: 100}),
		op.Make(d, Build{Name: true, Cache: true, Timeout: op.Duration(30 * time.Minute)}),
		op.Make(d, Pull{Timeout: op.Duration(15 * time.Minute)}),
		op.Change(d, defaultUp()),
		op.Change(d, defaultBack()),
		op.Change(d, Stop{Timeout: defaultHalt}),
		op.Change(d, Down{Timeout: defaultHalt}),
		op.Undo(d, Return{}),
		op.Final(d, Run{Timeout: op.Duration(10 * time.Minute), OK: []int{0}}, "runner cannot know what a container changed"),
		op.Change(d, Accept{}),
		op.Undo(d, Forget{}),
		op.Watch(d, Good{}),
		op.Watch(d, Find{}),
		op.Final(d, Prune{Keep: 5}, "removed containers and images cannot be brought back"),
	)
}

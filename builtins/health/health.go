// Package health asks whether a service is healthy, once or until it is. It changes nothing: the questions, and what counts
// as a good answer, are those of package probe.
package health

import (
	"github.com/erlmcp/runner/builtins/probe"
	"github.com/erlmcp/runner/runtime/builtin"
	"github.com/erlmcp/runner/runtime/host"
	"github.com/erlmcp/runner/runtime/op"
)

// Family is the ops health.wait and health.check, and the value probe.
func Family(h *host.Host) builtin.Family {
	return builtin.NewFamily("health",
		"Asks whether a service is healthy, once or until it is. What to ask is a probe.",
		op.Ask(h, Wait{}),
		op.Ask(h, Check{}),
		builtin.Global(probe.Default()),
	)
}

var (
	_ op.Op[*host.Host, probe.Result] = Wait{}
	_ op.Op[*host.Host, probe.Result] = Check{}
	_ op.Checked                      = Wait{}
	_ op.Checked                      = Check{}
)

// Package health asks whether a service is healthy: by its health document, values in a JSON body, an HTTP status, a
// TCP port or a command. It waits until the answer is good and stays so, and says what it was told when it is not.
//
// It changes nothing, and takes no silence, redirect or unreadable answer for health.
package health

import (
	"time"

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
		builtin.Global(DefaultProbe()),
	)
}

// DefaultProbe is a probe before a script says anything: it names nothing to ask.
func DefaultProbe() Probe {
	return Probe{
		Accept:      []string{healthy},
		Within:      op.Duration(time.Minute),
		Consecutive: 1,
		PerTry:      op.Duration(5 * time.Second),
	}
}

var (
	_ op.Op[*host.Host, Result] = Wait{}
	_ op.Op[*host.Host, Result] = Check{}
	_ op.Checked                = Wait{}
	_ op.Checked                = Check{}
	_ op.Checked                = Probe{}
	_ op.Live                   = Result{}
)

package health

import (
	"cmp"
	"context"
	"fmt"

	"github.com/erlmcp/runner/builtins/probe"
	"github.com/erlmcp/runner/runtime/host"
	"github.com/erlmcp/runner/runtime/op"
)

// Check asks a probe once. An answer that is not good is a result, and an error where Require says so.
type Check struct {
	_       op.Doc      `doc:"Asks once whether a service is healthy, and gives the answer whatever it is."`
	Probe   probe.Probe `json:"probe" doc:"What to ask, and which answer is good."`
	Version string      `json:"version,omitempty" doc:"The version that has to answer, where the answer names one."`
	Base    string      `json:"base,omitempty" doc:"Where to ask instead of where the probe's path is seen from, such as http://127.0.0.1:8080."`
	Require bool        `json:"require,omitempty" doc:"Fail where the answer is not good."`
}

// Summary implements op.Op.
func (c Check) Summary() string {
	return fmt.Sprintf("ask %s whether it is healthy", c.asked().Subject())
}

// Check implements op.Checked.
func (c Check) Check() error { return cmp.Or(c.Probe.Check(), c.asked().Placed()) }

// asked is the probe with what the op says otherwise.
func (c Check) asked() probe.Probe {
	p := c.Probe
	p.Base = cmp.Or(c.Base, p.Base)
	return p
}

// Do implements op.Op.
func (c Check) Do(ctx context.Context, h *host.Host) (probe.Result, error) {
	r, err := probe.Ask(ctx, h, c.asked(), c.Version)
	if err == nil && c.Require && !r.Healthy {
		return probe.Result{}, fmt.Errorf("%s is not healthy: %s", c.asked().Subject(), r.Answer)
	}
	return r, err
}

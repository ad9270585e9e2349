package health

import (
	"cmp"
	"context"
	"fmt"
	"sync"

	"github.com/erlmcp/runner/builtins/driver"
	"github.com/erlmcp/runner/builtins/probe"
	"github.com/erlmcp/runner/runtime/host"
	"github.com/erlmcp/runner/runtime/op"
)

// Wait asks a probe until its answers are good.
type Wait struct {
	_           op.Doc      `doc:"Waits until a service is healthy and stays so; what is given here goes before what the probe says."`
	Probe       probe.Probe `json:"probe" doc:"What to ask, and which answer is good."`
	Version     string      `json:"version,omitempty" doc:"The version that must answer; a health document of another one is not good, one without a version is."`
	Base        string      `json:"base,omitempty" doc:"Where to ask instead of where the probe's path is seen from, such as http://127.0.0.1:8080."`
	Within      op.Duration `json:"within,omitempty" doc:"How long the wait may take in all."`
	StableFor   op.Duration `json:"stable_for,omitempty" doc:"How long every answer must stay good."`
	Consecutive int         `json:"consecutive,omitempty" doc:"How many good answers in a row it takes."`
	PerTry      op.Duration `json:"per_try,omitempty" doc:"How long one answer may take."`
	Accept      []string    `json:"accept,omitempty" doc:"The good values of the health document's status."`
	Root        string      `json:"root,omitempty" doc:"The host root whose service is asked: when that ends, so does the wait, at once."`
}

// Summary implements op.Op.
func (w Wait) Summary() string {
	p := w.asked()
	s := fmt.Sprintf("wait up to %s until %s is healthy", p.Within, p.Subject())
	if p.StableFor > 0 {
		s += fmt.Sprintf(" for %s", p.StableFor)
	}
	if w.Version != "" {
		s += " at " + w.Version
	}
	return s
}

// Check implements op.Checked.
func (w Wait) Check() error {
	p := w.asked()
	return cmp.Or(p.Check(), p.Placed())
}

// asked is the probe with what the op says otherwise.
func (w Wait) asked() probe.Probe {
	p := w.Probe
	p.Base = cmp.Or(w.Base, p.Base)
	p.Within = cmp.Or(w.Within, p.Within)
	p.StableFor = cmp.Or(w.StableFor, p.StableFor)
	p.Consecutive = cmp.Or(w.Consecutive, p.Consecutive)
	p.PerTry = cmp.Or(w.PerTry, p.PerTry)
	if w.Accept != nil {
		p.Accept = w.Accept
	}
	return p
}

// Do implements op.Op.
func (w Wait) Do(ctx context.Context, h *host.Host) (probe.Result, error) {
	if w.Root == "" {
		return probe.Wait(ctx, h, w.asked(), w.Version)
	}
	runs, err := driver.Current(h, h.Abs(w.Root))
	if err != nil {
		return probe.Result{}, err
	}
	var watch sync.WaitGroup
	defer watch.Wait()
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	watch.Go(func() {
		if err := runs.End(ctx, h); err != nil {
			cancel(fmt.Errorf("%s will not be healthy: %w", w.asked().Subject(), err))
		}
	})
	return probe.Wait(ctx, h, w.asked(), w.Version)
}

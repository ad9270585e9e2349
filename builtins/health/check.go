package health

import (
	"cmp"
	"context"
	"fmt"
	"time"

	"github.com/erlmcp/runner/runtime/host"
	"github.com/erlmcp/runner/runtime/op"
)

// Check asks a probe once. An answer that is not good is a result, and an error where Require says so.
type Check struct {
	_       op.Doc `doc:"Asks once whether a service is healthy, and gives the answer whatever it is."`
	Probe   Probe  `json:"probe" doc:"What to ask, and which answer is good."`
	Version string `json:"version,omitempty" doc:"The version that has to answer, where the answer names one."`
	Require bool   `json:"require,omitempty" doc:"Fail where the answer is not good."`
}

// Result is the answer that a check got, or the one that ended a wait.
type Result struct {
	_       op.Doc             `doc:"The answer that a check got, or the one that ended a wait."`
	Healthy bool               `json:"healthy" doc:"Whether the answer was good."`
	Status  string             `json:"status,omitempty" doc:"The health document's status: healthy, degraded, unhealthy."`
	Version string             `json:"version,omitempty" doc:"The version that answered, where it says so."`
	Code    int                `json:"code,omitempty" doc:"The HTTP status."`
	Answer  string             `json:"answer" doc:"The answer in one line."`
	Tries   int                `json:"tries" doc:"How many answers there were."`
	Took    op.Duration        `json:"took" doc:"From the first try to the last answer."`
	Failing []Subsystem        `json:"failing,omitempty" doc:"The subsystems that are not healthy, by name."`
	Metrics map[string]float64 `json:"metrics,omitempty" doc:"The numbers among the document's metrics."`
	System  map[string]string  `json:"system,omitempty" doc:"The document's system information."`
}

// LiveVersion implements op.Live.
func (r Result) LiveVersion() string { return r.Version }

func (a Answer) result(tries int, took time.Duration) Result {
	d := a.Document
	return Result{
		Healthy: a.Good, Status: d.Status, Version: d.Version, Code: a.Code, Answer: a.Text, Tries: tries,
		Took: op.Duration(took.Round(time.Millisecond)), Failing: d.Failing(), Metrics: d.Metrics, System: d.System,
	}
}

// Summary implements op.Op.
func (c Check) Summary() string {
	return fmt.Sprintf("ask %s whether it is healthy", c.Probe.subject())
}

// Check implements op.Checked.
func (c Check) Check() error { return cmp.Or(c.Probe.Check(), c.Probe.placed()) }

// Do implements op.Op.
func (c Check) Do(ctx context.Context, h *host.Host) (Result, error) {
	if err := c.Check(); err != nil {
		return Result{}, err
	}
	start, limit := h.Clock.Now(), c.Probe.PerTry.D()
	op.Waiting(ctx, "an answer from "+c.Probe.subject(), start.Add(limit))
	a, err := ask(ctx, h, c.Probe, c.Version, limit)
	if err != nil {
		return Result{}, err
	}
	if c.Require && !a.Good {
		return Result{}, fmt.Errorf("%s is not healthy: %s", c.Probe.subject(), a.Text)
	}
	return a.result(1, h.Clock.Now().Sub(start)), nil
}

// IsHealthy implements op.Judged.
func (r Result) IsHealthy() bool { return r.Healthy }

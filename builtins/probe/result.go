package probe

import (
	"time"

	"github.com/erlmcp/runner/runtime/op"
)

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

// IsHealthy implements op.Judged.
func (r Result) IsHealthy() bool { return r.Healthy }

func (a Answer) result(tries int, took time.Duration) Result {
	d := a.Document
	return Result{
		Healthy: a.Good, Status: d.Status, Version: d.Version, Code: a.Code, Answer: a.Text, Tries: tries,
		Took: op.Duration(took.Round(time.Millisecond)), Failing: d.Failing(), Metrics: d.Metrics, System: d.System,
	}
}

var (
	_ op.Live   = Result{}
	_ op.Judged = Result{}
)

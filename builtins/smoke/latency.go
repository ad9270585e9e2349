package smoke

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/erlmcp/runner/runtime/host"
	"github.com/erlmcp/runner/runtime/op"
	"github.com/erlmcp/runner/runtime/secret"
)

// Latency asks for a page several times.
type Latency struct {
	_        op.Doc                 `doc:"A test that asks for a page several times, one after the other and with no other test beside it: 95 of 100 answers must come in time."`
	Path     string                 `json:"path" doc:"A path such as \"/health\", or a URL; every answer must have a status of 2xx."`
	Under    op.Duration            `json:"under" doc:"What the 95th percentile must stay under, such as \"200ms\"; a connection is made for each try."`
	Tries    int                    `json:"tries" doc:"How often it is asked; under 20 tries, the slowest one counts."`
	Headers  map[string]secret.Text `json:"headers,omitempty" doc:"Headers to send; secrets may be given here."`
	Name     string                 `json:"name,omitempty" doc:"What the test is called in output and reports; the path when left out."`
	Optional bool                   `json:"optional,omitempty" doc:"Tell of a failure, and go on."`
	PerTry   op.Duration            `json:"per_try" doc:"How long one answer may take."`
	Base     string                 `json:"base,omitempty" doc:"Where the path is asked, instead of where smoke.run says."`
}

// Smoke marks a test.
func (Latency) Smoke() {}

func (t Latency) title() string { return cmp.Or(t.Name, "latency of "+t.Path) }
func (t Latency) must() bool    { return !t.Optional }
func (Latency) alone() bool     { return true }
func (t Latency) here() bool    { return t.Base == "" && strings.HasPrefix(t.Path, "/") }

// Check implements op.Checked.
func (t Latency) Check() error {
	switch {
	case t.Under <= 0:
		return fmt.Errorf("under: want more than 0s")
	case t.Tries < 1 || t.Tries > 1000:
		return fmt.Errorf("tries: want 1 to 1000, got %d", t.Tries)
	}
	return checkAsked(t.Path, t.Base, t.PerTry, t.Headers)
}

func (t Latency) try(ctx context.Context, w world) verdict {
	expected := fmt.Sprintf("p95 under %s", t.Under)
	var times []time.Duration
	for n := range t.Tries {
		start := w.h.Clock.Now()
		r, err := w.ask(ctx, host.Request{URL: w.url(t.Path, t.Base)}, t.Headers, t.PerTry)
		switch {
		case err != nil:
			return failed(expected, "%s at try %d of %d", err, n+1, t.Tries)
		case r.Status/100 != 2:
			return failed(expected+", and 2xx", "%s at try %d of %d", answer(r), n+1, t.Tries)
		}
		times = append(times, w.h.Clock.Now().Sub(start))
	}
	p95, text := spread(times)
	return verdict{good: p95 < t.Under.D(), expected: expected, got: text}
}

// spread is the 95th percentile by nearest rank, and the whole in a phrase.
func spread(times []time.Duration) (p95 time.Duration, text string) {
	slices.Sort(times)
	n := len(times)
	p95 = times[(n*95+99)/100-1]
	return p95, fmt.Sprintf("p95 %s of %d tries (median %s, slowest %s)", rounded(p95), n, rounded(times[(n-1)/2]), rounded(times[n-1]))
}

// rounded has three digits or so.
func rounded(d time.Duration) op.Duration {
	switch {
	case d > time.Second:
		return op.Duration(d.Round(10 * time.Millisecond))
	case d > 10*time.Millisecond:
		return op.Duration(d.Round(time.Millisecond))
	}
	return op.Duration(d.Round(10 * time.Microsecond))
}

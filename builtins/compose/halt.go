package compose

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/erlmcp/runner/builtins/compose/reconcile"
	"github.com/erlmcp/runner/builtins/compose/shape"
	"github.com/erlmcp/runner/builtins/stack"
	"github.com/erlmcp/runner/runtime/op"
)

// defaultHalt is how long a Stop or a Down may take where a script does not say.
const defaultHalt = op.Duration(5 * time.Minute)

// Halted is the result of Stop and of Down.
type Halted struct {
	_       op.Doc `doc:"A project that was stopped."`
	Changed int    `json:"changed" doc:"How many acts it took; 0 where all was so already."`
}

// Stop is compose.stop.
type Stop struct {
	_        op.Doc        `doc:"Stops containers of a project, those that need others first. They stay, and undo starts them again."`
	Project  stack.Project `json:"project" doc:"The project, such as environment.target."`
	Services []string      `json:"services,omitempty" doc:"Only those of these services."`
	Timeout  op.Duration   `json:"timeout" doc:"How long all of it may take."`
	Key      op.Key        `json:"key"`
}

var (
	_ op.Op[*Docker, Halted] = Stop{}
	_ op.Reversible[*Docker] = Stop{}
	_ op.Targeted[*Docker]   = Stop{}
	_ op.Differ[*Docker]     = Stop{}
	_ op.Op[*Docker, Halted] = Down{}
	_ op.Reversible[*Docker] = Down{}
	_ op.Targeted[*Docker]   = Down{}
	_ op.Differ[*Docker]     = Down{}
)

// Summary implements op.Op.
func (s Stop) Summary() string {
	return strings.TrimSpace("stop " + s.Project.Name + " " + strings.Join(s.Services, ", "))
}

// Target implements op.Targeted.
func (s Stop) Target(*Docker) string { return s.Project.Target() }

// Inverse implements op.Reversible.
func (s Stop) Inverse(ctx context.Context, d *Docker) (any, error) {
	r, _, err := d.inverse(ctx, s.Project, s.Key)
	return r, err
}

func (s Stop) plan(ctx context.Context, d *Docker) (place, *reconcile.Plan, error) {
	at, seen, err := d.observe(ctx, s.Project)
	if err != nil {
		return at, nil, err
	}
	for _, name := range s.Services {
		if !slices.ContainsFunc(seen.Services, func(v shape.Service) bool { return v.Name == name }) {
			return at, nil, noService(s.Project.Name, name, seen)
		}
	}
	return at, reconcile.NewStop(seen, s.Services, s.Key), nil
}

// Difference implements op.Differ.
func (s Stop) Difference(ctx context.Context, d *Docker) ([]string, error) {
	_, p, err := s.plan(ctx, d)
	if err != nil {
		return nil, err
	}
	return p.Lines(), nil
}

// Do implements op.Op.
func (s Stop) Do(ctx context.Context, d *Docker) (Halted, error) {
	at, p, err := s.plan(ctx, d)
	return halted(ctx, at, p, s.Timeout, s.Summary(), err)
}

func halted(ctx context.Context, at place, p *reconcile.Plan, timeout op.Duration, doing string, err error) (Halted, error) {
	if err == nil {
		_, err = at.Act(ctx, p, timeout.D())
	}
	if err != nil {
		return Halted{}, fmt.Errorf("cannot %s: %w", doing, err)
	}
	return Halted{Changed: len(p.Acts)}, nil
}

// Down is compose.down.
type Down struct {
	_       op.Doc        `doc:"Takes a project down: its containers are stopped and put aside, so that undo can bring them back, until compose.prune removes them; its networks go. Its volumes stay."`
	Project stack.Project `json:"project" doc:"The project, such as environment.target."`
	Timeout op.Duration   `json:"timeout" doc:"How long all of it may take."`
	Key     op.Key        `json:"key"`
}

// Summary implements op.Op.
func (w Down) Summary() string { return "take down the Compose project " + w.Project.Name }

// Target implements op.Targeted.
func (w Down) Target(*Docker) string { return w.Project.Target() }

// Inverse implements op.Reversible.
func (w Down) Inverse(ctx context.Context, d *Docker) (any, error) {
	r, _, err := d.inverse(ctx, w.Project, w.Key)
	return r, err
}

func (w Down) plan(ctx context.Context, d *Docker) (place, *reconcile.Plan, error) {
	at, seen, err := d.observe(ctx, w.Project)
	if err != nil {
		return at, nil, err
	}
	return at, reconcile.NewDown(seen, w.Key), nil
}

// Difference implements op.Differ.
func (w Down) Difference(ctx context.Context, d *Docker) ([]string, error) {
	_, p, err := w.plan(ctx, d)
	if err != nil {
		return nil, err
	}
	return p.Lines(), nil
}

// Do implements op.Op.
func (w Down) Do(ctx context.Context, d *Docker) (Halted, error) {
	at, p, err := w.plan(ctx, d)
	return halted(ctx, at, p, w.Timeout, w.Summary(), err)
}

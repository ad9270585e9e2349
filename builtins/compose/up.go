package compose

import (
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"time"

	"github.com/erlmcp/runner/builtins/compose/model"
	"github.com/erlmcp/runner/builtins/compose/reconcile"
	"github.com/erlmcp/runner/builtins/compose/shape"
	"github.com/erlmcp/runner/builtins/stack"
	"github.com/erlmcp/runner/runtime/op"
)

// Up is compose.up.
type Up struct {
	_             op.Doc            `doc:"Makes a project on its engine what its files ask for, and waits until every container is ready. What is as it should be stays; what is replaced is put aside, so that it can be brought back."`
	Project       stack.Project     `json:"project" doc:"The project, such as environment.target."`
	Images        map[string]string `json:"images,omitempty" doc:"Images by service, before those of the project and of its files."`
	RemoveOrphans bool              `json:"remove_orphans,omitempty" doc:"Whether containers of services that the files no longer have are put aside."`
	Timeout       op.Duration       `json:"timeout" doc:"How long all of it may take."`
	Key           op.Key            `json:"key"`
}

// UpContainer is one container of a project that is up.
type UpContainer struct {
	_     op.Doc `doc:"One container of a project."`
	Name  string `json:"name" doc:"Its name on the engine."`
	Image string `json:"image" doc:"The ID of its image."`
	State string `json:"state" doc:"Healthy, completed, or started without a health check."`
}

// Raised is the result of Up.
type Raised struct {
	_          op.Doc        `doc:"A project that is up."`
	Changed    int           `json:"changed" doc:"How many acts it took; 0 where all was as asked."`
	Containers []UpContainer `json:"containers" doc:"Its containers, by name."`
}

var (
	_ op.Op[*Docker, Raised]      = Up{}
	_ op.Reversible[*Docker]      = Up{}
	_ op.Targeted[*Docker]        = Up{}
	_ op.Differ[*Docker]          = Up{}
	_ op.Witness[*Docker]         = Up{}
	_ op.Op[*Docker, op.Restored] = Return{}
	_ op.Contents                 = Return{}
)

// DefaultUp is an Up with what a script may leave out.
func DefaultUp() Up { return Up{Timeout: op.Duration(5 * time.Minute)} }

// Summary implements op.Op.
func (u Up) Summary() string { return "bring up the Compose project " + u.Project.Name }

// Target implements op.Targeted.
func (u Up) Target(*Docker) string { return u.Project.Target() }

// project is the project with this op's images.
func (u Up) project() stack.Project {
	p := u.Project
	p.Images = maps.Clone(p.Images)
	if p.Images == nil {
		p.Images = map[string]string{}
	}
	maps.Copy(p.Images, u.Images)
	return p
}

// engine is the engine at an address.
func (d *Docker) engine(ctx context.Context, address string) (*reconcile.Engine, error) {
	e, err := d.Pool.Open(ctx, address)
	if err != nil {
		return nil, err
	}
	return &reconcile.Engine{Client: e.Client, API: e.API}, nil
}

// Inverse implements op.Reversible.
func (u Up) Inverse(ctx context.Context, d *Docker) (any, error) {
	e, err := d.engine(ctx, u.Project.Engine)
	if err != nil {
		return nil, err
	}
	seen, err := reconcile.Observe(ctx, e, u.Project.Name)
	if err != nil {
		return nil, err
	}
	return Return{Project: u.Project.Name, Engine: u.Project.Engine, Was: Snapshot{seen.Set}, Of: u.Key}, nil
}

// plan compares what the files ask for with what is there.
func (u Up) plan(ctx context.Context, d *Docker) (reconcile.Site, *reconcile.Plan, error) {
	m, err := model.Load(ctx, d.Host, u.project())
	if err != nil {
		return reconcile.Site{}, nil, err
	}
	want, err := m.Set(nil)
	if err != nil {
		return reconcile.Site{}, nil, err
	}
	e, err := d.engine(ctx, u.Project.Engine)
	if err != nil {
		return reconcile.Site{}, nil, err
	}
	seen, err := reconcile.Observe(ctx, e, u.Project.Name)
	if err != nil {
		return reconcile.Site{}, nil, err
	}
	if err := reconcile.Resolve(ctx, e, &want, seen); err != nil {
		return reconcile.Site{}, nil, err
	}
	p, err := reconcile.NewPlan(want, seen, reconcile.Options{Key: u.Key, RemoveOrphans: u.RemoveOrphans})
	return reconcile.Site{Engine: e, Clock: d.Host.Clock}, p, err
}

// Difference implements op.Differ.
func (u Up) Difference(ctx context.Context, d *Docker) ([]string, error) {
	_, p, err := u.plan(ctx, d)
	if err != nil {
		return nil, err
	}
	return p.Lines(), nil
}

// Do implements op.Op.
func (u Up) Do(ctx context.Context, d *Docker) (Raised, error) {
	site, p, err := u.plan(ctx, d)
	if err != nil {
		return Raised{}, fmt.Errorf("cannot bring up %s: %w", u.Project.Name, err)
	}
	stand, err := site.Act(ctx, p, u.Timeout.D())
	if err != nil {
		return Raised{}, fmt.Errorf("cannot bring up %s: %w", u.Project.Name, err)
	}
	out := Raised{Changed: len(p.Acts)}
	for _, c := range stand {
		out.Containers = append(out.Containers, UpContainer{Name: c.Name, Image: c.ImageID, State: c.Why})
	}
	return out, nil
}

// Evidence implements op.Witness.
func (u Up) Evidence(ctx context.Context, d *Docker) ([]op.Evidence, error) {
	e, err := d.engine(ctx, u.Project.Engine)
	if err != nil {
		return nil, err
	}
	return reconcile.Evidence(ctx, e, u.Project.Name)
}

// Snapshot is a Set as one JSON value on the wire.
type Snapshot struct{ Set shape.Set }

// MarshalJSON implements json.Marshaler.
func (s Snapshot) MarshalJSON() ([]byte, error) { return json.Marshal(s.Set) }

// UnmarshalJSON implements json.Unmarshaler.
func (s *Snapshot) UnmarshalJSON(data []byte) error { return json.Unmarshal(data, &s.Set) }

// Return is the inverse of Up.
type Return struct {
	_       op.Doc   `doc:"Brings a project back to what its engine had before."`
	Project string   `json:"project" doc:"The project's name."`
	Engine  string   `json:"engine,omitempty" doc:"The engine's address."`
	Was     Snapshot `json:"was" doc:"What was there."`
	Of      op.Key   `json:"of" doc:"The key of the op that is taken back."`
}

// HoldsContents implements op.Contents: containers have secrets in their environments.
func (Return) HoldsContents() {}

// Summary implements op.Op.
func (r Return) Summary() string {
	if len(r.Was.Set.Containers) == 0 {
		return fmt.Sprintf("take the Compose project %s back to nothing but its volumes", r.Project)
	}
	return fmt.Sprintf("bring the Compose project %s back to what it was", r.Project)
}

// Do implements op.Op.
func (r Return) Do(ctx context.Context, d *Docker) (op.Restored, error) {
	e, err := d.engine(ctx, r.Engine)
	if err != nil {
		return op.Restored{}, err
	}
	return reconcile.Site{Engine: e, Clock: d.Host.Clock}.Return(ctx, r.Was.Set, r.Of)
}

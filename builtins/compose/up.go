package compose

import (
	"context"
	"fmt"
	"maps"
	"strings"
	"time"

	"github.com/erlmcp/runner/builtins/compose/model"
	"github.com/erlmcp/runner/builtins/compose/reconcile"
	"github.com/erlmcp/runner/builtins/stack"
	"github.com/erlmcp/runner/runtime/op"
)

// Up is compose.up.
type Up struct {
	_             op.Doc            `doc:"Makes a project on its engine what its files ask for, and waits until every container is ready. What is as it should be stays; what is replaced is put aside, so that it can be brought back."`
	Project       stack.Project     `json:"project" doc:"The project, such as environment.target."`
	Images        map[string]string `json:"images,omitempty" doc:"Images by service, such as those that compose.build gives: an ID says which image the name in the files means, another name takes its place."`
	RemoveOrphans bool              `json:"remove_orphans,omitempty" doc:"Whether containers of services that the files no longer have are put aside."`
	Timeout       op.Duration       `json:"timeout" doc:"How long all of it may take."`
	Key           op.Key            `json:"key"`
}

var (
	_ op.Op[*Docker, Raised] = Up{}
	_ op.Reversible[*Docker] = Up{}
	_ op.Targeted[*Docker]   = Up{}
	_ op.Differ[*Docker]     = Up{}
	_ op.Witness[*Docker]    = Up{}
)

// defaultUp is an Up with what a script may leave out.
func defaultUp() Up { return Up{Timeout: op.Duration(5 * time.Minute)} }

// Summary implements op.Op.
func (u Up) Summary() string { return "bring up the Compose project " + u.Project.Name }

// Target implements op.Targeted.
func (u Up) Target(*Docker) string { return u.Project.Target() }

// Inverse implements op.Reversible.
func (u Up) Inverse(ctx context.Context, d *Docker) (any, error) {
	return u.aim().inverse(ctx, d)
}

func (u Up) aim() aim {
	return aim{project: u.Project, key: u.Key, removeOrphans: u.RemoveOrphans, timeout: u.Timeout,
		names: func(ctx context.Context, d *Docker, e *reconcile.Engine) (map[string]string, error) {
			_, ids, err := read(ctx, d, e, u.Project, u.Images)
			return ids, err
		},
		want: func(ctx context.Context, d *Docker, e *reconcile.Engine, seen *reconcile.Seen) (wish, error) {
			return wanted(ctx, d, e, u.Project, u.Images, seen)
		}}
}

// Difference implements op.Differ.
func (u Up) Difference(ctx context.Context, d *Docker) ([]string, error) {
	return u.aim().lines(ctx, d)
}

// Do implements op.Op.
func (u Up) Do(ctx context.Context, d *Docker) (Raised, error) {
	out, err := u.aim().raise(ctx, d)
	if err != nil {
		return Raised{}, fmt.Errorf("cannot bring up %s: %w", u.Project.Name, err)
	}
	return out, nil
}

// Evidence implements op.Witness.
func (u Up) Evidence(ctx context.Context, d *Docker) ([]op.Evidence, error) {
	return d.evidence(ctx, u.Project)
}

// read reads a project's files for an engine; images that are named take the places of those in the files, and those
// that are IDs say what the names in the files mean.
func read(ctx context.Context, d *Docker, e *reconcile.Engine, p stack.Project, images map[string]string) (*model.Model, map[string]string, error) {
	p.Images = maps.Clone(p.Images)
	if p.Images == nil {
		p.Images = map[string]string{}
	}
	pins := map[string]string{}
	for service, image := range images {
		if strings.HasPrefix(image, "sha256:") {
			pins[service] = image
		} else {
			p.Images[service] = image
		}
	}
	m, err := model.Load(ctx, d.Host, p)
	if err != nil {
		return nil, nil, err
	}
	m.API = e.API
	ids := map[string]string{}
	for service, id := range pins {
		if _, on := m.Project.Services[service]; on {
			ids[m.Image(service)] = id
		}
	}
	return m, ids, nil
}

// wanted is what a project's files ask for, with the IDs of its images, which its labels name.
func wanted(ctx context.Context, d *Docker, e *reconcile.Engine, p stack.Project, images map[string]string, seen *reconcile.Seen) (wish, error) {
	m, ids, err := read(ctx, d, e, p, images)
	if err != nil {
		return wish{}, err
	}
	out := wish{names: maps.Clone(ids)}
	if out.set, err = m.Set(ids); err != nil {
		return wish{}, err
	}
	if err := reconcile.Resolve(ctx, e, &out.set, seen); err != nil {
		return out, err
	}
	for _, c := range out.set.Containers {
		ids[c.Image] = c.ImageID
	}
	out.set, err = m.Set(ids)
	return out, err
}

package compose

import (
	"context"
	"fmt"
	"time"

	"github.com/containerd/errdefs"
	"github.com/erlmcp/runner/builtins/compose/reconcile"
	"github.com/erlmcp/runner/builtins/compose/shape"
	"github.com/erlmcp/runner/builtins/good"
	"github.com/erlmcp/runner/builtins/stack"
	"github.com/erlmcp/runner/runtime/op"
)

// Good is compose.good.
type Good struct {
	_       op.Doc        `doc:"Lists the deployments of a project that were accepted as good, the latest first."`
	Project stack.Project `json:"project" doc:"The project, such as environment.target."`
}

// Summary implements op.Op.
func (g Good) Summary() string { return "list the good deployments of " + g.Project.Name }

// Do implements op.Op.
func (g Good) Do(ctx context.Context, d *Docker) ([]Deployment, error) {
	_, goods, err := d.goods(ctx, g.Project)
	out := []Deployment{}
	for _, one := range goods {
		out = append(out, deploymentOf(one))
	}
	return out, err
}

// goods are a project's good deployments.
func (d *Docker) goods(ctx context.Context, p stack.Project) (place, []deployment, error) {
	at, err := d.at(ctx, p)
	if err != nil {
		return at, nil, err
	}
	goods, err := good.List[deployed](ctx, at.reg)
	if err == nil {
		err = at.tell(ctx, goods)
	}
	return at, goods, err
}

// Find is compose.find.
type Find struct {
	_       op.Doc        `doc:"Finds a good deployment of a project to go back to, and sees that the engine still has its images."`
	Project stack.Project `json:"project" doc:"The project, such as environment.target."`
	Name    string        `json:"name,omitempty" doc:"Its number, the run that brought it up, or its version; the latest that is not what serves now when left out."`
}

// Summary implements op.Op.
func (f Find) Summary() string {
	if f.Name == "" {
		return "find the last good deployment of " + f.Project.Name + " before this one"
	}
	return "find the good deployment " + f.Name + " of " + f.Project.Name
}

// Do implements op.Op.
func (f Find) Do(ctx context.Context, d *Docker) (Deployment, error) {
	at, goods, err := d.goods(ctx, f.Project)
	if err != nil {
		return Deployment{}, err
	}
	found, err := good.Choose(goods, f.Name, "compose.accept")
	if err == nil {
		err = at.hasImages(ctx, found)
	}
	if err != nil {
		return Deployment{}, fmt.Errorf("cannot go back in %s: %w", f.Project.Name, err)
	}
	return deploymentOf(found), nil
}

// hasImages refuses a deployment whose images somebody has removed.
func (at place) hasImages(ctx context.Context, g deployment) error {
	for _, c := range g.Body.Set.Containers {
		_, err := at.Engine.ImageInspect(ctx, c.ImageID)
		if errdefs.IsNotFound(err) {
			return fmt.Errorf("the image %s of %s in deployment %s is no longer on the engine", c.Image, c.Service, g.Run)
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// Back is compose.back.
type Back struct {
	_       op.Doc        `doc:"Brings a project back to what it was in a good deployment: its configuration, its images and its secrets of then, by the path of compose.up. Volumes keep their data, and files that containers read from the machine are as they are now."`
	Project stack.Project `json:"project" doc:"The project, such as environment.target."`
	To      string        `json:"to" doc:"Its number, or the run that brought it up, such as compose.find gives it."`
	Timeout op.Duration   `json:"timeout" doc:"How long all of it may take."`
	Key     op.Key        `json:"key"`
}

var (
	_ op.Op[*Docker, Raised] = Back{}
	_ op.Reversible[*Docker] = Back{}
	_ op.Targeted[*Docker]   = Back{}
	_ op.Differ[*Docker]     = Back{}
	_ op.Witness[*Docker]    = Back{}
)

// defaultBack is a Back with what a script may leave out.
func defaultBack() Back { return Back{Timeout: op.Duration(5 * time.Minute)} }

// Summary implements op.Op.
func (b Back) Summary() string {
	return fmt.Sprintf("bring the Compose project %s back to deployment %s", b.Project.Name, b.To)
}

// Target implements op.Targeted.
func (b Back) Target(*Docker) string { return b.Project.Target() }

// Inverse implements op.Reversible.
func (b Back) Inverse(ctx context.Context, d *Docker) (any, error) {
	return b.aim().inverse(ctx, d)
}

// aim: services that the deployment did not have are orphans, and were not there.
func (b Back) aim() aim {
	return aim{project: b.Project, key: b.Key, removeOrphans: true, timeout: b.Timeout,
		names: func(ctx context.Context, d *Docker, e *reconcile.Engine) (map[string]string, error) {
			found, err := b.find(ctx, d)
			return namesOf(found.Body.Set), err
		},
		want: func(ctx context.Context, d *Docker, e *reconcile.Engine, seen *reconcile.Seen) (wish, error) {
			found, err := b.find(ctx, d)
			out := wish{found.Body.Set, namesOf(found.Body.Set)}
			if err == nil {
				err = reconcile.Resolve(ctx, e, &out.set, seen)
			}
			return out, err
		}}
}

func namesOf(set shape.Set) map[string]string {
	names := map[string]string{}
	for _, c := range set.Containers {
		names[c.Image] = c.ImageID
	}
	return names
}

func (b Back) find(ctx context.Context, d *Docker) (deployment, error) {
	_, goods, err := d.goods(ctx, b.Project)
	if err != nil {
		return deployment{}, err
	}
	return good.Choose(goods, b.To, "compose.accept")
}

// Difference implements op.Differ.
func (b Back) Difference(ctx context.Context, d *Docker) ([]string, error) {
	return b.aim().lines(ctx, d)
}

// Do implements op.Op.
func (b Back) Do(ctx context.Context, d *Docker) (Raised, error) {
	out, err := b.aim().raise(ctx, d)
	if err != nil {
		return Raised{}, fmt.Errorf("cannot bring %s back: %w", b.Project.Name, err)
	}
	return out, nil
}

// Evidence implements op.Witness.
func (b Back) Evidence(ctx context.Context, d *Docker) ([]op.Evidence, error) {
	return d.evidence(ctx, b.Project)
}

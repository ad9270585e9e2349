package compose

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"github.com/containerd/errdefs"
	"github.com/erlmcp/runner/builtins/compose/reconcile"
	"github.com/erlmcp/runner/builtins/compose/shape"
	"github.com/erlmcp/runner/builtins/good"
	"github.com/erlmcp/runner/builtins/stack"
	"github.com/erlmcp/runner/runtime/op"
	"github.com/moby/moby/client"
)

// Accept is compose.accept.
type Accept struct {
	_       op.Doc        `doc:"Marks what this run has brought a project to as good: it can be gone back to, by any machine, and its images are kept by names of runner's own. To be called before commit."`
	Project stack.Project `json:"project" doc:"The project, such as environment.target."`
	Version string        `json:"version,omitempty" doc:"The application's version, by which it can be gone back to."`
	Key     op.Key        `json:"key"`
}

var (
	_ op.Op[*Docker, Deployment]  = Accept{}
	_ op.Reversible[*Docker]      = Accept{}
	_ op.Targeted[*Docker]        = Accept{}
	_ op.Op[*Docker, op.Restored] = Forget{}
)

// Summary implements op.Op.
func (a Accept) Summary() string { return "mark what serves in " + a.Project.Name + " as good" }

// Target implements op.Targeted.
func (a Accept) Target(*Docker) string { return a.Project.Target() }

// Inverse implements op.Reversible.
func (a Accept) Inverse(context.Context, *Docker) (any, error) {
	return Forget{Project: a.Project.Name, Engine: a.Project.Engine, Run: good.RunOf(a.Key)}, nil
}

// Do implements op.Op. A run that accepts again takes the place of what it has accepted before.
func (a Accept) Do(ctx context.Context, d *Docker) (Deployment, error) {
	at, err := d.at(ctx, a.Project)
	if err != nil {
		return Deployment{}, err
	}
	out, err := a.accept(ctx, d, at)
	if err != nil {
		return Deployment{}, fmt.Errorf("cannot %s: %w", a.Summary(), err)
	}
	return out, nil
}

func (a Accept) accept(ctx context.Context, d *Docker, at place) (Deployment, error) {
	run := good.RunOf(a.Key)
	set, err := good.Wanted[shape.Set](ctx, at.reg, run)
	if err != nil {
		return Deployment{}, err
	}
	if set == nil {
		return Deployment{}, op.Hint(errors.New("this run has brought nothing up"), "compose.up or compose.back comes before it")
	}
	seen, err := reconcile.Observe(ctx, at.Engine, a.Project.Name)
	if err != nil {
		return Deployment{}, err
	}
	if name := differs(*set, seen); name != "" { // taken back by an attempt, or changed by somebody
		return Deployment{}, op.Hint(fmt.Errorf("%s is not what this run has brought up last", name), "compose.up brings it up again; compose.ps shows what is there")
	}
	for service, image := range imagesOf(*set) {
		if _, err := at.Engine.ImageTag(ctx, client.ImageTagOptions{Source: image, Target: keptTag(a.Project.Name, service, run)}); err != nil {
			return Deployment{}, fmt.Errorf("cannot keep the image of %s: %w", service, err)
		}
	}
	if err := op.Half(ctx, "images kept"); err != nil {
		return Deployment{}, err
	}
	done, err := good.Accept(ctx, at.reg, run, good.Head{Version: a.Version, At: d.Host.Clock.Now().UTC()}, deployed{*set})
	return deploymentOf(done), err
}

// release gives up the names under which images of a run's deployment are kept; an image without another goes.
func (at place) release(ctx context.Context, run string, images map[string]string) error {
	for service := range images {
		_, err := at.Engine.ImageRemove(ctx, keptTag(at.reg.Project, service, run), client.ImageRemoveOptions{PruneChildren: true})
		if err != nil && !errdefs.IsNotFound(err) && !errdefs.IsConflict(err) { // a conflict: a container has it
			return fmt.Errorf("cannot give up the image of %s: %w", service, err)
		}
	}
	return nil
}

// Forget is the inverse of Accept.
type Forget struct {
	_       op.Doc `doc:"Takes a mark of a good deployment away again."`
	Project string `json:"project" doc:"The project's name."`
	Engine  string `json:"engine,omitempty" doc:"The engine's address."`
	Run     string `json:"run" doc:"The run whose deployment it is."`
}

// Summary implements op.Op.
func (f Forget) Summary() string { return "no longer mark what run " + f.Run + " deployed as good" }

// Do implements op.Op.
func (f Forget) Do(ctx context.Context, d *Docker) (op.Restored, error) {
	at, err := d.place(ctx, f.Project, f.Engine)
	if err != nil {
		return op.Restored{}, err
	}
	goods, err := good.List[deployed](ctx, at.reg)
	if err != nil {
		return op.Restored{}, err
	}
	set, err := good.Wanted[shape.Set](ctx, at.reg, f.Run)
	if err != nil {
		return op.Restored{}, err
	}
	already := !slices.ContainsFunc(goods, func(g deployment) bool { return g.Run == f.Run })
	if err := good.Forget(ctx, at.reg, f.Run); err != nil || set == nil {
		return op.Restored{Already: already}, err
	}
	return op.Restored{Already: already}, at.release(ctx, f.Run, imagesOf(*set))
}

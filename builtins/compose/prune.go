package compose

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/erlmcp/runner/builtins/compose/reconcile"
	"github.com/erlmcp/runner/builtins/docker/buildkit"
	"github.com/erlmcp/runner/builtins/good"
	"github.com/erlmcp/runner/builtins/stack"
	"github.com/erlmcp/runner/runtime/op"
	"github.com/moby/moby/client"
)

// Prune is compose.prune.
type Prune struct {
	_       op.Doc        `doc:"Removes what a project no longer needs: containers that were replaced, good deployments but the last ones, and images that were built for what nobody can go back to. Never what serves, and no volume. To be called behind commit."`
	Project stack.Project `json:"project" doc:"The project, such as environment.target."`
	Keep    int           `json:"keep" doc:"How many good deployments stay, with their images; the live one and the last before it always do."`
	Key     op.Key        `json:"key"`
}

// Pruned is what was removed.
type Pruned struct {
	_           op.Doc   `doc:"What was removed."`
	Containers  []string `json:"containers" doc:"The containers that had been replaced."`
	Deployments []string `json:"deployments" doc:"The good deployments that were forgotten."`
	Bytes       op.Size  `json:"bytes" doc:"How much room the removed images have freed."`
}

// Summary implements op.Op.
func (p Prune) Summary() string { return "remove what " + p.Project.Name + " no longer needs" }

// Target implements op.Targeted.
func (p Prune) Target(*Docker) string { return p.Project.Target() }

// Check implements op.Checked.
func (p Prune) Check() error {
	if p.Keep < 1 {
		return fmt.Errorf("keep: want 1 or more, got %d", p.Keep)
	}
	return nil
}

// Do implements op.Op. It goes on past what cannot be removed.
func (p Prune) Do(ctx context.Context, d *Docker) (Pruned, error) {
	out := Pruned{Containers: []string{}, Deployments: []string{}}
	at, seen, err := d.observe(ctx, p.Project)
	if err != nil {
		return out, err
	}
	goods, err := good.List[deployed](ctx, at.reg)
	if err != nil {
		return out, err
	}
	for i := range goods {
		goods[i].Live = same(goods[i].Body.Set, seen)
	}
	// Where what serves was accepted, or nothing is to serve, nothing that lies aside is needed; else it may be.
	settled := len(seen.Containers) == 0 || slices.ContainsFunc(goods, func(g deployment) bool { return g.Live })
	removed, bad := reconcile.Sweep(ctx, at.Engine, seen, func(a reconcile.Aside) bool { return settled || seen.Replaced(a) })
	out.Containers = append(out.Containers, removed...)
	bad = errors.Join(bad, good.Unwant(ctx, at.reg, p.Key))
	out.Bytes, err = p.forget(ctx, at, good.Surplus(goods, p.Keep), &out)
	bad = errors.Join(bad, err)
	// What no name is left of was built again since. A day is longer than anybody is between a build and its use.
	pruned, err := at.Engine.ImagePrune(ctx, client.ImagePruneOptions{Filters: client.Filters{}.Add("dangling", "true").Add("label", buildkit.LabelInput).Add("until", "24h")})
	out.Bytes += op.Size(pruned.Report.SpaceReclaimed)
	if bad = errors.Join(bad, err); bad != nil {
		return out, fmt.Errorf("cannot %s: %w", p.Summary(), bad)
	}
	if n := len(out.Containers) + len(out.Deployments); n > 0 {
		say(ctx, "removed %s; %s freed", strings.TrimPrefix(counted(len(out.Containers), "container")+counted(len(out.Deployments), "deployment"), ", "), out.Bytes)
	}
	return out, nil
}

func counted(n int, what string) string {
	switch n {
	case 0:
		return ""
	case 1:
		return ", 1 " + what
	}
	return fmt.Sprintf(", %d %ss", n, what)
}

// forget removes deployments and gives their images up. What that frees is what the engine's images take less afterwards:
// layers that several have count once.
func (p Prune) forget(ctx context.Context, at place, all []deployment, out *Pruned) (freed op.Size, bad error) {
	if len(all) == 0 {
		return 0, nil
	}
	before, unknown := at.Engine.DiskUsage(ctx, client.DiskUsageOptions{Images: true})
	for _, g := range all {
		if err := errors.Join(g.Delete(ctx, at.reg), at.release(ctx, g.Run, imagesOf(g.Body.Set))); err != nil {
			bad = errors.Join(bad, err)
			continue
		}
		out.Deployments = append(out.Deployments, g.Run)
	}
	after, err := at.Engine.DiskUsage(ctx, client.DiskUsageOptions{Images: true})
	if unknown != nil || err != nil { // an engine counts for one at a time; what was freed is for people to know
		return 0, bad
	}
	return op.Size(max(0, before.Images.TotalSize-after.Images.TotalSize)), bad
}

package compose

import (
	"context"
	"slices"
	"time"

	"github.com/erlmcp/runner/builtins/compose/reconcile"
	"github.com/erlmcp/runner/builtins/compose/shape"
	"github.com/erlmcp/runner/builtins/good"
	"github.com/erlmcp/runner/runtime/host"
	"github.com/erlmcp/runner/runtime/op"
)

// Deployment is what was accepted once.
type Deployment struct {
	_       op.Doc            `doc:"A deployment of a Compose project that was accepted as good."`
	Number  int               `json:"number" doc:"Its number, the highest the latest."`
	Name    string            `json:"name" doc:"The run that brought it up."`
	Version string            `json:"version" doc:"The application's version, where the script has said it."`
	At      time.Time         `json:"at" doc:"When it was accepted."`
	Images  map[string]string `json:"images" doc:"The IDs of its images, by service."`
	Live    bool              `json:"live" doc:"Whether it is what the project has now."`
}

// deployed is what a good deployment consists of.
type deployed struct {
	Set shape.Set `json:"set"`
}

type deployment = good.Deployment[deployed]

func deploymentOf(g deployment) Deployment {
	return Deployment{Number: g.Number, Name: g.Run, Version: g.Version, At: g.At, Images: imagesOf(g.Body.Set), Live: g.Live}
}

func imagesOf(s shape.Set) map[string]string {
	out := map[string]string{}
	for _, c := range s.Containers {
		out[c.Service] = c.ImageID
	}
	return out
}

// tell marks those that are what the project has now.
func (at place) tell(ctx context.Context, goods []deployment) error {
	if len(goods) == 0 {
		return nil
	}
	seen, err := reconcile.Observe(ctx, at.Engine, at.reg.Project)
	if err != nil {
		return err
	}
	for i := range goods {
		goods[i].Live = same(goods[i].Body.Set, seen)
	}
	return nil
}

// same reports whether a project has the containers of a Set, and no others.
func same(set shape.Set, seen *reconcile.Seen) bool {
	return len(set.Containers) == len(seen.Containers) && differs(set, seen) == ""
}

// differs names a container of a Set that a project has otherwise; "" for none.
func differs(set shape.Set, seen *reconcile.Seen) string {
	for _, w := range set.Containers {
		i := slices.IndexFunc(seen.Containers, func(h shape.Container) bool { return h.Name == w.Name })
		if i < 0 || seen.Containers[i].ImageID != w.ImageID || seen.Containers[i].Hash != w.Hash && !shares(set, w) {
			return w.Name
		}
	}
	return ""
}

// shares reports whether a container's hash counts in the ID of another, which is not the same twice.
func shares(set shape.Set, c shape.Container) bool {
	return slices.ContainsFunc(set.Services, func(s shape.Service) bool { return s.Name == c.Service && len(s.Shares()) > 0 })
}

// keptName is the repository of the names under which images of good deployments are kept.
const keptName = "runner-kept"

// keptTag is the name under which the image of a service of a good deployment is kept: whoever removes unused images
// leaves those that have one.
func keptTag(project, service, run string) string {
	tag := project + "." + service + "." + run
	if len(tag) > 128 {
		tag = tag[:80] + "-" + host.SHA256([]byte(tag))[:16] + "." + run
	}
	return keptName + ":" + tag
}

package compose

import (
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"regexp"
	"slices"
	"strings"
	"time"

	"github.com/erlmcp/runner/builtins/compose/reconcile"
	"github.com/erlmcp/runner/builtins/compose/shape"
	"github.com/erlmcp/runner/builtins/record"
	"github.com/erlmcp/runner/runtime/host"
	"github.com/erlmcp/runner/runtime/op"
)

// What a project was brought to is a record "want.RUN.NUMBER" from before it happens; what was accepted is one
// "good.NUMBER.RUN", the highest number the latest. Both hold the whole Set, so that going back needs neither the
// project's files nor the machine that had them.
const (
	wantKind = "want."
	goodKind = "good."
)

// Deployment is what was accepted once.
type Deployment struct {
	_       op.Doc            `doc:"A deployment of a Compose project that was accepted as good."`
	Name    string            `json:"name" doc:"The run that brought it up."`
	Version string            `json:"version" doc:"The application's version, where the script has said it."`
	At      time.Time         `json:"at" doc:"When it was accepted."`
	Images  map[string]string `json:"images" doc:"The IDs of its images, by service."`
	Live    bool              `json:"live" doc:"Whether it is what the project has now."`
}

// good is a deployment with the Set that it was.
type good struct {
	Deployment
	number int64
	set    shape.Set
	record record.Record
}

// goodBody is what a record of a good deployment holds.
type goodBody struct {
	Version string    `json:"version,omitempty"`
	At      time.Time `json:"at"`
	Set     shape.Set `json:"set"`
}

func runOf(key op.Key) string {
	run, _, _ := strings.Cut(string(key), "/")
	return run
}

// keepWanted keeps what an op is about to bring a project to.
func (at place) keepWanted(ctx context.Context, key op.Key, set shape.Set) error {
	data, err := json.Marshal(set)
	if err != nil {
		return err
	}
	for of := wantKind + runOf(key); ; {
		before, err := at.reg.ListOf(ctx, of)
		if err != nil {
			return err
		}
		won, err := at.reg.Put(ctx, record.Record{Name: fmt.Sprintf("%s.%06d", of, len(before)+1), Of: of, Data: data})
		if err != nil || won {
			return err
		}
	}
}

// wanted is what a run has brought the project to last; nothing where it has not.
func (at place) wanted(ctx context.Context, run string) (*shape.Set, error) {
	found, err := at.reg.ListOf(ctx, wantKind+run)
	if err != nil || len(found) == 0 {
		return nil, err
	}
	last := found[len(found)-1]
	var set shape.Set
	if err := json.Unmarshal(last.Data, &set); err != nil {
		return nil, fmt.Errorf("cannot read the record %s: %w", last.Name, err)
	}
	return &set, nil
}

var goodName = regexp.MustCompile(`^good\.(\d{9})\.(.+)$`)

// goods are the deployments that were accepted, the latest first.
func (at place) goods(ctx context.Context) ([]good, error) {
	found, err := at.reg.List(ctx, goodKind)
	if err != nil {
		return nil, err
	}
	var out []good
	for _, rec := range found {
		m := goodName.FindStringSubmatch(rec.Name)
		var body goodBody
		if m == nil || json.Unmarshal(rec.Data, &body) != nil {
			return nil, op.Hint(fmt.Errorf("cannot read the record %s of %s: it holds something else", rec.Name, at.reg.Project), "docker volume rm %s_runner.%s", at.reg.Project, rec.Name)
		}
		g := good{Deployment: Deployment{Name: m[2], Version: body.Version, At: body.At, Images: imagesOf(body.Set)}, set: body.Set, record: rec}
		fmt.Sscan(m[1], &g.number)
		out = append(out, g)
	}
	slices.SortFunc(out, func(a, b good) int { return cmp.Compare(b.number, a.number) })
	return out, nil
}

func imagesOf(s shape.Set) map[string]string {
	out := map[string]string{}
	for _, c := range s.Containers {
		out[c.Service] = c.ImageID
	}
	return out
}

// tell marks those that are what the project has now.
func (at place) tell(ctx context.Context, goods []good) error {
	if len(goods) == 0 {
		return nil
	}
	seen, err := reconcile.Observe(ctx, at.Engine, at.reg.Project)
	if err != nil {
		return err
	}
	for i := range goods {
		goods[i].Live = same(goods[i].set, seen)
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

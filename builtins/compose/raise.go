package compose

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/containerd/errdefs"
	"github.com/erlmcp/runner/builtins/compose/reconcile"
	"github.com/erlmcp/runner/builtins/compose/register"
	"github.com/erlmcp/runner/builtins/compose/shape"
	"github.com/erlmcp/runner/builtins/good"
	"github.com/erlmcp/runner/builtins/patient"
	"github.com/erlmcp/runner/builtins/stack"
	"github.com/erlmcp/runner/runtime/host"
	"github.com/erlmcp/runner/runtime/op"
	"github.com/moby/moby/client"
)

// UpContainer is one container of a project that is up.
type UpContainer struct {
	_     op.Doc `doc:"One container of a project."`
	Name  string `json:"name" doc:"Its name on the engine."`
	Image string `json:"image" doc:"The ID of its image."`
	State string `json:"state" doc:"Healthy, completed, or started without a health check."`
}

// Raised is the result of Up and of Back.
type Raised struct {
	_          op.Doc        `doc:"A project that is up."`
	Changed    int           `json:"changed" doc:"How many acts it took; 0 where all was as asked."`
	Containers []UpContainer `json:"containers" doc:"Its containers, by name."`
}

// place is the engine of a project, in the shapes in which the parts want it.
type place struct {
	reconcile.Site
	reg *register.Register
}

func (d *Docker) place(ctx context.Context, project, address string) (place, error) {
	e, err := d.Pool.Open(ctx, address)
	if err != nil {
		return place{}, err
	}
	return place{
		Site: reconcile.Site{Engine: &reconcile.Engine{Client: e.Client, API: e.API}, Clock: d.Host.Clock},
		reg:  &register.Register{Engine: e.Client, Project: project, Clock: host.SystemClock{}}, // the limits of its requests are no waits
	}, nil
}

func (d *Docker) at(ctx context.Context, p stack.Project) (place, error) {
	return d.place(ctx, p.Name, p.Engine)
}

// aim is what a project is to be brought to.
type aim struct {
	project       stack.Project
	key           op.Key
	removeOrphans bool
	timeout       op.Duration
	names         func(ctx context.Context, d *Docker, e *reconcile.Engine) (map[string]string, error) // of images: what each is to mean
	want          func(ctx context.Context, d *Docker, e *reconcile.Engine, seen *reconcile.Seen) (wish, error)
}

// wish is what a project is to be, and what each of the named images is to mean.
type wish struct {
	set   shape.Set
	names map[string]string
}

// plan compares what is wanted with what is there. An error that passes lets through does not end it.
func (a aim) plan(ctx context.Context, d *Docker, passes func(error) bool) (place, wish, *reconcile.Plan, error) {
	at, err := d.at(ctx, a.project)
	if err != nil {
		return at, wish{}, nil, err
	}
	seen, err := reconcile.Observe(ctx, at.Engine, a.project.Name)
	if err != nil {
		return at, wish{}, nil, err
	}
	want, err := a.want(ctx, d, at.Engine, seen)
	if err != nil && !passes(err) {
		return at, wish{}, nil, err
	}
	p, err := reconcile.NewPlan(want.set, seen, reconcile.Options{Key: a.key, RemoveOrphans: a.removeOrphans})
	return at, want, p, err
}

func never(error) bool { return false }

// lines are what a plan shows. Images that are not there yet are built or fetched before.
func (a aim) lines(ctx context.Context, d *Docker) ([]string, error) {
	var later []string
	_, _, p, err := a.plan(ctx, d, func(err error) bool {
		later = missing(err)
		return len(later) > 0
	})
	if err != nil {
		return nil, err
	}
	return append(p.Lines(), later...), nil
}

// missing are notes on images that the engine does not have; none where an error says anything else.
func missing(err error) (notes []string) {
	for _, e := range each(err) {
		var none *reconcile.NoImage
		if !errors.As(e, &none) {
			return nil
		}
		notes = append(notes, fmt.Sprintf("note: the engine has no image %s for %s yet", none.Image, none.Service))
	}
	return notes
}

// each are the errors that one is joined of.
func each(err error) []error {
	several, ok := err.(interface{ Unwrap() []error })
	if !ok {
		return []error{err}
	}
	var out []error
	for _, e := range several.Unwrap() {
		out = append(out, each(e)...)
	}
	return out
}

// answers is how long an engine may take to tell what it has.
const answers = time.Minute

// raise acts on the plan. What is wanted is kept first, so that Accept can say that it was good, on whatever machine.
func (a aim) raise(ctx context.Context, d *Docker) (Raised, error) {
	quiet := patient.Announce(ctx, d.Host, "the engine to tell what is there", answers)
	at, want, p, err := a.plan(ctx, d, never)
	if err == nil {
		err = good.Want(ctx, at.reg, a.key, want.set)
	}
	quiet()
	if err != nil {
		return Raised{}, err
	}
	for _, n := range p.Notes {
		out := op.Output(ctx)
		fmt.Fprintf(out, "note: %s\n", n)
		out.Close()
	}
	if err := op.Half(ctx, "what is wanted is kept"); err != nil {
		return Raised{}, err
	}
	if err := at.name(ctx, want.names); err != nil {
		return Raised{}, err
	}
	stand, err := at.Act(ctx, p, a.timeout.D())
	if err != nil {
		return Raised{}, err
	}
	out := Raised{Changed: len(p.Acts)}
	for _, c := range stand {
		out.Containers = append(out.Containers, UpContainer{Name: c.Name, Image: c.ImageID, State: c.Why})
	}
	return out, nil
}

// evidence says what is wrong with a project's containers.
func (d *Docker) evidence(ctx context.Context, p stack.Project) ([]op.Evidence, error) {
	at, err := d.at(ctx, p)
	if err != nil {
		return nil, err
	}
	return reconcile.Evidence(ctx, at.Engine, p.Name)
}

// inverse brings back what a project has now, and what the names of its images mean.
func (a aim) inverse(ctx context.Context, d *Docker) (any, error) {
	r, at, err := d.inverse(ctx, a.project, a.key)
	if err != nil {
		return nil, err
	}
	names, err := a.names(ctx, d, at.Engine)
	if err != nil {
		return nil, err
	}
	for name, id := range names {
		was, err := at.meaning(ctx, name)
		if err != nil {
			return nil, err
		}
		if was != id {
			r.Names = append(r.Names, Renamed{Name: name, Was: was, Is: id})
		}
	}
	slices.SortFunc(r.Names, func(a, b Renamed) int { return strings.Compare(a.Name, b.Name) })
	return r, nil
}

// inverse brings back what a project has now.
func (d *Docker) inverse(ctx context.Context, p stack.Project, key op.Key) (Return, place, error) {
	at, seen, err := d.observe(ctx, p)
	if err != nil {
		return Return{}, at, err
	}
	return Return{Project: p.Name, Engine: p.Engine, Was: Snapshot{seen.Set}, Of: key}, at, nil
}

// name gives images their names: whoever brings the project up by its files alone must get these.
func (at place) name(ctx context.Context, names map[string]string) error {
	for _, name := range slices.Sorted(maps.Keys(names)) {
		if now, err := at.meaning(ctx, name); err != nil || now == names[name] {
			if err != nil {
				return err
			}
			continue
		}
		if err := at.tag(ctx, names[name], name); err != nil {
			return err
		}
		if err := op.Half(ctx, name+" named"); err != nil {
			return err
		}
	}
	return nil
}

// meaning is the ID of the image that a name means, "" for none.
func (at place) meaning(ctx context.Context, name string) (string, error) {
	got, err := at.Engine.ImageInspect(ctx, name)
	if errdefs.IsNotFound(err) {
		return "", nil
	}
	if err != nil {
		return "", fmt.Errorf("cannot look at the image %s: %w", name, err)
	}
	return got.ID, nil
}

func (at place) tag(ctx context.Context, id, name string) error {
	if _, err := at.Engine.ImageTag(ctx, client.ImageTagOptions{Source: id, Target: name}); err != nil {
		return fmt.Errorf("cannot name the image %s %s: %w", shortID(id), name, err)
	}
	return nil
}

// Renamed is a name of an image that means another one than before.
type Renamed struct {
	Name string `json:"name"`
	Was  string `json:"was,omitempty"` // the ID of the image, "" for none
	Is   string `json:"is"`
}

// back has a name mean what it did. One that somebody has given to another image since is theirs.
func (n Renamed) back(ctx context.Context, at place) (done bool, err error) {
	now, err := at.meaning(ctx, n.Name)
	switch {
	case err != nil:
		return false, err
	case now == n.Was:
		return false, nil
	case now != n.Is:
		return false, &op.Conflict{What: "the image name " + n.Name, Wanted: cmp.Or(shortID(n.Was), "absent"), Found: cmp.Or(shortID(now), "absent")}
	case n.Was == "":
		_, err = at.Engine.ImageRemove(ctx, n.Name, client.ImageRemoveOptions{Force: true})
		return true, err
	}
	return true, at.tag(ctx, n.Was, n.Name)
}

// Snapshot is a Set as one JSON value on the wire.
type Snapshot struct{ Set shape.Set }

// MarshalJSON implements json.Marshaler.
func (s Snapshot) MarshalJSON() ([]byte, error) { return json.Marshal(s.Set) }

// UnmarshalJSON implements json.Unmarshaler.
func (s *Snapshot) UnmarshalJSON(data []byte) error { return json.Unmarshal(data, &s.Set) }

// Return is the inverse of what changes a project's containers.
type Return struct {
	_       op.Doc    `doc:"Brings a project back to what its engine had before."`
	Project string    `json:"project" doc:"The project's name."`
	Engine  string    `json:"engine,omitempty" doc:"The engine's address."`
	Was     Snapshot  `json:"was" doc:"What was there."`
	Names   []Renamed `json:"names,omitempty" doc:"Names of images that mean others than before."`
	Of      op.Key    `json:"of" doc:"The key of the op that is taken back."`
}

var (
	_ op.Op[*Docker, op.Restored] = Return{}
	_ op.Contents                 = Return{}
)

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
	at, err := d.place(ctx, r.Project, r.Engine)
	if err != nil {
		return op.Restored{}, err
	}
	out, bad := at.Return(ctx, r.Was.Set, r.Of)
	for _, n := range r.Names {
		done, err := n.back(ctx, at)
		out.Already = out.Already && !done
		bad = errors.Join(bad, err)
	}
	return out, bad
}

package compose

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/containerd/errdefs"
	"github.com/erlmcp/runner/builtins/command"
	"github.com/erlmcp/runner/builtins/compose/model"
	"github.com/erlmcp/runner/builtins/docker/buildkit"
	"github.com/erlmcp/runner/builtins/docker/registry"
	"github.com/erlmcp/runner/builtins/stack"
	"github.com/erlmcp/runner/runtime/host"
	"github.com/erlmcp/runner/runtime/op"
)

// Build is compose.build.
type Build struct {
	_        op.Doc            `doc:"Builds the images of the services that say how, by the engine's BuildKit; those whose input is unchanged are found again."`
	Project  stack.Project     `json:"project" doc:"The project, such as environment.target."`
	Services []string          `json:"services,omitempty" doc:"Only the images of these services."`
	Args     map[string]string `json:"args,omitempty" doc:"Values for ARG, before those of the files. They stand in the images' history, so they cannot be secrets."`
	Name     bool              `json:"name,omitempty" doc:"Whether the images get their names at once; where not, compose.up gives them, and takes that back when the run fails."`
	Cache    bool              `json:"cache,omitempty" doc:"Whether an earlier image, or steps of it, may be taken again."`
	Timeout  op.Duration       `json:"timeout" doc:"How long each build may take."`
	Key      op.Key            `json:"key,omitempty"`
}

// Images are images that were built or fetched.
type Images struct {
	_       op.Doc            `doc:"Images of a project's services."`
	Images  map[string]string `json:"images" doc:"Their IDs, by service: for compose.up."`
	Digest  string            `json:"digest" doc:"A digest of all of them."`
	Changed []string          `json:"changed" doc:"The services whose images were built or fetched now; the others were there."`
}

func imagesGiven(ids map[string]string, changed []string) Images {
	var b strings.Builder
	for _, service := range slices.Sorted(maps.Keys(ids)) {
		fmt.Fprintln(&b, service, ids[service])
	}
	return Images{Images: ids, Digest: "sha256:" + host.SHA256([]byte(b.String())), Changed: append([]string{}, changed...)}
}

var _ op.Previewer[*Docker, Images] = Build{}

// Summary implements op.Op.
func (b Build) Summary() string {
	return strings.TrimSpace("build the images of " + b.Project.Name + " " + strings.Join(b.Services, ", "))
}

// Check implements op.Checked.
func (b Build) Check() error {
	if b.Timeout <= 0 {
		return errors.New("timeout: want more than 0s")
	}
	return nil
}

// builds are those that are asked for, and what else they are built by.
func (b Build) builds(ctx context.Context, d *Docker) ([]model.Build, error) {
	m, err := model.Load(ctx, d.Host, b.Project)
	if err != nil {
		return nil, err
	}
	all, err := m.Builds()
	if err != nil {
		return nil, err
	}
	for _, name := range b.Services {
		if !slices.ContainsFunc(all, func(x model.Build) bool { return x.Service == name }) {
			return nil, fmt.Errorf("services: the files say of no service %s how it is built", name)
		}
	}
	if len(b.Services) > 0 {
		all = slices.DeleteFunc(all, func(x model.Build) bool { return !slices.Contains(b.Services, x.Service) })
	}
	for i := range all {
		maps.Copy(all[i].Args, b.Args)
	}
	return all, nil
}

func (b Build) request(d *Docker, x model.Build) buildkit.Request {
	return buildkit.Request{Context: x.Context, Dockerfile: x.Dockerfile, Shown: d.shown(x.Dockerfile), Target: x.Target, Platform: x.Platform,
		Args: x.Args, Labels: x.Labels, Secrets: x.Secrets, Cache: b.Cache && !x.NoCache, CacheFrom: x.CacheFrom, Network: x.Network,
		Timeout: b.Timeout.D(), Key: b.Key, Auth: d.login().Login}
}

// shown is a path as people name it.
func (d *Docker) shown(path string) string {
	if rest, inside := strings.CutPrefix(path, d.Host.Project+"/"); inside {
		return rest
	}
	return path
}

func (d *Docker) login() registry.Client {
	return registry.Client{Host: d.Host, Config: d.Pool.Config(), Ask: command.Credentials(d.Host)}
}

// Preview implements op.Previewer: it looks for the images of the same input.
func (b Build) Preview(ctx context.Context, d *Docker) (Images, error) {
	all, err := b.builds(ctx, d)
	if err != nil {
		return Images{}, err
	}
	at, err := d.at(ctx, b.Project)
	if err != nil {
		return Images{}, err
	}
	ids := map[string]string{}
	for _, x := range all {
		found, err := buildkit.Find(ctx, model.Over(d.Host, b.Project), at.Engine.Client, b.request(d, x))
		if err != nil {
			return Images{}, fmt.Errorf("cannot build the image of %s: %w", x.Service, err)
		}
		if found.ID == "" {
			return Images{}, op.ErrUnknown
		}
		same, err := buildkit.Same(ctx, at.Engine.Client, x.Image, found.ID)
		if err != nil {
			return Images{}, err
		}
		ids[x.Service] = cmp.Or(same, found.ID)
	}
	return imagesGiven(ids, nil), nil
}

// Do implements op.Op. Services that are built alike share one build.
func (b Build) Do(ctx context.Context, d *Docker) (Images, error) {
	all, err := b.builds(ctx, d)
	if err != nil {
		return Images{}, fmt.Errorf("cannot build the images of %s: %w", b.Project.Name, err)
	}
	at, err := d.at(ctx, b.Project)
	if err != nil {
		return Images{}, err
	}
	ids, made, changed := map[string]string{}, map[string]string{}, []string{}
	for _, x := range all {
		alike := x
		alike.Service, alike.Image, alike.Tags = "", "", nil
		key := fmt.Sprintf("%+v", alike)
		if made[key] == "" {
			id, unchanged, err := b.build(ctx, d, at, x)
			if err != nil {
				return Images{}, fmt.Errorf("cannot build the image of %s: %w", x.Service, err)
			}
			if made[key] = id; !unchanged {
				changed = append(changed, x.Service)
			}
			say(ctx, "%s: image %s%s", x.Service, shortID(id), map[bool]string{true: " is unchanged"}[unchanged])
		}
		ids[x.Service] = made[key]
		tags := x.Tags
		if b.Name {
			tags = append([]string{x.Image}, tags...)
		}
		for _, tag := range tags {
			if err := at.tag(ctx, ids[x.Service], tag); err != nil {
				return Images{}, err
			}
		}
	}
	return imagesGiven(ids, changed), nil
}

// build makes one image. One that is the same as that which bears its name now, but for the input that it was made from,
// is that one: services would be replaced for a file that is in none of their images.
func (b Build) build(ctx context.Context, d *Docker, at place, x model.Build) (id string, unchanged bool, err error) {
	made, err := buildkit.Build(ctx, model.Over(d.Host, b.Project), at.Engine.Client, b.request(d, x))
	if err != nil {
		return "", false, err
	}
	same, err := buildkit.Same(ctx, at.Engine.Client, x.Image, made.ID)
	if same == "" {
		return made.ID, made.Unchanged, err
	}
	return same, true, err
}

func say(ctx context.Context, format string, args ...any) {
	out := op.Output(ctx)
	fmt.Fprintf(out, format+"\n", args...)
	out.Close()
}

// shortID is an ID as people recognise it.
func shortID(id string) string {
	id = strings.TrimPrefix(id, "sha256:")
	return id[:min(12, len(id))]
}

// Pull is compose.pull.
type Pull struct {
	_        op.Doc        `doc:"Fetches the images of the services that are not built and that the engine does not have, or whose pull_policy is always; as whom Docker's configuration says."`
	Project  stack.Project `json:"project" doc:"The project, such as environment.target."`
	Services []string      `json:"services,omitempty" doc:"Only the images of these services."`
	Timeout  op.Duration   `json:"timeout" doc:"How long each image may take."`
}

var _ op.Previewer[*Docker, Images] = Pull{}

// Summary implements op.Op.
func (p Pull) Summary() string {
	return strings.TrimSpace("fetch the images of " + p.Project.Name + " " + strings.Join(p.Services, ", "))
}

// Check implements op.Checked.
func (p Pull) Check() error {
	if p.Timeout <= 0 {
		return errors.New("timeout: want more than 0s")
	}
	return nil
}

// Preview implements op.Previewer: images that are there, and need not be asked for, are known.
func (p Pull) Preview(ctx context.Context, d *Docker) (Images, error) {
	return p.each(ctx, d, func(place, string, string, string) error { return op.ErrUnknown })
}

// Do implements op.Op.
func (p Pull) Do(ctx context.Context, d *Docker) (Images, error) {
	return p.each(ctx, d, func(at place, service, image, platform string) error {
		say(ctx, "%s: fetches %s", service, image)
		_, err := d.login().Pull(ctx, at.Engine.Client, image, platform, p.Timeout.D())
		return err
	})
}

// each finds the image of each service, fetching those that must be.
func (p Pull) each(ctx context.Context, d *Docker, fetch func(at place, service, image, platform string) error) (Images, error) {
	at, err := d.at(ctx, p.Project)
	if err != nil {
		return Images{}, err
	}
	m, err := model.Load(ctx, d.Host, p.Project)
	if err != nil {
		return Images{}, err
	}
	when, err := m.Pulls()
	if err != nil {
		return Images{}, err
	}
	for _, name := range p.Services {
		if when[name] == "" {
			return Images{}, fmt.Errorf("services: the image of %s is not one that is fetched", name)
		}
	}
	ids, fetched, changed := map[string]string{}, map[string]bool{}, []string{}
	for _, service := range slices.Sorted(maps.Keys(when)) {
		if len(p.Services) > 0 && !slices.Contains(p.Services, service) {
			continue
		}
		image := m.Image(service)
		have, err := at.Engine.ImageInspect(ctx, image)
		if err != nil && !errdefs.IsNotFound(err) {
			return Images{}, fmt.Errorf("cannot look at the image %s: %w", image, err)
		}
		lacks := err != nil
		if (lacks && when[service] != "never" || when[service] == "always") && !fetched[image] {
			if err := fetch(at, service, image, m.Project.Services[service].Platform); err != nil {
				return Images{}, err
			}
			fetched[image] = true
			changed = append(changed, service)
			if have, err = at.Engine.ImageInspect(ctx, image); err != nil {
				return Images{}, fmt.Errorf("cannot look at the image %s: %w", image, err)
			}
		} else if lacks {
			return Images{}, op.Hint(fmt.Errorf("the engine has no image %s of %s, and its pull_policy is never", image, service), "build it or load it on that engine, or say another pull_policy")
		}
		ids[service] = have.ID
	}
	return imagesGiven(ids, changed), nil
}

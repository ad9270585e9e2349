package docker

import (
	"cmp"
	"context"
	"fmt"

	"github.com/containerd/errdefs"
	"github.com/distribution/reference"
	"github.com/erlmcp/runner/builtins/docker/daemon"
	"github.com/erlmcp/runner/runtime/builtin"
	"github.com/erlmcp/runner/runtime/op"
	"github.com/erlmcp/runner/runtime/secret"
	"github.com/moby/moby/client"
)

// missing is the error of what was asked of an image, nil for none.
func missing(ctx context.Context, e *daemon.Engine, doing, image string, err error) error {
	if errdefs.IsNotFound(err) {
		return op.Hint(fmt.Errorf("cannot %s: the engine has no image %s%s", doing, image, near(ctx, e, image)), "docker.pull fetches one, docker.build makes one")
	}
	if err != nil {
		return fmt.Errorf("cannot %s: %w", doing, err)
	}
	return nil
}

// near is " (did you mean X?)" for the name of an image that an engine does not have: one that is written alike, or else
// the newest of the same repository.
func near(ctx context.Context, e *daemon.Engine, image string) string {
	list, err := e.ImageList(ctx, client.ImageListOptions{})
	wanted, err2 := reference.ParseNormalizedNamed(image)
	if err != nil || err2 != nil {
		return ""
	}
	var tags []string
	akin, newest := "", int64(-1)
	for _, i := range list.Items {
		for _, tag := range names(i.RepoTags) {
			tags = append(tags, tag)
			if has, err := reference.ParseNormalizedNamed(tag); err == nil && has.Name() == wanted.Name() && i.Created > newest {
				akin, newest = " (did you mean "+tag+"?)", i.Created
			}
		}
	}
	return cmp.Or(builtin.DidYouMean(image, tags), akin)
}

// Tag is docker.tag. It is a Make: a name decides what is started next, and nothing that runs.
type Tag struct {
	_      op.Doc `doc:"Gives an image a name. What runs goes on as it is; the name is not taken back."`
	Image  string `json:"image" doc:"The image, by name or ID."`
	Tag    string `json:"tag" doc:"Its new name, NAME:TAG; another image that has it loses it."`
	Engine string `json:"engine,omitempty" doc:"The engine's address; what DOCKER_HOST or the Docker context says when left out."`
}

// Summary implements op.Op.
func (t Tag) Summary() string { return "name the image " + t.Image + " " + t.Tag }

// Check implements op.Checked.
func (t Tag) Check() error { return cmp.Or(checkImage("image", t.Image), checkTag("tag", t.Tag)) }

// Do implements op.Op.
func (t Tag) Do(ctx context.Context, d *Docker) (string, error) {
	e, err := d.engine(ctx, t.Engine)
	if err != nil {
		return "", err
	}
	return t.Tag, name(ctx, e, t.Image, t.Tag)
}

// Moved is an image in a registry.
type Moved struct {
	_      op.Doc `doc:"An image in a registry."`
	Name   string `json:"name" doc:"The image's name."`
	Digest string `json:"digest" doc:"What its registry knows it by: NAME@DIGEST is the very image."`
	ID     string `json:"id" doc:"The image's ID on the engine."`
}

// Push is docker.push.
type Push struct {
	_        op.Doc      `doc:"Stores an image in the registry that its name names, as whom Docker's configuration says. Repeated, it sends what is missing."`
	Image    string      `json:"image" doc:"The image's name, NAME:TAG."`
	Username string      `json:"username,omitempty" doc:"As whom, in place of what Docker's configuration says."`
	Password secret.Text `json:"password,omitzero" doc:"The password of username."`
	Engine   string      `json:"engine,omitempty" doc:"The engine's address; what DOCKER_HOST or the Docker context says when left out."`
	Timeout  op.Duration `json:"timeout" doc:"How long it may take."`
}

// Summary implements op.Op.
func (p Push) Summary() string { return "push " + p.Image }

// Check implements op.Checked.
func (p Push) Check() error {
	return cmp.Or(checkTag("image", p.Image), checkLogin(p.Username, p.Password), checkTimeout(p.Timeout))
}

// Do implements op.Op.
func (p Push) Do(ctx context.Context, d *Docker) (Moved, error) {
	e, err := d.engine(ctx, p.Engine)
	if err != nil {
		return Moved{}, err
	}
	if _, err := e.ImageInspect(ctx, p.Image); err != nil {
		return Moved{}, missing(ctx, e, p.Summary(), p.Image, err)
	}
	digest, err := d.login(p.Username, p.Password).Push(ctx, e.Client, p.Image, p.Timeout.D())
	if err != nil {
		return Moved{}, err
	}
	i, err := e.ImageInspect(ctx, p.Image)
	return Moved{Name: p.Image, Digest: digest, ID: i.ID}, missing(ctx, e, "look at "+p.Image, p.Image, err)
}

// Pull is docker.pull.
type Pull struct {
	_        op.Doc      `doc:"Fetches an image from its registry to the engine, as whom Docker's configuration says. Repeated, it fetches what is missing."`
	Image    string      `json:"image" doc:"The image's name: NAME:TAG, or NAME@DIGEST."`
	Platform string      `json:"platform,omitempty" doc:"What it is to run on, such as linux/arm64; the engine's own when left out."`
	Username string      `json:"username,omitempty" doc:"As whom, in place of what Docker's configuration says."`
	Password secret.Text `json:"password,omitzero" doc:"The password of username."`
	Engine   string      `json:"engine,omitempty" doc:"The engine's address; what DOCKER_HOST or the Docker context says when left out."`
	Timeout  op.Duration `json:"timeout" doc:"How long it may take."`
}

// Summary implements op.Op.
func (p Pull) Summary() string { return "pull " + p.Image }

// Check implements op.Checked.
func (p Pull) Check() error {
	if p.Platform != "" && !platformPattern.MatchString(p.Platform) {
		return fmt.Errorf("platform: want a platform such as linux/amd64, got %q", p.Platform)
	}
	return cmp.Or(checkImage("image", p.Image), checkLogin(p.Username, p.Password), checkTimeout(p.Timeout))
}

// Do implements op.Op.
func (p Pull) Do(ctx context.Context, d *Docker) (Moved, error) {
	e, err := d.engine(ctx, p.Engine)
	if err != nil {
		return Moved{}, err
	}
	digest, err := d.login(p.Username, p.Password).Pull(ctx, e.Client, p.Image, p.Platform, p.Timeout.D())
	if err != nil {
		return Moved{}, err
	}
	i, err := e.ImageInspect(ctx, p.Image)
	return Moved{Name: p.Image, Digest: digest, ID: i.ID}, missing(ctx, e, "look at "+p.Image, p.Image, err)
}

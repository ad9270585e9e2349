package docker

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"path/filepath"
	"regexp"
	"strings"

	"github.com/erlmcp/runner/builtins/docker/buildkit"
	"github.com/erlmcp/runner/builtins/docker/daemon"
	"github.com/erlmcp/runner/runtime/host"
	"github.com/erlmcp/runner/runtime/op"
	"github.com/erlmcp/runner/runtime/secret"
	"github.com/moby/moby/client"
)

// Build is docker.build.
type Build struct {
	_          op.Doc                 `doc:"Builds an image from a Dockerfile by the engine's BuildKit. The input is the context, less what .dockerignore leaves out, the Dockerfile, the parameters, and the images on the engine that it names; unchanged, its image is found again and nothing is sent. Secrets count by their names, and what a step fetches from elsewhere is not seen: cache = False builds all the same."`
	Context    string                 `json:"context" doc:"The folder that the Dockerfile may copy from. What is outside is never sent."`
	Dockerfile string                 `json:"dockerfile" doc:"The Dockerfile, seen from the context."`
	Target     string                 `json:"target,omitempty" doc:"The stage to build, the last one when left out."`
	Args       map[string]string      `json:"args,omitempty" doc:"Values for ARG. They stand in the image's history, so they cannot be secrets."`
	Secrets    map[string]secret.Text `json:"secrets,omitempty" doc:"Secrets by their ids, for RUN --mount=type=secret,id=ID. They are in no layer."`
	Cache      bool                   `json:"cache,omitempty" doc:"Whether an earlier image, or steps of it, may be taken again."`
	CacheFrom  []string               `json:"cache_from,omitempty" doc:"Images of registries whose steps may be taken too."`
	Platform   string                 `json:"platform,omitempty" doc:"What it is to run on, such as linux/arm64; the engine's own when left out."`
	Tags       []string               `json:"tags,omitempty" doc:"Names for the image, each NAME:TAG."`
	Labels     map[string]string      `json:"labels,omitempty" doc:"Labels for the image, beside that of runner."`
	Network    string                 `json:"network,omitempty" doc:"The network of its steps: \"none\", \"host\", or the engine's default when left out."`
	Engine     string                 `json:"engine,omitempty" doc:"The engine's address; what DOCKER_HOST or the Docker context says when left out."`
	Timeout    op.Duration            `json:"timeout" doc:"How long the build may take."`
	Key        op.Key                 `json:"key,omitempty"`
}

// Built is an image that was built, or found again.
type Built struct {
	_         op.Doc   `doc:"An image that was built, or found again."`
	Digest    string   `json:"digest" doc:"The image's ID on the engine: a digest of what it consists of."`
	Tags      []string `json:"tags,omitempty" doc:"The names that it was given."`
	Size      op.Size  `json:"size" doc:"The size of its layers."`
	Unchanged bool     `json:"unchanged" doc:"Whether the engine held it already, or holds the same by the first of the names."`
	Log       string   `json:"log,omitempty" doc:"The file with everything that the steps printed, kept until the run's scratch folder goes; empty where nothing was built."`
}

var (
	_ op.Previewer[*Docker, Built] = Build{}
	_ op.Checked                   = Build{}
)

// Summary implements op.Op.
func (b Build) Summary() string {
	s := "build " + filepath.Join(b.Context, b.Dockerfile)
	if b.Target != "" {
		s += " to its stage " + b.Target
	}
	if len(b.Tags) > 0 {
		s += " as " + strings.Join(b.Tags, ", ")
	}
	return s
}

var (
	platformPattern = regexp.MustCompile(`^[a-z0-9]+/[a-z0-9_]+(/[a-z0-9]+)?$`)
	secretID        = regexp.MustCompile(`^[\w.-]+$`)
	argName         = regexp.MustCompile(`^[A-Za-z_]\w*$`)
)

// Check implements op.Checked.
func (b Build) Check() error {
	for name := range b.Args {
		if !argName.MatchString(name) {
			return fmt.Errorf("args: want a name of letters, digits and _, got %q", name)
		}
	}
	for id := range b.Secrets {
		if !secretID.MatchString(id) {
			return fmt.Errorf("secrets: want an id of letters, digits and . _ -, got %q", id)
		}
	}
	for _, tag := range b.Tags {
		if err := checkTag("tags", tag); err != nil {
			return err
		}
	}
	for _, from := range b.CacheFrom {
		if err := checkImage("cache_from", from); err != nil {
			return err
		}
	}
	switch {
	case b.Context == "":
		return errors.New("context: want a folder")
	case b.Dockerfile == "":
		return errors.New("dockerfile: want a file")
	case b.Platform != "" && !platformPattern.MatchString(b.Platform):
		return fmt.Errorf("platform: want a platform such as linux/amd64, got %q", b.Platform)
	case b.Network != "" && b.Network != "none" && b.Network != "host":
		return fmt.Errorf(`network: want "none", "host" or no such parameter, got %q`, b.Network)
	case b.Labels[buildkit.LabelInput] != "":
		return fmt.Errorf("labels: %s is runner's own", buildkit.LabelInput)
	}
	return checkTimeout(b.Timeout)
}

func (b Build) request(d *Docker) buildkit.Request {
	dir := d.Host.Abs(b.Context)
	path := b.Dockerfile
	if !filepath.IsAbs(path) {
		path = filepath.Join(dir, path)
	}
	shown := path
	if rel, err := filepath.Rel(d.Host.Project, path); err == nil && filepath.IsLocal(rel) {
		shown = rel
	}
	return buildkit.Request{Context: dir, Dockerfile: path, Shown: shown, Target: b.Target, Platform: b.Platform, Args: b.Args, Labels: b.Labels,
		Secrets: b.Secrets, Cache: b.Cache, CacheFrom: b.CacheFrom, Network: b.Network, Timeout: b.Timeout.D(), Key: b.Key, Auth: d.login("", secret.Text{}).Login}
}

// over is the machine that the build reads from. Where the project has no such Dockerfile and there is a standard one, the
// standard files lie under the project.
func (b Build) over(d *Docker) *host.Host {
	h, path := d.Host, b.request(d).Dockerfile
	if _, own := h.Files.Stat(path); h.Standard == nil || !errors.Is(own, fs.ErrNotExist) {
		return h
	}
	over := *h
	over.Files = host.Over{FS: h.Files, Dir: h.Project, Under: h.Standard}
	if _, err := over.Files.Stat(path); err != nil {
		return h
	}
	return &over
}

// Preview implements op.Previewer: it looks for the image of the same input.
func (b Build) Preview(ctx context.Context, d *Docker) (Built, error) {
	e, err := d.engine(ctx, b.Engine)
	if err != nil {
		return Built{}, err
	}
	found, err := buildkit.Find(ctx, b.over(d), e.Client, b.request(d))
	if err != nil {
		return Built{}, fmt.Errorf("cannot %s: %w", b.Summary(), err)
	}
	if found.ID == "" {
		return Built{}, op.ErrUnknown
	}
	if found, err = b.same(ctx, e, found); err != nil {
		return Built{}, err
	}
	return b.built(found), nil
}

// same is the image that bears the first of the names now, where the one that was made is the same but for the input
// that it was made from: what runs would be replaced for a file that is in no image.
func (b Build) same(ctx context.Context, e *daemon.Engine, made buildkit.Image) (buildkit.Image, error) {
	if len(b.Tags) == 0 {
		return made, nil
	}
	id, err := buildkit.Same(ctx, e.Client, b.Tags[0], made.ID)
	if id != "" {
		made.ID, made.Unchanged = id, true
	}
	return made, err
}

func (b Build) built(i buildkit.Image) Built {
	return Built{Digest: i.ID, Tags: b.Tags, Size: op.Size(i.Size), Unchanged: i.Unchanged, Log: i.Log}
}

// Do implements op.Op. The image gets its names when it is whole.
func (b Build) Do(ctx context.Context, d *Docker) (Built, error) {
	e, err := d.engine(ctx, b.Engine)
	if err != nil {
		return Built{}, err
	}
	made, err := buildkit.Build(ctx, b.over(d), e.Client, b.request(d))
	if err != nil {
		return Built{}, fmt.Errorf("cannot %s: %w", b.Summary(), err)
	}
	if made, err = b.same(ctx, e, made); err != nil {
		return Built{}, err
	}
	if made.Unchanged {
		out := op.Output(ctx)
		fmt.Fprintf(out, "the image is unchanged: %s\n", short(made.ID))
		out.Close()
	}
	for _, tag := range b.Tags {
		if err := name(ctx, e, made.ID, tag); err != nil {
			return Built{}, err
		}
	}
	return b.built(made), nil
}

func name(ctx context.Context, e *daemon.Engine, image, tag string) error {
	_, err := e.ImageTag(ctx, client.ImageTagOptions{Source: image, Target: tag})
	return missing(ctx, e, "name the image "+image+" "+tag, image, err)
}

// short is an ID as people recognise it.
func short(id string) string {
	_, hex, found := strings.Cut(id, ":")
	if !found || len(hex) < 12 {
		return id
	}
	return hex[:12]
}

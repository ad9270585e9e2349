package docker

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/containerd/errdefs"
	"github.com/erlmcp/runner/builtins/docker/daemon"
	"github.com/erlmcp/runner/runtime/builtin"
	"github.com/erlmcp/runner/runtime/op"
	"github.com/moby/moby/api/pkg/stdcopy"
	"github.com/moby/moby/client"
)

// Image is an image on an engine.
type Image struct {
	_       op.Doc            `doc:"An image on an engine."`
	Digest  string            `json:"digest" doc:"The image's ID: a digest of what it consists of."`
	Tags    []string          `json:"tags,omitempty" doc:"Its names."`
	Digests []string          `json:"digests,omitempty" doc:"What registries know it by, each NAME@DIGEST."`
	Size    op.Size           `json:"size" doc:"The size of its layers."`
	Created string            `json:"created,omitempty" doc:"When it was made; for people."`
	Labels  map[string]string `json:"labels,omitempty" doc:"Its labels."`
}

// Images is docker.images.
type Images struct {
	_         op.Doc `doc:"Lists the images of an engine, newest first."`
	Reference string `json:"reference,omitempty" doc:"Only those whose name matches, such as \"registry.example.org/app:*\"."`
	Label     string `json:"label,omitempty" doc:"Only those with a label, NAME or NAME=VALUE."`
	Engine    string `json:"engine,omitempty" doc:"The engine's address; what DOCKER_HOST or the Docker context says when left out."`
}

// Summary implements op.Op.
func (i Images) Summary() string { return strings.TrimSpace("list the images " + i.Reference) }

// Do implements op.Op.
func (i Images) Do(ctx context.Context, d *Docker) ([]Image, error) {
	e, err := d.engine(ctx, i.Engine)
	if err != nil {
		return nil, err
	}
	filters := client.Filters{}
	if i.Reference != "" {
		filters.Add("reference", i.Reference)
	}
	if i.Label != "" {
		filters.Add("label", i.Label)
	}
	list, err := e.ImageList(ctx, client.ImageListOptions{Filters: filters})
	if err != nil {
		return nil, fmt.Errorf("cannot list images: %w", err)
	}
	out := []Image{}
	for _, s := range list.Items {
		out = append(out, Image{Digest: s.ID, Tags: names(s.RepoTags), Digests: names(s.RepoDigests), Size: op.Size(s.Size),
			Created: time.Unix(s.Created, 0).UTC().Format(time.RFC3339), Labels: s.Labels})
	}
	slices.SortStableFunc(out, func(a, b Image) int { return strings.Compare(b.Created+b.Digest, a.Created+a.Digest) })
	return out, nil
}

// names leaves out what engines write where there is no name.
func names(all []string) []string {
	return slices.DeleteFunc(all, func(s string) bool { return strings.Contains(s, "<none>") })
}

// Inspected is what is known of an image.
type Inspected struct {
	_          op.Doc            `doc:"What an engine knows of an image."`
	Digest     string            `json:"digest" doc:"The image's ID: a digest of what it consists of."`
	Tags       []string          `json:"tags,omitempty" doc:"Its names."`
	Digests    []string          `json:"digests,omitempty" doc:"What registries know it by, each NAME@DIGEST."`
	Platform   string            `json:"platform" doc:"What it runs on, such as linux/amd64."`
	Size       op.Size           `json:"size" doc:"The size of its layers."`
	Created    string            `json:"created,omitempty" doc:"When it was made; for people."`
	Labels     map[string]string `json:"labels,omitempty" doc:"Its labels."`
	Entrypoint []string          `json:"entrypoint,omitempty" doc:"The program that it runs."`
	Command    []string          `json:"command,omitempty" doc:"The arguments, or the program where it has no entrypoint."`
	Env        []string          `json:"env,omitempty" doc:"The names of the variables that it sets."`
	User       string            `json:"user,omitempty" doc:"As whom it runs."`
	Dir        string            `json:"dir,omitempty" doc:"Where it runs."`
	Ports      []string          `json:"ports,omitempty" doc:"The ports that it names."`
}

// Inspect is docker.inspect.
type Inspect struct {
	_      op.Doc `doc:"Says what an engine knows of an image."`
	Image  string `json:"image" doc:"The image, by name or ID."`
	Engine string `json:"engine,omitempty" doc:"The engine's address; what DOCKER_HOST or the Docker context says when left out."`
}

// Summary implements op.Op.
func (i Inspect) Summary() string { return "look at the image " + i.Image }

// Check implements op.Checked.
func (i Inspect) Check() error { return checkImage("image", i.Image) }

// Do implements op.Op.
func (i Inspect) Do(ctx context.Context, d *Docker) (Inspected, error) {
	e, err := d.engine(ctx, i.Engine)
	if err != nil {
		return Inspected{}, err
	}
	found, err := e.ImageInspect(ctx, i.Image)
	if err != nil {
		return Inspected{}, missing(ctx, e, i.Summary(), i.Image, err)
	}
	out := Inspected{Digest: found.ID, Tags: names(found.RepoTags), Digests: names(found.RepoDigests), Size: op.Size(found.Size), Created: found.Created,
		Platform: strings.TrimSuffix(found.Os+"/"+found.Architecture+"/"+found.Variant, "/")}
	if c := found.Config; c != nil {
		out.Labels, out.Entrypoint, out.Command, out.User, out.Dir = c.Labels, c.Entrypoint, c.Cmd, c.User, c.WorkingDir
		for _, kv := range c.Env { // values may be anything
			name, _, _ := strings.Cut(kv, "=")
			out.Env = append(out.Env, name)
		}
		for port := range c.ExposedPorts {
			out.Ports = append(out.Ports, port)
		}
		slices.Sort(out.Ports)
	}
	return out, nil
}

// Logs is docker.logs.
type Logs struct {
	_         op.Doc      `doc:"Gives the last lines that a container has printed."`
	Container string      `json:"container" doc:"The container, by name or ID."`
	Lines     int         `json:"lines,omitempty" doc:"How many lines."`
	Since     op.Duration `json:"since,omitempty" doc:"Only lines that are not older; any when left out."`
	Engine    string      `json:"engine,omitempty" doc:"The engine's address; what DOCKER_HOST or the Docker context says when left out."`
}

const (
	maxLines = 10_000
	maxBytes = 4 << 20
)

// Summary implements op.Op.
func (l Logs) Summary() string { return "read what the container " + l.Container + " has printed" }

// Check implements op.Checked.
func (l Logs) Check() error {
	if l.Container == "" || strings.ContainsAny(l.Container, "/?# ") {
		return fmt.Errorf("container: want a name or an ID, got %q", l.Container)
	}
	if l.Lines < 1 || l.Lines > maxLines {
		return fmt.Errorf("lines: want 1 to %d, got %d", maxLines, l.Lines)
	}
	return nil
}

// Do implements op.Op.
func (l Logs) Do(ctx context.Context, d *Docker) (string, error) {
	e, err := d.engine(ctx, l.Engine)
	if err != nil {
		return "", err
	}
	found, err := e.ContainerInspect(ctx, l.Container, client.ContainerInspectOptions{})
	if errdefs.IsNotFound(err) {
		return "", l.missing(ctx, e)
	}
	if err != nil {
		return "", fmt.Errorf("cannot %s: %w", l.Summary(), err)
	}
	options := client.ContainerLogsOptions{ShowStdout: true, ShowStderr: true, Tail: strconv.Itoa(l.Lines)}
	if l.Since > 0 {
		from := d.Host.Clock.Now().Add(-l.Since.D())
		options.Since = fmt.Sprintf("%d.%09d", from.Unix(), from.Nanosecond())
	}
	said, err := e.ContainerLogs(ctx, found.Container.ID, options)
	if err != nil {
		return "", fmt.Errorf("cannot %s: %w", l.Summary(), err)
	}
	defer said.Close()
	kept := &last{}
	if found.Container.Config.Tty {
		_, err = io.Copy(kept, said)
	} else {
		_, err = stdcopy.StdCopy(kept, kept, said)
	}
	if err != nil {
		return "", fmt.Errorf("cannot %s: %w", l.Summary(), err)
	}
	return kept.text(), nil
}

// missing is the error of a container that the engine does not have.
func (l Logs) missing(ctx context.Context, e *daemon.Engine) error {
	var near []string
	list, err := e.ContainerList(ctx, client.ContainerListOptions{All: true})
	if err == nil {
		for _, c := range list.Items {
			for _, name := range c.Names {
				near = append(near, strings.TrimPrefix(name, "/"))
			}
		}
	}
	return fmt.Errorf("cannot %s: the engine has no such container%s", l.Summary(), builtin.DidYouMean(l.Container, near))
}

// last keeps the end of what is written to it.
type last struct {
	b   []byte
	cut bool
}

func (l *last) Write(p []byte) (int, error) {
	if l.b = append(l.b, p...); len(l.b) > 2*maxBytes {
		l.b, l.cut = append(l.b[:0], l.b[len(l.b)-maxBytes:]...), true
	}
	return len(p), nil
}

// text begins with a whole line: the second half of a secret is not known as one.
func (l *last) text() string {
	b := l.b
	if len(b) > maxBytes {
		b, l.cut = b[len(b)-maxBytes:], true
	}
	if l.cut {
		_, b, _ = bytes.Cut(b, []byte("\n"))
	}
	return strings.ToValidUTF8(string(b), "\uFFFD")
}

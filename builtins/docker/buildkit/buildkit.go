// Package buildkit builds images by the BuildKit that is inside a Docker engine, over the engine's own connection: the
// context, secrets and credentials go by a session, to nobody else. It runs no program and no build of its own, and it
// sends nothing when the engine already holds the image of the same input.
package buildkit

import (
	"cmp"
	"context"
	"crypto/rand"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"maps"
	"path/filepath"
	"slices"
	"time"

	"github.com/containerd/errdefs"
	"github.com/erlmcp/runner/runtime/host"
	"github.com/erlmcp/runner/runtime/op"
	"github.com/erlmcp/runner/runtime/secret"
	control "github.com/moby/buildkit/api/services/control"
	"github.com/moby/moby/api/types/image"
	"github.com/moby/moby/client"
)

// LabelInput is the label of an image that says what it was made from. An image has no label of the run that made it:
// that would be another image, and whatever is made of it would be replaced, when the input is the same.
const LabelInput = "org.erlmcp.runner.input"

// Request is an image to build.
type Request struct {
	Context    string // a folder
	Dockerfile string // a file, seen from the context
	Shown      string // how people name the file
	Target     string
	Platform   string
	Args       map[string]string
	Labels     map[string]string
	Secrets    map[string]secret.Text
	Cache      bool // earlier steps, and the whole image, may be taken again
	CacheFrom  []string
	Network    string // of the steps: "none" or "host"; the engine's default when ""
	Timeout    time.Duration
	Key        op.Key

	// Auth says for whom an image of a registry is had; "" for nobody. Nobody where it is nil.
	Auth func(ctx context.Context, registry string) (username, password string, err error)
}

// Image is an image that was built, or found again.
type Image struct {
	ID        string
	Size      int64
	Unchanged bool   // the engine held it
	Log       string // the file with everything that its steps printed, "" where nothing was built
}

// build is one build.
type build struct {
	Request
	host   *host.Host
	engine *client.Client
	file   *dockerfile
	tree   *tree
	input  string
}

// Build makes the image, without a name, unless the engine holds the image of the same input.
func Build(ctx context.Context, h *host.Host, e *client.Client, r Request) (Image, error) {
	late := fmt.Errorf("it took longer than %s", op.Duration(r.Timeout))
	ctx, cancel := h.Clock.Timeout(ctx, r.Timeout, late)
	defer cancel()
	b, err := look(ctx, h, e, r)
	if err != nil {
		return Image{}, err
	}
	if r.Cache {
		if found, err := b.find(ctx); err != nil || found.ID != "" {
			return found, err
		}
	}
	for _, id := range slices.Sorted(maps.Keys(r.Secrets)) {
		if _, err := h.Secrets.RevealIn(ctx, r.Secrets[id]); err != nil {
			return Image{}, err
		}
	}
	return b.make(ctx)
}

// Find is the image that a Build would find again; without an ID where it would build.
func Find(ctx context.Context, h *host.Host, e *client.Client, r Request) (Image, error) {
	b, err := look(ctx, h, e, r)
	if err != nil || !r.Cache {
		return Image{}, err
	}
	return b.find(ctx)
}

// look reads what goes into the build.
func look(ctx context.Context, h *host.Host, e *client.Client, r Request) (*build, error) {
	path := r.Dockerfile
	b := &build{Request: r, host: h, engine: e}
	var err error
	if b.tree, err = list(ctx, h.Files, r.Context, path, state(h)); err != nil {
		return nil, err
	}
	if b.file, err = read(h.Files, path, cmp.Or(r.Shown, path)); err != nil {
		return nil, err
	}
	content, err := b.tree.digest(ctx)
	if err != nil {
		return nil, err
	}
	sum := sha256.New()
	fmt.Fprintf(sum, "1\n%s\n%q\n%q %q %q\n", content, b.file.text, r.Target, r.Platform, r.Network)
	for _, m := range []map[string]string{r.Args, r.Labels} {
		for _, name := range slices.Sorted(maps.Keys(m)) {
			fmt.Fprintf(sum, "%q=%q\n", name, m[name])
		}
		fmt.Fprintln(sum)
	}
	fmt.Fprintf(sum, "%q\n", slices.Sorted(maps.Keys(r.Secrets)))
	for _, base := range b.file.bases(r.Args) {
		id, err := identify(ctx, e, base.name)
		if err != nil {
			return nil, err
		}
		fmt.Fprintf(sum, "%s %s\n", base.name, id)
	}
	b.input = "sha256:" + hex.EncodeToString(sum.Sum(nil))
	return b, nil
}

// state is the folder in which runner keeps what it knows, "" where it keeps nothing.
func state(h *host.Host) string {
	if h.Scratch == "" {
		return ""
	}
	return filepath.Dir(filepath.Dir(h.Scratch)) // STATE/scratch/RUN
}

// identify is the ID of an image that the engine holds, "" for another.
func identify(ctx context.Context, e *client.Client, name string) (string, error) {
	found, err := e.ImageInspect(ctx, name)
	if errdefs.IsNotFound(err) || errdefs.IsInvalidArgument(err) {
		return "", nil
	}
	return found.ID, err
}

func (b *build) labels() map[string]string {
	labels := map[string]string{LabelInput: b.input}
	maps.Copy(labels, b.Labels)
	return labels
}

// find is the image of the same input.
func (b *build) find(ctx context.Context) (Image, error) {
	list, err := b.engine.ImageList(ctx, client.ImageListOptions{Filters: client.Filters{}.Add("label", LabelInput+"="+b.input)})
	if err != nil {
		return Image{}, fmt.Errorf("cannot list the images of %s: %w", b.engine.DaemonHost(), err)
	}
	if len(list.Items) == 0 {
		return Image{}, nil
	}
	last := slices.MaxFunc(list.Items, func(x, y image.Summary) int {
		return cmp.Or(cmp.Compare(x.Created, y.Created), cmp.Compare(x.ID, y.ID))
	})
	return Image{ID: last.ID, Size: last.Size, Unchanged: true}, nil
}

// make has BuildKit build it, and sees to it that what was sent is what was counted: an image of a folder that changed
// meanwhile does not count.
func (b *build) make(ctx context.Context) (Image, error) {
	log, err := open(ctx, b)
	if err != nil {
		return Image{}, err
	}
	id, err := b.solve(ctx, log)
	path := log.close()
	if err != nil {
		return Image{}, b.explain(ctx, log, err)
	}
	made, err := b.engine.ImageInspect(ctx, id)
	if err != nil {
		return Image{}, fmt.Errorf("cannot look at the image %s: %w", id, err)
	}
	if err := b.tree.steady(ctx, b.file.path); err != nil {
		if len(made.RepoTags) == 0 {
			b.engine.ImageRemove(context.WithoutCancel(ctx), id, client.ImageRemoveOptions{})
		}
		return Image{}, op.Hint(err, "build when nobody writes to %s", b.tree.dir)
	}
	return Image{ID: made.ID, Size: made.Size, Log: path}, nil
}

// solve sends the request, and follows what comes of it until both have ended.
func (b *build) solve(ctx context.Context, log *log) (id string, err error) {
	conn, err := dial(ctx, b.engine)
	if err != nil {
		return "", err
	}
	defer conn.Close()
	session, stop, err := b.open(ctx)
	if err != nil {
		return "", err
	}
	defer stop()
	buildkit, ref := control.NewControlClient(conn), rand.Text()
	following, ended := context.WithCancel(context.WithoutCancel(ctx))
	defer ended()
	over := make(chan struct{})
	go func() {
		defer close(over)
		b.follow(following, buildkit, ref, log)
	}()
	done, err := buildkit.Solve(ctx, b.request(ref, session.ID()))
	if err != nil && ctx.Err() != nil {
		ended()
		<-over
		return "", context.Cause(ctx)
	}
	last, cancel := b.host.Clock.Timeout(following, patience, nil)
	defer cancel()
	select {
	case <-over: // it ends by itself when all was said
	case <-last.Done():
		ended()
		<-over
	}
	if err != nil {
		return "", err
	}
	if id = cmp.Or(done.ExporterResponse["containerimage.digest"], done.ExporterResponse["containerimage.config.digest"]); id == "" {
		return "", errors.New("the engine gives no image")
	}
	return id, nil
}

// patience is how long the last words about a build that has ended are waited for.
const patience = 2 * time.Second

func (b *build) follow(ctx context.Context, buildkit control.ControlClient, ref string, log *log) {
	stream, err := buildkit.Status(ctx, &control.StatusRequest{Ref: ref})
	for err == nil {
		var s *control.StatusResponse
		if s, err = stream.Recv(); err == nil {
			log.hear(s)
		}
	}
}

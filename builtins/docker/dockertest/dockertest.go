// Package dockertest is what tests of what speaks to a Docker engine share: the engine that is there, a program for
// images that are made from nothing, and the certainty that all of it is gone in the end. It is for tests alone.
package dockertest

import (
	"archive/tar"
	"bytes"
	"context"
	"crypto/rand"
	"errors"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/erlmcp/runner/builtins/docker/daemon"
	"github.com/erlmcp/runner/runtime/host"
	"github.com/erlmcp/runner/runtime/secret"
	"github.com/moby/moby/client"
)

// Label marks every image and container of a test; its value is World.Name.
const Label = "org.erlmcp.runner.test"

// World is an engine, and a project with the program as prog in it.
type World struct {
	T      testing.TB
	Host   *host.Host
	Pool   *daemon.Pool
	Engine *daemon.Engine
	Name   string // unlike any other; the images and containers of the test begin with it, or have the label
}

// New is a world on the engine of this machine: the one that DOCKER_HOST or Docker's context names, else that at the
// default socket, else, where none answers, one that is started for the test.
func New(t testing.TB) World {
	t.Helper()
	w, err := on(t, "")
	if err != nil && os.Getenv("DOCKER_HOST") == "" {
		return Own(t).World()
	}
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(w.sweep)
	return w
}

// World is a world on the engine.
func (e *Engine) World() World {
	e.t.Helper()
	w, err := on(e.t, e.Address)
	if err != nil {
		e.t.Fatal(err)
	}
	return w
}

// on is a world on an engine, found as ops find theirs.
func on(t testing.TB, address string) (World, error) {
	t.Helper()
	boot, err := host.BootID()
	if err != nil {
		t.Fatal(err)
	}
	h := &host.Host{Files: host.OS{}, Procs: host.Linux{Boot: boot}, Clock: host.SystemClock{}, Boot: boot, Env: os.Environ(),
		Secrets: &secret.Vault{Getenv: os.LookupEnv, ReadFile: os.ReadFile, Scrubber: &secret.Scrubber{}}, Project: t.TempDir(), Scratch: t.TempDir()}
	if address != "" {
		h.Env = append(h.Env, "DOCKER_HOST="+address)
	}
	w := World{T: t, Host: h, Pool: daemon.NewPool(h), Name: "runner-test-" + strings.ToLower(rand.Text()[:10])}
	if w.Engine, err = w.Pool.Open(t.Context(), ""); err != nil {
		return w, err
	}
	w.copy(built(t, "prog", "testdata/prog", "-buildid="), w.Path("prog"))
	return w, nil
}

// Copy copies a program of the project.
func (w World) Copy(from, to string) { w.T.Helper(); w.copy(w.Path(from), w.Path(to)) }

func (w World) copy(from, to string) {
	w.T.Helper()
	b, err := os.ReadFile(from)
	if err == nil {
		err = os.WriteFile(to, b, 0o755)
	}
	if err != nil {
		w.T.Fatal(err)
	}
}

// Path is the path of a file of the project.
func (w World) Path(name string) string { return filepath.Join(w.Host.Project, name) }

// Write writes a file of the project.
func (w World) Write(name, text string) {
	w.T.Helper()
	if err := os.MkdirAll(filepath.Dir(w.Path(name)), 0o755); err != nil {
		w.T.Fatal(err)
	}
	if err := os.WriteFile(w.Path(name), []byte(text), 0o644); err != nil {
		w.T.Fatal(err)
	}
}

// Image makes an image of the program, without a build, and gives its name.
func (w World) Image() string {
	w.T.Helper()
	prog, err := os.ReadFile(w.Path("prog"))
	var layer bytes.Buffer
	files := tar.NewWriter(&layer)
	err = errors.Join(err, files.WriteHeader(&tar.Header{Name: "prog", Typeflag: tar.TypeReg, Mode: 0o755, Size: int64(len(prog))}))
	_, e := files.Write(prog)
	if err = errors.Join(err, e, files.Close()); err != nil {
		w.T.Fatal(err)
	}
	made, err := w.Engine.ImageImport(w.T.Context(), client.ImageImportSource{Source: &layer, SourceName: "-"}, w.Name+":1",
		client.ImageImportOptions{Changes: []string{"LABEL " + Label + "=" + w.Name, `ENTRYPOINT ["/prog"]`}})
	if err == nil {
		_, err = io.Copy(io.Discard, made)
		err = errors.Join(err, made.Close())
	}
	if err != nil {
		w.T.Fatal(err)
	}
	return w.Name + ":1"
}

// Images are the IDs of the test's images.
func (w World) Images() (ids []string) {
	w.T.Helper()
	ctx := w.T.Context()
	if ctx.Err() != nil {
		ctx = context.Background()
	}
	for _, f := range []client.Filters{client.Filters{}.Add("label", Label+"="+w.Name), client.Filters{}.Add("reference", w.Name+"*", "*/"+w.Name+"*")} {
		list, err := w.Engine.ImageList(ctx, client.ImageListOptions{Filters: f})
		if err != nil {
			w.T.Fatal(err)
		}
		for _, i := range list.Items {
			ids = append(ids, i.ID)
		}
	}
	return ids
}

// Containers are the IDs of the containers of the test's images.
func (w World) Containers() (ids []string) {
	w.T.Helper()
	ctx := w.T.Context()
	if ctx.Err() != nil {
		ctx = context.Background()
	}
	list, err := w.Engine.ContainerList(ctx, client.ContainerListOptions{All: true, Filters: client.Filters{}.Add("label", Label+"="+w.Name)})
	if err != nil {
		w.T.Fatal(err)
	}
	for _, c := range list.Items {
		ids = append(ids, c.ID)
	}
	return ids
}

// sweep removes what the test has made.
func (w World) sweep() {
	for _, id := range w.Containers() {
		w.Engine.ContainerRemove(context.Background(), id, client.ContainerRemoveOptions{Force: true, RemoveVolumes: true})
	}
	for _, id := range w.Images() {
		w.Engine.ImageRemove(context.Background(), id, client.ImageRemoveOptions{Force: true, PruneChildren: true})
	}
}

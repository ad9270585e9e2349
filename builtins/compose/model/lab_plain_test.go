//go:build labs

package model

import (
	"archive/tar"
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/moby/moby/client"

	"github.com/erlmcp/runner/builtins/compose/reconcile"
	"github.com/erlmcp/runner/builtins/compose/shape"
	"github.com/erlmcp/runner/builtins/docker/dockertest"
	"github.com/erlmcp/runner/builtins/stack"
	"github.com/erlmcp/runner/runtime/op"
)

const plainFile = `services:
  db:
    image: IMAGE
    command: [/prog, wait]
    environment: {LEVEL: "TEXT"}
    volumes: [data:/data, /cache]
    stop_grace_period: 2s
  web:
    image: IMAGE
    command: [/prog, wait]
    environment: {LEVEL: "TEXT"}
    depends_on: [db]
    scale: 2
    deploy: {update_config: {order: start-first}}
    networks: [default, back]
    stop_grace_period: 2s
  side:
    image: IMAGE
    command: [/prog, wait]
    network_mode: service:db
    stop_grace_period: 2s
networks: {back: {internal: INTERNAL}}
volumes: {data: {}}
`

// TestLabPlainUp: a project that was brought up, changed and swept, or brought up, changed and taken back, is one that a
// plain "docker compose up" finds nothing to do on.
func TestLabPlainUp(t *testing.T) {
	compose := dockertest.Compose(t)
	w := dockertest.New(t)
	image := w.Name + ":latest"
	programmed(t, w, image)
	t.Cleanup(func() { remove(t, w, w.Name) })
	site := reconcile.Site{Engine: &reconcile.Engine{Client: w.Engine.Client, API: w.Engine.API}, Clock: w.Host.Clock}
	up := func(key op.Key, text, internal string) shape.Set {
		t.Helper()
		w.Write("compose.yaml", strings.NewReplacer("IMAGE", image, "TEXT", text, "INTERNAL", internal).Replace(plainFile))
		m, err := Load(t.Context(), w.Host, stack.Project{Name: w.Name})
		check(t, err)
		m.API = w.Engine.API
		got, err := w.Engine.ImageInspect(t.Context(), image)
		check(t, err)
		want, err := m.Set(map[string]string{image: got.ID})
		check(t, err)
		seen, err := reconcile.Observe(t.Context(), site.Engine, w.Name)
		check(t, err)
		check(t, reconcile.Resolve(t.Context(), site.Engine, &want, seen))
		p, err := reconcile.NewPlan(want, seen, reconcile.Options{Key: key})
		check(t, err)
		_, err = site.Act(t.Context(), p, time.Minute)
		check(t, err)
		return seen.Set
	}
	standing := func() string {
		t.Helper()
		list, err := w.Engine.ContainerList(t.Context(), client.ContainerListOptions{All: true, Filters: client.Filters{}.Add("label", labelProject+"="+w.Name)})
		check(t, err)
		var out []string
		for _, c := range list.Items {
			out = append(out, fmt.Sprint(c.Names[0], " ", c.ID[:12], " ", c.State))
		}
		slices.Sort(out)
		return strings.Join(out, "\n")
	}
	plainly := func(what string) {
		t.Helper()
		before := standing()
		run := exec.Command(compose, "-f", "compose.yaml", "-p", w.Name, "--progress", "plain", "up", "-d", "--pull", "never", "--no-build")
		run.Dir, run.Env = w.Host.Project, os.Environ()
		if said, err := run.CombinedOutput(); err != nil || standing() != before {
			t.Errorf("%s: a plain up changes\n%s\ninto\n%s\n%v\n%s", what, before, standing(), err, said)
		}
	}
	up("20260126t110000-test/1", "one", "false")
	plainly("the first")
	up("20260126t120000-test/7", "two", "true")
	seen, err := reconcile.Observe(t.Context(), site.Engine, w.Name)
	check(t, err)
	removed, err := reconcile.Sweep(t.Context(), site.Engine, seen, func(a reconcile.Aside) bool { return a.Run == "20260126t120000-test" && seen.Replaced(a) })
	if err != nil || len(removed) != 4 {
		t.Errorf("swept %q, %v", removed, err)
	}
	plainly("a change")
	was := up("20260126t130000-test/7", "three", "false")
	if _, err := site.Return(t.Context(), was, "20260126t130000-test/7"); err != nil {
		t.Fatal(err)
	}
	up("20260126t140000-test/7", "two", "true") // writes the file as it was, and does nothing
	plainly("a change that was taken back")
}

// programmed is an image of the program.
func programmed(t testing.TB, w dockertest.World, image string) {
	t.Helper()
	prog, err := os.ReadFile(w.Path("prog"))
	check(t, err)
	var b bytes.Buffer
	tw := tar.NewWriter(&b)
	check(t, tw.WriteHeader(&tar.Header{Name: "prog", Mode: 0o755, Size: int64(len(prog))}))
	_, err = tw.Write(prog)
	check(t, errors.Join(err, tw.Close()))
	got, err := w.Engine.ImageImport(t.Context(), client.ImageImportSource{Source: &b, SourceName: "-"}, image,
		client.ImageImportOptions{Changes: []string{"LABEL " + dockertest.Label + "=" + w.Name}})
	check(t, err)
	_, err = io.Copy(io.Discard, got)
	check(t, errors.Join(err, got.Close()))
}

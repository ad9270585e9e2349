//go:build labs

package docker

import (
	"context"
	"errors"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/erlmcp/runner/builtins/docker/dockertest"
	"github.com/erlmcp/runner/runtime/host"
	"github.com/erlmcp/runner/runtime/op"
	"github.com/erlmcp/runner/runtime/optest"
	"github.com/erlmcp/runner/runtime/secret"
	"github.com/moby/moby/api/types/container"
	"github.com/moby/moby/client"
)

// heard is everything that an op says; began is closed at its first line with a text.
type heard struct {
	op.Silent
	lines []string
	waits []string
	text  string
	began func()
}

func (h *heard) Waiting(what string, _ time.Time) { h.waits = append(h.waits, what) }

func (h *heard) Output(l string) {
	if h.lines = append(h.lines, l); h.began != nil && strings.Contains(l, h.text) {
		h.began()
	}
}

const dockerfile = "FROM scratch AS one\nCOPY prog /prog\nFROM one AS two\nCOPY data /data\nRUN [\"/prog\", \"list\", \"/data\"]\n"

func world(t testing.TB) (dockertest.World, *Docker) {
	w := dockertest.New(t)
	w.Write("Dockerfile", dockerfile)
	w.Write("data/a", w.Name) // unlike what the engine has steps of
	return w, &Docker{Pool: w.Pool, Host: w.Host}
}

func build(w dockertest.World) Build {
	return Build{Context: ".", Dockerfile: "Dockerfile", Cache: true, Network: "none", Timeout: op.Duration(time.Minute), Key: "lab/1", Tags: []string{w.Name + ":1"},
		Labels: map[string]string{dockertest.Label: w.Name}}
}

func must[T any](t testing.TB) func(T, error) T {
	return func(v T, err error) T {
		t.Helper()
		if err != nil {
			t.Fatal(err, op.HintOf(err))
		}
		return v
	}
}

func TestLabLook(t *testing.T) {
	w, d := world(t)
	made := must[Built](t)(build(w).Do(t.Context(), d))
	must[string](t)(Tag{Image: made.Digest, Tag: w.Name + ":2"}.Do(t.Context(), d))
	list := must[[]Image](t)(Images{Reference: w.Name + ":*"}.Do(t.Context(), d))
	if len(list) != 1 || len(list[0].Tags) != 2 || list[0].Digest != made.Digest {
		t.Errorf("%+v", list)
	}
	known := must[Inspected](t)(Inspect{Image: w.Name + ":2"}.Do(t.Context(), d))
	if known.Digest != made.Digest || !strings.HasPrefix(known.Platform, "linux/") || known.Labels[dockertest.Label] != w.Name {
		t.Errorf("%+v", known)
	}
	for doing, do := range map[string]func(image string) error{
		"look at the image %s": func(image string) error { _, err := Inspect{Image: image}.Do(t.Context(), d); return err },
		"push %s": func(image string) error {
			_, err := Push{Image: image, Timeout: moveTimeout}.Do(t.Context(), d)
			return err
		},
		"name the image %s new:1": func(image string) error {
			_, err := Tag{Image: image, Tag: "new:1"}.Do(t.Context(), d)
			return err
		},
	} {
		swapped := strings.Replace(w.Name, "test", "tset", 1)
		for image, near := range map[string]string{w.Name + ":latest": w.Name + ":", swapped + ":2": w.Name + ":2", "nothing.example/like-it-anywhere:1": ""} {
			want := "cannot " + strings.Replace(doing, "%s", image, 1) + ": the engine has no image " + image
			if near != "" {
				want += " (did you mean " + near
			}
			if err := do(image); err == nil || !strings.HasPrefix(err.Error(), want) || near == "" && err.Error() != want || op.HintOf(err) == "" {
				t.Errorf("%v (%s), want %q", err, op.HintOf(err), want)
			}
		}
	}
	for _, nothing := range []Images{{Reference: w.Name + ":3"}, {Label: "none=" + w.Name}} {
		if list := must[[]Image](t)(nothing.Do(t.Context(), d)); list == nil || len(list) > 0 {
			t.Errorf("%+v: %#v", nothing, list)
		}
	}
}

// ended runs the program in a container to its end, which stays.
func ended(t testing.TB, w dockertest.World, name string, tty bool, argv ...string) string {
	t.Helper()
	made := must[client.ContainerCreateResult](t)(w.Engine.ContainerCreate(t.Context(), client.ContainerCreateOptions{Name: w.Name + name,
		Config: &container.Config{Image: w.Name + ":1", Cmd: argv, Tty: tty}, HostConfig: &container.HostConfig{NetworkMode: "none"}}))
	over := w.Engine.ContainerWait(t.Context(), made.ID, client.ContainerWaitOptions{Condition: container.WaitConditionNextExit})
	must[client.ContainerStartResult](t)(w.Engine.ContainerStart(t.Context(), made.ID, client.ContainerStartOptions{}))
	select {
	case <-over.Result:
	case err := <-over.Error:
		t.Fatal(err)
	}
	return w.Name + name
}

// late is a clock that is an hour fast.
type late struct{ host.Clock }

func (l late) Now() time.Time { return l.Clock.Now().Add(time.Hour) }

func TestLabLogs(t *testing.T) {
	w, d := world(t)
	w.Image()
	counts, speaks, typed := ended(t, w, "-counts", false, "lines", "200"), ended(t, w, "-speaks", false, "fail", "3"), ended(t, w, "-typed", true, "fail", "3")
	long := ended(t, w, "-long", false, "lines", "30000")
	for _, c := range []struct {
		logs Logs
		want string
	}{
		{Logs{Container: counts, Lines: 2}, "line 199\nline 200\n"},
		{Logs{Container: counts, Lines: 2, Since: op.Duration(30 * time.Minute)}, "line 199\nline 200\n"},
		{Logs{Container: typed, Lines: 1}, "two\r\n"},
		{Logs{Container: typed, Lines: 10}, "one\r\ntwo\r\n"},
	} {
		if got := must[string](t)(c.logs.Do(t.Context(), d)); got != c.want {
			t.Errorf("%+v: %q", c.logs, got)
		}
	}
	if both := must[string](t)(Logs{Container: speaks, Lines: 10}.Do(t.Context(), d)); !strings.Contains(both, "one\n") || !strings.Contains(both, "two\n") || len(both) != 8 {
		t.Errorf("both outputs: %q", both)
	}
	if all := must[string](t)(Logs{Container: long, Lines: maxLines}.Do(t.Context(), d)); strings.Count(all, "\n") != maxLines || !strings.HasSuffix(all, "line 30000\n") {
		t.Errorf("%d lines, the end %q", strings.Count(all, "\n"), all[max(0, len(all)-100):])
	}
	fast := *d
	h := *d.Host
	h.Clock, fast.Host = late{h.Clock}, &h
	if old := must[string](t)(Logs{Container: counts, Lines: 2, Since: op.Duration(30 * time.Minute)}.Do(t.Context(), &fast)); old != "" {
		t.Errorf("half an hour old: %q", old)
	}
	for name, near := range map[string]string{strings.Replace(counts, "counts", "cuonts", 1): " (did you mean " + counts + "?)", "nothing-like-it-anywhere": ""} {
		_, err := Logs{Container: name, Lines: 1}.Do(t.Context(), d)
		if want := "cannot read what the container " + name + " has printed: the engine has no such container" + near; err == nil || err.Error() != want {
			t.Errorf("%v, want %q", err, want)
		}
	}
}

func TestLabRun(t *testing.T) {
	t.Setenv("LAB_TOKEN", "canary-71c0aa11-canary")
	w, d := world(t)
	w.Image()
	run := func(argv ...string) (Ran, error) {
		return Run{Image: w.Name + ":1", Program: []string{"/prog"}, Argv: argv, Network: "none", Memory: 64 << 20, ReadOnly: true, Timeout: op.Duration(20 * time.Second),
			OK: []int{0}, Key: "lab/2", Mounts: []string{"./data:/in:ro"}, Env: map[string]secret.Text{"T": secret.Env("LAB_TOKEN")}}.Do(t.Context(), d)
	}
	if ran := must[Ran](t)(run("list", "/in")); ran.Stdout != "a\n" {
		t.Errorf("%+v", ran)
	}
	if ran := must[Ran](t)(run("id")); ran.Stdout != "0 false\n" {
		t.Errorf("%+v", ran)
	}
	if _, err := run("fail", "3"); err == nil || !strings.Contains(err.Error(), ": exit 3\n") || !strings.Contains(err.Error(), "  two") {
		t.Errorf("%v", err)
	}
	if _, err := run("eat"); err == nil || !strings.Contains(err.Error(), "killed (exit 137), out of memory") {
		t.Errorf("%v", err)
	}
	if left := w.Containers(); len(left) > 0 {
		t.Errorf("left: %v", left)
	}
	none := Run{Image: w.Name + ":none", Timeout: op.Duration(20 * time.Second), Key: "lab/3"}
	if _, err := none.Do(t.Context(), d); err == nil || !strings.Contains(err.Error(), "the engine has no image") {
		t.Errorf("%v", err)
	}
}

// A container that is told to end has its time to do so, also when it is told while it starts.
func TestLabRunIsCancelled(t *testing.T) {
	w, d := world(t)
	w.Image()
	for n := range 3 {
		ctx, cancel := context.WithCancel(t.Context())
		h := &heard{text: "waits", began: cancel}
		r := Run{Image: w.Name + ":1", Program: []string{"/prog"}, Argv: []string{"wait"}, Network: "none", Timeout: op.Duration(20 * time.Second), Key: "lab/3"}
		if _, err := r.Do(op.WithSpeaker(ctx, h), d); !errors.Is(err, context.Canceled) || !slices.Contains(h.lines, "told to end") {
			t.Errorf("%d: %v %q", n, err, h.lines)
		}
	}
	if left := w.Containers(); len(left) > 0 {
		t.Errorf("left: %v", left)
	}
}

func TestLabOps(t *testing.T) {
	t.Parallel()
	at := func(of func(testing.TB, dockertest.World, *Docker) any) func(testing.TB) optest.World {
		return func(t testing.TB) optest.World {
			w, d := world(t)
			w.Image()
			return optest.World{Host: w.Host, Params: of(t, w, d), Snapshot: func() string { return strings.Join(w.Images(), " ") }}
		}
	}
	of := func(params func(dockertest.World) any) func(testing.TB) optest.World {
		return at(func(_ testing.TB, w dockertest.World, _ *Docker) any { return params(w) })
	}
	named := func(t testing.TB, w dockertest.World, d *Docker) (image string) {
		image = serve(t, nil) + "/" + w.Name + ":1"
		must[string](t)(Tag{Image: w.Name + ":1", Tag: image}.Do(t.Context(), d))
		return image
	}
	optest.Run(t, optest.Suite{Family: family, Worlds: optest.Worlds{
		"build":   of(func(w dockertest.World) any { return build(w) }),
		"images":  of(func(w dockertest.World) any { return Images{Reference: w.Name + ":*"} }),
		"inspect": of(func(w dockertest.World) any { return Inspect{Image: w.Name + ":1"} }),
		"tag":     of(func(w dockertest.World) any { return Tag{Image: w.Name + ":1", Tag: w.Name + ":2"} }),
		"run": of(func(w dockertest.World) any {
			return Run{Image: w.Name + ":1", Program: []string{"/prog", "slow"}, Network: "none", Timeout: runTimeout, OK: []int{0}, Leaves: "nothing"}
		}),
		"logs": at(func(t testing.TB, w dockertest.World, _ *Docker) any {
			return Logs{Container: ended(t, w, "-prints", false, "lines", "10"), Lines: 5}
		}),
		"push": at(func(t testing.TB, w dockertest.World, d *Docker) any {
			return Push{Image: named(t, w, d), Timeout: moveTimeout}
		}),
		"pull": at(func(t testing.TB, w dockertest.World, d *Docker) any {
			image := named(t, w, d)
			must[Moved](t)(Push{Image: image, Timeout: moveTimeout}.Do(t.Context(), d))
			must[client.ImageRemoveResult](t)(w.Engine.ImageRemove(t.Context(), image, client.ImageRemoveOptions{}))
			return Pull{Image: image, Timeout: moveTimeout}
		}),
	}})
}

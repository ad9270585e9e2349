//go:build labs

package docker

import (
	"context"
	"errors"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/erlmcp/runner/builtins/docker/dockertest"
	"github.com/erlmcp/runner/runtime/op"
	"github.com/erlmcp/runner/runtime/optest"
	"github.com/erlmcp/runner/runtime/secret"
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

func TestLabBuildTwice(t *testing.T) {
	w, d := world(t)
	b := build(w)
	if _, err := b.Preview(t.Context(), d); !errors.Is(err, op.ErrUnknown) {
		t.Errorf("before: %v", err)
	}
	h := &heard{}
	first := must[Built](t)(b.Do(op.WithSpeaker(t.Context(), h), d))
	if first.Unchanged || !slices.ContainsFunc(h.lines, func(l string) bool { return strings.HasPrefix(l, "#") && strings.Contains(l, "COPY data /data") }) {
		t.Errorf("%+v %q", first, h.lines)
	}
	if log, _ := os.ReadFile(first.Log); !strings.Contains(string(log), " a\n") {
		t.Errorf("log %s", log)
	}
	again := must[Built](t)(b.Do(t.Context(), d))
	foreseen := must[Built](t)(b.Preview(t.Context(), d))
	if !again.Unchanged || again.Digest != first.Digest || foreseen.Digest != first.Digest {
		t.Errorf("again %+v, foreseen %+v, first %+v", again, foreseen, first)
	}
	w.Write(".dockerignore", "data/skip*\n.dockerignore\n")
	w.Write("data/skipped", "1")
	if ignored := must[Built](t)(b.Do(t.Context(), d)); !ignored.Unchanged {
		t.Errorf("a file that is left out counts: %+v", ignored)
	}
	w.Write("data/a", "2")
	changed := must[Built](t)(b.Do(t.Context(), d))
	log, _ := os.ReadFile(changed.Log)
	if changed.Unchanged || changed.Digest == first.Digest || strings.Contains(string(log), "skipped") {
		t.Errorf("changed %+v: %s", changed, log)
	}
	b.Target = "one"
	if one := must[Built](t)(b.Do(t.Context(), d)); one.Unchanged || one.Digest == changed.Digest {
		t.Errorf("target %+v", one)
	}
}

func TestLabBuildErrors(t *testing.T) {
	w, d := world(t)
	for text, want := range map[string]string{
		"FROM scratch\nCOPY prog /prog\nRUN [\"/prog\", \"fail\", \"3\"]\n": `Dockerfile:3: RUN ["/prog", "fail", "3"]: exit 3`,
		"FROM scratch\nRUNN x\n":                                    "Dockerfile:2: unknown",
		"FROM scratch\nCOPY nothing /\n":                            "Dockerfile:2: COPY nothing /: nothing is not there",
		"FROM debian:12\nRUN true\n":                                "Dockerfile:1: the image debian:12 cannot be had",
		"# syntax=docker/dockerfile:1\nFROM scratch\nCOPY prog /\n": "Dockerfile:1: its syntax image cannot be had",
		"FROM scratch\nCOPY prog /prog\nRUN --mount=type=secret,id=x,required=true [\"/prog\"]\n": "a secret that it mounts is not given",
	} {
		w.Write("Dockerfile", text)
		if _, err := build(w).Do(t.Context(), d); err == nil || !strings.Contains(err.Error(), "cannot build Dockerfile as "+w.Name+":1: ") || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v", want, err)
		}
	}
	b := build(w)
	b.Dockerfile = "None"
	if _, err := b.Do(t.Context(), d); err == nil || !strings.Contains(err.Error(), "there is no None") {
		t.Errorf("no Dockerfile: %v", err)
	}
	b.Context = "none"
	if _, err := b.Do(t.Context(), d); err == nil || !strings.Contains(err.Error(), "does not exist") {
		t.Errorf("no context: %v", err)
	}
}

// A secret reaches the step, and is in no history, label, log or error.
func TestLabBuildSecret(t *testing.T) {
	const canary = "canary-8f0c1f11-canary"
	t.Setenv("LAB_TOKEN", canary)
	w, d := world(t)
	w.Write("Dockerfile", "FROM scratch\nCOPY prog /prog\nCOPY data /data\nRUN --mount=type=secret,id=x [\"/prog\", \"cat\", \"/run/secrets/x\"]\n")
	b := build(w)
	b.Secrets = map[string]secret.Text{"x": secret.Env("LAB_TOKEN")}
	h := &heard{}
	made := must[Built](t)(b.Do(op.WithSpeaker(t.Context(), h), d))
	history := must[client.ImageHistoryResult](t)(w.Engine.ImageHistory(t.Context(), made.Digest))
	known := must[Inspected](t)(Inspect{Image: made.Digest}.Do(t.Context(), d))
	log, _ := os.ReadFile(made.Log)
	all := strings.Join(h.lines, "\n") + string(log)
	for _, l := range history.Items {
		all += l.CreatedBy
	}
	for k, v := range known.Labels {
		all += k + v
	}
	if strings.Contains(all, canary) || !strings.Contains(string(log), "‹secret LAB_TOKEN›") {
		t.Errorf("seen: %s", all)
	}
}

func TestLabBuildIsCancelled(t *testing.T) {
	w, d := world(t)
	w.Write("Dockerfile", "FROM scratch\nCOPY prog /prog\nRUN [\"/prog\", \"wait\"]\n")
	ctx, cancel := context.WithCancelCause(t.Context())
	why := errors.New("enough")
	var told time.Time
	h := &heard{text: "RUN", began: func() { told = time.Now(); cancel(why) }}
	_, err := build(w).Do(op.WithSpeaker(ctx, h), d)
	if took := time.Since(told); !errors.Is(err, why) || told.IsZero() || took > 2*time.Second {
		t.Errorf("%v after %s", err, took)
	}
	if left := w.Images(); len(left) > 0 {
		t.Errorf("left: %v", left)
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
	if _, err := (Inspect{Image: w.Name + ":3"}).Do(t.Context(), d); err == nil || !strings.Contains(err.Error(), "the engine has no image") {
		t.Errorf("%v", err)
	}
	if _, err := (Push{Image: w.Name + ":3", Timeout: moveTimeout}).Do(t.Context(), d); err == nil || !strings.Contains(err.Error(), "the engine has no such image") {
		t.Errorf("%v", err)
	}
}

func TestLabRun(t *testing.T) {
	t.Setenv("LAB_TOKEN", "canary-71c0aa11-canary")
	w, d := world(t)
	must[Built](t)(build(w).Do(t.Context(), d))
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
	must[Built](t)(build(w).Do(t.Context(), d))
	for n := range 10 {
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
	at := func(of func(dockertest.World) any) func(testing.TB) optest.World {
		return func(t testing.TB) optest.World {
			w, d := world(t)
			must[Built](t)(build(w).Do(t.Context(), d))
			return optest.World{Host: w.Host, Params: of(w), Snapshot: func() string { return strings.Join(w.Images(), " ") }}
		}
	}
	optest.Run(t, optest.Suite{Family: family, Worlds: optest.Worlds{
		"build":   at(func(w dockertest.World) any { return build(w) }),
		"images":  at(func(w dockertest.World) any { return Images{Reference: w.Name + ":*"} }),
		"inspect": at(func(w dockertest.World) any { return Inspect{Image: w.Name + ":1"} }),
		"tag":     at(func(w dockertest.World) any { return Tag{Image: w.Name + ":1", Tag: w.Name + ":2"} }),
		"run": at(func(w dockertest.World) any {
			return Run{Image: w.Name + ":1", Program: []string{"/prog", "slow"}, Network: "none", Timeout: runTimeout, OK: []int{0}, Leaves: "nothing"}
		}),
	}})
}

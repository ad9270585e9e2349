//go:build labs

package docker

import (
	"cmp"
	"context"
	"errors"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/erlmcp/runner/builtins/docker/dockertest"
	"github.com/erlmcp/runner/runtime/op"
	"github.com/erlmcp/runner/runtime/secret"
	"github.com/moby/moby/client"
)

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
		"FROM scratch\nCOPY prog /prog\nRUN [\"/prog\", \"fail\", \"3\"]\n":                                                     "Dockerfile:3: RUN [\"/prog\", \"fail\", \"3\"]: exit 3\n  ",
		"FROM scratch AS a\n\n# why\nCOPY prog /prog\nRUN [\"/prog\", \\\n \"lines\", \"200\"]\nRUN [\"/prog\", \"nothing\"]\n": "Dockerfile:7: RUN [\"/prog\", \"nothing\"]: exit 2\n  what is nothing",
		"FROM scratch\nCOPY prog /prog\nRUN [\"/prog\", \"lines\", \"60\", \"4\"]\n":                                            "Dockerfile:3: RUN [\"/prog\", \"lines\", \"60\", \"4\"]: exit 4\n  line 11\n  line 12\n", // the last 50
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

// What changes in no layer and no configuration makes no other image of the name, which what runs would be replaced for.
func TestLabBuildSame(t *testing.T) {
	w, d := world(t)
	b := build(w)
	first := must[Built](t)(b.Do(t.Context(), d))
	w.Write("notes", "in the context, and in no image")
	again := must[Built](t)(b.Do(t.Context(), d))
	foreseen := must[Built](t)(b.Preview(t.Context(), d))
	if first.Unchanged || !again.Unchanged || again.Log == "" || again.Digest != first.Digest || foreseen.Digest != first.Digest || !foreseen.Unchanged {
		t.Errorf("first %+v, again %+v, foreseen %+v", first, again, foreseen)
	}
	if known := must[Inspected](t)(Inspect{Image: b.Tags[0]}.Do(t.Context(), d)); known.Digest != first.Digest {
		t.Errorf("the name went from %s to %s", first.Digest, known.Digest)
	}
	b.Labels = map[string]string{dockertest.Label: w.Name, "version": "2"}
	labelled := must[Built](t)(b.Do(t.Context(), d))
	w.Write("data/a", "2")
	changed := must[Built](t)(b.Do(t.Context(), d))
	if labelled.Unchanged || labelled.Digest == first.Digest || changed.Unchanged || changed.Digest == labelled.Digest {
		t.Errorf("labelled %+v, changed %+v", labelled, changed)
	}
	b.Tags = nil
	w.Write("notes", "other")
	if nameless := must[Built](t)(b.Do(t.Context(), d)); nameless.Unchanged || nameless.Digest == changed.Digest {
		t.Errorf("nameless %+v", nameless)
	}
}

func TestLabBuildPlatformAndArgs(t *testing.T) {
	w, d := world(t)
	w.Write("Dockerfile", "FROM scratch AS of\nARG WHO=nobody\nCOPY prog data /\nRUN [\"/prog\", \"env\", \"WHO\"]\nFROM scratch\nCOPY data /\n")
	b := build(w)
	b.Target = "of"
	of := map[string]string{}
	for _, who := range []string{"", "ana of " + w.Name} {
		if who != "" {
			b.Args = map[string]string{"WHO": who}
		}
		made := must[Built](t)(b.Do(t.Context(), d))
		if log, _ := os.ReadFile(made.Log); !strings.Contains(string(log), " "+cmp.Or(who, "nobody")+"\n") {
			t.Errorf("of %q: %s", who, log)
		}
		of[made.Digest] = who
	}
	if len(of) != 2 {
		t.Errorf("what differs in args is one image: %v", of)
	}
	b.Target = ""
	for _, platform := range []string{"linux/arm64", "linux/s390x", "linux/arm64"} {
		b.Platform = platform
		made := must[Built](t)(b.Do(t.Context(), d))
		if known := must[Inspected](t)(Inspect{Image: made.Digest}.Do(t.Context(), d)); known.Platform != platform {
			t.Errorf("%s: %+v", platform, known)
		}
	}
}

// A context that goes while its image is built is told, and the image does not count.
func TestLabBuildContextGoes(t *testing.T) {
	w, d := world(t)
	b := build(w)
	b.Context = "data"
	w.Write("data/Dockerfile", "FROM scratch\nCOPY prog /prog\nCOPY a /a\nRUN [\"/prog\", \"print\", \"went\"]\n")
	w.Copy("prog", "data/prog")
	h := &heard{text: "RUN", began: func() { os.RemoveAll(w.Path("data")) }}
	_, err := b.Do(op.WithSpeaker(t.Context(), h), d)
	if err == nil || !strings.HasSuffix(err.Error(), w.Path("data")+" does not exist") || op.HintOf(err) != "build when nobody writes to "+w.Path("data") {
		t.Errorf("%v (%s)", err, op.HintOf(err))
	}
	if left := w.Images(); len(left) > 0 {
		t.Errorf("left: %v", left)
	}
}

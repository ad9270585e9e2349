//go:build labs

package compose

import (
	"context"
	"crypto/rand"
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/erlmcp/runner/builtins/compose/reconcile"
	"github.com/erlmcp/runner/builtins/docker/daemon"
	"github.com/erlmcp/runner/builtins/docker/dockertest"
	"github.com/erlmcp/runner/builtins/good"
	"github.com/erlmcp/runner/builtins/stack"
	"github.com/erlmcp/runner/runtime/builtin"
	"github.com/erlmcp/runner/runtime/host"
	"github.com/erlmcp/runner/runtime/op"
	"github.com/erlmcp/runner/runtime/optest"
	"github.com/moby/moby/client"
)

// opKey is the one that optest gives to every op.
const opKey op.Key = "20260126t120000-test/7"

// lab is a project of a test's own on the engine, with one image of the program.
type lab struct {
	dockertest.World
	d       *Docker
	project stack.Project
	image   string
}

func newLab(t testing.TB) *lab {
	t.Helper()
	w := dockertest.New(t)
	l := &lab{World: w, d: &Docker{Pool: w.Pool, Host: w.Host}, project: stack.Project{Name: w.Name}, image: w.Name + ":test"}
	w.Write("Dockerfile", "FROM scratch\nLABEL "+dockertest.Label+"="+w.Name+"\nCOPY prog /prog\nENTRYPOINT [\"/prog\"]\n")
	t.Cleanup(l.wipe)
	return l
}

// another is one more project, of the same image.
func (l *lab) another(t testing.TB) *lab {
	t.Helper()
	h := *l.Host
	h.Project, h.Scratch = t.TempDir(), t.TempDir()
	m := &lab{World: l.World, d: &Docker{Pool: l.Pool, Host: &h}, image: l.image}
	m.T, m.Host, m.Name = t, &h, l.Name+"-"+strings.ToLower(rand.Text()[:6])
	m.project = stack.Project{Name: m.Name}
	t.Cleanup(m.wipe)
	return m
}

// wipe removes the project with its volumes and the records of runs.
func (l *lab) wipe() {
	ctx := context.Background()
	at, err := l.d.at(ctx, l.project)
	if err != nil {
		return
	}
	if seen, err := reconcile.Observe(ctx, at.Engine, l.Name); err == nil {
		for _, c := range seen.Containers {
			at.Engine.ContainerRemove(ctx, c.ID, client.ContainerRemoveOptions{Force: true, RemoveVolumes: true})
		}
		for _, a := range seen.Aside {
			at.Engine.ContainerRemove(ctx, a.ID, client.ContainerRemoveOptions{Force: true, RemoveVolumes: true})
		}
		for _, n := range seen.Networks {
			at.Engine.NetworkRemove(ctx, n.ID, client.NetworkRemoveOptions{})
		}
		for _, v := range seen.Volumes {
			at.Engine.VolumeRemove(ctx, v.Create.Name, client.VolumeRemoveOptions{Force: true})
		}
	}
	for _, kind := range []string{"want.", "good."} {
		found, _ := at.reg.List(ctx, kind)
		for _, rec := range found {
			at.reg.Delete(ctx, rec)
		}
	}
	for _, name := range l.kept() {
		at.Engine.ImageRemove(ctx, name, client.ImageRemoveOptions{PruneChildren: true})
	}
}

// kept are the names under which images of the project are kept.
func (l *lab) kept() (out []string) {
	list, err := l.Engine.ImageList(context.Background(), client.ImageListOptions{Filters: client.Filters{}.Add("reference", keptName)})
	if err != nil {
		l.T.Fatal(err)
	}
	for _, i := range list.Items {
		for _, tag := range i.RepoTags {
			if strings.HasPrefix(tag, keptName+":"+l.Name+".") {
				out = append(out, tag)
			}
		}
	}
	slices.Sort(out)
	return out
}

// say is the project's file: what the web service is told to do, and its label, with which it is another container.
func (l *lab) say(label string, more ...string) {
	l.Write("compose.yaml", fmt.Sprintf(`services:
  web:
    build: .
    image: %s
    command: [wait]
    stop_grace_period: 2s
    labels: {version: "%s"}
    volumes: [data:/data]
%s
volumes: {data: {}}
`, l.image, label, strings.Join(more, "\n")))
}

// build makes the image, and gives it its name.
func (l *lab) build() map[string]string {
	l.T.Helper()
	b := Build{Project: l.project, Name: true, Cache: true, Timeout: op.Duration(5 * 60 * 1e9), Key: opKey}
	made, err := b.Do(l.T.Context(), l.d)
	if err != nil {
		l.T.Fatal(err)
	}
	return made.Images
}

// up brings the project up in a run, and accepts it where version is given.
func (l *lab) up(run, version string) Raised {
	l.T.Helper()
	u := defaultUp()
	u.Project, u.Key, u.RemoveOrphans = l.project, op.Key(run+"/1"), true
	out, err := u.Do(l.T.Context(), l.d)
	if err == nil && version != "" {
		_, err = Accept{Project: l.project, Version: version, Key: op.Key(run + "/2")}.Do(l.T.Context(), l.d)
	}
	if err != nil {
		l.T.Fatal(err)
	}
	return out
}

// state is what serves, and what is marked good.
func (l *lab) state() string {
	l.T.Helper()
	ctx := context.Background()
	at, seen, err := l.d.observe(ctx, l.project)
	if err != nil {
		l.T.Fatal(err)
	}
	var b strings.Builder
	for _, c := range seen.Containers {
		s := seen.States[c.ID]
		fmt.Fprintln(&b, c.Name, c.ID[:12], c.Hash[:8], shortID(c.ImageID), s.Status == "running", s.Exit)
	}
	for _, n := range seen.Networks {
		fmt.Fprintln(&b, "network", n.Create.Name)
	}
	goods, err := good.List[deployed](ctx, at.reg)
	if err != nil {
		l.T.Fatal(err)
	}
	for _, g := range goods {
		fmt.Fprintln(&b, "good", g.Run, g.Version)
	}
	fmt.Fprintln(&b, "kept", l.kept())
	return b.String()
}

func (l *lab) world(params any) optest.World {
	return optest.World{Host: l.Host, Params: params, Snapshot: l.state}
}

// TestLabOps holds every op that changes a project to the rules of all ops, in worlds on a real engine.
func TestLabOps(t *testing.T) {
	one := newLab(t)
	one.say("1")
	one.build()
	served := func(t testing.TB) *lab {
		l := one.another(t)
		l.say("1")
		l.up("20260126t110000-aaaa", "1.0")
		return l
	}
	up := defaultUp()
	back := defaultBack()
	optest.Run(t, optest.Suite{
		Family: func(h *host.Host) builtin.Family { return Family(h, daemon.NewPool(h)) },
		Worlds: optest.Worlds{
			"up: nothing is there": func(t testing.TB) optest.World {
				l := one.another(t)
				l.say("1")
				up.Project = l.project
				return l.world(up)
			},
			"up: another serves": func(t testing.TB) optest.World {
				l := served(t)
				l.say("2")
				up.Project = l.project
				return l.world(up)
			},
			"back": func(t testing.TB) optest.World {
				l := served(t)
				l.say("2")
				l.up("20260126t113000-bbbb", "2.0")
				back.Project, back.To = l.project, "20260126t110000-aaaa"
				return l.world(back)
			},
			"stop": func(t testing.TB) optest.World {
				l := served(t)
				return l.world(Stop{Project: l.project, Timeout: defaultHalt})
			},
			"down": func(t testing.TB) optest.World {
				l := served(t)
				return l.world(Down{Project: l.project, Timeout: defaultHalt})
			},
			"accept": func(t testing.TB) optest.World {
				l := served(t)
				l.say("2")
				run, _, _ := strings.Cut(string(opKey), "/")
				l.up(run, "")
				return l.world(Accept{Project: l.project, Version: "2.0"})
			},
		},
	})
}

//go:build labs

package reconcile

import (
	"archive/tar"
	"bytes"
	"context"
	"crypto/rand"
	"fmt"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/erlmcp/runner/builtins/compose/shape"
	"github.com/erlmcp/runner/builtins/docker/daemon"
	"github.com/erlmcp/runner/runtime/host"
	"github.com/erlmcp/runner/runtime/op"
	"github.com/moby/moby/api/types/container"
	"github.com/moby/moby/api/types/network"
	"github.com/moby/moby/api/types/volume"
	"github.com/moby/moby/client"
)

const key op.Key = "20260126t120000-test/7"

// lab is a project of a test's own on the real engine.
type lab struct {
	testing.TB
	site    Site
	project string
	image   string
}

func newLab(t testing.TB) *lab {
	t.Helper()
	e, err := daemon.NewPool(&host.Host{Files: host.OS{}, Env: os.Environ()}).Open(t.Context(), "")
	if err != nil {
		t.Fatal(err)
	}
	l := &lab{TB: t, site: Site{Engine: &Engine{Client: e.Client, API: e.API}, Clock: host.SystemClock{}}, project: "runner-rec-" + strings.ToLower(rand.Text()[:8])}
	l.image = l.project + ":v1"
	t.Cleanup(l.sweep)
	l.load()
	return l
}

func (l *lab) must(err error) {
	l.Helper()
	if err != nil {
		l.Fatal(err)
	}
}

// load makes an image of the program.
func (l *lab) load() {
	out := filepath.Join(l.TempDir(), "app")
	build := exec.Command("go", "build", "-trimpath", "-ldflags", "-s -w", "-o", out, "./testdata/app")
	build.Env = append(os.Environ(), "CGO_ENABLED=0")
	if text, err := build.CombinedOutput(); err != nil {
		l.Fatalf("%v: %s", err, text)
	}
	data, err := os.ReadFile(out)
	l.must(err)
	var b bytes.Buffer
	w := tar.NewWriter(&b)
	l.must(w.WriteHeader(&tar.Header{Name: "app", Mode: 0o755, Size: int64(len(data))}))
	w.Write(data)
	l.must(w.Close())
	r, err := l.site.Engine.ImageImport(l.Context(), client.ImageImportSource{Source: &b, SourceName: "-"}, l.image, client.ImageImportOptions{})
	l.must(err)
	var text bytes.Buffer
	text.ReadFrom(r)
	r.Close()
}

func (l *lab) sweep() {
	ctx, e := context.Background(), l.site.Engine
	of := make(client.Filters).Add("label", labelProject+"="+l.project)
	if list, err := e.ContainerList(ctx, client.ContainerListOptions{All: true, Filters: of}); err == nil {
		for _, c := range list.Items {
			e.ContainerRemove(ctx, c.ID, client.ContainerRemoveOptions{Force: true, RemoveVolumes: true})
		}
	}
	if list, err := e.NetworkList(ctx, client.NetworkListOptions{Filters: of}); err == nil {
		for _, n := range list.Items {
			e.NetworkRemove(ctx, n.ID, client.NetworkRemoveOptions{})
		}
	}
	if list, err := e.VolumeList(ctx, client.VolumeListOptions{Filters: of}); err == nil {
		for _, v := range list.Items {
			e.VolumeRemove(ctx, v.Name, client.VolumeRemoveOptions{})
		}
	}
	e.ImageRemove(ctx, l.image, client.ImageRemoveOptions{})
}

// set is a project with a network, a volume and services; each is an argument line of the program by name.
func (l *lab) set(services map[string]string, change ...func(*shape.Set)) shape.Set {
	s := shape.Set{Project: l.project}
	net, vol := l.project+"_default", l.project+"_data"
	s.Networks = []shape.Network{{Key: "default", Create: network.CreateRequest{Name: net, Driver: "bridge",
		Labels: map[string]string{labelProject: l.project, labelNetwork: "default", labelHash: "n1"}}}}
	s.Volumes = []shape.Volume{{Key: "data", Create: volume.CreateRequest{Name: vol, Labels: map[string]string{labelProject: l.project, labelVolume: "data", labelHash: "v1"}}}}
	for _, name := range slices.Sorted(maps.Keys(services)) {
		s.Services = append(s.Services, shape.Service{Name: name, Grace: 2 * time.Second})
		s.Containers = append(s.Containers, l.container(name, 1, services[name], net))
	}
	for _, c := range change {
		c(&s)
	}
	return s
}

func (l *lab) container(service string, n int, line, net string) shape.Container {
	hash := fmt.Sprintf("%x", line)
	c := shape.Container{Service: service, Number: n, Name: fmt.Sprintf("%s-%s-%d", l.project, service, n), Hash: hash, Image: l.image,
		Config: &container.Config{Image: l.image, Cmd: append([]string{"/app"}, strings.Fields(line)...), Env: []string{"A=1"}, Labels: map[string]string{
			labelProject: l.project, labelService: service, labelNumber: fmt.Sprint(n), labelHash: hash, labelOneOff: "False"}},
		Host:     &container.HostConfig{NetworkMode: container.NetworkMode(net), Binds: []string{l.project + "_data:/data"}},
		Networks: map[string]*network.EndpointSettings{net: {Aliases: []string{service}}}}
	return c
}

func (l *lab) plan(want shape.Set, k op.Key) (*Plan, error) {
	seen, err := Observe(l.Context(), l.site.Engine, l.project)
	l.must(err)
	if err := Resolve(l.Context(), l.site.Engine, &want, seen); err != nil {
		return nil, err
	}
	return NewPlan(want, seen, Options{Key: k})
}

func (l *lab) up(ctx context.Context, want shape.Set, k op.Key) ([]Stands, error) {
	p, err := l.plan(want, k)
	if err != nil {
		return nil, err
	}
	return l.site.Act(ctx, p, time.Minute)
}

// world is what an undo must restore: containers by name, with ID or, where it was removed, what it is made of.
func (l *lab) world() string {
	seen, err := Observe(context.Background(), l.site.Engine, l.project)
	l.must(err)
	var b strings.Builder
	for _, c := range seen.Containers {
		fmt.Fprintf(&b, "%s %s %s %s stopped=%v\n", c.Name, short(c.ID), c.Hash, digest(c.ImageID), c.Stopped)
	}
	for _, n := range seen.Networks {
		fmt.Fprintf(&b, "network %s %s\n", n.Create.Name, n.Create.Labels[labelHash])
	}
	return b.String()
}

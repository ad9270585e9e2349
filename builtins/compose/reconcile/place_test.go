package reconcile

import (
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"net/http"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/erlmcp/runner/builtins/compose/shape"
	"github.com/erlmcp/runner/builtins/docker/daemon"
	"github.com/erlmcp/runner/builtins/docker/dockertest"
	"github.com/erlmcp/runner/runtime/host"
	"github.com/erlmcp/runner/runtime/op"
	"github.com/moby/moby/api/types/container"
	"github.com/moby/moby/api/types/network"
	"github.com/moby/moby/api/types/volume"
	"github.com/moby/moby/client"
)

const (
	key    op.Key = "20260126t120000-test/7"
	before op.Key = "20260126t110000-test/1" // of the run that made what was there
)

// lab is a project of a test's own, on an engine.
type lab struct {
	testing.TB
	address string
	site    Site
	project string
	image   string
	fake    *fake // nil on a real engine
}

// fast is a clock on which time passes thirty times as fast.
type fast struct {
	host.SystemClock
	begun time.Time
}

const faster = 30

func (f fast) Now() time.Time { return f.begun.Add(faster * time.Since(f.begun)) }
func (f fast) Sleep(ctx context.Context, d time.Duration) error {
	return f.SystemClock.Sleep(ctx, d/faster)
}
func (f fast) Timeout(ctx context.Context, d time.Duration, cause error) (context.Context, context.CancelFunc) {
	return f.SystemClock.Timeout(ctx, d/faster, cause)
}

// inMemory is a project on an engine in memory.
func inMemory(t testing.TB) *lab {
	t.Helper()
	f := newFake(t)
	l := &lab{TB: t, address: f.address, project: "p", image: "app:1", fake: f}
	l.site = l.through(f.address)
	for _, name := range []string{l.image, "sha256:" + strings.Repeat("a", 64)} {
		f.images[name] = "sha256:" + strings.Repeat("a", 64)
	}
	return l
}

// through is the same engine behind an address.
func (l *lab) through(address string) Site {
	l.Helper()
	e, err := daemon.NewPool(&host.Host{Files: host.OS{}, Env: os.Environ()}).Open(context.Background(), address)
	l.must(err)
	l.Cleanup(func() { e.Close() })
	s := Site{Engine: &Engine{Client: e.Client, API: e.API}, Clock: l.site.Clock}
	if l.fake != nil {
		s.Clock = fast{begun: time.Now()}
	}
	return s
}

func (l *lab) must(err error) {
	l.Helper()
	if err != nil {
		l.Fatal(err)
	}
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

// world is what an undo must restore, and what it must leave nothing of.
func (l *lab) world() string {
	l.Helper()
	ctx, e := context.Background(), l.site.Engine
	seen, err := Observe(ctx, e, l.project)
	l.must(err)
	var b strings.Builder
	ids := map[string]bool{}
	for _, n := range seen.Networks {
		fmt.Fprintf(&b, "network %s %s\n", n.Create.Name, n.Create.Labels[labelHash])
		ids[n.ID] = true
	}
	for _, c := range seen.Containers {
		fmt.Fprintf(&b, "%s %s %s %s stopped=%v", c.Name, short(c.ID), c.Hash, digest(c.ImageID), c.Stopped)
		for _, at := range slices.Sorted(maps.Keys(c.Anonymous)) {
			fmt.Fprintf(&b, " %s=%s", at, short(c.Anonymous[at]))
		}
		got, err := e.ContainerInspect(ctx, c.ID, client.ContainerInspectOptions{})
		l.must(err)
		for _, name := range slices.Sorted(maps.Keys(got.Container.NetworkSettings.Networks)) {
			fmt.Fprintf(&b, " in %s as %q", name, c.Networks[name].Aliases)
			if s := got.Container.NetworkSettings.Networks[name]; !ids[s.NetworkID] || !c.Stopped && !s.IPAddress.IsValid() {
				fmt.Fprintf(&b, ", which is no longer there")
			}
		}
		b.WriteString("\n")
	}
	for _, a := range seen.Aside {
		fmt.Fprintf(&b, "left behind: %s\n", a.Name)
	}
	return b.String()
}

// doomed is the engine for a run that is killed at its n-th request that changes something.
type doomed struct {
	site Site
	ctx  context.Context
	at   string // the request, "" where it was never reached
	*dockertest.Proxy
}

func (l *lab) doomed(n int, how dockertest.Fault) *doomed {
	l.Helper()
	ctx, kill := context.WithCancel(l.Context())
	l.Cleanup(kill)
	d := &doomed{ctx: ctx}
	d.Proxy = dockertest.NewProxy(l, l.address, func(_ int, r *http.Request) dockertest.Fault {
		if d.at != "" {
			return dockertest.Dropped
		}
		if !dockertest.Changes(r) {
			return dockertest.None
		}
		if n--; n > 0 {
			return dockertest.None
		}
		d.at = fmt.Sprintf("%s %s?%s (%d)", r.Method, r.URL.Path, r.URL.RawQuery, how)
		kill()
		return how
	})
	d.site = l.through(d.Address)
	return d
}

// upAt brings a Set up on a site.
func (l *lab) upAt(ctx context.Context, s Site, want shape.Set, k op.Key) error {
	seen, err := Observe(ctx, s.Engine, l.project)
	if err != nil {
		return err
	}
	if err := Resolve(ctx, s.Engine, &want, seen); err != nil {
		return err
	}
	p, err := NewPlan(want, seen, Options{Key: k})
	if err != nil {
		return err
	}
	_, err = s.Act(ctx, p, 10*time.Minute)
	return err
}

// back takes the op of the key back, and looks whether all is as it was.
func (l *lab) back(was shape.Set, before, killed string) {
	l.Helper()
	if _, err := l.site.Return(context.Background(), was, key); err != nil {
		l.Fatalf("killed at %s: %v", killed, err)
	}
	if after := l.world(); after != before {
		l.Fatalf("killed at %s: was\n%s\nis\n%s", killed, before, after)
	}
	if again, err := l.site.Return(context.Background(), was, key); err != nil || !again.Already {
		l.Fatalf("killed at %s: once more: %+v, %v", killed, again, err)
	}
}

// again is a Set as it comes back from the undo log.
func again(t testing.TB, s shape.Set) (out shape.Set) {
	t.Helper()
	b, err := json.Marshal(s)
	if err == nil {
		err = json.Unmarshal(b, &out)
	}
	if err != nil {
		t.Fatal(err)
	}
	return out
}

func networking(c shape.Container) *network.NetworkingConfig {
	return &network.NetworkingConfig{EndpointsConfig: c.Networks}
}

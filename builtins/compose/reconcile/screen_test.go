package reconcile

import (
	"context"
	"flag"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/erlmcp/runner/builtins/compose/shape"
	"github.com/erlmcp/runner/runtime/op"
	"github.com/moby/moby/api/types/container"
	"github.com/moby/moby/api/types/network"
	"github.com/moby/moby/client"
)

var update = flag.Bool("update", false, "write what people see into testdata/screen")

// screens are what goes wrong, and what the engine says of it: its words are Docker 20.10's.
var screens = map[string]struct {
	services map[string]string
	change   []func(*shape.Set)
	before   func(l *lab)
}{
	"port-of-another-project": {services: map[string]string{"web": "serve"}, change: []func(*shape.Set){published("web", "8080")}, before: func(l *lab) {
		l.other("shop-web-1", "shop", "8080")
	}},
	"port-taken-meanwhile": {services: map[string]string{"web": "serve"}, change: []func(*shape.Set){published("web", "8080")}, before: func(l *lab) {
		l.fake.refuses["p-web-1"] = "driver failed programming external connectivity on endpoint p-web-1 (e895416918c1): Bind for 0.0.0.0:8080 failed: port is already allocated"
		l.fake.ahead = func() func(r *http.Request) {
			done := false
			return func(r *http.Request) {
				if strings.HasSuffix(r.URL.Path, "/start") && !done {
					done = true
					l.other("theirs", "", "8080")
				}
			}
		}()
	}},
	"port-of-a-process": {services: map[string]string{"web": "serve"}, change: []func(*shape.Set){published("web", "8080")}, before: func(l *lab) {
		l.fake.refuses["p-web-1"] = "driver failed programming external connectivity on endpoint p-web-1 (5db2b65ca96d): Error starting userland proxy: listen tcp4 0.0.0.0:8080: bind: address already in use"
	}},
	"memory":      {services: map[string]string{"web": "eat"}, change: []func(*shape.Set){limited("web", 32<<20)}},
	"memory-loop": {services: map[string]string{"web": "eat"}, change: []func(*shape.Set){limited("web", 1536<<20), always("web")}},
	"crash-loop":  {services: map[string]string{"web": "exit 3"}, change: []func(*shape.Set){always("web")}},
	"exits":       {services: map[string]string{"web": "exit 137"}},
	"image":       {services: map[string]string{"web": "serve", "api": "serve"}, change: []func(*shape.Set){imaged("web", "registry.example/shop/web:1.4"), imaged("api", "shop/api")}},
	"unhealthy":   {services: map[string]string{"web": "serve"}, change: []func(*shape.Set){checked("web", "/app", "fail")}},
	"no-program": {services: map[string]string{"web": "serve"}, before: func(l *lab) {
		l.fake.refuses["p-web-1"] = `failed to create shim task: OCI runtime create failed: runc create failed: unable to start container process: exec: "/srv/web": stat /srv/web: no such file or directory: unknown`
	}},
	"no-right-to-run": {services: map[string]string{"web": "serve"}, before: func(l *lab) {
		l.fake.refuses["p-web-1"] = `failed to create shim task: OCI runtime create failed: runc create failed: unable to start container process: exec: "/srv/web": permission denied: unknown`
	}},
	"need-failed":    {services: map[string]string{"web": "serve", "migrate": "exit 1"}, change: []func(*shape.Set){needs("web", "migrate", completed)}},
	"need-unhealthy": {services: map[string]string{"web": "serve", "db": "serve"}, change: []func(*shape.Set){checked("db", "/app", "fail"), needs("web", "db", healthy)}},
	"one-shot":       {services: map[string]string{"migrate": "exit 1"}},
	"silent":         {services: map[string]string{"web": "silent"}, change: []func(*shape.Set){checked("web", "/app", "fail")}},
	"circle":         {services: map[string]string{"web": "serve", "db": "serve"}, change: []func(*shape.Set){needs("web", "db", started), needs("db", "web", started)}},
	"outside":        {services: map[string]string{"web": "serve"}, change: []func(*shape.Set){external}},
}

func published(service, port string) func(*shape.Set) {
	return each(service, func(c *shape.Container) {
		c.Host.PortBindings = network.PortMap{network.MustParsePort("80/tcp"): {{HostPort: port}}}
	})
}

func limited(service string, bytes int64) func(*shape.Set) {
	return each(service, func(c *shape.Container) { c.Host.Memory = bytes })
}

func always(service string) func(*shape.Set) {
	return each(service, func(c *shape.Container) { c.Host.RestartPolicy.Name = container.RestartPolicyAlways })
}

func imaged(service, image string) func(*shape.Set) {
	return each(service, func(c *shape.Container) { c.Image = image })
}

func external(s *shape.Set) { s.Networks[0].External, s.Volumes[0].External = true, true }

func each(service string, change func(c *shape.Container)) func(*shape.Set) {
	return func(s *shape.Set) {
		for i := range s.Containers {
			if s.Containers[i].Service == service {
				change(&s.Containers[i])
			}
		}
	}
}

// other is a running container of somebody else.
func (l *lab) other(name, project, port string) {
	l.Helper()
	c := shape.Container{Config: &container.Config{Image: l.image, Cmd: []string{"/app", "serve"}, Labels: map[string]string{labelProject: project}}, Host: &container.HostConfig{}}
	c.Host.PortBindings = network.PortMap{network.MustParsePort("80/tcp"): {{HostPort: port}}}
	made, err := l.site.Engine.ContainerCreate(context.Background(), client.ContainerCreateOptions{Name: name, Config: c.Config, HostConfig: c.Host})
	l.must(err)
	_, err = l.site.Engine.ContainerStart(context.Background(), made.ID, client.ContainerStartOptions{})
	l.must(err)
}

// What is read by whoever is woken at night: what is wrong, why, what to do.
func TestScreens(t *testing.T) {
	for name, c := range screens {
		t.Run(name, func(t *testing.T) {
			l := inMemory(t)
			if c.before != nil {
				c.before(l)
			}
			err := l.upAt(t.Context(), l.site, l.set(c.services, c.change...), key)
			if err == nil {
				t.Fatal("it came up")
			}
			got := fmt.Sprintf("failed: %v\n", err)
			all, e := Evidence(t.Context(), l.site.Engine, l.project)
			l.must(e)
			for _, one := range all {
				got += "evidence: " + one.Title + "\n"
				for line := range strings.Lines(one.Text) {
					got += "  | " + strings.TrimSpace(line) + "\n"
				}
			}
			if h := op.HintOf(err); h != "" {
				got += "hint: " + h + "\n"
			}
			path := filepath.Join("testdata", "screen", name+".txt")
			if *update {
				l.must(os.WriteFile(path, []byte(got), 0o644))
			}
			if want, _ := os.ReadFile(path); string(want) != got {
				t.Errorf("is\n%s\nwant\n%s", got, want)
			}
		})
	}
}

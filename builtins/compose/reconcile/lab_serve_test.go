//go:build labs

package reconcile

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"net/netip"
	"sync"
	"testing"
	"time"

	"github.com/erlmcp/runner/builtins/compose/shape"
	"github.com/erlmcp/runner/runtime/op"
	"github.com/moby/moby/api/types/network"
	"github.com/moby/moby/client"
)

// shop is a web service behind a proxy that has the host's port.
func (l *lab) shop(version string, change ...func(*shape.Set)) shape.Set {
	port := network.MustParsePort("8080/tcp")
	return l.set(map[string]string{"front": "proxy", "web": "http " + version}, append(change, checked("web", "/app", "get", "http://127.0.0.1:8080"), func(s *shape.Set) {
		s.Containers[0].Config.ExposedPorts = network.PortSet{port: {}}
		s.Containers[0].Host.PortBindings = network.PortMap{port: {{HostIP: netip.MustParseAddr("127.0.0.1"), HostPort: "0"}}}
	})...)
}

// A service without a port of the host's is replaced under load, the new one first: no request is lost. With the old one
// first some are, or the test would see nothing.
func TestLabStartFirstLosesNothing(t *testing.T) {
	l := newLab(t)
	l.must(l.upAt(t.Context(), l.site, l.shop("v1", startFirst), before))
	front, err := l.site.Engine.ContainerInspect(t.Context(), l.project+"-front-1", client.ContainerInspectOptions{})
	l.must(err)
	url := "http://127.0.0.1:" + front.Container.NetworkSettings.Ports[network.MustParsePort("8080/tcp")][0].HostPort
	for name, c := range map[string]struct {
		want shape.Set
		lost bool
		key  op.Key // each of its own: an op that is done again discards what it has made itself
	}{"start first": {l.shop("v2", startFirst), false, key}, "stop first": {l.shop("v3"), true, key + "/8"}} {
		ctx, stop := context.WithCancel(t.Context())
		answers := load(ctx, url)
		l.must(l.upAt(t.Context(), l.site, c.want, c.key))
		stop()
		got := <-answers
		t.Logf("%s: %v", name, got)
		if lost := got["lost"] > 0; lost != c.lost || len(got) < 2 {
			t.Errorf("%s: %v", name, got)
		}
		seen, err := Observe(t.Context(), l.site.Engine, l.project)
		l.must(err)
		if removed, err := Sweep(t.Context(), l.site.Engine, seen, seen.Replaced); err != nil || len(removed) != 1 {
			t.Errorf("swept %q, %v", removed, err)
		}
	}
}

// load sends requests from four clients until ctx ends, and counts the answers.
func load(ctx context.Context, url string) <-chan map[string]int {
	out := make(chan map[string]int, 1)
	all := map[string]int{}
	var mu sync.Mutex
	var wg sync.WaitGroup
	c := &http.Client{Timeout: 10 * time.Second}
	for range 4 {
		wg.Go(func() {
			for ctx.Err() == nil {
				answer := "lost"
				if r, err := c.Get(url); err == nil {
					b, err := io.ReadAll(r.Body)
					r.Body.Close()
					if r.StatusCode == http.StatusOK && err == nil {
						answer = string(b)
					}
				}
				mu.Lock()
				all[answer]++
				mu.Unlock()
			}
		})
	}
	go func() { wg.Wait(); out <- all }()
	return out
}

// How long it takes to notice that a check has passed, ours or the engine's: printed, and held to what a machine at work
// on other things can do.
func TestLabNoticed(t *testing.T) {
	for name, c := range map[string]struct {
		interval time.Duration
		event    string
	}{"our check": {time.Minute, "exec_die"}, "the engine's check": {90 * time.Millisecond, "health_status: healthy"}} {
		t.Run(name, func(t *testing.T) {
			l := newLab(t)
			begun := time.Now()
			l.must(l.upAt(t.Context(), l.site, l.set(map[string]string{"web": "serve 300ms"}, checked("web", "/app", "ready"), each("web", func(c2 *shape.Container) {
				c2.Config.Healthcheck.Interval, c2.Config.Healthcheck.Retries = c.interval, 100
			})), key))
			ready := time.Now()
			stream := l.site.Engine.Events(t.Context(), client.EventsListOptions{Since: fmt.Sprint(begun.Unix()), Until: fmt.Sprint(ready.Unix() + 1),
				Filters: make(client.Filters).Add("label", labelProject+"="+l.project)})
			var passed time.Time
			checks := 0
			for passed.IsZero() {
				select {
				case m := <-stream.Messages:
					if m.Action == "exec_die" {
						checks++
					}
					if string(m.Action) == c.event && (m.Actor.Attributes["exitCode"] == "0" || m.Actor.Attributes["exitCode"] == "") {
						passed = time.Unix(0, m.TimeNano)
					}
				case err := <-stream.Err:
					t.Fatalf("%v: no %s", err, c.event)
				}
			}
			t.Logf("ready %s after the check had passed; %d checks, %s in all", ready.Sub(passed).Round(100*time.Microsecond), checks, ready.Sub(begun).Round(time.Millisecond))
			if late := ready.Sub(passed); late > time.Second {
				t.Errorf("noticed after %s", late)
			}
		})
	}
}

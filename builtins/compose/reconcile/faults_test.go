package reconcile

import (
	"context"
	"errors"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/erlmcp/runner/builtins/compose/shape"
	"github.com/erlmcp/runner/builtins/docker/dockertest"
	"github.com/erlmcp/runner/runtime/op"
	"github.com/moby/moby/api/types/container"
	"github.com/moby/moby/client"
)

// The data of an anonymous volume is there after every change, not only after the first.
func TestAnonymousVolumeStays(t *testing.T) {
	l := inMemory(t)
	var first string
	for i, line := range []string{"serve", "serve 1s", "serve 2s", "serve 3s"} {
		k := []op.Key{before, key, key, "20260126t130000-test/1"}[i] // one of them is tried again, with other files
		l.must(l.upAt(t.Context(), l.site, l.set(map[string]string{"web": line}, cached("web")), k))
		seen, err := Observe(t.Context(), l.site.Engine, l.project)
		l.must(err)
		for _, m := range l.fake.containers[seen.Containers[0].ID].mounts {
			if m.Destination == "/cache" && first == "" {
				first = m.Name
			}
			if m.Destination == "/cache" && m.Name != first {
				t.Fatalf("%s: /cache is another volume", line)
			}
		}
		Sweep(t.Context(), l.site.Engine, seen, seen.Replaced)
	}
}

// Two services wait for one that stays, whose state nobody knows yet.
func TestTwoWaitForOneThatStays(t *testing.T) {
	l := inMemory(t)
	db := checked("db", "/app", "exit", "0")
	l.must(l.upAt(t.Context(), l.site, l.set(map[string]string{"db": "serve"}, db), before))
	for _, b := range l.fake.containers {
		b.restarts = 7 // long ago
	}
	inspects := 0
	l.fake.ahead = func(r *http.Request) {
		if strings.HasSuffix(r.URL.Path, "/json") && r.Method == http.MethodGet {
			inspects++
			time.Sleep(20 * time.Millisecond)
		}
	}
	all := l.set(map[string]string{"db": "serve", "api": "serve", "web": "serve", "x": "serve"}, db, needs("api", "db", healthy), needs("web", "db", healthy), needs("x", "db", healthy))
	l.must(l.upAt(t.Context(), l.site, all, key))
}

// Any one request that reads fails once: the run comes up, or says why not, and never waits for what it has missed.
func TestReadsFailOnce(t *testing.T) {
	for n := 1; ; n++ {
		l := inMemory(t)
		l.must(l.upAt(t.Context(), l.site, l.set(map[string]string{"job": "exit 0"}), before))
		left, reached := n, false
		p := dockertest.NewProxy(t, l.address, func(_ int, r *http.Request) dockertest.Fault {
			if r.Method == http.MethodGet {
				if left--; left == 0 {
					reached = true
					return dockertest.Refused
				}
			}
			return dockertest.None
		})
		begun := time.Now()
		err := l.upAt(t.Context(), l.through(p.Address), l.set(map[string]string{"job": "serve", "web": "serve"}, checked("web", "/app", "exit", "0"), checked("job", "/app", "exit", "0")), key)
		if err != nil && !strings.Contains(err.Error(), "out of luck") || time.Since(begun) > 10*time.Second {
			t.Errorf("read %d failed: %v after %s", n, err, time.Since(begun))
		}
		if err == nil {
			for _, b := range l.fake.containers {
				if b.name == "p-web-1" && (b.state.Health == nil || b.state.Health.Status != container.Healthy) {
					t.Errorf("read %d failed: %s is said to be ready", n, b.name)
				}
			}
		}
		if !reached {
			break
		}
	}
}

// The stream of events breaks in the middle of a wait, and what comes meanwhile is told to nobody.
func TestEventsBreak(t *testing.T) {
	l := inMemory(t)
	p := dockertest.NewProxy(t, l.address, func(int, *http.Request) dockertest.Fault { return dockertest.None })
	out := make(chan error)
	want := l.set(map[string]string{"job": "serve", "web": "serve"}, needs("web", "job", completed))
	go func() { out <- l.upAt(t.Context(), l.through(p.Address), want, key) }()
	stop := <-p.Streams
	for l.moved(func() bool { return len(l.fake.containers) == 0 || !l.named("p-job-1").state.Running }) {
	}
	for range 3 {
		stop()
		l.fake.mu.Lock()
		if job := l.named("p-job-1"); job.state.Running {
			events := len(l.fake.events)
			l.fake.end(job, 0)
			l.fake.events = l.fake.events[:events]
		}
		l.fake.mu.Unlock()
		stop = <-p.Streams
	}
	l.must(<-out)
}

// moved waits for a change on the fake while something holds.
func (l *lab) moved(holds func() bool) bool {
	l.fake.mu.Lock()
	moved, still := l.fake.moved, holds()
	l.fake.mu.Unlock()
	if still {
		select {
		case <-moved:
		case <-l.Context().Done():
			l.Fatal("it never happens")
		}
	}
	return still
}

func (l *lab) named(name string) *box {
	for _, b := range l.fake.containers {
		if b.name == name {
			return b
		}
	}
	return &box{}
}

// Everything that stands still is removed in the middle, as "docker container prune" does: it is made again as it was,
// with what was laid into it, and with the namespace of the one that is made again beside it.
func TestReturnMakesAgain(t *testing.T) {
	l := inMemory(t)
	secret := func(s *shape.Set) {
		s.Containers[0].Files = []shape.File{{Path: "/run/secrets/p", Data: []byte("hush"), Mode: 0o400, UID: 1000}}
		s.Containers[1].Host.NetworkMode, s.Containers[1].Networks = "service:db", nil
		s.Services[1].Source = []byte(`{"network_mode":"service:db"}`)
		s.Services[1].Needs = []shape.Need{{Service: "db", Condition: started}}
		s.Containers[1].Config.Labels[labelNeeds] = "db:service_started:false"
	}
	l.must(l.upAt(t.Context(), l.site, l.set(map[string]string{"db": "serve", "side": "serve"}, secret), before))
	seen, err := Snapshot(t.Context(), l.site.Engine, l.project)
	l.must(err)
	was := again(t, *seen)
	l.must(l.upAt(t.Context(), l.site, l.set(map[string]string{"db": "serve 8s", "side": "serve 9s"}, secret), key))
	for id, b := range l.fake.containers {
		if !b.state.Running {
			delete(l.fake.containers, id)
		}
	}
	if _, err := l.site.Return(t.Context(), was, key); err != nil {
		t.Fatal(err)
	}
	db, side := l.named("p-db-1"), l.named("p-side-1")
	if string(db.files["/run/secrets/p"]) != "hush" || db.made.Cmd[len(db.made.Cmd)-1] != "serve" {
		t.Errorf("%v has %q", db.made.Cmd, db.files)
	}
	if string(side.made.HostConfig.NetworkMode) != "container:"+db.id || !side.state.Running {
		t.Errorf("side has %s, want %s", side.made.HostConfig.NetworkMode, db.id)
	}
}

// A foreign hand's repair is left alone and said; what else has failed is tried again by the next run, so it is no mere
// conflict then.
func TestReturnConflict(t *testing.T) {
	l := inMemory(t)
	was, _ := l.setUp(stories["two services change"])
	now := stories["two services change"].now(l)
	l.must(l.upAt(t.Context(), l.site, now, key))
	l.fake.mu.Lock()
	delete(l.fake.containers, l.named("p-web-1").id)
	l.fake.mu.Unlock()
	theirs := l.container("web", 1, "serve by hand", l.project+"_default")
	made, err := l.site.Engine.ContainerCreate(t.Context(), client.ContainerCreateOptions{Name: theirs.Name, Config: theirs.Config, HostConfig: theirs.Host})
	l.must(err)
	fault := dockertest.None
	p := dockertest.NewProxy(t, l.address, func(_ int, r *http.Request) dockertest.Fault {
		if strings.HasSuffix(r.URL.Path, "/start") {
			return fault
		}
		return dockertest.None
	})
	site := l.through(p.Address)
	fault = dockertest.Refused
	var conflict *op.Conflict
	if _, err = site.Return(t.Context(), was.Set, key); err == nil || errors.As(err, &conflict) || !strings.Contains(err.Error(), "p-web-1 is the container "+short(made.ID)) {
		t.Errorf("a conflict and a failure: %v", err)
	}
	fault = dockertest.None
	if _, err = site.Return(t.Context(), was.Set, key); !errors.As(err, &conflict) || conflict.What != "p-web-1" || strings.Contains(err.Error(), "\n") {
		t.Errorf("a conflict: %v", err)
	}
	if l.named("p-web-1").id != made.ID || !l.named("p-db-1").state.Running {
		t.Error("theirs was touched, or ours does not run")
	}
}

// Any one request fails once on the way back: nobody notices.
func TestReturnTriesAgain(t *testing.T) {
	for how, name := range map[dockertest.Fault]string{dockertest.Cut: "two services change", dockertest.Refused: "a network changes"} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			l := inMemory(t)
			s := stories[name]
			was, old := l.setUp(s)
			for n := 1; ; n++ {
				l.must(l.upAt(t.Context(), l.site, s.now(l), key))
				left, at := n, ""
				p := dockertest.NewProxy(t, l.address, func(_ int, r *http.Request) dockertest.Fault {
					if left--; left == 0 {
						at = r.Method + " " + r.URL.Path
						return how
					}
					return dockertest.None
				})
				if _, err := l.through(p.Address).Return(t.Context(), was.Set, key); err != nil {
					t.Fatalf("%s (%d): %v", at, how, err)
				}
				l.back(was.Set, old, at)
				if at == "" {
					break
				}
			}
		})
	}
}

// A container of others is in the network that the run made: all else goes back, and that is said.
func TestReturnNetworkInUse(t *testing.T) {
	l := inMemory(t)
	s := stories["a network changes"]
	was, _ := l.setUp(s)
	l.must(l.upAt(t.Context(), l.site, s.now(l), key))
	other := l.container("x", 1, "serve", l.project+"_default")
	other.Config.Labels = nil
	made, err := l.site.Engine.ContainerCreate(t.Context(), client.ContainerCreateOptions{Name: "theirs", Config: other.Config, HostConfig: other.Host,
		NetworkingConfig: networking(other)})
	l.must(err)
	_, err = l.site.Engine.ContainerStart(t.Context(), made.ID, client.ContainerStartOptions{})
	l.must(err)
	_, err = l.site.Return(t.Context(), was.Set, key)
	var conflict *op.Conflict
	if !errors.As(err, &conflict) || !strings.Contains(err.Error(), "the network p_default is in use by theirs") || strings.Contains(err.Error(), "\n") {
		t.Errorf("%v", err)
	}
	if !l.named("p-web-1").state.Running || !l.named("theirs").state.Running || len(l.fake.networks) != 2 {
		t.Errorf("%s and %d networks", l.world(), len(l.fake.networks))
	}
}

// Between the plan and the act somebody takes a name, an image, a container: one line says what.
func TestMeanwhile(t *testing.T) {
	for name, c := range map[string]struct {
		meddle     func(l *lab)
		want, hint string
	}{
		"a network": {func(l *lab) {
			l.site.Engine.NetworkCreate(context.Background(), "p_default", client.NetworkCreateOptions{})
		}, "cannot make the network p_default: one of that name is there since, and is of no project", "docker network rm p_default"},
		"an image": {func(l *lab) { clear(l.fake.images) }, "cannot make a container of web: the engine has no image app:1", "compose.build"},
		"a name": {func(l *lab) {
			c := l.container("web", 1, "serve", "")
			l.site.Engine.ContainerCreate(context.Background(), client.ContainerCreateOptions{Name: "p-web-1", Config: &container.Config{Image: c.Image, Cmd: c.Config.Cmd}, HostConfig: &container.HostConfig{}})
		}, "cannot give web:1 the name p-web-1: the container ", "docker rename p-web-1 NAME"},
	} {
		t.Run(name, func(t *testing.T) {
			l := inMemory(t)
			p, err := l.plan(l.set(map[string]string{"web": "serve"}), key)
			l.must(err)
			c.meddle(l)
			_, err = l.site.Act(t.Context(), p, time.Minute)
			if err == nil || !strings.Contains(err.Error(), c.want) || strings.Contains(err.Error(), "\n") || !strings.Contains(op.HintOf(err), c.hint) {
				t.Errorf("%v; %s", err, op.HintOf(err))
			}
		})
	}
}

// The old container is removed by hand while the new one is made.
func TestOldOneIsRemovedMeanwhile(t *testing.T) {
	l := inMemory(t)
	was, _ := l.setUp(stories["start first"])
	p, err := l.plan(l.set(map[string]string{"web": "serve 9s"}), key)
	l.must(err)
	delete(l.fake.containers, l.named("p-web-1").id)
	if _, err = l.site.Act(t.Context(), p, time.Minute); err == nil || err.Error() != "the old web:1 was removed by somebody else meanwhile" {
		t.Errorf("%v", err)
	}
	if _, err := l.site.Return(t.Context(), was.Set, key); err != nil || !l.named("p-web-1").state.Running {
		t.Errorf("%v", err)
	}
}

// A container that ends as it starts is not ready because the engine is slow to tell of its end.
func TestEndIsToldLate(t *testing.T) {
	l := inMemory(t)
	want := l.set(map[string]string{"web": "serve"})
	l.fake.ahead = func(r *http.Request) {
		if strings.HasSuffix(r.URL.Path, "/start") {
			time.AfterFunc(10*time.Millisecond, func() {
				l.fake.mu.Lock()
				defer l.fake.mu.Unlock()
				told := len(l.fake.events)
				l.fake.end(l.named("p-web-1"), 3)
				l.fake.events = l.fake.events[:told]
			})
		}
	}
	if err := l.upAt(t.Context(), l.site, want, key); err == nil || err.Error() != "web:1 exited with 3" {
		t.Errorf("%v", err)
	}
}

// The engine runs a check for the first time after its interval; we do before.
func TestCheckIsRunByUs(t *testing.T) {
	l := inMemory(t)
	l.must(l.upAt(t.Context(), l.site, l.set(map[string]string{"db": "slow", "web": "serve"}, checked("db", "/app", "exit", "0"), needs("web", "db", healthy), each("db", func(c *shape.Container) {
		c.Config.Healthcheck.Interval = 30 * time.Second
	})), key))
	if n := l.named("p-db-1").asked; n != 2 {
		t.Errorf("asked %d times", n)
	}
}

// An engine that takes a request and says nothing is not waited for without an end.
func TestEngineIsSilent(t *testing.T) {
	l := inMemory(t)
	l.fake.ahead = func(r *http.Request) {
		if strings.HasSuffix(r.URL.Path, "/start") {
			<-r.Context().Done()
		}
	}
	err := l.upAt(t.Context(), l.site, l.set(map[string]string{"web": "serve"}), key)
	if err == nil || err.Error() != "cannot start web:1: the engine does not answer within 1m0s" {
		t.Errorf("%v", err)
	}
}

// The same op again, with other files than at its first try: what that made is its own half, and no version to go back to.
func TestDoneAgainOtherwise(t *testing.T) {
	l := inMemory(t)
	was, old := l.setUp(stories["start first"])
	for _, line := range []string{"serve 7s", "serve 8s", "serve 9s"} {
		l.must(l.upAt(t.Context(), l.site, l.set(map[string]string{"web": line}), key))
	}
	if got := l.named("p-web-1").made.Cmd[2]; got != "9s" || len(l.fake.containers) != 2 {
		t.Errorf("%s, %d containers", got, len(l.fake.containers))
	}
	l.back(was.Set, old, "")
}

// What was there comes back though what it needs is not well: that may be why the run failed.
func TestReturnGoesOnPastNeeds(t *testing.T) {
	l := inMemory(t)
	set := func(line string) shape.Set {
		return l.set(map[string]string{"db": "serve", "web": line}, checked("db", "/app", "exit", "0"), needs("web", "db", healthy), each("web", func(c *shape.Container) {
			c.Config.Labels[labelNeeds] = "db:service_healthy:false"
		}))
	}
	l.must(l.upAt(t.Context(), l.site, set("serve"), before))
	was, err := Snapshot(t.Context(), l.site.Engine, l.project)
	l.must(err)
	l.must(l.upAt(t.Context(), l.site, set("serve 9s"), key))
	l.fake.mu.Lock()
	l.named("p-db-1").state.Health = &container.Health{Status: container.Unhealthy}
	l.fake.mu.Unlock()
	if _, err := l.site.Return(t.Context(), *was, key); err != nil || !l.named("p-web-1").state.Running {
		t.Errorf("%v", err)
	}
}

// One that did not run is not started by the way back, which says whether it did anything.
func TestReturnOfOneThatDidNotRun(t *testing.T) {
	l := inMemory(t)
	l.must(l.upAt(t.Context(), l.site, l.set(map[string]string{"web": "serve"}), before))
	l.fake.mu.Lock()
	l.fake.end(l.named("p-web-1"), 0)
	l.fake.mu.Unlock()
	was, err := Snapshot(t.Context(), l.site.Engine, l.project)
	l.must(err)
	l.must(l.upAt(t.Context(), l.site, l.set(map[string]string{"web": "serve 9s"}), key))
	for _, already := range []bool{false, true} {
		if r, err := l.site.Return(t.Context(), *was, key); err != nil || r.Already != already || l.named("p-web-1").state.Running {
			t.Errorf("%+v, %v", r, err)
		}
	}
}

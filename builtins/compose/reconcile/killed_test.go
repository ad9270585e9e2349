package reconcile

import (
	"context"
	"strings"
	"testing"
	"time"

	"github.com/erlmcp/runner/builtins/compose/shape"
	"github.com/erlmcp/runner/builtins/docker/dockertest"
	"github.com/moby/moby/api/types/container"
	"github.com/moby/moby/api/types/network"
)

// story is a project before a run and what the run makes of it.
type story struct {
	was, now func(l *lab) shape.Set
	does     func(seen *Seen) *Plan // in place of bringing up what is now
}

// stories are those that every way of dying is tried on.
var stories = map[string]story{
	"two services change": {
		was: func(l *lab) shape.Set {
			return l.set(map[string]string{"db": "serve", "web": "serve"}, cached("web"), needs("web", "db", started))
		},
		now: func(l *lab) shape.Set {
			return l.set(map[string]string{"db": "serve 8s", "web": "serve 9s", "new": "serve"}, cached("web"), needs("web", "db", started))
		},
	},
	"start first": {
		was: func(l *lab) shape.Set { return l.set(map[string]string{"web": "serve"}, startFirst) },
		now: func(l *lab) shape.Set { return l.set(map[string]string{"web": "serve 9s"}, startFirst) },
	},
	"a network changes": {
		was: func(l *lab) shape.Set {
			return l.set(map[string]string{"db": "serve", "web": "serve"}, cached("db"), second2("web"))
		},
		now: func(l *lab) shape.Set {
			return l.set(map[string]string{"db": "serve", "web": "serve"}, cached("db"), second2("web"), otherNetwork)
		},
	},
	"replicas": {
		was: func(l *lab) shape.Set {
			return l.set(map[string]string{"api": "serve", "web": "serve"}, replicated("web", 2))
		},
		now: func(l *lab) shape.Set {
			return l.set(map[string]string{"api": "serve", "web": "serve"}, replicated("api", 2))
		},
	},
	"the first": {
		was: func(l *lab) shape.Set { return shape.Set{Project: l.project} },
		now: func(l *lab) shape.Set {
			return l.set(map[string]string{"db": "serve", "web": "serve"}, cached("db"), checked("db", "/app", "exit", "0"), needs("web", "db", healthy))
		},
	},
	"one that did not run": {
		was: func(l *lab) shape.Set { return l.set(map[string]string{"web": "serve", "job": "exit 0"}) },
		now: func(l *lab) shape.Set { return l.set(map[string]string{"web": "serve", "job": "exit 0"}) },
	},
	"a restart": {
		was: func(l *lab) shape.Set {
			return l.set(map[string]string{"db": "serve", "web": "serve"}, restarted("web", "db"))
		},
		now: func(l *lab) shape.Set {
			return l.set(map[string]string{"db": "serve 9s", "web": "serve"}, restarted("web", "db"))
		},
	},
	"a stop": {
		was: func(l *lab) shape.Set {
			return l.set(map[string]string{"db": "serve", "web": "serve"}, needs("web", "db", started))
		},
		does: func(seen *Seen) *Plan { return NewStop(seen, nil, key) },
	},
	"down": {
		was: func(l *lab) shape.Set {
			return l.set(map[string]string{"db": "serve", "web": "serve"}, cached("db"), second2("web"))
		},
		does: func(seen *Seen) *Plan { return NewDown(seen, key) },
	},
}

// checked gives a service a health check.
func checked(service string, argv ...string) func(*shape.Set) {
	return func(s *shape.Set) {
		for i, c := range s.Containers {
			if c.Service == service {
				s.Containers[i].Config.Healthcheck = &container.HealthConfig{Test: append([]string{"CMD"}, argv...), Interval: 400 * time.Millisecond, Retries: 2}
			}
		}
	}
}

func needs(service, on, condition string) func(*shape.Set) {
	return func(s *shape.Set) {
		for i := range s.Services {
			if s.Services[i].Name == service {
				s.Services[i].Needs = append(s.Services[i].Needs, shape.Need{Service: on, Condition: condition})
			}
		}
	}
}

func startFirst(s *shape.Set) {
	for i := range s.Services {
		s.Services[i].StartFirst = true
	}
}

// cached gives a service an anonymous volume.
func cached(service string) func(*shape.Set) {
	return func(s *shape.Set) {
		for i, c := range s.Containers {
			if c.Service == service {
				s.Containers[i].Config.Volumes = map[string]struct{}{"/cache": {}}
			}
		}
	}
}

// second2 puts a service into a second network.
func second2(service string) func(*shape.Set) {
	return func(s *shape.Set) {
		name := s.Project + "_back"
		s.Networks = append([]shape.Network{{Key: "back", Create: network.CreateRequest{Name: name, Driver: "bridge",
			Labels: map[string]string{labelProject: s.Project, labelNetwork: "back", labelHash: "b1"}}}}, s.Networks...)
		for _, c := range s.Containers {
			if c.Service == service {
				c.Networks[name] = &network.EndpointSettings{Aliases: []string{service, "deep"}}
			}
		}
	}
}

func otherNetwork(s *shape.Set) {
	for i := range s.Networks {
		s.Networks[i].Create.Labels[labelHash] += "x"
		s.Networks[i].Create.Internal = true
	}
}

// replicated makes more of a service.
func replicated(service string, n int) func(*shape.Set) {
	return func(s *shape.Set) {
		for _, c := range s.Containers {
			for k := 2; c.Service == service && k <= n; k++ {
				s.Containers = append(s.Containers, replica(c, k))
			}
		}
	}
}

func replica(c shape.Container, n int) shape.Container {
	config := *c.Config
	labels := map[string]string{}
	for k, v := range config.Labels {
		labels[k] = v
	}
	c.Number, c.Name = n, strings.TrimSuffix(c.Name, "1")+string(rune('0'+n))
	labels[labelNumber] = string(rune('0' + n))
	config.Labels = labels
	c.Config = &config
	return c
}

// restarted lets a service be started again with another.
func restarted(service, on string) func(*shape.Set) {
	return func(s *shape.Set) {
		needs(service, on, started)(s)
		for i := range s.Services {
			if s.Services[i].Name == service {
				s.Services[i].Needs[0].Restart = true
			}
		}
	}
}

// tell does what the story is about.
func (s story) tell(ctx context.Context, l *lab, site Site) error {
	if s.does == nil {
		return l.upAt(ctx, site, s.now(l), key)
	}
	seen, err := Observe(ctx, site.Engine, l.project)
	if err != nil {
		return err
	}
	_, err = site.Act(ctx, s.does(seen), 10*time.Minute)
	return err
}

// killedGoingThere kills a run at each of its requests that change something, and takes back what it has done.
func killedGoingThere(l *lab, s story, faults ...dockertest.Fault) {
	was, old := l.setUp(s)
	for _, how := range faults {
		for n := 1; ; n++ {
			d := l.doomed(n, how)
			err := s.tell(d.ctx, l, d.site)
			d.Settle()
			if d.at == "" {
				l.must(err)
			} else if err == nil {
				l.Fatalf("killed at %s, and nobody noticed", d.at)
			}
			l.back(was.Set, old, d.at)
			if d.at == "" {
				l.Logf("%d requests", n-1)
				break
			}
		}
	}
}

// killedComingBack kills the way back at each of its requests, and takes it again.
func killedComingBack(l *lab, s story, faults ...dockertest.Fault) {
	was, old := l.setUp(s)
	for _, how := range faults {
		for n := 1; ; n++ {
			l.must(s.tell(l.Context(), l, l.site))
			d := l.doomed(n, how)
			_, err := d.site.Return(d.ctx, was.Set, key)
			d.Settle()
			if d.at == "" {
				l.must(err)
			} else if err == nil {
				l.Fatalf("killed at %s, and nobody noticed", d.at)
			}
			l.back(was.Set, old, d.at)
			if d.at == "" {
				l.Logf("%d requests", n-1)
				break
			}
		}
	}
}

// setUp brings up what was there before the run.
func (l *lab) setUp(s story) (*Seen, string) {
	l.Helper()
	if len(s.was(l).Containers) > 0 {
		l.must(l.upAt(l.Context(), l.site, s.was(l), before))
	}
	seen, err := Observe(l.Context(), l.site.Engine, l.project)
	l.must(err)
	seen.Set = again(l, seen.Set)
	return seen, l.world()
}

func TestKilledGoingThere(t *testing.T) {
	for name, s := range stories {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			killedGoingThere(inMemory(t), s, dockertest.Dropped, dockertest.Cut)
		})
	}
}

func TestKilledComingBack(t *testing.T) {
	for name, s := range stories {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			killedComingBack(inMemory(t), s, dockertest.Dropped, dockertest.Cut)
		})
	}
}

// The same op again, after it was killed at any request: it finds its own half, and ends as if nothing had been.
func TestKilledAndDoneAgain(t *testing.T) {
	for name, s := range stories {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			l := inMemory(t)
			was, old := l.setUp(s)
			for n := 1; ; n++ {
				d := l.doomed(n, dockertest.Cut)
				s.tell(d.ctx, l, d.site)
				d.Settle()
				if err := s.tell(t.Context(), l, l.site); err != nil {
					t.Fatalf("killed at %s, and done again: %v", d.at, err)
				}
				l.back(was.Set, old, d.at)
				if d.at == "" {
					break
				}
			}
		})
	}
}

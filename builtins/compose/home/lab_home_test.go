//go:build labs

package home

import (
	"context"
	"crypto/rand"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/erlmcp/runner/builtins/compose/register"
	"github.com/erlmcp/runner/builtins/docker/daemon"
	"github.com/erlmcp/runner/builtins/stack"
	"github.com/erlmcp/runner/runtime/event"
	"github.com/erlmcp/runner/runtime/host"
	"github.com/erlmcp/runner/runtime/journal"
	"github.com/erlmcp/runner/runtime/journal/homesuite"
)

// site is a project on the engine of this machine, of which nothing is left in the end.
type site struct {
	*testing.T
	name string
	reg  *register.Register
}

func newSite(t *testing.T) *site {
	t.Helper()
	s := &site{T: t, name: "runner-test-" + strings.ToLower(rand.Text()[:10])}
	engine, err := pool(t, host.SystemClock{}).Open(t.Context(), "")
	if err != nil {
		t.Fatal(err)
	}
	s.reg = &register.Register{Engine: engine.Client, Project: s.name, Clock: host.SystemClock{}}
	t.Cleanup(func() { s.wipe(context.Background()) })
	return s
}

// wipe removes every record, as a prune of an engine before 23.0 does.
func (s *site) wipe(ctx context.Context) {
	s.Helper()
	all, err := s.reg.List(ctx, "")
	for _, rec := range all {
		if e := s.reg.Delete(ctx, rec); e != nil {
			s.Error(e)
		}
	}
	if err != nil {
		s.Error(err)
	}
}

func pool(t *testing.T, clock host.Clock) *daemon.Pool {
	boot, err := host.BootID()
	if err != nil {
		t.Fatal(err)
	}
	p := daemon.NewPool(&host.Host{Files: host.OS{}, Clock: clock, Procs: host.Linux{Boot: boot}, Boot: boot, Env: os.Environ()})
	t.Cleanup(func() {
		if e, err := p.Open(context.Background(), ""); err == nil {
			e.Close()
		}
	})
	return p
}

// machine is the home as another machine sees it.
func (s *site) machine() Home { return s.on(host.SystemClock{}, "") }

func (s *site) on(clock host.Clock, engine string) Home {
	return Home{Pool: pool(s.T, clock), Project: stack.Project{Name: s.name, Engine: engine}}
}

func (s *site) must(err error) {
	s.Helper()
	if err != nil {
		s.Fatal(err)
	}
}

func (s *site) take(h Home, run string) journal.Lease {
	s.Helper()
	l, err := h.Take(s.Context(), journal.Owner{Run: run}, nil)
	s.must(err)
	s.Cleanup(func() { l.Release() })
	return l
}

func (s *site) names() (out []string) {
	s.Helper()
	all, err := s.reg.List(s.Context(), "")
	s.must(err)
	for _, rec := range all {
		out = append(out, rec.Name)
	}
	return out
}

func note(run, text string) event.Record {
	return event.Record{Time: time.Date(2026, 1, 26, 12, 0, 0, 0, time.UTC), Run: run, Fact: event.Noted{Text: text}}
}

// texts are the notes of a log.
func (s *site) texts(h Home, run string) (out []string) {
	s.Helper()
	records, err := h.Read(s.Context(), run)
	s.must(err)
	for _, r := range records {
		out = append(out, r.Fact.(event.Noted).Text)
	}
	return out
}

func TestLabHome(t *testing.T) {
	homesuite.Run(t, func(t *testing.T) (func() journal.Home, func()) {
		s := newSite(t)
		open := func() journal.Home { return s.machine() }
		steal := func() {
			p, err := s.machine().open(t.Context())
			s.must(err)
			v, err := p.look(t.Context())
			s.must(err)
			_, won, err := p.next(t.Context(), v, sign{})
			if err != nil || !won {
				t.Fatalf("not stolen: %v", err)
			}
		}
		return open, steal
	})
}

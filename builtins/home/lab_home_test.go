//go:build labs

package home

import (
	"context"
	"os"
	"testing"
	"time"

	"github.com/erlmcp/runner/builtins/record"
	"github.com/erlmcp/runner/runtime/event"
	"github.com/erlmcp/runner/runtime/host"
	"github.com/erlmcp/runner/runtime/journal"
	"github.com/erlmcp/runner/runtime/journal/homesuite"
)

// site is a target on a ground, of which nothing is left in the end.
type site struct {
	*testing.T
	ground
}

func newSite(t *testing.T, g ground) *site { return &site{t, g.another(t)} }

// machine is the home as another machine sees it.
func (s *site) machine() Home {
	s.Helper()
	reg := s.register(s.T, nil, host.SystemClock{})
	return Home{Target: "test:shop", Server: "the server", Host: s.host(host.SystemClock{}), Open: func(context.Context) (record.Register, error) { return reg, nil }}
}

func (s *site) host(clock host.Clock) *host.Host {
	s.Helper()
	boot, err := host.BootID()
	s.must(err)
	return &host.Host{Files: host.OS{}, Clock: clock, Procs: host.Linux{Boot: boot}, Boot: boot, Env: os.Environ()}
}

// place opens the home with clocks of the test's: the lease's, and that by which requests are made again.
func (s *site) place(lease, requests host.Clock, by *line) place {
	s.Helper()
	reg := s.register(s.T, by, requests)
	p, err := Home{Target: "test:shop", Server: "the server", Host: s.host(lease), Open: func(context.Context) (record.Register, error) { return reg, nil }}.open(s.Context())
	s.must(err)
	return p
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
	all, err := s.register(s.T, nil, host.SystemClock{}).List(s.Context(), "")
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

func TestLabHome(t *testing.T) { everywhere(t, testHome) }

func testHome(t *testing.T, g ground) {
	homesuite.Run(t, func(t *testing.T) (func() journal.Home, func()) {
		s := newSite(t, g)
		open := func() journal.Home { return s.machine() }
		steal := func() {
			p := s.place(host.SystemClock{}, host.SystemClock{}, nil)
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

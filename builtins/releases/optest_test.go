package releases

import (
	"testing"

	"github.com/erlmcp/runner/builtins/driver"
	"github.com/erlmcp/runner/builtins/service"
	"github.com/erlmcp/runner/runtime/builtin"
	"github.com/erlmcp/runner/runtime/host"
	"github.com/erlmcp/runner/runtime/optest"
)

// on makes a world of a site and an op there.
func on(site func(testing.TB) *site, params func(*site) any) func(testing.TB) optest.World {
	return func(t testing.TB) optest.World {
		s := site(t)
		return optest.World{Host: s.h, Params: params(s), Snapshot: s.world}
	}
}

// first is a site on which one release is installed and none serves.
func first(t testing.TB) *site {
	s := listening(t)
	s.install(s.app("1.0.0"))
	return s
}

func ended(t testing.TB) *site {
	s := live(t)
	s.must(driver.Stop(t.Context(), s.h, s.root, s.runs()))
	return s
}

func drains(t testing.TB) *site {
	s := live(t)
	s.activate("000001", s.draining())
	s.answers("1.0.0")
	return s
}

// linked is a site without a service.
func linked(t testing.TB) *site {
	s := newSite(t)
	for _, v := range []string{"1.0.0", "2.0.0"} {
		s.install(s.folder(v, map[string]string{"bin/app": v}))
	}
	s.activate("000001", nil)
	return s
}

// marked is a linked site whose live release was accepted, by another run and some time ago.
func marked(t testing.TB) *site {
	s := linked(t)
	_, err := Accept{Root: s.root, Key: "20250101t000000-old0/9"}.Do(t.Context(), s.h)
	s.must(err)
	return s
}

// overtaken is a marked site on which a later release was accepted after the live one.
func overtaken(t testing.TB) *site {
	s := marked(t)
	s.activate("000002", nil)
	_, err := Accept{Root: s.root, Key: "20250101t000000-old0/12"}.Do(t.Context(), s.h)
	s.must(err)
	s.activate("000001", nil)
	return s
}

func unlinked(t testing.TB) *site {
	s := newSite(t)
	s.install(s.folder("1.0.0", map[string]string{"a": "1"}))
	return s
}

func TestOps(t *testing.T) {
	to := func(id string) func(*site) any {
		return func(s *site) any { return Activate{Root: s.root, ID: id, Service: s.service()} }
	}
	bare := func(id string) func(*site) any {
		return func(s *site) any { return Activate{Root: s.root, ID: id} }
	}
	accept := func(s *site) any { return Accept{Root: s.root} }
	for _, worlds := range []optest.Worlds{
		{
			"activate: nothing serves yet":         on(first, to("000001")),
			"activate: over one that does not run": on(ended, to("000002")),
		},
		{
			"activate: over a running one":  on(live, to("000002")),
			"activate: the live one again":  on(live, to("000001")),
			"activate: a link, all running": on(live, bare("000002")),
		},
		{"activate: over one that drains": on(drains, to("000002"))},
		{
			"activate: a link over no link": on(unlinked, bare("000001")),
			"install": on(linked, func(s *site) any {
				return Install{Root: s.root, Artifact: s.folder("3.0.0", map[string]string{"a": "3"}), Shared: []string{"data"}}
			}),
			"current":                 on(linked, func(s *site) any { return Current{Root: s.root} }),
			"current: nothing serves": on(newSite, func(s *site) any { return Current{Root: s.root} }),
			"serves":                  on(marked, func(s *site) any { return Serves{Root: s.root, Artifact: s.app("1.0.0")} }),
			"fits":                    on(marked, func(s *site) any { return Fits{Root: s.root, Artifact: s.app("1.0.0"), Copies: 2} }),
			"list":                    on(marked, func(s *site) any { return List{Root: s.root} }),
			"list: nothing is there":  on(newSite, func(s *site) any { return List{Root: s.root} }),
			"prune":                   on(marked, func(s *site) any { return Prune{Root: s.root, Keep: 1} }),
		},
		{
			"accept: over another's mark":    on(marked, accept),
			"accept: what is not the latest": on(overtaken, accept),
		},
	} {
		worlds["accept"], worlds["activate: a link"] = on(linked, accept), on(linked, bare("000002")) // a suite has a world for each change
		t.Run("", func(t *testing.T) {
			t.Parallel()
			optest.Run(t, optest.Suite{Family: Family, Others: []builtin.Family{service.Family(&host.Host{})}, Worlds: worlds})
		})
	}
}

package backups

import (
	"os"
	"testing"

	"github.com/erlmcp/runner/builtins/releases"
	"github.com/erlmcp/runner/runtime/optest"
)

// on makes a world of a site and an op there.
func on(site func(testing.TB) *site, params func(*site) any) func(testing.TB) optest.World {
	return func(t testing.TB) optest.World {
		s := site(t)
		return optest.World{Host: s.h, Params: params(s), Snapshot: s.world}
	}
}

// world is everything on the root: none of the ops changes what serves.
func (s *site) world() (out string) {
	for _, dir := range []string{"releases", "shared"} {
		if _, err := os.Stat(s.path(dir)); err == nil {
			for _, line := range tree(s.t, s.path(dir)) {
				out += dir + "/" + line + "\n"
			}
		}
	}
	to, _ := os.Readlink(s.path("current"))
	return out + "current " + to
}

// kept is a site with backups of two versions, in both forms.
func kept(t testing.TB) *site {
	s := served(t)
	s.create(Create{})
	s.create(Create{Archive: true})
	s.serve("2.0.0")
	s.create(Create{Kind: "pre-rollback"})
	return s
}

func idle(t testing.TB) *site {
	s := newSite(t)
	s.install(releases.Install{Artifact: s.folder("1")})
	return s
}

func TestOps(t *testing.T) {
	optest.Run(t, optest.Suite{Family: Family, Worlds: optest.Worlds{
		"create":                   on(kept, func(s *site) any { return Create{Root: s.root, Kind: "backup", Key: "r/9"} }),
		"create: an archive":       on(kept, func(s *site) any { return Create{Root: s.root, Kind: "backup", Archive: true, Key: "r/9"} }),
		"create: nothing serves":   on(idle, func(s *site) any { return Create{Root: s.root, Kind: "backup", Key: "r/9"} }),
		"create: nothing is there": on(newSite, func(s *site) any { return Create{Root: s.root, Kind: "backup", Key: "r/9"} }),
		"find":                     on(kept, func(s *site) any { return Find{Root: s.root} }),
		"find: by name":            on(kept, func(s *site) any { return Find{Root: s.root, Name: first} }),
		"list":                     on(kept, func(s *site) any { return List{Root: s.root} }),
		"list: nothing is there":   on(newSite, func(s *site) any { return List{Root: s.root} }),
		"verify":                   on(kept, func(s *site) any { return Verify{Root: s.root, Name: first} }),
		"verify: an archive":       on(kept, func(s *site) any { return Verify{Root: s.root, Name: first + "-2"} }),
		"prune":                    on(kept, func(s *site) any { return Prune{Root: s.root, Keep: 1} }),
		"prune: nothing is there":  on(newSite, func(s *site) any { return Prune{Root: s.root, Keep: 1} }),
	}})
}

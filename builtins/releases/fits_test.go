package releases

import (
	"runtime"
	"strings"
	"testing"

	"github.com/erlmcp/runner/builtins/driver"
	"github.com/erlmcp/runner/builtins/layout"
	"github.com/erlmcp/runner/runtime/host"
)

// small is a disk with little left.
type small struct {
	host.FS
	left host.Space
}

func (s small) Space(string) (host.Space, error) { return s.left, nil }

func TestFits(t *testing.T) {
	s := newSite(t)
	a := s.app("1.0.0")
	fits := func(f Fits) string {
		t.Helper()
		problems, err := f.Do(t.Context(), s.h)
		s.must(err)
		return strings.Join(problems, "\n")
	}
	if got := fits(Fits{Root: s.root + "/not/there/yet", Artifact: a, Copies: 2}); got != "" {
		t.Errorf("all is well: %s", got)
	}
	a.Platform = "plan9/mips"
	if got := fits(Fits{Root: s.root, Artifact: a, Copies: 2}); !strings.Contains(got, "is built for plan9/mips, and this machine is ") {
		t.Errorf("another platform: %s", got)
	}
	a.Platform = "plan9/mips," + runtime.GOOS + "/" + runtime.GOARCH
	if got := fits(Fits{Root: s.root, Artifact: a, Copies: 2}); got != "" {
		t.Errorf("one of its platforms: %s", got)
	}
	a.Platform = "any"
	under := s.h.Files
	for left, want := range map[host.Space]string{{Bytes: 2 << 20, Inodes: -1}: "", {Bytes: 1<<20 + 8000, Inodes: -1}: "it needs ", {Bytes: 1 << 40, Inodes: 65}: "inodes"} {
		s.h.Files = small{under, left}
		if got := fits(Fits{Root: s.root, Artifact: a, Copies: 2}); want == "" && got != "" || !strings.Contains(got, want) {
			t.Errorf("%v: %q, want %q", left, got, want)
		}
	}
}

func TestConfigDirIsOne(t *testing.T) {
	if driver.ConfigDir != layout.ConfigDir {
		t.Errorf("%s and %s", driver.ConfigDir, layout.ConfigDir)
	}
}

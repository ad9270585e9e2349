package releases

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"

	"github.com/erlmcp/runner/runtime/host"
	"github.com/erlmcp/runner/runtime/host/hosttest"
	"github.com/erlmcp/runner/runtime/op"
)

func TestInstallAFolder(t *testing.T) {
	s := newSite(t)
	a := s.folder("1.0.0", map[string]string{"bin/app": "run", "etc/a": "1", "data/keep": ""})
	s.must(os.Remove(filepath.Join(a.Path, "data", "keep")))
	s.must(os.Remove(filepath.Join(a.Path, "data")))
	s.must(os.Symlink("etc/a", filepath.Join(a.Path, "link")))
	a = s.made("1.0.0", a.Path)
	rel, err := Install{Root: s.root, Artifact: a, Shared: []string{"data", "var/log"}, Key: "r/1"}.Do(t.Context(), s.h)
	s.must(err)
	if rel.ID != "000001" || rel.Version != "1.0.0" || rel.Digest != a.Digest || rel.Size != a.Size || rel.Good || rel.Live {
		t.Errorf("installed %+v", rel)
	}
	want := "1 .runner-release.json bin bin/app data etc etc/a link var var/log"
	if got := "1 " + strings.Join(s.tree("releases/000001"), " "); got != want {
		t.Errorf("the release is %s, want %s", got, want)
	}
	for link, want := range map[string]string{"data": "shared/data", "var/log": "shared/var/log"} {
		if to, err := os.Readlink(filepath.Join(s.root, "releases/000001", link)); to != filepath.Join(s.root, want) || err != nil {
			t.Errorf("%s leads to %s, %v", link, to, err)
		}
	}
	if info, err := os.Stat(filepath.Join(s.root, "releases/000001/bin/app")); err != nil || info.Mode() != 0o755 {
		t.Errorf("the program: %v, %v", info.Mode(), err)
	}
	if got := s.tree("releases"); slices.ContainsFunc(got, func(n string) bool { return strings.HasPrefix(n, ".new") }) {
		t.Errorf("left: %q", got)
	}
	_, m, err := at(s.h, s.root).ReadFiles("000001")
	if err != nil || m.Key != "r/1" || len(m.Files) != 5 || m.Files[1].Path != "bin/app" || m.Files[1].SHA256 == "" || m.Files[4].Link != "etc/a" {
		t.Errorf("manifest %+v, %v", m, err)
	}
}

// A release is read without its files as it is with them, whatever its version is called; one that is cut off is not read.
func TestReadInBrief(t *testing.T) {
	s := newSite(t)
	rel := s.install(s.folder(`1","files":[`, map[string]string{"bin/app": "x"}))
	brief, m, err := at(s.h, s.root).Read(rel.ID)
	s.must(err)
	full, files, err := at(s.h, s.root).ReadFiles(rel.ID)
	s.must(err)
	if brief != full || m.Key != files.Key || m.Files != nil || len(files.Files) != 2 || brief.Version != rel.Version {
		t.Errorf("in brief %+v, %+v, want %+v, %+v", brief, m, full, files)
	}
	name := at(s.h, s.root).Manifest(rel.ID)
	b, err := os.ReadFile(name)
	s.must(err)
	s.must(os.WriteFile(name, b[:len(b)-20], 0o644))
	if _, _, err := at(s.h, s.root).Read(rel.ID); err == nil || !strings.Contains(err.Error(), "cannot read release 000001") {
		t.Errorf("cut off: %v", err)
	}
}

func TestInstallAFile(t *testing.T) {
	s := newSite(t)
	path := filepath.Join(s.h.Project, "mcpd")
	s.must(os.WriteFile(path, []byte("program"), 0o755))
	rel := s.install(s.made("1", path))
	b, err := os.ReadFile(filepath.Join(s.root, "releases", rel.ID, "bin", "app"))
	if string(b) != "program" || err != nil {
		t.Errorf("bin/app is %q, %v", b, err)
	}
}

func TestInstallRefuses(t *testing.T) {
	s := newSite(t)
	out := s.folder("out", map[string]string{"a": "1"})
	s.must(os.Symlink("../../secrets", filepath.Join(out.Path, "link")))
	changed := s.folder("changed", map[string]string{"a": "1"})
	s.must(os.WriteFile(filepath.Join(changed.Path, "a"), []byte("2"), 0o644))
	good := s.folder("good", map[string]string{"a": "1", "data/x": "1"})
	big := good
	big.Size = 1 << 60
	gone := good
	gone.Path += "-gone"
	for want, c := range map[string]struct {
		install Install
		hint    string
	}{
		"link: it is a link to ../../secrets, which leads out of the folder":    {Install{Artifact: out}, ""},
		"the artifact has changed since it was built: wanted " + changed.Digest: {Install{Artifact: changed}, "build it again"},
		"it needs 1048576TiB, and the disk has ":                                {Install{Artifact: big}, "free space on the disk that holds " + s.root},
		"stat " + gone.Path:                                                     {Install{Artifact: gone}, ""},
		`shared: want a folder inside the release, got "../x"`:                  {Install{Artifact: good, Shared: []string{"../x"}}, ""},
		"symlink " + s.root + "/shared/data ":                                   {Install{Artifact: good, Shared: []string{"data"}}, "must not be part of the artifact"},
	} {
		c.install.Root, c.install.Key = s.root, s.key()
		_, err := c.install.Do(t.Context(), s.h)
		if err == nil || !strings.HasPrefix(err.Error(), "cannot install app into "+s.root+": ") || !strings.Contains(err.Error(), want) || !strings.Contains(op.HintOf(err), c.hint) {
			t.Errorf("want %q and %q, got %v and %q", want, c.hint, err, op.HintOf(err))
		}
	}
	if left := s.tree("releases"); len(left) > 0 {
		t.Errorf("left: %q", left)
	}
	if rel := s.install(good); rel.ID != "000001" {
		t.Errorf("after refusals the first is %s", rel.ID)
	}
}

func TestInstallOnAFullDisk(t *testing.T) {
	s := newSite(t)
	a := s.folder("1", map[string]string{"a": strings.Repeat("x", 1<<16)})
	faults := hosttest.NewFaults(s.h.Files)
	s.h.Files = faults
	for _, n := range []int64{0, 1 << 15, 1<<16 + 10} {
		faults.FailAfterBytes(n)
		_, err := Install{Root: s.root, Artifact: a, Key: "r/1"}.Do(t.Context(), s.h)
		if !errors.Is(err, syscall.ENOSPC) {
			t.Errorf("after %d bytes: %v", n, err)
		}
		if left := s.tree("releases"); len(left) > 0 {
			t.Errorf("after %d bytes there is left %q", n, left)
		}
	}
	faults.Heal()
	if rel, err := (Install{Root: s.root, Artifact: a, Key: "r/1"}).Do(t.Context(), s.h); err != nil || faults.Met() != 3 {
		t.Errorf("with room again: %v, %v; %d faults", rel, err, faults.Met())
	}
}

// Killed at each of its calls and tried again with its key, an install makes one release.
func TestInstallKilledAnywhere(t *testing.T) {
	for n := 1; ; n++ {
		s := newSite(t)
		s.install(s.folder("0", map[string]string{"a": "0"}))
		i := Install{Root: s.root, Artifact: s.folder("1", map[string]string{"bin/app": "1", "b": "2"}), Shared: []string{"data"}, Key: "r/1"}
		m := hosttest.NewMortal(s.h)
		m.DieTornAt(n)
		_, err := i.Do(t.Context(), m.Host())
		if m.Where() == "" {
			s.must(err)
			if n < 20 {
				t.Errorf("only %d calls", n)
			}
			return
		}
		first, err := i.Do(t.Context(), s.h)
		if err != nil {
			t.Fatalf("killed at %q: %v", m.Where(), err)
		}
		again, err := i.Do(t.Context(), s.h)
		if err != nil || again != first {
			t.Errorf("killed at %q: %+v, again %+v, %v", m.Where(), first, again, err)
		}
		all, err := List{Root: s.root}.Do(t.Context(), s.h)
		if err != nil || len(all) != 2 || all[1].Version != "1" {
			t.Errorf("killed at %q there are %+v, %v", m.Where(), all, err)
		}
		want := ".runner-release.json b bin bin/app data"
		if got := strings.Join(s.tree("releases/"+first.ID), " "); got != want {
			t.Errorf("killed at %q: %s", m.Where(), got)
		}
		if left := slices.DeleteFunc(s.tree("releases"), func(n string) bool { return n[0] != '.' }); len(left) > 0 {
			t.Errorf("killed at %q there is left %q", m.Where(), left)
		}
	}
}

func TestInstallsAtOnce(t *testing.T) {
	s := newSite(t)
	a := s.folder("1", map[string]string{"a": "1"})
	const n = 12
	ids, errs := make([]string, n), make([]error, n)
	var all sync.WaitGroup
	for i := range n {
		all.Go(func() {
			var rel Release
			rel, errs[i] = Install{Root: s.root, Artifact: a, Key: op.Key(fmt.Sprintf("r%d/1", i))}.Do(t.Context(), s.h)
			ids[i] = rel.ID
		})
	}
	all.Wait()
	s.must(errors.Join(errs...))
	slices.Sort(ids)
	if len(slices.Compact(ids)) != n || ids[n-1] != "000012" {
		t.Errorf("%d installs got %q", n, ids)
	}
	// The last number stays given when its release is gone.
	s.activate("000001", nil)
	_, err := Prune{Root: s.root, Keep: 1}.Do(t.Context(), s.h)
	s.must(err)
	if rel := s.install(a); rel.ID != "000013" {
		t.Errorf("after a prune: %s", rel.ID)
	}
}

func TestInstallWaitsForItsTurn(t *testing.T) {
	s := newSite(t)
	s.must(os.MkdirAll(filepath.Join(s.root, ".runner"), 0o755))
	f, err := host.OS{}.Open(filepath.Join(s.root, ".runner", "sequence.lock"), os.O_CREATE|os.O_RDWR, 0o644)
	s.must(err)
	defer f.Close()
	if free, err := host.TryLock(f); !free || err != nil {
		t.Fatal(free, err)
	}
	stop := errors.New("stop")
	ctx, cancel := context.WithCancelCause(t.Context())
	waiting := &waits{heard: func() { cancel(stop) }}
	_, err = Install{Root: s.root, Artifact: s.folder("1", map[string]string{"a": "1"}), Key: "r/1"}.Do(op.WithSpeaker(ctx, waiting), s.h)
	if !errors.Is(err, stop) || waiting.what != "another install to take its number" {
		t.Errorf("it waits for %q: %v", waiting.what, err)
	}
}

func TestInstallFindsOutWhatWasGiven(t *testing.T) {
	s := newSite(t)
	a := s.folder("1", map[string]string{"a": "1"})
	s.install(a)
	s.must(os.WriteFile(filepath.Join(s.root, ".runner", "sequence"), []byte("seven\n"), 0o644))
	if _, err := (Install{Root: s.root, Artifact: a, Key: "r/2"}).Do(t.Context(), s.h); err == nil || !strings.Contains(err.Error(), "cannot read the number of the last release: ") {
		t.Errorf("garbage: %v", err)
	}
	s.must(os.Remove(filepath.Join(s.root, ".runner", "sequence")))
	if rel := s.install(a); rel.ID != "000002" {
		t.Errorf("without the record: %s", rel.ID)
	}
	if p, err := (Install{Root: s.root, Artifact: a}).Preview(t.Context(), hosttest.Frozen(t, s.h)); p.ID != "000003" || err != nil {
		t.Errorf("foreseen: %+v, %v", p, err)
	}
}

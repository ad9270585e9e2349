package backups

import (
	"bytes"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/erlmcp/runner/builtins/layout"
	"github.com/erlmcp/runner/builtins/releases"
	"github.com/erlmcp/runner/runtime/host"
	"github.com/erlmcp/runner/runtime/host/hosttest"
	"github.com/erlmcp/runner/runtime/op"
)

// The release is gone; its backup makes one with the same content, the same digest, its configuration and its links.
func TestRestore(t *testing.T) {
	for form, archive := range forms {
		s := served(t)
		want := tree(t, s.path("releases/000001"), layout.ManifestName, "log", "log/out.log")
		digest := s.folder("1.0.0").Digest
		b := s.create(Create{Archive: archive})
		s.serve("2.0.0")
		s.must(os.RemoveAll(s.path("releases/000001")))
		found, err := Find{Root: s.root}.Do(t.Context(), s.h)
		if err != nil || found != b {
			t.Fatalf("%s: found %+v, %v", form, found, err)
		}
		rel := s.install(releases.Install{Artifact: found.Artifact})
		if rel.ID != "000003" || rel.Digest != digest || rel.Config != b.Config || rel.Version != "1.0.0" || rel.Name != "app" {
			t.Errorf("%s: %+v", form, rel)
		}
		same(t, form, tree(t, s.path("releases", rel.ID), layout.ManifestName), want)
		// A backup of what was restored is like the first.
		s.activate(rel.ID)
		again := s.create(Create{Archive: archive})
		if again.Digest != digest || again.Config != b.Config || again.Artifact.Size != b.Artifact.Size {
			t.Errorf("%s: backed up again: %+v", form, again)
		}
		s.must(s.verify(again.Name))
		// Another configuration, and other folders, take the place of its own.
		s.write(filepath.Join(s.h.Project, "config/dev.config"), "other", 0o600)
		rel = s.install(releases.Install{Artifact: b.Artifact, Config: "config/dev.config", Shared: []string{"data"}})
		got := strings.Join(tree(t, s.path("releases", rel.ID)), "\n")
		if !strings.Contains(got, ".runner-config/dev.config -rw------- other\n") || strings.Contains(got, "prod.config -") || strings.Contains(got, "var") || rel.Digest != digest {
			t.Errorf("%s: %+v\n%s", form, rel, got)
		}
	}
}

// An artifact that is one file is restored as one.
func TestRestoreAProgram(t *testing.T) {
	for form, archive := range forms {
		s := newSite(t)
		s.write(filepath.Join(s.h.Project, "app"), "program", 0o755)
		a := s.made("1", filepath.Join(s.h.Project, "app"))
		s.activate(s.install(releases.Install{Artifact: a}).ID)
		for range 2 {
			b := s.create(Create{Archive: archive})
			rel := s.install(releases.Install{Artifact: b.Artifact})
			if text, err := os.ReadFile(s.path("releases", rel.ID, "bin/app")); rel.Digest != a.Digest || string(text) != "program" {
				t.Errorf("%s: %+v, %q, %v", form, rel, text, err)
			}
			s.activate(rel.ID) // and of what was restored again
		}
	}
}

func TestRestoreKilledAnywhere(t *testing.T) {
	for form, archive := range forms {
		for n := 1; ; n += 3 {
			s := served(t)
			i := releases.Install{Root: s.root, Artifact: s.create(Create{Archive: archive}).Artifact, Key: "r/1"}
			m := hosttest.NewMortal(s.h)
			m.DieTornAt(n)
			i.Do(t.Context(), m.Host())
			rel, err := i.Do(t.Context(), s.h)
			if err != nil || rel.ID < "000002" || rel.Digest != i.Artifact.Digest || rel.Config == "" {
				t.Fatalf("%s, killed at %q: %+v, %v", form, m.Where(), rel, err)
			}
			if m.Where() == "" {
				break
			}
		}
	}
}

// What is wrong with a backup, verify tells, and a damaged file is never installed.
func TestDamage(t *testing.T) {
	flip := func(t testing.TB, path string, at int) {
		b, err := os.ReadFile(path)
		if err == nil {
			b[(at+len(b))%len(b)] ^= 1
			err = os.WriteFile(path, b, 0o644)
		}
		if err != nil {
			t.Error(err)
		}
	}
	for want, c := range map[string]struct {
		do       func(t testing.TB, b string) error
		installs bool
	}{
		"bin/app has other content: sha256:":           {func(t testing.TB, b string) error { flip(t, b+"/bin/app", 0); return os.Chmod(b+"/bin/app", 0o755) }, false},
		".runner-config/prod.config has other content": {func(t testing.TB, b string) error { flip(t, b+"/.runner-config/prod.config", 0); return nil }, false},
		"etc/a is missing":                             {func(_ testing.TB, b string) error { return os.Remove(b + "/etc/a") }, false},
		"bin/app has mode 0644, want 0755":             {func(_ testing.TB, b string) error { return os.Chmod(b+"/bin/app", 0o644) }, true},
		"etc/a has 3 bytes, want 1":                    {func(_ testing.TB, b string) error { return os.WriteFile(b+"/etc/a", []byte("123"), 0o640) }, false},
		"log/evil was added":                           {func(_ testing.TB, b string) error { return os.WriteFile(b+"/log/evil", nil, 0o644) }, true},
		"link leads to bin/app, want etc/a": {func(_ testing.TB, b string) error {
			return errors.Join(os.Remove(b+"/link"), os.Symlink("bin/app", b+"/link"))
		}, true},
		"data leads to /etc, want ": {func(_ testing.TB, b string) error {
			return errors.Join(os.Remove(b+"/data"), os.Symlink("/etc", b+"/data"))
		}, true},
		"empty is a file, want a directory": {func(_ testing.TB, b string) error {
			return errors.Join(os.Remove(b+"/empty"), os.WriteFile(b+"/empty", nil, 0o755))
		}, true},
		"etc/a is a symbolic link, want a file": {func(_ testing.TB, b string) error {
			return errors.Join(os.Rename(b+"/etc/a", b+"/etc/b"), os.Symlink("b", b+"/etc/a"))
		}, false},
		"its manifest is damaged: ": {func(t testing.TB, b string) error { flip(t, b+"/"+layout.BackupManifest, -20); return nil }, false},
	} {
		s := served(t)
		b := s.create(Create{})
		s.must(c.do(t, b.Path))
		if err := s.verify(b.Name); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("want %q, got %v", want, err)
		}
		_, err := releases.Install{Root: s.root, Artifact: b.Artifact, Key: "r/1"}.Do(t.Context(), s.h)
		if (err == nil) != c.installs {
			t.Errorf("%s: installed with %v", want, err)
		}
		if _, err := os.Stat(s.path("releases/000002")); (err == nil) != c.installs {
			t.Errorf("%s: %v", want, err)
		}
	}
}

// Every bit of an archive counts.
func TestFlippedBitInAnArchive(t *testing.T) {
	s := served(t)
	b := s.create(Create{Archive: true})
	good, err := os.ReadFile(b.Path)
	s.must(err)
	for at := range good {
		bad := bytes.Clone(good)
		bad[at] ^= 1 << (at % 8)
		s.must(os.WriteFile(b.Path, bad, 0o644))
		if err := s.verify(b.Name); err == nil {
			t.Errorf("a flipped bit at %d of %d is not found", at, len(good))
		}
	}
	for _, n := range []int{0, 10, len(good) / 2, len(good) - 1} {
		s.must(os.WriteFile(b.Path, good[:n], 0o644))
		if err := s.verify(b.Name); err == nil {
			t.Errorf("%d of %d bytes: is not found", n, len(good))
		}
	}
	s.must(os.WriteFile(b.Path, good, 0o644))
	s.must(s.verify(b.Name))
}

// Many problems fit on a screen.
func TestManyProblems(t *testing.T) {
	s := served(t)
	b := s.create(Create{})
	s.must(os.RemoveAll(filepath.Join(b.Path, "etc")))
	for _, n := range "abcdefghijkl" {
		s.write(filepath.Join(b.Path, string(n)), "", 0o644)
	}
	err := s.verify(b.Name)
	fails(t, err, "the backup "+first+" is not what was copied:\n  etc is missing\n  etc/a is missing\n  a was added\n", "it is the only one, and nothing was changed")
	if !strings.HasSuffix(err.Error(), "\n  and 4 more") || strings.Count(err.Error(), "\n") != 11 {
		t.Error(err)
	}
}

// tar and zstd alone unpack an archive.
func TestArchiveForOthers(t *testing.T) {
	if _, err := exec.LookPath("zstd"); err != nil {
		t.Skip("there is no zstd to unpack an archive with")
	}
	s := served(t)
	s.write(s.path("releases/000001", "deep/"+strings.Repeat("long/", 40)+"ünï"), "x", 0o600)
	s.write(s.path("releases/000001/big"), strings.Repeat("0123456789", 1<<20), 0o644)
	b := s.create(Create{Archive: true})
	to := t.TempDir()
	if out, err := exec.Command("tar", "--zstd", "-xpf", b.Path, "-C", to).CombinedOutput(); err != nil || len(out) > 0 {
		t.Fatalf("%v: %s", err, out)
	}
	same(t, "unpacked", tree(t, to)[1:], tree(t, s.path("releases/000001"))[1:])
	s.must(s.verify(b.Name))
}

// An archive that somebody else has made, with a manifest that fits it.
func TestForgedArchive(t *testing.T) {
	file := host.Entry{Path: "a", Mode: 0o644, Size: 1, Installed: true, SHA256: "sha256:2d711642b726b04401627ca9fbac32f5c8530fb1903cc4db02258717921a4881"}
	for want, c := range map[string]struct{ manifest, content []host.Entry }{
		`"/etc/x" is no place in it`:             {[]host.Entry{file}, []host.Entry{{Path: "/etc/x", Size: 1}}},
		`"../x" is no place in it`:               {[]host.Entry{file}, []host.Entry{{Path: "../x", Size: 1}}},
		`"b/../../x" is no place in it`:          {[]host.Entry{file}, []host.Entry{{Path: "b/../../x", Size: 1}}},
		`"../y" is no place in it`:               {[]host.Entry{{Path: "../y", Installed: true}}, nil},
		`"l/x" is no place in it`:                {[]host.Entry{{Path: "l", Mode: os.ModeSymlink, Link: "/etc", Installed: true}, {Path: "l/x", Installed: true}}, nil},
		"a link l to /etc, which leads out":      {[]host.Entry{{Path: "l", Mode: os.ModeSymlink, Link: "/etc", Installed: true}}, nil},
		"a link l to ../../x, which leads out":   {[]host.Entry{{Path: "l", Mode: os.ModeSymlink, Link: "../../x", Installed: true}}, nil},
		"a is not what it was":                   {[]host.Entry{file}, []host.Entry{{Path: "a", Mode: 0o644, Size: 2}}},
		"1 of its files are missing":             {[]host.Entry{file}, nil},
		"the artifact has changed since":         {[]host.Entry{file}, []host.Entry{file}},
		"its manifest is damaged: \"p\" is no f": {[]host.Entry{{Path: "p", Mode: os.ModeNamedPipe}}, nil},
	} {
		s := newSite(t)
		path := filepath.Join(s.h.Project, "forged.tar.zst")
		a, err := layout.NewArchive(t.Context(), s.h.Files, path)
		s.must(err)
		for _, e := range c.content {
			s.must(a.Add(e, strings.NewReader(strings.Repeat("x", int(e.Size)))))
		}
		sum, err := a.Finish()
		s.must(err)
		sealed, err := layout.Backup{Content: sum, Entries: c.manifest}.Seal()
		s.must(err)
		s.must(a.Close(sealed))
		art := s.folder("1")
		art.Path = path
		_, err = releases.Install{Root: s.root, Artifact: art, Key: op.Key("r/1")}.Do(t.Context(), s.h)
		fails(t, err, want, "")
		var outside []string
		for _, line := range tree(t, s.h.Project) {
			if strings.HasSuffix(line, "x x") || strings.Contains(line, "/.new") {
				outside = append(outside, line)
			}
		}
		same(t, want+": left", outside, nil)
	}
}

package backups

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/erlmcp/runner/builtins/artifact"
	"github.com/erlmcp/runner/builtins/releases"
	"github.com/erlmcp/runner/runtime/host"
	"github.com/erlmcp/runner/runtime/op"
	"github.com/erlmcp/runner/runtime/secret"
)

// site is a host root on this machine, at a moment of its own.
type site struct {
	t    testing.TB
	h    *host.Host
	root string
	ops  int
}

// noon is a clock that shows one time.
type noon struct{ host.SystemClock }

func (noon) Now() time.Time { return time.Date(2026, 1, 26, 12, 0, 0, 0, time.UTC) }

const first = "app-backup-20260126-120000"

func newSite(t testing.TB) *site {
	t.Helper()
	dir, err := os.MkdirTemp("/dev/shm", "backups")
	if err != nil {
		dir = t.TempDir()
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	return siteIn(t, dir)
}

func siteIn(t testing.TB, dir string) *site {
	h := &host.Host{Files: host.OS{}, Clock: noon{}, Secrets: &secret.Vault{}, Project: dir, Scratch: dir}
	return &site{t: t, h: h, root: filepath.Join(dir, "root")}
}

func (s *site) must(err error) {
	s.t.Helper()
	if err != nil {
		s.t.Fatal(err)
	}
}

func (s *site) key() op.Key {
	s.ops++
	return op.Key(fmt.Sprintf("20260126t110000-site/%d", s.ops))
}

func (s *site) path(names ...string) string {
	return filepath.Join(append([]string{s.root}, names...)...)
}

func (s *site) write(path, text string, mode os.FileMode) {
	s.t.Helper()
	s.must(os.MkdirAll(filepath.Dir(path), 0o755))
	s.must(os.WriteFile(path, []byte(text), 0o600))
	s.must(os.Chmod(path, mode))
}

// folder is an artifact of a program, a file, a link and an empty folder.
func (s *site) folder(version string) artifact.Artifact {
	s.t.Helper()
	dir := filepath.Join(s.h.Project, "built", version)
	s.write(filepath.Join(dir, "bin/app"), "run "+version, 0o755)
	s.write(filepath.Join(dir, "etc/a"), "1", 0o640)
	s.must(os.MkdirAll(filepath.Join(dir, "empty"), 0o755))
	os.Symlink("etc/a", filepath.Join(dir, "link"))
	return s.made(version, dir)
}

func (s *site) made(version, path string) artifact.Artifact {
	s.t.Helper()
	digest, size, err := artifact.Digest(s.h.Files, path)
	s.must(err)
	return artifact.Artifact{Name: "app", Path: path, Digest: digest, Version: version, Platform: "linux/amd64", Size: op.Size(size)}
}

func (s *site) install(i releases.Install) releases.Release {
	s.t.Helper()
	i.Root, i.Key = s.root, s.key()
	rel, err := i.Do(s.t.Context(), s.h)
	s.must(err)
	return rel
}

func (s *site) activate(id string) {
	s.t.Helper()
	s.must(host.ReplaceLink(s.h.Files, "releases/"+id, s.path("current")))
}

func (s *site) accept() {
	s.t.Helper()
	_, err := releases.Accept{Root: s.root, Key: s.key()}.Do(s.t.Context(), s.h)
	s.must(err)
}

func (s *site) create(c Create) Backup {
	s.t.Helper()
	if c.Kind == "" {
		c.Kind = "backup"
	}
	c.Root, c.Key = s.root, s.key()
	b, err := c.Do(s.t.Context(), s.h)
	s.must(err)
	if b == nil {
		s.t.Fatal("nothing was backed up")
	}
	return *b
}

func (s *site) verify(name string) error {
	_, err := Verify{Root: s.root, Name: name}.Do(s.t.Context(), s.h)
	return err
}

func (s *site) list() (names []string) {
	s.t.Helper()
	all, err := List{Root: s.root}.Do(s.t.Context(), s.h)
	s.must(err)
	for _, b := range all {
		names = append(names, b.Name)
	}
	return names
}

// served is a site on which an accepted release serves, with a configuration, a shared folder, and what it wrote.
func served(t testing.TB) *site {
	t.Helper()
	s := newSite(t)
	s.serve("1.0.0")
	s.accept()
	return s
}

func (s *site) serve(version string) releases.Release {
	s.t.Helper()
	s.write(filepath.Join(s.h.Project, "config/prod.config"), "port of "+version, 0o644)
	rel := s.install(releases.Install{Artifact: s.folder(version), Shared: []string{"data", "var/log"}, Config: "config/prod.config"})
	s.activate(rel.ID)
	s.write(s.path("releases", rel.ID, "log/out.log"), "started", 0o644)
	s.write(s.path("shared/data/db"), "precious", 0o600)
	return rel
}

// tree tells all that is below a folder: modes, contents, links.
func tree(t testing.TB, dir string, without ...string) (out []string) {
	t.Helper()
	err := filepath.WalkDir(dir, func(path string, d os.DirEntry, err error) error {
		rel, _ := filepath.Rel(dir, path)
		if err != nil || slices.Contains(without, rel) {
			return err
		}
		info, err := d.Info()
		text := rel + " " + info.Mode().String()
		switch {
		case info.Mode().IsRegular():
			b, err := os.ReadFile(path)
			out = append(out, text+" "+string(b))
			return err
		case info.Mode()&os.ModeSymlink != 0:
			to, _ := os.Readlink(path)
			text += " " + to
		}
		out = append(out, text)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return out
}

func same(t testing.TB, what string, got, want []string) {
	t.Helper()
	if !slices.Equal(got, want) {
		t.Errorf("%s is\n%s\nwant\n%s", what, strings.Join(got, "\n"), strings.Join(want, "\n"))
	}
}

// fails wants an error with a text in it, and a hint with another.
func fails(t testing.TB, err error, want, hint string) {
	t.Helper()
	if err == nil || !strings.Contains(err.Error(), want) {
		t.Errorf("want %q, got %v", want, err)
	}
	if !strings.Contains(op.HintOf(err), hint) {
		t.Errorf("the hint is %q, want %q in it", op.HintOf(err), hint)
	}
}

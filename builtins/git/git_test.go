package git

import (
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/erlmcp/runner/runtime/host"
	"github.com/erlmcp/runner/runtime/op"
	"github.com/erlmcp/runner/runtime/secret"
)

// repo is an empty repository, and a project in it.
type repo struct {
	t   testing.TB
	dir string
	h   *host.Host
}

// newRepo makes one. What stands in ../bin is found before the real programs.
func newRepo(t testing.TB) *repo {
	t.Helper()
	r := bare(t)
	r.run("git", "init", "-q", "-b", "main", ".")
	return r
}

// bare is a folder that is no repository.
func bare(t testing.TB) *repo {
	t.Helper()
	boot, err := host.BootID()
	if err != nil {
		t.Fatal(err)
	}
	top := t.TempDir()
	r := &repo{t: t, dir: filepath.Join(top, "a project ü")}
	for _, dir := range []string{r.dir, filepath.Join(top, "bin"), filepath.Join(top, "home")} {
		if err := os.Mkdir(dir, 0o755); err != nil {
			t.Fatal(err)
		}
	}
	r.h = &host.Host{Files: host.OS{}, Procs: host.Linux{Boot: boot}, Clock: host.SystemClock{}, Boot: boot, Project: r.dir, Scratch: t.TempDir(),
		Secrets: &secret.Vault{Scrubber: &secret.Scrubber{}},
		Env:     []string{"PATH=" + filepath.Join(top, "bin") + ":" + os.Getenv("PATH"), "HOME=" + filepath.Join(top, "home"), "GIT_CEILING_DIRECTORIES=" + top}}
	return r
}

func (r *repo) run(argv ...string) string {
	r.t.Helper()
	c := exec.Command(argv[0], argv[1:]...)
	c.Dir = r.dir
	c.Env = append(r.h.Env, "GIT_AUTHOR_NAME=Ana Ñ", "GIT_AUTHOR_EMAIL=a@b", "GIT_COMMITTER_NAME=Ci", "GIT_COMMITTER_EMAIL=c@d",
		"GIT_COMMITTER_DATE=2026-01-26T13:00:00+01:00")
	out, err := c.CombinedOutput()
	if err != nil {
		r.t.Fatalf("%s: %v\n%s", argv, err, out)
	}
	return strings.TrimSpace(string(out))
}

func (r *repo) commit(subject string) string {
	r.t.Helper()
	r.run("git", "commit", "--allow-empty", "-q", "-m", subject)
	return r.run("git", "rev-parse", "HEAD")
}

func (r *repo) write(name, text string) {
	r.t.Helper()
	path := filepath.Join(r.dir, name)
	if err := errors.Join(os.MkdirAll(filepath.Dir(path), 0o755), os.WriteFile(path, []byte(text), 0o644)); err != nil {
		r.t.Fatal(err)
	}
}

func (r *repo) head() *Position {
	r.t.Helper()
	p, err := Head{}.Do(r.t.Context(), r.h)
	if err != nil {
		r.t.Fatal(err)
	}
	return p
}

func (r *repo) status() State {
	r.t.Helper()
	s, err := Status{Limit: 100}.Do(r.t.Context(), r.h)
	if err != nil {
		r.t.Fatal(err)
	}
	return s
}

func (r *repo) log(c Changelog) string {
	r.t.Helper()
	if c.Until == "" {
		c.Until = "HEAD"
	}
	if c.Limit == 0 {
		c.Limit = 50
	}
	l, err := c.Do(r.t.Context(), r.h)
	if err != nil {
		return err.Error()
	}
	var subjects []string
	for _, c := range l {
		if len(c.Commit) != 40 || c.Author != "Ana Ñ" {
			r.t.Errorf("commit %+v", c)
		}
		subjects = append(subjects, c.Subject)
	}
	return strings.Join(subjects, "|")
}

func TestHead(t *testing.T) {
	r := newRepo(t)
	if p := r.head(); p != nil {
		t.Errorf("without a commit: %+v", p)
	}
	r.commit("one")
	id := r.commit("two: \"quoted\" ü\n\nbody")
	for _, tag := range []string{"latest", "v1.2.0", "zz"} {
		r.run("git", "tag", tag)
	}
	want := Position{Commit: id, Short: id[:7], Branch: "main", Tag: "v1.2.0", Subject: `two: "quoted" ü`, Author: "Ana Ñ",
		Time: time.Date(2026, 1, 26, 12, 0, 0, 0, time.UTC)}
	if p := r.head(); *p != want {
		t.Errorf("\n got %+v\nwant %+v", *p, want)
	}
	r.run("git", "tag", "-d", "v1.2.0", "zz")
	r.run("git", "checkout", "-q", "--detach")
	if p := r.head(); p.Branch != "" || p.Tag != "latest" || p.Commit != id {
		t.Errorf("detached: %+v", p)
	}
	r.run("git", "checkout", "-q", "-b", "fix/ünicode,x")
	r.run("git", "commit", "-q", "--allow-empty", "--allow-empty-message", "-m", "")
	if p := r.head(); p.Branch != "fix/ünicode,x" || p.Tag != "" || p.Subject != "" {
		t.Errorf("a strange branch: %+v", p)
	}
}

func TestNoRepository(t *testing.T) {
	r := bare(t)
	if p := r.head(); p != nil {
		t.Errorf("head %+v", p)
	}
	if s := r.status(); !reflect.DeepEqual(s, State{Files: []File{}}) {
		t.Errorf("status %+v", s)
	}
	if got := r.log(Changelog{}); got != "cannot list the commits of "+r.dir+": it is in no git repository" {
		t.Errorf("changelog %s", got)
	}
}

func TestStatus(t *testing.T) {
	r := newRepo(t)
	if s := r.status(); !s.Clean || !s.Repository || s.Branch != "main" {
		t.Errorf("without a commit: %+v", s)
	}
	for _, name := range []string{"m", "d", "staged", "old name", "link", "both"} {
		r.write(name, strings.Repeat("content of "+name+"\n", 20))
	}
	r.write(".gitignore", "ignored\n")
	r.run("git", "add", ".")
	r.commit("one")
	if s := r.status(); !s.Clean || s.Changed != 0 {
		t.Errorf("after a commit: %+v", s)
	}
	r.write("m", "x")
	r.write("staged", "x")
	r.write("both", "x")
	r.write("ignored", "x")
	r.write("new\nline \tü\"", "x")
	r.write("folder/in it", "x")
	r.write("added", "x")
	r.run("git", "rm", "-q", "d")
	r.run("git", "mv", "old name", "new name")
	r.run("git", "add", "staged", "both", "added")
	os.Remove(filepath.Join(r.dir, "both"))
	os.Remove(filepath.Join(r.dir, "link"))
	os.Symlink("m", filepath.Join(r.dir, "link"))
	want := map[string]string{"m": "modified", "staged": "modified", "both": "deleted", "d": "deleted", "new name": "renamed", "added": "added",
		"link": "retyped", "new\nline \tü\"": "untracked", "folder/": "untracked"}
	s := r.status()
	got := map[string]string{}
	for _, f := range s.Files {
		got[f.Path] = f.State
	}
	if !reflect.DeepEqual(got, want) || s.Clean || s.Changed != len(want) {
		t.Errorf("\n got %v\nwant %v\n%+v", got, want, s)
	}
	few, err := Status{Limit: 2}.Do(t.Context(), r.h)
	if err != nil || len(few.Files) != 2 || few.Changed != len(want) {
		t.Errorf("few: %+v, %v", few, err)
	}
}

func TestConflict(t *testing.T) {
	r := newRepo(t)
	r.write("f", "1")
	r.run("git", "add", ".")
	r.commit("one")
	r.run("git", "checkout", "-q", "-b", "other")
	r.write("f", "2")
	r.run("git", "commit", "-qam", "two")
	r.run("git", "checkout", "-q", "main")
	r.write("f", "3")
	r.run("git", "commit", "-qam", "three")
	r.run("sh", "-c", "! git merge other")
	if s := r.status(); len(s.Files) != 1 || s.Files[0] != (File{Path: "f", State: "conflict"}) {
		t.Errorf("%+v", s)
	}
}

func TestUpstream(t *testing.T) {
	r := newRepo(t)
	r.commit("one")
	r.run("git", "clone", "-q", ".", "../clone")
	r.commit("two")
	clone := *r
	clone.dir = filepath.Join(filepath.Dir(r.dir), "clone")
	h := *r.h
	h.Project = clone.dir
	clone.h = &h
	clone.commit("mine 1")
	clone.commit("mine 2")
	clone.run("git", "fetch", "-q")
	if s := clone.status(); s.Upstream != "origin/main" || s.Ahead != 2 || s.Behind != 1 || !s.Clean {
		t.Errorf("%+v", s)
	}
	clone.run("git", "checkout", "-q", "--detach")
	if s := clone.status(); s.Branch != "" || s.Upstream != "" {
		t.Errorf("detached: %+v", s)
	}
}

// A submodule that differs is a difference, whatever a person's settings hide.
func TestSubmodule(t *testing.T) {
	r := newRepo(t)
	r.commit("one")
	r.run("git", "-c", "protocol.file.allow=always", "submodule", "--quiet", "add", r.dir, "sub")
	r.commit("two")
	r.run("git", "config", "diff.ignoreSubmodules", "all")
	r.run("git", "config", "status.showUntrackedFiles", "no")
	if s := r.status(); !s.Clean {
		t.Errorf("clean: %+v", s)
	}
	r.write("sub/new", "x")
	r.write("top", "x")
	if s := r.status(); len(s.Files) != 2 || s.Files[0] != (File{Path: "sub", State: "modified"}) || s.Files[1].State != "untracked" {
		t.Errorf("new file in it, and beside it: %+v", s)
	}
}

func TestChangelog(t *testing.T) {
	r := newRepo(t)
	if got := r.log(Changelog{}); got != "" {
		t.Errorf("without a commit: %q", got)
	}
	r.commit("one")
	if got := r.log(Changelog{}); got != "one" {
		t.Errorf("the first commit: %q", got)
	}
	r.run("git", "tag", "v1")
	two := r.commit("two")
	r.run("git", "tag", "-a", "-m", "two", "v2")
	r.commit("three ü")
	for _, c := range []struct {
		c    Changelog
		want string
	}{
		{Changelog{}, "three ü"},
		{Changelog{Until: "v2"}, "two"},
		{Changelog{Since: "v1"}, "three ü|two"},
		{Changelog{Since: "v1", Until: two}, "two"},
		{Changelog{Since: "v1", Limit: 1}, "three ü"},
		{Changelog{Since: "HEAD"}, ""},
		{Changelog{Until: "v1"}, "one"},
		{Changelog{Since: "v9"}, "cannot list the commits of " + r.dir + ": there is no commit v9"},
		{Changelog{Until: "v9"}, "cannot list the commits of " + r.dir + ": there is no commit v9"},
	} {
		if got := r.log(c.c); got != c.want {
			t.Errorf("%+v gives %q, want %q", c.c, got, c.want)
		}
	}
	r.run("git", "clone", "-q", "--depth", "1", "file://"+r.dir, "../shallow")
	r.h.Project = filepath.Join(filepath.Dir(r.dir), "shallow")
	_, err := Changelog{Since: two, Until: "HEAD", Limit: 9}.Do(t.Context(), r.h)
	if err == nil || !strings.Contains(err.Error(), two) || !strings.Contains(op.HintOf(err), "--unshallow") {
		t.Errorf("a shallow clone: %v, hint %q", err, op.HintOf(err))
	}
}

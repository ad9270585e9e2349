package build

import (
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/erlmcp/runner/runtime/host/hosttest"
	"github.com/erlmcp/runner/runtime/op"
	"github.com/erlmcp/runner/runtime/secret"
)

func TestPruned(t *testing.T) {
	h := newHost(t, map[string]string{"src": ""})
	c := Command{Argv: []string{"cp", "src", "out"}, Output: "out", Timeout: defaultTimeout, Key: "run/1"}
	var paths []string
	for i := range kept + 2 {
		if i == kept { // used again, and so newer than the second
			c.Version = "0"
			performed(t, h, c)
		}
		c.Version = string(rune('0' + i))
		a, _ := performed(t, h, c)
		paths = append(paths, a.Path)
	}
	for i, path := range paths {
		_, err := os.Stat(path)
		if gone := i == 1 || i == 2; gone != (err != nil) {
			t.Errorf("build %d: %v", i, err)
		}
	}
}

func TestCommand(t *testing.T) {
	h := newHost(t, map[string]string{"src/a": "1", "mk.sh": "mkdir -p dist/bin && cat src/a >dist/bin/app && chmod +x dist/bin/app && echo $0 $1 $MODE\n"})
	c := Command{Argv: []string{"sh", "mk.sh", "{version}"}, Output: "dist", Version: "2.0", Timeout: defaultTimeout, Key: "run/1",
		Env: map[string]secret.Text{"MODE": secret.Plain("x")}}
	a, found := performed(t, h, c)
	if b, _ := os.ReadFile(filepath.Join(a.Path, "bin/app")); found || string(b) != "1" || a.Name != "dist" || a.Version != "2.0" {
		t.Errorf("%+v, %v, %s", a, found, b)
	}
	if again, found := performed(t, h, c); !found || again != a {
		t.Errorf("again: %+v, %v", again, found)
	}
	if p, err := c.Preview(t.Context(), hosttest.Frozen(t, h)); p != a || err != nil {
		t.Errorf("foreseen %+v, %v", p, err)
	}
	write(t, h, "src/a", "2")
	changed, found := performed(t, h, c)
	if b, _ := os.ReadFile(filepath.Join(changed.Path, "bin/app")); found || string(b) != "2" {
		t.Errorf("changed: %+v, %v, %s", changed, found, b)
	}
	if b, _ := os.ReadFile(filepath.Join(a.Path, "bin/app")); string(b) != "1" {
		t.Error("the build before was changed")
	}
	for want, argv := range map[string][]string{
		"cannot build out: exit 3\n  why":                      {"sh", "-c", "echo why; exit 3"},
		"cannot take out, which true should have made: it doe": {"true"},
		"cannot start nothing: it is not in PATH":              {"nothing"},
	} {
		_, err := Command{Argv: argv, Output: "out", Timeout: defaultTimeout, Key: "run/2"}.Do(t.Context(), h)
		if err == nil || !strings.HasPrefix(err.Error(), want) {
			t.Errorf("want %q, got %v", want, err)
		}
	}
}

func git(t *testing.T, dir string, args ...string) {
	t.Helper()
	cmd := exec.Command("git", append([]string{"-c", "user.name=t", "-c", "user.email=t@example.org"}, args...)...)
	cmd.Dir = dir
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("git %v: %v: %s", args, err, out)
	}
}

func TestCommandInGit(t *testing.T) {
	h := newHost(t, map[string]string{"src": "1", ".gitignore": "*.log\nout\n"})
	git(t, h.Project, "init", "-q")
	git(t, h.Project, "add", ".")
	git(t, h.Project, "commit", "-qm", "one")
	git(t, h.Project, "tag", "rel/v1.0")
	c := Command{Argv: []string{"sh", "-c", "cp src out; date >x.log"}, Output: "out", Timeout: defaultTimeout, Key: "run/1"}
	a, _ := performed(t, h, c)
	if a.Version != "rel-v1.0" {
		t.Errorf("version %s", a.Version)
	}
	write(t, h, "y.log", "ignored")
	write(t, h, ".runner/journal", "not ignored")
	if _, found := performed(t, h, c); !found {
		t.Error("a file that git ignores counts")
	}
	if p, err := c.Preview(t.Context(), h); err != nil || p != a {
		t.Errorf("foreseen %+v, %v", p, err)
	}
	git(t, h.Project, "commit", "-q", "--allow-empty", "-m", "two")
	if p, err := c.Preview(t.Context(), h); !errors.Is(err, op.ErrUnknown) {
		t.Errorf("after a commit: %+v, %v", p, err)
	}
	write(t, h, "new", "not ignored")
	if _, found := performed(t, h, c); found {
		t.Error("a new file does not count")
	}
}

// The state of a worktree lies elsewhere, so a plan does not know it.
func TestPreviewInWorktree(t *testing.T) {
	h := newHost(t, map[string]string{"src": "1", ".gitignore": "out\n"})
	git(t, h.Project, "init", "-q")
	git(t, h.Project, "add", ".")
	git(t, h.Project, "commit", "-qm", "one")
	tree := filepath.Join(t.TempDir(), "tree")
	git(t, h.Project, "worktree", "add", "-q", tree)
	h.Project = tree
	c := Command{Argv: []string{"cp", "src", "out"}, Output: "out", Timeout: defaultTimeout, Key: "run/1"}
	performed(t, h, c)
	if _, err := c.Preview(t.Context(), h); !errors.Is(err, op.ErrUnknown) {
		t.Errorf("foreseen: %v", err)
	}
	c.Version = "1"
	a, _ := performed(t, h, c)
	if p, err := c.Preview(t.Context(), h); p != a || err != nil {
		t.Errorf("with a version: %+v, %v", p, err)
	}
}

// A plan must not take an artifact for that of source which changed while it was made.
func TestChangedWhileBuilt(t *testing.T) {
	h := newHost(t, map[string]string{"src": "1"})
	c := Command{Argv: []string{"sh", "-c", "cp src out; echo more >>src"}, Output: "out", Version: "1", Timeout: defaultTimeout, Key: "run/1"}
	performed(t, h, c)
	if p, err := c.Preview(t.Context(), h); !errors.Is(err, op.ErrUnknown) {
		t.Errorf("foreseen %+v, %v", p, err)
	}
	if _, found := performed(t, h, c); found {
		t.Error("it is found again")
	}
}

func TestVersion(t *testing.T) {
	h := newHost(t, map[string]string{"src": "1"})
	h.Env = append(h.Env, "GIT_CEILING_DIRECTORIES="+filepath.Dir(h.Project))
	c := Command{Argv: []string{"cp", "src", "out"}, Output: "out", Timeout: defaultTimeout, Key: "run/1"}
	if a, _ := performed(t, h, c); !strings.HasPrefix(a.Version, "0.0.0-") || len(a.Version) != 18 {
		t.Errorf("version %s", a.Version)
	}
	write(t, h, "VERSION", "two words\n")
	_, err := c.Do(t.Context(), h)
	if err == nil || !strings.HasPrefix(err.Error(), "cannot use the file VERSION: want a version") {
		t.Errorf("error %v", err)
	}
}

func TestVersionOfApplication(t *testing.T) {
	for want, files := range map[string]map[string]string{
		"1.0":  {"src/app.app.src": `{application, app, [{description, "50% of it"}, {vsn, "1.0"}]}.`, "VERSION": "2"},
		"1.1":  {"apps/web/src/web.app.src": `{vsn, "9"}`, "apps/out/src/out.app.src": "%% {vsn, \"8\"}\n{vsn,\"1.1\"}", "apps/README": ""},
		"2.0":  {"src/app.app.src": `{vsn, git}`, "VERSION": "2.0"},
		"2.1":  {"apps/a/src/a.app.src": `{vsn, "9"}`, "apps/b/src/b.app.src": `{vsn, "9"}`, "VERSION": "2.1"},
		"v3.0": {"src": "no folder"},
	} {
		h := newHost(t, files)
		git(t, h.Project, "init", "-q")
		git(t, h.Project, "commit", "-q", "--allow-empty", "-m", "one")
		git(t, h.Project, "tag", "v3.0")
		c := Command{Argv: []string{"touch", "out"}, Output: "out", Timeout: defaultTimeout, Key: "run/1"}
		if a, _ := performed(t, h, c); a.Version != want {
			t.Errorf("want %s, got %s", want, a.Version)
		}
	}
}

// A go.mod says no more of a version than the major one.
func TestVersionOfModule(t *testing.T) {
	h := newHost(t, module())
	must(t, os.Remove(h.Abs("VERSION")))
	write(t, h, "go.mod", "module example.org/shop/v4\n\ngo 1.21\n")
	write(t, h, "cmd/shop/main.go", "package main\n\nfunc main() {}\n")
	h.Env = append(h.Env, "GIT_CEILING_DIRECTORIES="+filepath.Dir(h.Project))
	if a, _ := performed(t, h, shop); !strings.HasPrefix(a.Version, "4.0.0-") {
		t.Errorf("version %s", a.Version)
	}
}

func TestMake(t *testing.T) {
	h := newHost(t, map[string]string{"Makefile": "out: src\n\tsed s/^/$(V)-/ src >out\nbad:\n\texit 3\n", "src": "1\n", "VERSION": "2.0"})
	m := Make{Targets: []string{"out", "V={version}"}, Output: "out", Timeout: defaultTimeout, Key: "run/1"}
	a, found := performed(t, h, m)
	if b, _ := os.ReadFile(a.Path); found || string(b) != "2.0-1\n" || a.Platform != "any" || a.Version != "2.0" {
		t.Errorf("%+v, %v, %s", a, found, b)
	}
	if again, found := performed(t, h, m); !found || again != a {
		t.Errorf("again: %+v, %v", again, found)
	}
	if p, err := m.Preview(t.Context(), hosttest.Frozen(t, h)); p != a || err != nil {
		t.Errorf("foreseen %+v, %v", p, err)
	}
	m.Targets = []string{"bad"}
	if _, err := m.Do(t.Context(), h); err == nil || !strings.HasPrefix(err.Error(), "cannot build out: exit 2\n  exit 3") {
		t.Errorf("bad: %v", err)
	}
	h.Env = []string{"PATH=/nowhere"}
	if _, err := m.Do(t.Context(), h); err == nil || err.Error() != "cannot start make: it is not in PATH" || !strings.HasPrefix(op.HintOf(err), "install make") {
		t.Errorf("no make: %v", err)
	}
}

func TestFile(t *testing.T) {
	h := newHost(t, map[string]string{"dist/app": "x"})
	a, err := File{Path: "dist/app", Version: "3"}.Do(t.Context(), h)
	if err != nil || a.Name != "app" || a.Path != h.Abs("dist/app") || a.Version != "3" || a.Size != 1 || a.Platform != "any" {
		t.Errorf("%+v, %v", a, err)
	}
	if _, err := (File{Path: "none"}).Do(t.Context(), h); err == nil || err.Error() != "cannot take none: it does not exist" {
		t.Errorf("error %v", err)
	}
}

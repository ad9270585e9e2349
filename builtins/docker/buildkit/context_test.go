package buildkit

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/erlmcp/runner/runtime/host"
)

// project writes files into a folder of its own, each with its name in it.
func project(t *testing.T, names ...string) (dir string) {
	t.Helper()
	dir = t.TempDir()
	for _, name := range names {
		write(t, filepath.Join(dir, name), name)
	}
	return dir
}

func write(t *testing.T, path, text string) {
	t.Helper()
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
		t.Fatal(err)
	}
}

// listed are the paths in a context.
func listed(t *testing.T, dir, own string) (out []string) {
	t.Helper()
	found, err := list(t.Context(), host.OS{}, dir, filepath.Join(dir, "Dockerfile"), own)
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range found.entries {
		out = append(out, e.Path)
	}
	return out
}

// The folder in which runner keeps its state is in no context, whatever it is called and whatever .dockerignore says.
func TestOwnIsInNoContext(t *testing.T) {
	for _, own := range []string{".runner", "state/of [1] runner*", `a\b`} {
		for _, ignored := range []string{"", "!**", "**\n!" + own + "\n!" + own + "/**\n!kept", "!" + own + "/log", "*\n!**/log\n!kept"} {
			dir := project(t, "Dockerfile", "kept", "s/kept", own+"/log", own+"/scratch/1/log")
			if ignored != "" {
				write(t, filepath.Join(dir, ".dockerignore"), ignored)
			}
			got := listed(t, dir, filepath.Join(dir, own))
			if !slices.Contains(got, "kept") || slices.ContainsFunc(got, func(p string) bool { return p == own || strings.HasPrefix(p, own+"/") }) {
				t.Errorf("%s, .dockerignore %q: %q", own, ignored, got)
			}
		}
	}
}

// A folder of the same name elsewhere is as good as any, and so is all when runner keeps its state elsewhere.
func TestOwnIsOneFolder(t *testing.T) {
	dir := project(t, "sub/.runner/log", ".runners", "abc/log", "a[b]c/log")
	want := []string{".runners", "a[b]c", "a[b]c/log", "abc", "abc/log", "sub", "sub/.runner", "sub/.runner/log"}
	for _, own := range []string{filepath.Join(dir, ".runner"), filepath.Dir(dir), filepath.Join(dir, "../else"), ""} {
		if got := listed(t, dir, own); !slices.Equal(got, want) {
			t.Errorf("%s: %q", own, got)
		}
	}
	if got := listed(t, dir, filepath.Join(dir, "a[b]c")); !slices.Equal(got, slices.DeleteFunc(slices.Clone(want), func(p string) bool { return strings.HasPrefix(p, "a[b]c") })) {
		t.Errorf("%q", got)
	}
}

// A context that goes, or changes, between its listing and its end is told by what went.
func TestContextDisappears(t *testing.T) {
	for _, c := range []struct {
		name  string
		does  func(dir string) error
		fails string
	}{
		{"nothing", func(string) error { return nil }, ""},
		{"all of it", os.RemoveAll, "does not exist"},
		{"a file", func(dir string) error { return os.Remove(filepath.Join(dir, "a/1")) }, "a/1: it changes while it is read"},
		{"the last file", func(dir string) error { return os.Remove(filepath.Join(dir, "b")) }, "b: it changes while it is read"},
		{"one more", func(dir string) error { return os.WriteFile(filepath.Join(dir, "c"), nil, 0o644) }, "c: it changes while it is read"},
		{"another size", func(dir string) error { return os.WriteFile(filepath.Join(dir, "b"), []byte("longer"), 0o644) }, "b: it changes while it is read"},
		{"another mode", func(dir string) error { return os.Chmod(filepath.Join(dir, "b"), 0o755) }, "b: it changes while it is read"},
	} {
		t.Run(c.name, func(t *testing.T) {
			dir := project(t, "a/1", "b")
			found, err := list(t.Context(), host.OS{}, dir, filepath.Join(dir, "Dockerfile"), "")
			if err != nil {
				t.Fatal(err)
			}
			if err := c.does(dir); err != nil {
				t.Fatal(err)
			}
			if err := found.steady(t.Context(), filepath.Join(dir, "Dockerfile")); (err == nil) != (c.fails == "") || err != nil && !strings.Contains(err.Error(), c.fails) {
				t.Errorf("%v, want %q", err, c.fails)
			}
		})
	}
	dir := project(t, "a", "b")
	found, err := list(t.Context(), host.OS{}, dir, filepath.Join(dir, "Dockerfile"), "")
	if err != nil {
		t.Fatal(err)
	}
	write(t, filepath.Join(dir, "a"), "longer")
	if _, err := found.digest(t.Context()); err == nil || err.Error() != "a: it changes while it is read" {
		t.Errorf("counted: %v", err)
	}
	os.RemoveAll(dir)
	if _, err := found.digest(t.Context()); err == nil {
		t.Error("what is gone is counted")
	}
}

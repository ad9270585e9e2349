package build

import (
	"os/exec"
	"path/filepath"
	"runtime/debug"
	"testing"

	"github.com/erlmcp/runner/runtime/host"
)

func TestToldVersion(t *testing.T) {
	for _, c := range []struct{ module, ldflags, want string }{
		{"(devel)", "", ""},
		{"", "-s -w -X main.version=1.2.0", "1.2.0"},
		{"v1.0.0", "-X=main.Version=1.2.0 -s", "1.2.0"},
		{"", "-X 'main.version=1.2.0' -X main.commit=abc", "1.2.0"},
		{"", "-X example.com/app/build.Version=1.2.0 -X example.com/lib.version=0.1.0", ""},
		{"", "-X example.com/app/build.Version=1.2.0 -X main.version=2.0.0", "2.0.0"},
		{"", "-X main.version=1.0.0 -X main.version=2.0.0", "2.0.0"},
		{"", "-X main.version=a$b", ""},
		{"", "-X main.conversion=1.2.0", ""},
		{"v1.2.0", "-s -w", "v1.2.0"},
		{"v1.2.0-rc.1", "", "v1.2.0-rc.1"},
		{"v1.2.0+dirty", "", ""},
		{"v0.0.0-20261129064555-0123456789ab", "", ""},
		{"v1.2.1-0.20261129064555-0123456789ab", "", ""},
	} {
		info := &debug.BuildInfo{Main: debug.Module{Version: c.module}, Settings: []debug.BuildSetting{{Key: "-ldflags", Value: c.ldflags}}}
		if got := toldVersion(info); got != c.want {
			t.Errorf("%s %s: %q, want %q", c.module, c.ldflags, got, c.want)
		}
	}
}

// A folder has the version of its programs; what is no Go program, and what cannot be run, has none.
func TestVersionOfAFolder(t *testing.T) {
	h := newHost(t, map[string]string{"go.mod": "module example.com/app\n\ngo 1.26\n", "main.go": "package main\n\nvar version string\n\nfunc main() { println(version) }\n"})
	made := func(name, version string) {
		t.Helper()
		cmd := exec.Command("go", "build", "-ldflags", "-X main.version="+version, "-o", h.Abs(name), ".")
		cmd.Dir = h.Project
		if out, err := cmd.CombinedOutput(); err != nil {
			t.Fatalf("%v\n%s", err, out)
		}
	}
	wants := func(want string) {
		t.Helper()
		a, err := File{Path: "dist"}.Do(t.Context(), h)
		if err != nil || a.Version != want {
			t.Errorf("%q, %v; want %q", a.Version, err, want)
		}
	}
	write(t, h, "dist/README", "no program")
	wants("")
	made("dist/bin/app", "1.2.0")
	wants("1.2.0")
	must(t, host.OS{}.Chmod(h.Abs("dist/bin/app"), 0o644))
	wants("")
	must(t, host.OS{}.Chmod(h.Abs("dist/bin/app"), 0o755))
	made(filepath.Join("dist", "tool"), "0.1.0")
	wants("")
}

// What names no version itself has that of the source that would be built.
func TestVersionOfASource(t *testing.T) {
	h := newHost(t, map[string]string{"dist/app": "x", "VERSION": "1.0.0\n", "erl/VERSION": "2.0.0\n",
		"erl/src/app.app.src": `{application, app, [{vsn, "3.0.0"}]}.`})
	for want, f := range map[string]File{
		"":      {},
		"1.0.0": {Source: GoSource{}},
		"1.5.0": {Source: CommandSource{Version: "1.5.0"}},
		"3.0.0": {Source: MakeSource{Dir: "erl", Output: "out/app"}},
		"2.0.0": {Source: GoSource{Dir: "erl"}},
		"4.0.0": {Source: GoSource{Version: "1.5.0"}, Version: "4.0.0"},
	} {
		f.Path = "dist/app"
		if a, err := f.Do(t.Context(), h); err != nil || a.Version != want {
			t.Errorf("%+v: %q, %v; want %q", f, a.Version, err, want)
		}
	}
}

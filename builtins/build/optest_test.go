package build

import (
	"errors"
	"os"
	"path/filepath"
	"testing"

	"github.com/erlmcp/runner/runtime/host"
	"github.com/erlmcp/runner/runtime/optest"
	"github.com/erlmcp/runner/runtime/secret"
)

// inSource is a project with a Go module, a Makefile, and an Erlang release that a rebar3 of the test's own builds.
func inSource(params any) func(testing.TB) optest.World {
	return func(t testing.TB) optest.World {
		boot, err := host.BootID()
		h := &host.Host{Files: host.OS{}, Procs: host.Linux{Boot: boot}, Clock: host.SystemClock{}, Boot: boot,
			Secrets: &secret.Vault{Scrubber: &secret.Scrubber{}}, Project: t.TempDir(), Scratch: t.TempDir(), Env: withRebar(t)}
		for name, text := range source {
			err = errors.Join(err, os.WriteFile(filepath.Join(h.Project, name), []byte(text), 0o644))
		}
		if err != nil {
			t.Fatal(err)
		}
		return optest.World{Host: h, Params: params, Snapshot: func() string { return sourceOf(t, h.Project) }}
	}
}

var source = map[string]string{
	"go.mod": "module example.org/app\n\ngo 1.26\n", "main.go": "package main\n\nfunc main() {}\n", "VERSION": "1.2.0\n",
	"Makefile": "out: main.go\n\tcp main.go out\n", "rebar.config": "{relx, [{release, {app, \"1.2.0\"}, [app]}]}.\n",
}

// sourceOf is what a build must leave as it is.
func sourceOf(t testing.TB, dir string) (out string) {
	for name := range source {
		b, err := os.ReadFile(filepath.Join(dir, name))
		if err != nil {
			t.Error(err)
		}
		if string(b) != source[name] {
			out += name + " is " + string(b)
		}
	}
	return out
}

func TestOps(t *testing.T) {
	optest.Run(t, optest.Suite{Family: Family, Worlds: optest.Worlds{
		"go":          inSource(Go{Package: ".", Timeout: defaultTimeout}),
		"command":     inSource(Command{Argv: []string{"cp", "main.go", "out"}, Output: "out", Timeout: defaultTimeout}),
		"make":        inSource(Make{Targets: []string{"out"}, Output: "out", Timeout: defaultTimeout}),
		"rebar3":      inSource(Rebar3{Profile: "prod", Timeout: defaultTimeout}),
		"rebar3_test": inSource(Rebar3Test{Suites: bothSuites(), Profile: "test", Timeout: defaultTimeout}),
		"file":        inSource(File{Path: "main.go"}),
	}})
}

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

// inSource is a project with a Go module and a command that builds without it.
func inSource(params any) func(testing.TB) optest.World {
	return func(t testing.TB) optest.World {
		boot, err := host.BootID()
		h := &host.Host{Files: host.OS{}, Procs: host.Linux{Boot: boot}, Clock: host.SystemClock{}, Boot: boot,
			Secrets: &secret.Vault{Scrubber: &secret.Scrubber{}}, Project: t.TempDir(), Scratch: t.TempDir(), Env: os.Environ()}
		for name, text := range map[string]string{"go.mod": "module example.org/app\n\ngo 1.26\n", "main.go": "package main\n\nfunc main() {}\n", "VERSION": "1.2.0\n"} {
			err = errors.Join(err, os.WriteFile(filepath.Join(h.Project, name), []byte(text), 0o644))
		}
		if err != nil {
			t.Fatal(err)
		}
		return optest.World{Host: h, Params: params, Snapshot: func() string { return sourceOf(t, h.Project) }}
	}
}

// sourceOf is what a build must leave as it is.
func sourceOf(t testing.TB, dir string) (out string) {
	for _, name := range []string{"go.mod", "main.go", "VERSION"} {
		b, err := os.ReadFile(filepath.Join(dir, name))
		if err != nil {
			t.Error(err)
		}
		out += name + " " + string(b)
	}
	return out
}

func TestOps(t *testing.T) {
	optest.Run(t, optest.Suite{Family: Family, Worlds: optest.Worlds{
		"go":      inSource(Go{Package: ".", Timeout: defaultTimeout}),
		"command": inSource(Command{Argv: []string{"cp", "main.go", "out"}, Output: "out", Timeout: defaultTimeout}),
		"file":    inSource(File{Path: "main.go"}),
	}})
}

package files

import (
	"errors"
	"os"
	"path/filepath"
	"testing"

	"github.com/erlmcp/runner/runtime/host"
	"github.com/erlmcp/runner/runtime/optest"
	"github.com/erlmcp/runner/runtime/secret"
)

// inProject is a project with a few files. What a Make writes serves nobody; looking at it must leave it.
func inProject(params any) func(testing.TB) optest.World {
	return func(t testing.TB) optest.World {
		h := &host.Host{Files: host.OS{}, Clock: host.SystemClock{}, Project: t.TempDir(), Scratch: t.TempDir(),
			Secrets: &secret.Vault{Getenv: os.LookupEnv, ReadFile: os.ReadFile, Scrubber: &secret.Scrubber{}}}
		err := os.MkdirAll(filepath.Join(h.Project, "dir", "sub"), 0o755)
		for _, name := range []string{"a.conf", "dir/b.conf", "dir/sub/c.conf"} {
			err = errors.Join(err, os.WriteFile(filepath.Join(h.Project, name), []byte("port = {port}\n"), 0o644))
		}
		if err != nil {
			t.Fatal(err)
		}
		return optest.World{Host: h, Params: params, Snapshot: func() string { return treeOf(t, h.Project) }}
	}
}

// treeOf is everything below a folder.
func treeOf(t testing.TB, dir string) (out string) {
	err := filepath.WalkDir(dir, func(path string, e os.DirEntry, err error) error {
		if err != nil || e.IsDir() {
			out += path + "\n"
			return err
		}
		b, err := os.ReadFile(path)
		info, _ := e.Info()
		out += path + " " + info.Mode().String() + " " + string(b) + "\n"
		return err
	})
	if err != nil {
		t.Error(err)
	}
	return out
}

func TestOps(t *testing.T) {
	optest.Run(t, optest.Suite{Family: Family, Worlds: optest.Worlds{
		"read":                    inProject(Read{Path: "a.conf", Limit: 1 << 20}),
		"write":                   inProject(Write{Path: "new/x.conf", Content: secret.Plain("x")}),
		"write: over another":     inProject(Write{Path: "a.conf", Content: secret.Plain("x")}),
		"remove":                  inProject(Remove{Path: "dir"}),
		"remove: it is not there": inProject(Remove{Path: "nothing"}),
		"copy":                    inProject(Copy{Source: "dir", To: "copy"}),
		"copy: over a file":       inProject(Copy{Source: "dir/b.conf", To: "a.conf"}),
		"glob":                    inProject(Glob{Pattern: "**/*.conf"}),
		"digest":                  inProject(Digest{Path: "dir"}),
		"template":                inProject(Template{Path: "a.conf", Values: map[string]any{"port": 8080}}),
		"disk":                    inProject(Disk{Path: "."}),
	}})
}

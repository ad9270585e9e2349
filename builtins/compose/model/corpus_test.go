package model

import (
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/erlmcp/runner/builtins/stack"
	"github.com/erlmcp/runner/runtime/host"
	"github.com/erlmcp/runner/runtime/secret"
)

// corpora is the folder of files that say all that files can say.
const corpora = "../../../testdata/compose/corpus"

// corpus is a copy of the files in a folder of the test's own, and their names.
func corpus(t testing.TB) (dir string, names []string) {
	t.Helper()
	dir = t.TempDir()
	if err := os.CopyFS(dir, os.DirFS(corpora)); err != nil {
		t.Fatal(err)
	}
	paths, err := filepath.Glob(filepath.Join(dir, "*.yaml"))
	if err != nil || len(paths) < 5 {
		t.Fatalf("%d files, %v", len(paths), err)
	}
	for _, p := range paths {
		names = append(names, strings.TrimSuffix(filepath.Base(p), ".yaml"))
	}
	return dir, names
}

// at is a host that works in a folder with these variables alone.
func at(dir string, env map[string]string) *host.Host {
	h := &host.Host{Files: host.OS{}, Project: dir}
	for _, name := range slices.Sorted(maps.Keys(env)) {
		h.Env = append(h.Env, name+"="+env[name])
	}
	h.Secrets = &secret.Vault{Scrubber: &secret.Scrubber{}, ReadFile: os.ReadFile, Getenv: func(name string) (string, bool) { v, ok := env[name]; return v, ok }}
	return h
}

// write makes the files of a project, by their names.
func write(t testing.TB, files map[string]string) string {
	t.Helper()
	dir := t.TempDir()
	for name, text := range files {
		path := filepath.Join(dir, name)
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	return dir
}

func projectOf(name string, files ...string) stack.Project {
	return stack.Project{Name: name, Files: files}
}

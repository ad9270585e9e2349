package dockertest

import (
	"bytes"
	"crypto/rand"
	"crypto/sha256"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"testing"

	"github.com/erlmcp/runner/runtime/host"
)

// composeVersion is that of the reference, and of what runner does as it does.
const composeVersion = "5.6.0"

// Compose is the path of Docker Compose itself, built from its module.
func Compose(t testing.TB) string {
	t.Helper()
	return built(t, "compose", "../../../testdata/compose/reference", "-X github.com/docker/compose/v5/internal.Version=v"+composeVersion)
}

// built is the path of a static program, built once from a folder, seen from this one, and kept outside of the checkout
// by what it is built from.
func built(t testing.TB, name, folder, flags string) string {
	t.Helper()
	_, file, _, _ := runtime.Caller(0)
	source := filepath.Join(filepath.Dir(file), folder)
	entries, err := os.ReadDir(source)
	if err != nil {
		t.Fatal(err)
	}
	sum := sha256.New()
	for _, e := range entries {
		b, err := os.ReadFile(filepath.Join(source, e.Name()))
		if err != nil {
			t.Fatal(err)
		}
		sum.Write(b)
	}
	cache, err := os.UserCacheDir()
	if err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(cache, "runner", fmt.Sprintf("%s-%x", name, sum.Sum(nil)[:8]))
	if _, err := os.Stat(path); err == nil {
		return path
	}
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		t.Fatal(err)
	}
	part := filepath.Join(filepath.Dir(path), name+"-"+rand.Text())
	boot, err := host.BootID()
	if err != nil {
		t.Fatal(err)
	}
	var said bytes.Buffer
	build := host.Cmd{Argv: []string{"go", "build", "-trimpath", "-ldflags", "-s -w " + flags, "-o", part, "."}, Dir: source,
		Env: append(os.Environ(), "CGO_ENABLED=0", "GOOS=linux", "GOFLAGS=-buildvcs=false"), Stdout: &said, Stderr: &said}
	if exit, err := (host.Linux{Boot: boot}).Run(t.Context(), build, nil); err != nil || exit != (host.Exit{}) {
		os.Remove(part)
		t.Fatalf("%v, %v: %s", exit, err, said.String())
	}
	if err := os.Rename(part, path); err != nil {
		t.Fatal(err)
	}
	return path
}

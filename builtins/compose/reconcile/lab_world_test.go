//go:build labs

package reconcile

import (
	"archive/tar"
	"bytes"
	"crypto/rand"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/erlmcp/runner/builtins/docker/daemon"
	"github.com/erlmcp/runner/runtime/host"
	"github.com/moby/moby/client"
)

func newLab(t testing.TB) *lab {
	t.Helper()
	e, err := daemon.NewPool(&host.Host{Files: host.OS{}, Env: os.Environ()}).Open(t.Context(), "")
	if err != nil {
		t.Fatal(err)
	}
	l := &lab{TB: t, address: e.Address, site: Site{Engine: &Engine{Client: e.Client, API: e.API}, Clock: host.SystemClock{}}, project: "runner-rec-" + strings.ToLower(rand.Text()[:8])}
	l.image = l.project + ":v1"
	t.Cleanup(l.sweep)
	l.load()
	return l
}

// load makes an image of the program.
func (l *lab) load() {
	out := filepath.Join(l.TempDir(), "app")
	build := exec.Command("go", "build", "-trimpath", "-ldflags", "-s -w", "-o", out, "./testdata/app")
	build.Env = append(os.Environ(), "CGO_ENABLED=0")
	if text, err := build.CombinedOutput(); err != nil {
		l.Fatalf("%v: %s", err, text)
	}
	data, err := os.ReadFile(out)
	l.must(err)
	var b bytes.Buffer
	w := tar.NewWriter(&b)
	l.must(w.WriteHeader(&tar.Header{Name: "app", Mode: 0o755, Size: int64(len(data))}))
	w.Write(data)
	l.must(w.Close())
	r, err := l.site.Engine.ImageImport(l.Context(), client.ImageImportSource{Source: &b, SourceName: "-"}, l.image, client.ImageImportOptions{})
	l.must(err)
	var text bytes.Buffer
	text.ReadFrom(r)
	r.Close()
}

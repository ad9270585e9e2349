package health

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/erlmcp/runner/builtins/driver"
	"github.com/erlmcp/runner/runtime/host"
	"github.com/erlmcp/runner/runtime/op"
	"github.com/erlmcp/runner/runtime/secret"
)

// A wait ends with the process that it waits for, though its deadline is far and the answers were good.
func TestWaitEndsWithTheService(t *testing.T) {
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { fmt.Fprint(w, `{"status":"healthy"}`) }))
	defer s.Close()
	boot, err := host.BootID()
	if err != nil {
		t.Fatal(err)
	}
	root := t.TempDir()
	h := &host.Host{Files: host.OS{}, Net: host.Internet{}, Procs: host.Linux{Boot: boot}, Clock: host.SystemClock{}, Boot: boot,
		Secrets: &secret.Vault{Scrubber: &secret.Scrubber{}}, Project: root, Env: os.Environ()}
	if err := os.MkdirAll(filepath.Join(root, "releases", "000001"), 0o755); err != nil {
		t.Fatal(err)
	}
	start := func(seconds string) {
		t.Helper()
		p := driver.Process{Argv: []string{"sleep", seconds}, Signal: "SIGTERM", Grace: op.Duration(time.Second)}
		u, err := p.Unit(h, root, "000001", "r/1")
		if err != nil {
			t.Fatal(err)
		}
		unit, err := driver.Store(h, root, u)
		if err == nil {
			err = driver.Start(t.Context(), h, root, unit)
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	w := Wait{Probe: probing(s.URL), Root: root}
	if _, err := w.Do(t.Context(), h); err != nil {
		t.Errorf("nothing was ever started: %v", err)
	}
	start("0.3")
	w.Within, w.StableFor = op.Duration(10*time.Minute), op.Duration(9*time.Minute)
	for _, when := range []string{"meanwhile", "before"} {
		if _, err := w.Do(t.Context(), h); err == nil || !strings.Contains(err.Error(), "release 000001 has ended by itself") {
			t.Errorf("it ended %s: %v", when, err)
		}
	}
	start("60")
	w.Within, w.StableFor = op.Duration(10*time.Second), op.Duration(50*time.Millisecond)
	if _, err := w.Do(t.Context(), h); err != nil {
		t.Errorf("it runs: %v", err)
	}
	runs, err := driver.Current(h, root)
	if err == nil {
		err = driver.Stop(t.Context(), h, root, runs)
	}
	if err != nil {
		t.Error(err)
	}
}

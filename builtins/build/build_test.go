package build

import (
	"context"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/erlmcp/runner/builtins/artifact"
	"github.com/erlmcp/runner/runtime/host"
	"github.com/erlmcp/runner/runtime/host/hosttest"
	"github.com/erlmcp/runner/runtime/op"
	"github.com/erlmcp/runner/runtime/secret"
)

func newHost(t *testing.T, files map[string]string) *host.Host {
	boot, err := host.BootID()
	must(t, err)
	vault := &secret.Vault{Getenv: os.LookupEnv, ReadFile: os.ReadFile, Scrubber: &secret.Scrubber{}}
	h := &host.Host{Files: host.OS{}, Procs: host.Linux{Boot: boot}, Clock: host.SystemClock{}, Secrets: vault,
		Project: t.TempDir(), Scratch: t.TempDir(), Env: append(os.Environ(), "GOFLAGS=", "GOPROXY=off"), Boot: boot}
	for name, text := range files {
		write(t, h, name, text)
	}
	return h
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func write(t *testing.T, h *host.Host, name, text string) {
	t.Helper()
	must(t, os.MkdirAll(filepath.Dir(h.Abs(name)), 0o755))
	must(t, os.WriteFile(h.Abs(name), []byte(text), 0o644))
}

// heard keeps lines, and stops an op behind a step.
type heard struct {
	op.Silent
	mu    sync.Mutex
	lines []string
	waits []string
	stop  error
}

func (h *heard) Output(line string) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.lines = append(h.lines, line)
}

func (h *heard) Waiting(what string, _ time.Time) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.waits = append(h.waits, what)
}

func (h *heard) Half(string) error { return h.stop }

// performed is an artifact, and whether it was found again.
func performed(t *testing.T, h *host.Host, o op.Op[*host.Host, artifact.Artifact]) (artifact.Artifact, bool) {
	t.Helper()
	ear := &heard{}
	a, err := o.Do(op.WithSpeaker(t.Context(), ear), h)
	must(t, err)
	return a, strings.Contains(strings.Join(ear.lines, "\n"), "is unchanged; found again by digest")
}

func module() map[string]string {
	return map[string]string{
		"go.mod":             "module example.org/shop\n\ngo 1.21\n",
		"cmd/shop/main.go":   "package main\n\nimport \"example.org/shop/lib\"\n\nvar version string\n\nfunc main() { println(version, lib.Text) }\n",
		"lib/lib.go":         "package lib\n\nimport _ \"embed\"\n\n//go:embed text\nvar Text string\n",
		"lib/text":           "one",
		"lib/lib_test.go":    "package lib\n",
		"README":             "hello",
		"VERSION":            "1.2.3\n",
		"lib/other_plan9.go": "package lib\n",
	}
}

var shop = Go{Package: "./cmd/shop", Ldflags: "-X main.version={version}", Timeout: defaultTimeout, Key: "run/1"}

func says(t *testing.T, program string) string {
	t.Helper()
	out, err := exec.Command(program).CombinedOutput()
	must(t, err)
	return strings.TrimSpace(string(out))
}

func TestGo(t *testing.T) {
	h := newHost(t, module())
	a, found := performed(t, h, shop)
	if found || a.Name != "shop" || a.Version != "1.2.3" || a.Platform != machine || says(t, a.Path) != "1.2.3 one" {
		t.Fatalf("%+v, found %v, says %s", a, found, says(t, a.Path))
	}
	if d, size, err := artifact.Digest(host.OS{}, a.Path); d != a.Digest || size != int64(a.Size) || err != nil {
		t.Errorf("%s, %d, %v", d, size, err)
	}
	again, found := performed(t, h, shop)
	if !found || again != a {
		t.Errorf("again: %+v, found %v", again, found)
	}
	for name, c := range map[string]struct {
		text    string
		rebuilt bool
	}{
		"README":             {"changed", false},
		"lib/lib_test.go":    {"package lib // changed\n", false},
		"lib/other_plan9.go": {"package lib // changed\n", false},
		"lib/text":           {"two", true},
		"lib/more.go":        {"package lib\n\nvar More = 1\n", true},
		"VERSION":            {"1.2.4\n", true},
		"go.mod":             {"module example.org/shop\n\ngo 1.22\n", true},
	} {
		write(t, h, name, c.text)
		if _, found := performed(t, h, shop); found == c.rebuilt {
			t.Errorf("%s is changed, found again: %v", name, found)
		}
	}
	if got, _ := performed(t, h, shop); says(t, got.Path) != "1.2.4 two" {
		t.Errorf("says %s", says(t, got.Path))
	}
}

// The same source gives the same bytes, wherever it lies.
func TestGoIsDeterministic(t *testing.T) {
	a, _ := performed(t, newHost(t, module()), shop)
	b, _ := performed(t, newHost(t, module()), shop)
	if a.Digest != b.Digest || filepath.Base(filepath.Dir(a.Path)) != filepath.Base(filepath.Dir(b.Path)) {
		t.Errorf("%+v and %+v", a, b)
	}
}

func TestGoParameters(t *testing.T) {
	h := newHost(t, module())
	before, _ := performed(t, h, shop)
	for name, change := range map[string]func(*Go){
		"ldflags": func(g *Go) { g.Ldflags += " -s" },
		"version": func(g *Go) { g.Version = "7" },
		"output":  func(g *Go) { g.Output = "store" },
		"env":     func(g *Go) { g.Env = map[string]secret.Text{"GOARCH": secret.Plain("arm64")} },
	} {
		g := shop
		change(&g)
		a, found := performed(t, h, g)
		if found || a.Path == before.Path {
			t.Errorf("%s: found again", name)
		}
		if name == "env" && a.Platform != "linux/arm64" {
			t.Errorf("platform %s", a.Platform)
		}
	}
}

func TestGoErrors(t *testing.T) {
	h := newHost(t, module())
	write(t, h, "cmd/types/main.go", "package main\n\nfunc main() { undefined() }\n")
	write(t, h, "cmd/syntax/main.go", "package main\n\nfunc main( {\n")
	for pkg, want := range map[string][]string{
		"./cmd/types":  {"cannot build ./cmd/types: exit 1\n", "undefined: undefined"},
		"./cmd/syntax": {"cannot build ./cmd/syntax: exit 1\n", "syntax error"},
		"./cmd/none":   {"cannot build ./cmd/none: exit 1\n", "directory not found"},
		"./lib":        {"cannot build ./lib: it is the package lib, not a program"},
	} {
		_, err := Go{Package: pkg, Timeout: defaultTimeout, Key: "run/1"}.Do(t.Context(), h)
		for _, w := range want {
			if err == nil || !strings.Contains(err.Error(), w) {
				t.Errorf("%s: want %q, got %v", pkg, w, err)
			}
		}
	}
	if left, _ := filepath.Glob(h.Abs(folder + "/*/" + record)); len(left) > 0 {
		t.Errorf("a failed build is kept: %v", left)
	}
	for want, g := range map[string]Go{
		"cannot work in ":           {Package: ".", Dir: "nowhere"},
		"cannot build .: there is ": {Package: ".", Dir: t.TempDir()},
	} {
		if _, err := g.Do(t.Context(), h); err == nil || !strings.HasPrefix(err.Error(), want) {
			t.Errorf("want %q, got %v", want, err)
		}
	}
	h.Env = []string{"PATH=/nowhere"}
	_, err := shop.Do(t.Context(), h)
	if err == nil || err.Error() != "cannot start go: it is not in PATH" || op.HintOf(err) == "" {
		t.Errorf("no go: %v", err)
	}
}

// What a person changed, or took the executable bit from, is made anew.
func TestTamperedIsMadeAgain(t *testing.T) {
	h := newHost(t, module())
	a, _ := performed(t, h, shop)
	dir := filepath.Dir(a.Path)
	for name, tamper := range map[string]func() error{
		"content": func() error { return os.WriteFile(a.Path, []byte("#!/bin/sh\n"), 0o755) },
		"mode":    func() error { return os.Chmod(a.Path, 0o644) },
		"gone":    func() error { return os.Remove(a.Path) },
		"record": func() error {
			return os.WriteFile(filepath.Join(dir, record), []byte(`{"artifact":{"name":"../x"}}`), 0o644)
		},
		"torn": func() error { return os.WriteFile(filepath.Join(dir, record), nil, 0o644) },
	} {
		must(t, tamper())
		if p, err := shop.Preview(t.Context(), h); !errors.Is(err, op.ErrUnknown) {
			t.Errorf("%s: foreseen as %+v, %v", name, p, err)
		}
		if again, found := performed(t, h, shop); found || again != a || says(t, a.Path) != "1.2.3 one" {
			t.Errorf("%s: found %v, %+v", name, found, again)
		}
	}
}

// A build that is stopped behind any step is never taken for a whole one, and is swept up by the next.
func TestHalfBuild(t *testing.T) {
	h := newHost(t, module())
	killed := errors.New("killed")
	_, err := shop.Do(op.WithSpeaker(t.Context(), &heard{stop: killed}), h)
	if !errors.Is(err, killed) {
		t.Fatalf("error %v", err)
	}
	if _, err := os.Stat(h.Abs(folder + "/.new-run-1/shop")); err != nil {
		t.Errorf("the test stops too early: %v", err)
	}
	if _, err := shop.Preview(t.Context(), h); !errors.Is(err, op.ErrUnknown) {
		t.Errorf("foreseen: %v", err)
	}
	other := shop
	other.Key = "other/1"
	if a, found := performed(t, h, other); found || says(t, a.Path) != "1.2.3 one" {
		t.Error("a half build is found")
	}
	if left, _ := filepath.Glob(h.Abs(folder + "/" + making + "*")); len(left) > 0 {
		t.Errorf("left: %v", left)
	}
}

// A build that is being made by another run is not swept.
func TestLivingBuildStays(t *testing.T) {
	h := newHost(t, module())
	s := open(h)
	l, err := s.begin(s.path(making + "other-1"))
	must(t, err)
	defer l.Close()
	performed(t, h, shop)
	if _, err := os.Stat(s.path(making + "other-1")); err != nil {
		t.Error("it is gone")
	}
}

func TestPreview(t *testing.T) {
	h := newHost(t, module())
	a, _ := performed(t, h, shop)
	frozen := hosttest.Frozen(t, h)
	if p, err := shop.Preview(t.Context(), frozen); p != a || err != nil {
		t.Errorf("foreseen %+v, %v", p, err)
	}
	same := shop
	same.Key = "another/9"
	if p, err := same.Preview(t.Context(), frozen); p != a || err != nil {
		t.Errorf("in another run: %+v, %v", p, err)
	}
	b := op.Bound{Spec: op.Make(frozen, shop), Params: shop}
	write(t, h, "lib/text", "changed")
	if p, err := b.Preview(t.Context()); p != (op.Unknown{After: ".go"}) || err != nil {
		t.Errorf("after a change: %+v, %v", p, err)
	}
	write(t, h, "lib/text", "one")
	performed(t, h, shop)
	h.Env = append(h.Env, "GOAMD64=v3")
	if _, err := shop.Preview(t.Context(), h); !errors.Is(err, op.ErrUnknown) {
		t.Errorf("in another environment: %v", err)
	}
}

func TestCheck(t *testing.T) {
	for want, c := range map[string]op.Checked{
		"package: want one main":  Go{Package: "./...", Timeout: 1},
		"output: want the name":   Go{Package: ".", Output: "bin/x", Timeout: 1},
		"version: want a":         Go{Package: ".", Version: "a b", Timeout: 1},
		"timeout: want":           Go{Package: "."},
		"env: want":               GoSource{Package: ".", Env: map[string]secret.Text{"A B": {}}},
		"output: want a file":     CommandSource{Argv: []string{"make"}, Output: "../x"},
		"output: want the ":       Command{Argv: []string{"make"}, Output: "dist/" + record, Timeout: 1},
		`tests: "go test" is one`: GoSource{Package: ".", Tests: []string{"go test"}},
		"argv: want":              CommandSource{Output: "x"},
	} {
		if err := c.Check(); err == nil || !strings.HasPrefix(err.Error(), want) {
			t.Errorf("want %q, got %v", want, err)
		}
	}
}

func TestCancelled(t *testing.T) {
	h := newHost(t, map[string]string{"src": "1"})
	ctx, cancel := context.WithTimeout(t.Context(), 300*time.Millisecond)
	defer cancel()
	begun := time.Now()
	_, err := Command{Argv: []string{"sleep", "1000"}, Output: "out", Timeout: defaultTimeout, Key: "run/1"}.Do(ctx, h)
	if !errors.Is(err, context.DeadlineExceeded) || time.Since(begun) > 2*time.Second {
		t.Errorf("%v after %s", err, time.Since(begun))
	}
}

package releases

import (
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/erlmcp/runner/builtins/artifact"
	"github.com/erlmcp/runner/builtins/driver"
	"github.com/erlmcp/runner/runtime/host"
	"github.com/erlmcp/runner/runtime/host/hosttest"
	"github.com/erlmcp/runner/runtime/op"
	"github.com/erlmcp/runner/runtime/secret"
)

// mcpd is the folder with the programs that tests deploy, once per test binary.
var mcpd = sync.OnceValues(func() (string, error) {
	dir, err := os.MkdirTemp("", "mcpd")
	if err != nil {
		return "", err
	}
	for _, version := range []string{"1.0.0", "2.0.0"} {
		build := exec.Command("go", "build", "-C", "../../testdata/apps/mcpd", "-ldflags", "-s -w -X main.version="+version, "-o", filepath.Join(dir, version), ".")
		if out, err := build.CombinedOutput(); err != nil {
			return "", fmt.Errorf("%w: %s", err, out)
		}
	}
	return dir, nil
})

func TestMain(m *testing.M) {
	code := m.Run()
	if dir, err := mcpd(); err == nil {
		os.RemoveAll(dir)
	}
	os.Exit(code)
}

// site is a host root on this machine.
type site struct {
	t    testing.TB
	h    *host.Host
	root string
	port int
	ops  int
}

func newSite(t testing.TB) *site {
	t.Helper()
	boot, err := host.BootID()
	if err != nil {
		t.Fatal(err)
	}
	dir := inMemory(t)
	h := &host.Host{Files: host.OS{}, Procs: host.Linux{Boot: boot}, Net: host.Internet{}, Clock: host.SystemClock{}, Boot: boot,
		Secrets: &secret.Vault{Getenv: os.LookupEnv, Scrubber: &secret.Scrubber{}}, Project: dir, Scratch: dir, Env: os.Environ()}
	return &site{t: t, h: h, root: filepath.Join(dir, "root")}
}

// inMemory is a folder on a file system in memory, where there is one: these tests sync some thousand times.
func inMemory(t testing.TB) string {
	t.Helper()
	dir, err := os.MkdirTemp("/dev/shm", "releases")
	if err != nil {
		return t.TempDir()
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	return dir
}

// listening is a site whose service has a port of its own, and ends with the test.
func listening(t testing.TB) *site {
	t.Helper()
	s := newSite(t)
	s.port = hosttest.Port(t)
	t.Cleanup(func() {
		if runs, err := driver.Current(s.h, s.root); err == nil && runs.Proc.PID > 0 {
			syscall.Kill(-runs.Proc.PID, syscall.SIGKILL)
		}
	})
	return s
}

func (s *site) key() op.Key {
	s.ops++
	return op.Key(fmt.Sprintf("20260126t110000-site/%d", s.ops))
}

// folder is an artifact of a few files.
func (s *site) folder(version string, files map[string]string) artifact.Artifact {
	s.t.Helper()
	dir := filepath.Join(s.h.Project, "built", version)
	for name, text := range files {
		path := filepath.Join(dir, name)
		mode := os.FileMode(0o644)
		if strings.HasPrefix(name, "bin/") {
			mode = 0o755
		}
		s.must(os.MkdirAll(filepath.Dir(path), 0o755))
		s.must(os.WriteFile(path, []byte(text), mode))
	}
	return s.made(version, dir)
}

func (s *site) made(version, path string) artifact.Artifact {
	s.t.Helper()
	digest, size, err := artifact.Digest(s.h.Files, path)
	s.must(err)
	return artifact.Artifact{Name: "app", Path: path, Digest: digest, Version: version, Platform: "linux/amd64", Size: op.Size(size)}
}

// app is an artifact of a few bytes that becomes a version of mcpd.
func (s *site) app(version string) artifact.Artifact {
	s.t.Helper()
	dir, err := mcpd()
	s.must(err)
	return s.folder(version, map[string]string{"bin/app": "#!/bin/sh\nexec " + filepath.Join(dir, version) + "\n"})
}

func (s *site) install(a artifact.Artifact) Release {
	s.t.Helper()
	rel, err := Install{Root: s.root, Artifact: a, Key: s.key()}.Do(s.t.Context(), s.h)
	s.must(err)
	return rel
}

func (s *site) service() driver.Process {
	return driver.Process{Argv: []string{"bin/app"}, Port: s.port, Signal: "SIGTERM", Grace: op.Duration(5 * time.Second)}
}

// draining is a service that takes some time to end, and does not answer in it.
func (s *site) draining() driver.Process {
	p := s.service()
	p.Argv = []string{"sh", "-c", "trap 'sleep 0.1; exit 0' TERM; bin/app & wait"}
	return p
}

func (s *site) activate(id string, service driver.Service) {
	s.t.Helper()
	_, err := Activate{Root: s.root, ID: id, Service: service, Key: s.key()}.Do(s.t.Context(), s.h)
	s.must(err)
}

// live is a site on which version 1.0.0 serves as release 000001, and 2.0.0 is installed as 000002.
func live(t testing.TB) *site {
	t.Helper()
	s := listening(t)
	s.activate(s.install(s.app("1.0.0")).ID, s.service())
	s.install(s.app("2.0.0"))
	s.answers("1.0.0")
	return s
}

func (s *site) must(err error) {
	s.t.Helper()
	if err != nil {
		s.t.Fatal(err)
	}
}

func (s *site) runs() driver.Running {
	s.t.Helper()
	runs, err := driver.Current(s.h, s.root)
	s.must(err)
	return runs
}

// who is the version that answers, waited for where a process runs; "nothing" where none does.
func (s *site) who() string {
	s.t.Helper()
	for range 2000 {
		resp, err := http.Get(fmt.Sprintf("http://127.0.0.1:%d/version", s.port))
		if err == nil {
			b, _ := io.ReadAll(resp.Body)
			resp.Body.Close()
			return strings.TrimSpace(string(b))
		}
		if !s.runs().Alive {
			return "nothing"
		}
		time.Sleep(5 * time.Millisecond)
	}
	return "a process that runs and does not answer"
}

func (s *site) answers(want string) {
	s.t.Helper()
	if got := s.who(); got != want {
		s.t.Errorf("%s answers, want %s", got, want)
	}
}

func (s *site) link() string {
	target, err := os.Readlink(filepath.Join(s.root, "current"))
	if errors.Is(err, os.ErrNotExist) {
		return "absent"
	}
	if err != nil {
		return err.Error()
	}
	return target
}

func (s *site) points(want string) {
	s.t.Helper()
	if got := s.link(); got != want {
		s.t.Errorf("current is %s, want %s", got, want)
	}
}

func (s *site) marks() (out string) {
	names, _ := filepath.Glob(filepath.Join(s.root, ".runner", "good", "*"))
	for _, name := range names {
		b, err := os.ReadFile(name)
		s.must(err)
		out += fmt.Sprintf("%s %s\n", filepath.Base(name), b)
	}
	return out
}

// world is what undo restores: the link, the marks, and who answers.
func (s *site) world() string {
	who := "nothing"
	if s.port > 0 {
		who = s.who()
	}
	return fmt.Sprintf("current %s\n%s%s answers", s.link(), s.marks(), who)
}

// tree is every name below a folder of the root.
func (s *site) tree(dir string) (out []string) {
	s.t.Helper()
	top := filepath.Join(s.root, dir)
	s.must(filepath.WalkDir(top, func(path string, _ os.DirEntry, err error) error {
		if rel, _ := filepath.Rel(top, path); rel != "." {
			out = append(out, rel)
		}
		return err
	}))
	return out
}

// fails wants an error that begins with want, and a hint with a text in it.
func fails(t testing.TB, err error, want, hint string) {
	t.Helper()
	if err == nil || !strings.HasPrefix(err.Error(), want) {
		t.Errorf("want %q, got %v", want, err)
	}
	if !strings.Contains(op.HintOf(err), hint) {
		t.Errorf("the hint is %q, want %q in it", op.HintOf(err), hint)
	}
}

package main

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"github.com/erlmcp/runner/builtins/artifact"
	"github.com/erlmcp/runner/runtime/host/hosttest"
	"io"
	"io/fs"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/rogpeppe/go-internal/testscript"

	"github.com/erlmcp/runner/runtime/event"
	"github.com/erlmcp/runner/runtime/host"
)

// asRunner is the variable that makes the test binary be runner itself: the real program, in a process of its own.
const asRunner = "RUNNER_TEST_AS_RUNNER"

func TestMain(m *testing.M) {
	if os.Getenv(asRunner) != "" {
		os.Exit(invoke(os.Args[1:], killAt))
	}
	testscript.Main(m, map[string]func(){"runner": func() { os.Exit(invoke(os.Args[1:], killAt)) }})
}

// killAt makes the program kill itself, as kill -9 does, behind its n-th fact, or behind the end of an op.
func killAt(p *program) {
	if at := os.Getenv("RUNNER_TEST_KILL_AT"); at != "" {
		n, _ := strconv.Atoi(at)
		p.sinks = append(p.sinks, &killer{left: n, op: at})
	}
	p.patience, _ = time.ParseDuration(os.Getenv("RUNNER_TEST_PATIENCE"))
}

type killer struct {
	left int
	op   string
}

func (k *killer) Emit(r event.Record) error {
	end, ended := r.Fact.(event.OpFinished)
	if k.left--; k.left == 0 || ended && end.Name == k.op {
		syscall.Kill(os.Getpid(), syscall.SIGKILL)
		select {}
	}
	return nil
}

// binaries are mcpd as built from source, by what it was built as: once for each state of the source, in the user's cache.
var binaries = sync.OnceValues(func() (map[string]string, error) {
	faults := map[string]string{"1.0.0": "", "1.1.0": "", "1.2.0": "", "bad": "health=unhealthy", "crash": "crash_after=1ms"}
	source := filepath.Join("..", "..", "testdata", "apps", "mcpd")
	cache, err := os.UserCacheDir()
	if err != nil {
		return nil, err
	}
	digest, _, err := artifact.Digest(host.OS{}, source)
	if err != nil {
		return nil, err
	}
	key := host.SHA256([]byte(digest + runtime.Version() + fmt.Sprint(faults)))
	dir := filepath.Join(cache, "runner-test", key[:16])
	out := map[string]string{}
	for name := range faults {
		out[name] = filepath.Join(dir, name)
	}
	if _, err := os.Stat(dir); err == nil {
		return out, nil
	}
	if err := os.MkdirAll(filepath.Dir(dir), 0o755); err != nil {
		return nil, err
	}
	fresh, err := os.MkdirTemp(filepath.Dir(dir), "new")
	if err != nil {
		return nil, err
	}
	defer os.RemoveAll(fresh)
	for name, fault := range faults {
		cmd := exec.Command("go", "build", "-trimpath", "-ldflags", "-s -w -X main.version="+name+" -X main.fault="+fault, "-o", filepath.Join(fresh, name), ".")
		cmd.Dir, cmd.Env = source, append(os.Environ(), "CGO_ENABLED=0")
		if b, err := cmd.CombinedOutput(); err != nil {
			return nil, fmt.Errorf("%w: %s", err, b)
		}
		if err := launcher(fresh, dir, name); err != nil {
			return nil, err
		}
	}
	if err := os.Rename(fresh, dir); err != nil && !errors.Is(err, fs.ErrExist) {
		return nil, err
	}
	return out, nil
})

// launcher makes a release of a few bytes that becomes a version of mcpd: tests that deploy hundreds of times copy it.
func launcher(dir, final, name string) error {
	for _, d := range []string{"light", filepath.Join("app", name)} {
		if err := os.MkdirAll(filepath.Join(dir, d), 0o755); err != nil {
			return err
		}
	}
	program := filepath.Join(final, "app", name, "mcpd")
	if err := os.Link(filepath.Join(dir, name), filepath.Join(dir, "app", name, "mcpd")); err != nil {
		return err
	}
	return os.WriteFile(filepath.Join(dir, "light", name), []byte("#!/bin/sh\nexec "+program+"\n"), 0o755)
}

// site is a project with a target on this machine.
type site struct {
	t     testing.TB
	light bool // releases are launchers
	dir   string
	port  int
	home  string // of the machine that runs
	logs  map[string]bool
	more  []string     // variables beside the usual ones
	out   bytes.Buffer // what the last run wrote
}

// environments is the project's environments.star. Its builds copy what was built before: these tests are of what comes
// behind a build.
func (s *site) environments() []byte {
	bins, err := binaries()
	if err != nil {
		s.t.Fatal(err)
	}
	dir := filepath.Dir(bins["1.0.0"])
	if s.light {
		dir = filepath.Join(dir, "light")
	}
	return fmt.Appendf(nil, siteEnvironments, dir, s.port)
}

const siteEnvironments = `
def _env(root, **more):
    return environment(
        app = "mcpd",
        build = command(["cp", "%s/{version}", "mcpd"], output = "mcpd"),
        target = host(root = root, service = process(["bin/mcpd"], port = %d, grace = "2s", env = {"TOKEN": secret.env("TOKEN")})),
        health = probe("/health", within = "3s"),
        keep = 2,
        **more
    )

production = _env("target")
other = _env("elsewhere")
`

const siteScripts = `
-- recover.star --
def main(environment):
    lease(environment)
-- list.star --
def main(environment):
    print(json.encode([dict(id = r.id, good = r.good, live = r.live, version = r.version) for r in releases.list(environment.target.root)]))
-- start.star --
def main(environment):
    lease(environment)
    service.start(environment.target.root)
-- ready.star --
def main(environment):
    health.wait(environment.health)
-- tidy.star --
def main(environment):
    lease(environment)
    releases.prune(environment.target.root, keep = environment.keep)
-- stop.star --
def main(environment):
    lease(environment)
    service.stop(environment.target.root)
`

func newSite(t testing.TB) *site {
	t.Helper()
	s := &site{t: t, light: true, dir: t.TempDir(), port: hosttest.Port(t), home: t.TempDir()}
	s.write("environments.star", string(s.environments()))
	for _, part := range strings.Split(siteScripts, "\n-- ")[1:] {
		name, text, _ := strings.Cut(part, " --\n")
		s.write(name, text)
	}
	t.Cleanup(s.killService)
	return s
}

func (s *site) write(name, text string) {
	s.t.Helper()
	if err := os.WriteFile(filepath.Join(s.dir, name), []byte(text), 0o644); err != nil {
		s.t.Fatal(err)
	}
}

func (s *site) env() []string {
	return append(append(os.Environ(), "TOKEN=canary-5f1d6f0c-canary", "HOME="+s.home), s.more...)
}

// inside runs the program in this process, with something around its host.
func (s *site) inside(wrap func(*host.Host) *host.Host, args ...string) int {
	s.t.Helper()
	null, err := os.Open(os.DevNull)
	if err != nil {
		s.t.Fatal(err)
	}
	defer null.Close()
	r, w, err := os.Pipe()
	if err != nil {
		s.t.Fatal(err)
	}
	s.out.Reset()
	done := make(chan struct{})
	go func() { io.Copy(&s.out, r); r.Close(); close(done) }()
	if wrap == nil {
		wrap = func(h *host.Host) *host.Host { return h }
	}
	p := &program{args: args, dir: s.dir, env: s.env(), stdin: null, stdout: w, stderr: w, now: time.Now, wrap: wrap}
	code := p.run()
	w.Close()
	<-done
	return code
}

// process runs the real program, killed behind its n-th fact where n is not 0.
func (s *site) process(n int, args ...string) int {
	s.t.Helper()
	cmd := s.command(args...)
	if n > 0 {
		s.begins()
		cmd.Env = append(cmd.Env, fmt.Sprint("RUNNER_TEST_KILL_AT=", n))
	}
	s.out.Reset()
	cmd.Stdout, cmd.Stderr = &s.out, &s.out
	err := cmd.Run()
	if _, ok := err.(*exec.ExitError); err != nil && !ok {
		s.t.Fatal(err)
	}
	return cmd.ProcessState.ExitCode()
}

func (s *site) command(args ...string) *exec.Cmd {
	self, err := os.Executable()
	if err != nil {
		s.t.Fatal(err)
	}
	cmd := exec.Command(self, args...)
	cmd.Dir, cmd.Env = s.dir, append(s.env(), asRunner+"=1")
	return cmd
}

// deploy is the stock deploy.star, of a version.
func (s *site) deploy(version string, more ...string) []string {
	s.write("VERSION", version+"\n")
	return append([]string{"deploy.star", "production", "--output", "plain"}, more...)
}

// must runs the program and wants an exit code.
func (s *site) must(code int, args ...string) {
	s.t.Helper()
	if got := s.inside(nil, args...); got != code {
		s.t.Fatalf("%v: exit %d, want %d\n%s", args, got, code, s.out.String())
	}
}

// answers is the version that answers on the service's port, "" where none does.
func (s *site) answers() string {
	resp, err := http.Get(fmt.Sprintf("http://127.0.0.1:%d/version", s.port))
	if err != nil {
		return ""
	}
	defer resp.Body.Close()
	b, _ := io.ReadAll(resp.Body)
	return strings.TrimSpace(string(b))
}

func (s *site) wants(version string) {
	s.t.Helper()
	if got := s.answers(); got != version {
		s.t.Fatalf("%q answers, want %q\n%s", got, version, s.out.String())
	}
}

func (s *site) root(names ...string) string {
	return filepath.Join(append([]string{s.dir, "target"}, names...)...)
}

// agrees checks that releases.list, the disk and the link say one thing, and that pruning leaves nothing half made: a
// deployment that found its version serving has not pruned.
func (s *site) agrees() {
	s.t.Helper()
	s.must(0, "tidy.star", "production")
	s.must(0, "list.star", "production", "--output", "json")
	var listed []struct {
		ID         string
		Good, Live bool
	}
	for _, line := range strings.Split(s.out.String(), "\n") {
		var r struct{ Fact, Text string }
		if json.Unmarshal([]byte(line), &r) == nil && r.Fact == "printed" {
			if err := json.Unmarshal([]byte(r.Text), &listed); err != nil {
				s.t.Fatal(err)
			}
		}
	}
	var ids, onDisk []string
	live := ""
	for _, r := range listed {
		ids = append(ids, r.ID)
		if r.Live {
			live = r.ID
		}
	}
	entries, err := os.ReadDir(s.root("releases"))
	if err != nil {
		s.t.Fatal(err)
	}
	for _, e := range entries {
		onDisk = append(onDisk, e.Name())
	}
	if !slices.Equal(ids, onDisk) {
		s.t.Fatalf("listed %v, on disk %v\n%s", ids, onDisk, s.out.String())
	}
	if link, err := os.Readlink(s.root("current")); err != nil || link != "releases/"+live {
		s.t.Fatalf("current is %q (%v), live is %q", link, err, live)
	}
}

// service is the process on record, 0 where there is none.
func (s *site) service() int {
	b, err := os.ReadFile(s.root(".runner", "service.json"))
	var r struct{ Proc host.Proc }
	if err != nil || json.Unmarshal(b, &r) != nil {
		return 0
	}
	return r.Proc.PID
}

// killService ends everything that a test has started on the service's port, as a loss of power does.
func (s *site) killService() {
	boot, _ := host.BootID()
	procs := host.Linux{Boot: boot}
	for range 2000 {
		if o, ok := procs.PortOwner(s.port); ok && o.PID > 0 {
			syscall.Kill(o.PID, syscall.SIGKILL)
		}
		if pid := s.service(); pid > 0 {
			syscall.Kill(-pid, syscall.SIGKILL)
		}
		if _, ok := procs.PortOwner(s.port); !ok {
			return
		}
		time.Sleep(5 * time.Millisecond)
	}
}

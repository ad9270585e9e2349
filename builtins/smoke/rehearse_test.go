package smoke

import (
	"context"
	"errors"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/erlmcp/runner/builtins/artifact"
	"github.com/erlmcp/runner/builtins/driver"
	"github.com/erlmcp/runner/builtins/probe"
	"github.com/erlmcp/runner/runtime/host"
	"github.com/erlmcp/runner/runtime/op"
	"github.com/erlmcp/runner/runtime/secret"
)

// stage is a machine with a built mcpd, and a root that it is built for.
type stage struct {
	t   testing.TB
	h   *host.Host
	bin string
}

func newStage(t testing.TB) *stage {
	t.Helper()
	return &stage{t, machine(t), buildMcpd(t)}
}

func buildMcpd(t testing.TB) string {
	t.Helper()
	bin := filepath.Join(t.TempDir(), "mcpd")
	build := exec.Command("go", "build", "-C", "../../testdata/apps/mcpd", "-ldflags", "-s -w -X main.version=1.2.0", "-o", bin, ".")
	if out, err := build.CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	return bin
}

// rehearse is a rehearsal of mcpd with faults.
func (s *stage) rehearse(faults map[string]string, tests ...Test) Rehearse {
	env := map[string]secret.Text{}
	for name, value := range faults {
		env["MCPD_"+name] = secret.Plain(value)
	}
	p := probe.Default()
	p.Path, p.Within = "/health", op.Duration(5*time.Second)
	return Rehearse{
		Root: filepath.Join(s.h.Project, "root"), Probe: p, Tests: tests, Within: op.Duration(time.Minute), Key: "r/1",
		Artifact: artifact.Artifact{Name: "mcpd", Path: s.bin, Version: "1.2.0"},
		Service:  driver.Process{Argv: []string{"bin/mcpd"}, Port: 1, Env: env, Signal: "SIGTERM", Grace: op.Duration(5 * time.Second)},
	}
}

// ended fails where a trial left a process or a file.
func (s *stage) ended(r Rehearse) {
	s.t.Helper()
	if _, err := os.Stat(filepath.Join(r.Root, ".runner", "trial")); !errors.Is(err, os.ErrNotExist) {
		s.t.Errorf("the trial's folder: %v", err)
	}
	if out, _ := exec.Command("pgrep", "-f", filepath.Join(r.Root, ".runner")).Output(); len(out) > 0 {
		s.t.Errorf("the trial runs on: %s", out)
	}
}

func TestRehearse(t *testing.T) {
	s := newStage(t)
	for name, c := range map[string]struct {
		faults map[string]string
		test   Test
		change func(*Rehearse)
		want   string
	}{
		"good":                     {test: page("/health/ready")},
		"unhealthy":                {faults: map[string]string{"HEALTH": "unhealthy"}, change: func(r *Rehearse) { r.Probe.Within = op.Duration(300 * time.Millisecond) }, want: "is not healthy after 300ms"},
		"broken start":             {faults: map[string]string{"HEALTH": "nonsense"}, want: "the trial has ended by itself: exit "},
		"unknown fault":            {faults: map[string]string{"HEALTH": "nonsense"}, want: "it said at last:\n"},
		"failing test":             {test: page("/no/such/page"), want: "1 of 1 smoke test failed"},
		"another version":          {change: func(r *Rehearse) { r.Artifact.Version = "9.9.9"; r.Probe.Within = op.Duration(300 * time.Millisecond) }, want: "9.9.9"},
		"a test of another place":  {test: HTTP{Path: "http://127.0.0.1:1/x", Status: 200, PerTry: perTry}},
		"a probe of another place": {change: func(r *Rehearse) { r.Probe.Path = "http://127.0.0.1:1/health" }, want: "which is not the trial"},
		"no port":                  {change: func(r *Rehearse) { r.Service = driver.Process{Argv: []string{"bin/mcpd"}, Signal: "SIGTERM"} }, want: "cannot rehearse a service without a port"},
		"no program":               {change: func(r *Rehearse) { r.Service = driver.Process{Argv: []string{"bin/other"}, Port: 1, Signal: "SIGTERM"} }, want: "the release has no such file"},
		"left by a dead run": {change: func(r *Rehearse) {
			os.MkdirAll(filepath.Join(r.Root, ".runner", "trial", "release", "bin", "mcpd"), 0o755)
		}},
	} {
		t.Run(name, func(t *testing.T) {
			r := s.rehearse(c.faults)
			if c.test != nil {
				r.Tests = append(r.Tests, c.test)
			}
			if c.change != nil {
				c.change(&r)
			}
			_, err := r.Do(t.Context(), s.h)
			if c.want == "" && err != nil || c.want != "" && (err == nil || !strings.Contains(err.Error(), c.want)) {
				t.Errorf("%v, want %q", err, c.want)
			}
			s.ended(r)
		})
	}
}

// What serves on the service's own port is neither asked nor stopped.
func TestRehearseBesideTheLiveOne(t *testing.T) {
	s := newStage(t)
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	asked := make(chan struct{})
	go func() {
		if c, err := l.Accept(); err == nil {
			c.Close()
			close(asked)
		}
	}()
	r := s.rehearse(nil, page("/health"))
	p := r.Service.(driver.Process)
	p.Port = l.Addr().(*net.TCPAddr).Port
	r.Service, r.Probe.Base = p, "http://"+l.Addr().String()
	if _, err := r.Do(t.Context(), s.h); err != nil {
		t.Error(err)
	}
	select {
	case <-asked:
		t.Error("what serves was asked")
	default:
	}
}

func TestRehearseIsCalledOff(t *testing.T) {
	s := newStage(t)
	r := s.rehearse(map[string]string{"HEALTH": "unhealthy"})
	r.Probe.Within = op.Duration(time.Hour)
	ctx, cancel := context.WithCancelCause(t.Context())
	why := errors.New("somebody asks to stop")
	time.AfterFunc(300*time.Millisecond, func() { cancel(why) })
	if _, err := r.Do(ctx, s.h); !errors.Is(err, why) {
		t.Errorf("%v", err)
	}
	s.ended(r)
}

// A trial dies with the runner that is killed: it is started before there is a lease, and no record would end it.
func TestRehearseDiesWithTheRunner(t *testing.T) {
	const child = "RUNNER_TEST_REHEARSAL"
	if root := os.Getenv(child); root != "" {
		s := newStage(t)
		r := s.rehearse(map[string]string{"HEALTH": "unhealthy"})
		r.Root, r.Probe.Within = root, op.Duration(time.Hour)
		r.Do(t.Context(), s.h)
		return
	}
	root := t.TempDir()
	cmd := exec.Command(os.Args[0], "-test.run", "^TestRehearseDiesWithTheRunner$")
	cmd.Env = append(os.Environ(), child+"="+root)
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	runs := func() bool {
		out, _ := exec.Command("pgrep", "-f", filepath.Join(root, ".runner", "trial")).Output()
		return len(out) > 0
	}
	await := func(want bool) {
		t.Helper()
		for range 3000 {
			if runs() == want {
				return
			}
			time.Sleep(10 * time.Millisecond)
		}
		t.Fatalf("the trial runs: %v", !want)
	}
	await(true)
	if err := cmd.Process.Signal(syscall.SIGKILL); err != nil {
		t.Fatal(err)
	}
	cmd.Wait()
	await(false)
}

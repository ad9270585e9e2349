package service

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"syscall"
	"testing"
	"time"

	"github.com/erlmcp/runner/builtins/driver"
	"github.com/erlmcp/runner/runtime/host"
	"github.com/erlmcp/runner/runtime/host/hosttest"
	"github.com/erlmcp/runner/runtime/op"
	"github.com/erlmcp/runner/runtime/optest"
	"github.com/erlmcp/runner/runtime/secret"
)

// buildMcpd is the program that tests run.
func buildMcpd(t *testing.T) string {
	t.Helper()
	bin := filepath.Join(t.TempDir(), "mcpd")
	build := exec.Command("go", "build", "-C", "../../testdata/apps/mcpd", "-ldflags", "-s -w -X main.version=1.2.0", "-o", bin, ".")
	if out, err := build.CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	return bin
}

type place struct {
	t    testing.TB
	h    *host.Host
	root string
	port int
}

// newPlace is a root with one release of mcpd, which was never started.
func newPlace(t testing.TB, bin string) *place {
	t.Helper()
	boot, err := host.BootID()
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	h := &host.Host{Files: host.OS{}, Procs: host.Linux{Boot: boot}, Net: host.Internet{}, Clock: host.SystemClock{}, Boot: boot,
		Secrets: &secret.Vault{Scrubber: &secret.Scrubber{}}, Project: dir, Env: os.Environ()}
	p := &place{t: t, h: h, root: filepath.Join(dir, "root"), port: hosttest.Port(t)}
	release := filepath.Join(p.root, "releases", "000001")
	p.must(errors.Join(os.MkdirAll(release, 0o755), os.Symlink(bin, filepath.Join(release, "mcpd"))))
	t.Cleanup(func() {
		if r, err := driver.Current(h, p.root); err == nil && h.Procs.Alive(r.Proc) {
			syscall.Kill(-r.Proc.PID, syscall.SIGKILL)
		}
	})
	return p
}

func (p *place) must(err error) {
	p.t.Helper()
	if err != nil {
		p.t.Fatal(err)
	}
}

// started is a place whose service runs and answers. Argv is what runs, mcpd where there is none.
func (p *place) started(argv ...string) *place {
	p.t.Helper()
	if argv == nil {
		argv = []string{"./mcpd"}
	}
	s := driver.Process{Argv: argv, Port: p.port, Signal: "SIGTERM", Grace: op.Duration(5 * time.Second)}
	u, err := s.Unit(p.h, p.root, "000001", "20250101t000000-old0/1")
	p.must(err)
	unit, err := driver.Store(p.h, p.root, u)
	p.must(err)
	p.must(driver.Start(p.t.Context(), p.h, p.root, unit))
	if got := p.who(); got != "1.2.0" {
		p.t.Fatalf("%s answers", got)
	}
	return p
}

func (p *place) ended() *place {
	p.t.Helper()
	p.must(driver.Stop(p.t.Context(), p.h, p.root, p.runs()))
	return p
}

func (p *place) runs() driver.Running {
	p.t.Helper()
	r, err := driver.Current(p.h, p.root)
	p.must(err)
	return r
}

// who is the version that answers, waited for where a process runs; "nothing" where none does.
func (p *place) who() string {
	p.t.Helper()
	for range 2000 {
		resp, err := p.h.Net.Do(p.t.Context(), host.Request{URL: fmt.Sprintf("http://127.0.0.1:%d/version", p.port)})
		if err == nil {
			return string(resp.Body[:len(resp.Body)-1])
		}
		if !p.runs().Alive {
			return "nothing"
		}
		time.Sleep(5 * time.Millisecond)
	}
	return "a process that runs and does not answer"
}

func TestOps(t *testing.T) {
	bin := buildMcpd(t)
	start := func(root string) any { return Start{Root: root} }
	stop := func(root string) any { return Stop{Root: root} }
	world := func(prepare func(*place) *place, params func(root string) any) func(testing.TB) optest.World {
		return func(t testing.TB) optest.World {
			p := prepare(newPlace(t, bin))
			return optest.World{Host: p.h, Params: params(p.root), Snapshot: p.who}
		}
	}
	running := func(p *place) *place { return p.started() }
	ended := func(p *place) *place { return p.started().ended() }
	drains := func(p *place) *place {
		return p.started("sh", "-c", "trap 'sleep 0.1; exit 0' TERM; ./mcpd & wait")
	}
	never := func(p *place) *place { return p }
	optest.Run(t, optest.Suite{Family: Family, Worlds: optest.Worlds{
		"status":                   world(running, func(root string) any { return Status{Root: root} }),
		"status: it never started": world(never, func(root string) any { return Status{Root: root} }),
		"ping":                     nodeWorld(withNode, ping),
		"logs":                     nodeWorld(withNode, func(root string) any { return Logs{Root: root, Lines: 5} }),
		"rpc":                      nodeWorld(withNode, rpc),
		"start":                    world(ended, start),
		"start: it runs":           world(running, start),
		"stop":                     world(running, stop),
		"stop: it drains":          world(drains, stop),
		"stop: it does not run":    world(ended, stop),
		"stop: it never started":   world(never, stop),
	}})
}

func TestStartAndStop(t *testing.T) {
	p := newPlace(t, buildMcpd(t))
	_, err := Start{Root: p.root}.Do(t.Context(), p.h)
	if want := "cannot start the service: nothing was ever started on " + p.root; err == nil || err.Error() != want || op.HintOf(err) != "releases.activate starts a release" {
		t.Errorf("%v, %q", err, op.HintOf(err))
	}
	if state, err := (Status{Root: p.root}).Do(t.Context(), p.h); err != nil || state != (State{Log: driver.LogPath(p.root)}) {
		t.Errorf("never started: %+v, %v", state, err)
	}
	pid := p.started().runs().Proc.PID
	want := State{Running: true, PID: pid, Release: "000001", Port: p.port, Log: driver.LogPath(p.root)}
	for range 2 {
		if state, err := (Start{Root: p.root}).Do(t.Context(), p.h); err != nil || state != want {
			t.Errorf("what runs is started: %+v, %v", state, err)
		}
	}
	want.Running = false
	for range 2 {
		if state, err := (Stop{Root: p.root}).Do(t.Context(), p.h); err != nil || state != want {
			t.Errorf("stopped: %+v, %v", state, err)
		}
	}
	if state, err := (Start{Root: p.root}).Do(t.Context(), p.h); err != nil || !state.Running || state.PID == pid || p.who() != "1.2.0" {
		t.Errorf("started again: %+v, %v", state, err)
	}
}

// Killed while it waits, a stop is taken back by starting what it has ended; a start ends it first.
func TestStopThatIsKilled(t *testing.T) {
	bin := buildMcpd(t)
	for name, then := range map[string]func(*place, any) error{
		"undo":  func(p *place, inverse any) error { _, err := inverse.(Return).Do(t.Context(), p.h); return err },
		"start": func(p *place, _ any) error { _, err := Start{Root: p.root}.Do(t.Context(), p.h); return err },
	} {
		t.Run(name, func(t *testing.T) {
			p := newPlace(t, bin).started("sh", "-c", "trap 'sleep 0.2; exit 0' TERM; ./mcpd & wait")
			s := Stop{Root: p.root}
			inverse, err := s.Inverse(t.Context(), p.h)
			p.must(err)
			m := hosttest.NewMortal(p.h)
			time.AfterFunc(50*time.Millisecond, m.Die)
			if _, err := s.Do(t.Context(), m.Host()); !errors.Is(err, hosttest.ErrDead) || p.runs().Serves() || !p.runs().Alive {
				t.Fatalf("%v, %+v", err, p.runs())
			}
			p.must(then(p, inverse))
			if got := p.who(); got != "1.2.0" || !p.runs().Serves() {
				t.Errorf("%s answers", got)
			}
		})
	}
}

func TestReturnConflict(t *testing.T) {
	p := newPlace(t, buildMcpd(t)).started()
	inverse, err := Stop{Root: p.root}.Inverse(t.Context(), p.h)
	p.must(err)
	p.ended().started("sh", "-c", "exec ./mcpd")
	_, err = inverse.(Return).Do(t.Context(), p.h)
	var conflict *op.Conflict
	if want := fmt.Sprintf("process %d of release 000001", p.runs().Proc.PID); !errors.As(err, &conflict) || conflict.Found != want || p.who() != "1.2.0" {
		t.Errorf("want %s, got %v", want, err)
	}
}

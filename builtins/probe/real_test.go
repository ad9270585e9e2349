package probe

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/erlmcp/runner/runtime/host"
	"github.com/erlmcp/runner/runtime/host/hosttest"
	"github.com/erlmcp/runner/runtime/op"
)

// machine is this one.
func machine(t *testing.T) *host.Host {
	t.Helper()
	boot, err := host.BootID()
	if err != nil {
		t.Fatal(err)
	}
	return &host.Host{Net: host.Internet{}, Procs: host.Linux{Boot: boot}, Clock: host.SystemClock{},
		Project: t.TempDir(), Env: os.Environ()}
}

func onBase(base string) func(*Probe) { return func(p *Probe) { p.Base = base } }

func within(d time.Duration) func(*Probe) { return func(p *Probe) { p.Within = op.Duration(d) } }

func serves(t *testing.T, f http.HandlerFunc) string {
	t.Helper()
	s := httptest.NewServer(f)
	t.Cleanup(s.Close)
	return s.URL
}

// buildMcpd builds the application that tests deploy.
func buildMcpd(t *testing.T) string {
	t.Helper()
	bin := filepath.Join(t.TempDir(), "mcpd")
	build := exec.Command("go", "build", "-C", "../../testdata/apps/mcpd", "-ldflags", "-X main.version=1.2.0", "-o", bin, ".")
	if out, err := build.CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	return bin
}

// start starts it on a port that was free, and gives its base.
func start(t *testing.T, bin, env string) string {
	t.Helper()
	addr := fmt.Sprintf("127.0.0.1:%d", hosttest.Port(t))
	c := exec.Command(bin, "-listen", addr)
	c.Env = append(os.Environ(), env)
	if err := c.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		c.Process.Kill()
		c.Wait()
	})
	return "http://" + addr
}

func TestRealAnswers(t *testing.T) {
	bin, m := buildMcpd(t), machine(t)
	for env, want := range map[string]string{
		"MCPD_HEALTH=unhealthy": "503 unhealthy: database: connection to 127.0.0.1:5432 refused",
		"MCPD_HEALTH=degraded":  "200 degraded, want healthy: database: connection to 127.0.0.1:5432 refused",
		"MCPD_GARBAGE=1":        "200, the body is no JSON",
		"MCPD_BRACKETS=1":       "200, the body is over 1MiB long",
		"MCPD_REDIRECT=1":       "302 to /login",
	} {
		p := probe(onBase(start(t, bin, env)))
		listens := p
		listens.Path, listens.Base = strings.Replace(p.Base, "http:", "tcp:", 1), ""
		if _, err := Wait(t.Context(), m, listens, ""); err != nil {
			t.Fatal(err)
		}
		if r, err := Ask(t.Context(), m, p, ""); err != nil || r.Healthy || r.Answer != want {
			t.Errorf("%s: %+v, %v", env, r, err)
		}
	}
}

func TestRealWaits(t *testing.T) {
	bin := buildMcpd(t)
	for _, c := range []struct {
		name, env, version string
		stable             time.Duration
		want               string // of the error; "" for none
	}{
		{name: "slow start", env: "MCPD_SLOW_START=300ms", version: "1.2.0"},
		{name: "stays healthy", stable: 300 * time.Millisecond},
		{name: "wrong version", version: "1.3.0", want: "200 healthy, version 1.2.0, want 1.3.0 ("},
		{name: "dies", env: "MCPD_CRASH_AFTER=500ms", stable: 1400 * time.Millisecond,
			want: "does not stay healthy for 1.4s within 1.5s: connection refused ("},
		{name: "never there", env: "MCPD_SLOW_START=1h", want: "is not healthy after 1.5s: connection refused ("},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			p := probe(onBase(start(t, bin, c.env)), within(1500*time.Millisecond), stable(c.stable))
			if c.want == "" {
				p.Within = op.Duration(20 * time.Second)
			}
			began := time.Now()
			r, err := Wait(t.Context(), machine(t), p, c.version)
			switch {
			case c.want == "" && (err != nil || r.Version != "1.2.0"):
				t.Errorf("%+v, %v", r, err)
			case c.want != "" && (err == nil || !strings.Contains(err.Error(), c.want)):
				t.Errorf("error %v", err)
			case c.want != "" && time.Since(began) > 1700*time.Millisecond:
				t.Errorf("took %s", time.Since(began))
			}
		})
	}
}

func TestRealHangingServer(t *testing.T) {
	release := make(chan struct{})
	base := serves(t, func(http.ResponseWriter, *http.Request) { <-release })
	t.Cleanup(func() { close(release) })
	p := probe(onBase(base), within(500*time.Millisecond), func(p *Probe) { p.PerTry = op.Duration(100 * time.Millisecond) })
	start := time.Now()
	_, err := Wait(t.Context(), machine(t), p, "")
	if err == nil || !strings.Contains(err.Error(), "no answer within 100ms (") || time.Since(start) > 600*time.Millisecond {
		t.Errorf("%v after %s", err, time.Since(start))
	}
}

func TestRealServerThatTrickles(t *testing.T) {
	base := serves(t, func(w http.ResponseWriter, r *http.Request) {
		for r.Context().Err() == nil {
			io.WriteString(w, " ")
			w.(http.Flusher).Flush()
			time.Sleep(5 * time.Millisecond)
		}
	})
	p := probe(onBase(base), within(300*time.Millisecond))
	if _, err := Wait(t.Context(), machine(t), p, ""); err == nil || !strings.Contains(err.Error(), "no answer within 300ms (the only answer)") {
		t.Error(err)
	}
}

func TestRealServerThatHangsUp(t *testing.T) {
	base := serves(t, func(w http.ResponseWriter, _ *http.Request) {
		c, _, err := w.(http.Hijacker).Hijack()
		if err == nil {
			c.Close()
		}
	})
	r, err := Ask(t.Context(), machine(t), probe(onBase(base)), "")
	if err != nil || r.Healthy || r.Answer != "the connection ends before the answer does" {
		t.Errorf("%+v, %v", r, err)
	}
}

func TestRealCancel(t *testing.T) {
	release, asked := make(chan struct{}), make(chan struct{}, 1)
	base := serves(t, func(http.ResponseWriter, *http.Request) {
		asked <- struct{}{}
		<-release
	})
	t.Cleanup(func() { close(release) })
	why := errors.New("asked to stop")
	ctx, cancel := context.WithCancelCause(t.Context())
	var stopped time.Time
	go func() {
		<-asked
		stopped = time.Now()
		cancel(why)
	}()
	_, err := Wait(ctx, machine(t), probe(onBase(base)), "")
	if !errors.Is(err, why) || time.Since(stopped) > 100*time.Millisecond {
		t.Errorf("%v, %s after", err, time.Since(stopped))
	}
}

func TestRealTCP(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	p := probe(func(p *Probe) { p.Path = "tcp://" + l.Addr().String() }, within(300*time.Millisecond))
	if r, err := Wait(t.Context(), machine(t), p, ""); err != nil || r.Answer != "accepts connections" {
		t.Errorf("%+v, %v", r, err)
	}
	l.Close()
	if _, err := Wait(t.Context(), machine(t), p, ""); err == nil || !strings.Contains(err.Error(), "connection refused (") {
		t.Error(err)
	}
}

func command(argv ...string) Probe {
	p := Default()
	p.Command = argv
	return p
}

func TestRealCommand(t *testing.T) {
	m, h := machine(t), &heard{}
	ctx := op.WithSpeaker(t.Context(), h)
	script := "test -e ready && exit 0; touch ready; echo one; echo not ready >&2; exit 4"
	r, err := Wait(ctx, m, command("sh", "-c", script), "")
	if err != nil || r.Tries != 2 || h.children != 2 || strings.Join(h.lines, "|") != "exit 4: not ready|exit 0" {
		t.Errorf("%+v, %v, %d on record, output %q", r, err, h.children, h.lines)
	}
	if r, err := Ask(ctx, m, command("sh", "-c", "kill -9 $$"), ""); err != nil || r.Healthy || r.Answer != "ended by signal: killed" {
		t.Errorf("%+v, %v", r, err)
	}
	if _, err := Wait(ctx, m, command("no-such-program"), ""); err == nil || !strings.Contains(err.Error(), "it is not in PATH") {
		t.Errorf("a wait for a program that is not there: %v", err)
	}
	r, err = Ask(ctx, m, command("sh", "-c", "yes | head -c 10000000; echo end; exit 1"), "")
	if err != nil || r.Answer != "exit 1: end" {
		t.Errorf("%+v, %v", r, err)
	}
}

func TestRealCommandThatHangs(t *testing.T) {
	p := command("sh", "-c", "trap '' TERM; echo $$ > pid; while :; do sleep 0.05; done")
	p.Within = op.Duration(400 * time.Millisecond)
	m, start := machine(t), time.Now()
	_, err := Wait(t.Context(), m, p, "")
	if took := time.Since(start); err == nil || !strings.Contains(err.Error(), "no answer within 400ms") || took > 500*time.Millisecond {
		t.Errorf("%v after %s", err, took)
	}
	pid, err := os.ReadFile(filepath.Join(m.Project, "pid"))
	if err != nil {
		t.Fatal(err)
	}
	if _, err := os.Stat("/proc/" + strings.TrimSpace(string(pid))); err == nil {
		t.Errorf("process %s is left", pid)
	}
}

// A command that ends only by being killed must be on record before it runs; without the record it does not run.
func TestCommandWithoutARecordDoesNotRun(t *testing.T) {
	m := machine(t)
	full := errors.New("no space left on device")
	_, err := Wait(op.WithSpeaker(t.Context(), deaf{err: full}), m, command("touch", "ran"), "")
	if _, statErr := os.Stat(filepath.Join(m.Project, "ran")); !errors.Is(err, full) || statErr == nil {
		t.Errorf("%v, ran: %v", err, statErr == nil)
	}
}

type deaf struct {
	op.Silent
	err error
}

func (d deaf) Child(op.Child) error { return d.err }

package main

import (
	"bufio"
	"bytes"
	"encoding/json"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"
)

func get(t *testing.T, method, url, body string) (int, string) {
	t.Helper()
	req, err := http.NewRequest(method, url, strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	resp, err := http.DefaultTransport.RoundTrip(req)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	b, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	return resp.StatusCode, string(b)
}

func serve(t *testing.T, f faults) string {
	t.Helper()
	s := httptest.NewServer(newApp("1.2.0", f, time.Now()).routes())
	t.Cleanup(s.Close)
	return s.URL
}

func TestAnswers(t *testing.T) {
	for _, c := range []struct {
		name, method, path, body string
		faults                   faults
		status                   int
		want                     []string
	}{
		{name: "healthy", path: "/health", status: 200,
			want: []string{`"status":"healthy","version":"1.2.0"`, `"vm":{"status":"healthy"}`, `"memory_total":`, `"uptime_seconds":0`}},
		{name: "unhealthy", path: "/health", faults: faults{health: "unhealthy"}, status: 503,
			want: []string{`"status":"unhealthy"`, `"database":{"status":"unhealthy","message":"connection`}},
		{name: "degraded", path: "/health", faults: faults{health: "degraded"}, status: 200, want: []string{`"status":"degraded"`}},
		{name: "ready depends on the database", path: "/health/ready", faults: faults{health: "unhealthy"}, status: 503, want: []string{`"gproc"`}},
		{name: "live does not", path: "/health/live", faults: faults{health: "unhealthy"}, status: 200, want: []string{`"memory":{`}},
		{name: "nor does startup", path: "/health/startup", faults: faults{health: "unhealthy"}, status: 200, want: []string{`"supervisors"`}},
		{name: "garbage", path: "/health", faults: faults{garbage: true}, status: 200, want: []string{"garbage"}},
		{name: "brackets", path: "/health", faults: faults{brackets: true}, status: 200, want: []string{strings.Repeat("[", 2<<20)}},
		{name: "redirect", path: "/health", faults: faults{redirect: true}, status: 302, want: []string{"/login"}},
		{name: "metrics", path: "/metrics", status: 200, want: []string{`mcpd_build_info{version="1.2.0"} 1`, "mcpd_requests_total 1"}},
		{name: "version", path: "/version", status: 200, want: []string{"1.2.0\n"}},
		{name: "unknown path", path: "/nothing", status: 404},
		{name: "initialize", method: "POST", path: "/mcp", body: `{"jsonrpc":"2.0","id":"a","method":"initialize"}`, status: 200,
			want: []string{`"id":"a"`, `"protocolVersion":"2025-06-18"`, `"serverInfo":{"name":"mcpd","version":"1.2.0"}`}},
		{name: "unknown method", method: "POST", path: "/mcp", body: `{"jsonrpc":"2.0","id":7,"method":"x"}`, status: 200,
			want: []string{`"code":-32601`, `"id":7`}},
		{name: "no JSON", method: "POST", path: "/mcp", body: `{`, status: 200, want: []string{`"code":-32700`, `"id":null`}},
		{name: "no request", method: "POST", path: "/mcp", body: `[]`, status: 200, want: []string{`"code":-32600`}},
		{name: "notification", method: "POST", path: "/mcp", body: `{"jsonrpc":"2.0","method":"notifications/initialized"}`, status: 202},
	} {
		t.Run(c.name, func(t *testing.T) {
			if c.method == "" {
				c.method = "GET"
			}
			status, body := get(t, c.method, serve(t, c.faults)+c.path, c.body)
			if status != c.status {
				t.Errorf("status %d, want %d", status, c.status)
			}
			for _, w := range c.want {
				if !strings.Contains(body, w) {
					t.Errorf("%.300q lacks %.60q", body, w)
				}
			}
		})
	}
}

func TestHealthDocumentIsJSON(t *testing.T) {
	_, body := get(t, "GET", serve(t, faults{})+"/health", "")
	var doc document
	if err := json.Unmarshal([]byte(body), &doc); err != nil || len(doc.Checks) != 8 || doc.System["architecture"] == "" {
		t.Errorf("document %+v, %v", doc, err)
	}
}

func TestParseFaults(t *testing.T) {
	env := map[string]string{"MCPD_SLOW_START": "2s", "MCPD_GARBAGE": "1", "MCPD_MEMORY": "64"}
	got, err := parseFaults("health=unhealthy,slow_start=3s", func(k string) string { return env[k] })
	want := faults{health: "unhealthy", slowStart: 2 * time.Second, garbage: true, memory: 64}
	if err != nil || got != want {
		t.Errorf("faults %+v, %v", got, err)
	}
	for _, bad := range []string{"health=sick", "slow_start=soon", "teapot=1", "memory=much"} {
		if _, err := parseFaults(bad, func(string) string { return "" }); err == nil {
			t.Errorf("%s is taken", bad)
		}
	}
}

type process struct {
	*exec.Cmd
	stdout *bufio.Reader
	stderr bytes.Buffer
}

// start runs a binary built with the fault stamped in, on a free port.
func start(t *testing.T, stamped string, env ...string) *process {
	t.Helper()
	bin := filepath.Join(t.TempDir(), "mcpd")
	build := exec.Command("go", "build", "-o", bin, "-ldflags", "-X main.version=1.2.0 -X main.fault="+stamped, ".")
	if out, err := build.CombinedOutput(); err != nil {
		t.Fatalf("build: %v\n%s", err, out)
	}
	p := &process{Cmd: exec.Command(bin)}
	p.Env = append(append(os.Environ(), "PORT=0"), env...)
	p.Stderr = &p.stderr
	out, err := p.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	p.stdout = bufio.NewReader(out)
	if err := p.Start(); err != nil {
		t.Fatal(err)
	}
	late := time.AfterFunc(30*time.Second, func() { p.Process.Kill() })
	t.Cleanup(func() {
		late.Stop()
		p.Process.Kill()
	})
	return p
}

// listens waits for the line that says where.
func (p *process) listens(t *testing.T) string {
	t.Helper()
	line, err := p.stdout.ReadString('\n')
	addr, ok := strings.CutPrefix(strings.TrimSpace(line), "mcpd 1.2.0 listens on ")
	if err != nil || !ok {
		t.Fatalf("first line %q, %v, stderr %s", line, err, p.stderr.String())
	}
	return "http://" + addr
}

func TestStopsOnTerm(t *testing.T) {
	p := start(t, "health=unhealthy")
	if status, _ := get(t, "GET", p.listens(t)+"/health", ""); status != 503 {
		t.Errorf("a stamped fault answers %d", status)
	}
	p.Process.Signal(syscall.SIGTERM)
	rest, _ := io.ReadAll(p.stdout)
	if err := p.Wait(); err != nil || string(rest) != "mcpd 1.2.0 stops\n" {
		t.Errorf("ended with %v after %q", err, rest)
	}
}

func TestIgnoresTerm(t *testing.T) {
	p := start(t, "", "MCPD_IGNORE_TERM=1")
	url := p.listens(t)
	p.Process.Signal(syscall.SIGTERM)
	time.Sleep(100 * time.Millisecond)
	if status, _ := get(t, "GET", url+"/health", ""); status != 200 {
		t.Errorf("after SIGTERM: %d", status)
	}
}

func TestCrashesLate(t *testing.T) {
	p := start(t, "", "MCPD_CRASH_AFTER=100ms")
	p.listens(t)
	io.ReadAll(p.stdout)
	if p.Wait(); p.ProcessState.ExitCode() != 3 || !strings.HasPrefix(p.stderr.String(), "panic: ") {
		t.Errorf("exit %d, stderr %q", p.ProcessState.ExitCode(), p.stderr.String())
	}
}

func TestSlowStart(t *testing.T) {
	p := start(t, "slow_start=300ms")
	began := time.Now()
	p.listens(t)
	if took := time.Since(began); took < 250*time.Millisecond {
		t.Errorf("listens after %s", took)
	}
}

func TestTakenPort(t *testing.T) {
	first := start(t, "")
	addr := strings.TrimPrefix(first.listens(t), "http://")
	_, port, _ := strings.Cut(addr, ":")
	p := start(t, "", "PORT="+port)
	io.ReadAll(p.stdout)
	if p.Wait(); p.ProcessState.ExitCode() != 1 || !strings.Contains(p.stderr.String(), "address already in use") {
		t.Errorf("exit %d, stderr %q", p.ProcessState.ExitCode(), p.stderr.String())
	}
}

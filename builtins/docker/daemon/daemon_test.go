package daemon

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/erlmcp/runner/runtime/host"
	"github.com/erlmcp/runner/runtime/host/hosttest"
	"github.com/erlmcp/runner/runtime/op"
)

func pool(t *testing.T, env ...string) *Pool {
	t.Helper()
	return NewPool(&host.Host{Files: host.OS{}, Env: append([]string{"HOME=" + t.TempDir()}, env...)})
}

// engine answers /_ping as an engine of an API does, and counts how often.
func engine(t *testing.T, api string) (address string, asked *atomic.Int32) {
	t.Helper()
	path := filepath.Join(t.TempDir(), "docker.sock")
	l, err := net.Listen("unix", path)
	if err != nil {
		t.Fatal(err)
	}
	asked = new(atomic.Int32)
	s := &http.Server{Handler: http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		asked.Add(1)
		w.Header().Set("Api-Version", api)
	})}
	go s.Serve(l)
	t.Cleanup(func() { s.Close() })
	return "unix://" + path, asked
}

func TestOpen(t *testing.T) {
	address, asked := engine(t, "1.43")
	p := pool(t, "DOCKER_HOST="+address)
	first, err := p.Open(t.Context(), "")
	if err != nil {
		t.Fatal(err)
	}
	again, err := p.Open(t.Context(), address)
	if err != nil || again != first || asked.Load() != 1 {
		t.Errorf("asked %d times for two connections to one engine: %v", asked.Load(), err)
	}
	if first.API != "1.43" || first.AtLeast("1.44") || !first.AtLeast("1.43") || !first.AtLeast("1.5") {
		t.Errorf("API %s", first.API)
	}
}

func TestOpenAnEngineThatIsTooOld(t *testing.T) {
	address, _ := engine(t, "1.40")
	_, err := pool(t).Open(t.Context(), address)
	if want := "cannot use the Docker engine at " + address + ": it speaks API 1.40, and 1.41 is the oldest that will do"; err == nil || err.Error() != want {
		t.Errorf("%v, want %s", err, want)
	}
}

func TestUnreachable(t *testing.T) {
	dir := t.TempDir()
	closed := fmt.Sprintf("127.0.0.1:%d", hosttest.Port(t))
	deaf := filepath.Join(dir, "deaf.sock")
	l, err := net.ListenUnix("unix", &net.UnixAddr{Name: deaf, Net: "unix"})
	if err != nil {
		t.Fatal(err)
	}
	l.SetUnlinkOnClose(false)
	l.Close()
	for _, c := range []struct{ address, why, hint string }{
		{"unix://" + dir + "/none.sock", "nothing is there", "DOCKER_HOST"},
		{"unix://" + deaf, "connection refused", "systemctl start docker"},
		{"tcp://" + closed, "connection refused", "systemctl start docker"},
	} {
		_, err := pool(t).Open(t.Context(), c.address)
		if want := "cannot reach the Docker engine at " + c.address + ": " + c.why; err == nil || err.Error() != want || !strings.Contains(op.HintOf(err), c.hint) {
			t.Errorf("%v (hint %q), want %s", err, op.HintOf(err), want)
		}
	}
	refused := unreachable("unix:///run/docker.sock", fmt.Errorf("dial: %w", os.ErrPermission))
	if refused.Error() != "cannot reach the Docker engine at unix:///run/docker.sock: permission denied" || !strings.Contains(op.HintOf(refused), "group that owns /run/docker.sock") {
		t.Errorf("%v (hint %q)", refused, op.HintOf(refused))
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := pool(t).Open(ctx, "tcp://"+closed); !errors.Is(err, context.Canceled) {
		t.Errorf("cancelled: %v", err)
	}
}

// dockerContext writes a Docker context that points to an address, and the configuration that makes it current.
func dockerContext(t *testing.T, name, address string) (config string) {
	t.Helper()
	config = t.TempDir()
	dir := filepath.Join(config, "contexts", "meta", fmt.Sprintf("%x", sha256.Sum256([]byte(name))))
	if err := os.MkdirAll(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	write(t, filepath.Join(dir, "meta.json"), fmt.Sprintf(`{"Name": %q, "Endpoints": {"docker": {"Host": %q}}}`, name, address))
	write(t, filepath.Join(config, "config.json"), fmt.Sprintf(`{"currentContext": %q, "auths": {}}`, name))
	return config
}

func write(t *testing.T, path, text string) {
	t.Helper()
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
}

func TestFind(t *testing.T) {
	config := dockerContext(t, "far", "tcp://10.0.0.5:2375")
	odd := t.TempDir()
	write(t, filepath.Join(odd, "config.json"), "{")
	for _, c := range []struct {
		address string
		env     []string
		want    string
		err     string
	}{
		{"", nil, "unix:///var/run/docker.sock", ""},
		{"tcp://10.0.0.1:2375", []string{"DOCKER_HOST=tcp://10.0.0.2:2375"}, "tcp://10.0.0.1:2375", ""},
		{"", []string{"DOCKER_HOST=tcp://10.0.0.2:2375", "DOCKER_CONFIG=" + config}, "tcp://10.0.0.2:2375", ""},
		{"", []string{"DOCKER_CONFIG=" + config}, "tcp://10.0.0.5:2375", ""},
		{"", []string{"DOCKER_CONFIG=" + config, "DOCKER_CONTEXT=default"}, "unix:///var/run/docker.sock", ""},
		{"", []string{"DOCKER_CONFIG=" + config, "DOCKER_CONTEXT=fra"}, "", `there is no Docker context "fra"`},
		{"", []string{"DOCKER_CONFIG=" + odd}, "", "config.json is not JSON"},
		{"ssh://ana@10.0.0.9", nil, "", "is reached by SSH"},
		{"10.0.0.9", nil, "", `want an address such as`},
	} {
		at, err := pool(t, c.env...).find(c.address)
		if c.err == "" && (err != nil || at.address != c.want) {
			t.Errorf("%q %v: %s, %v, want %s", c.address, c.env, at.address, err, c.want)
		}
		if c.err != "" && (err == nil || !strings.Contains(err.Error(), c.err)) {
			t.Errorf("%q %v: %v, want %s", c.address, c.env, err, c.err)
		}
	}
}

func TestCertificates(t *testing.T) {
	certs := t.TempDir()
	at, err := pool(t, "DOCKER_CERT_PATH="+certs).find("tcp://10.0.0.1:2376")
	if err != nil || at.certs != certs {
		t.Errorf("%+v, %v", at, err)
	}
	if _, err := pool(t).Open(t.Context(), "tcp://10.0.0.1:2376"); err == nil || !strings.Contains(op.HintOf(err), "DOCKER_CERT_PATH") {
		t.Errorf("without certificates: %v", err)
	}
	config := dockerContext(t, "far", "tcp://10.0.0.5:2376")
	dir := filepath.Join(config, "contexts", "tls", fmt.Sprintf("%x", sha256.Sum256([]byte("far"))), "docker")
	if err := os.MkdirAll(dir, 0o700); err != nil {
		t.Fatal(err)
	}
	write(t, filepath.Join(dir, "ca.pem"), "")
	if at, err := pool(t, "DOCKER_CONFIG="+config).find(""); err != nil || at.certs != dir {
		t.Errorf("of a context: %+v, %v", at, err)
	}
}

package smoke

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"testing"
	"time"

	"github.com/erlmcp/runner/builtins/driver"
	"github.com/erlmcp/runner/runtime/builtin"
	"github.com/erlmcp/runner/runtime/host"
	"github.com/erlmcp/runner/runtime/op"
	"github.com/erlmcp/runner/runtime/optest"
	"github.com/erlmcp/runner/runtime/secret"
)

const token = "canary-of-smoke-5f1d"

// machine is this one, with a project of its own.
func machine(t testing.TB) *host.Host {
	t.Helper()
	boot, err := host.BootID()
	if err != nil {
		t.Fatal(err)
	}
	vault := &secret.Vault{Getenv: func(n string) (string, bool) { return token, n == "TOKEN" }, Scrubber: &secret.Scrubber{}}
	return &host.Host{Files: host.OS{}, Net: host.Internet{}, Procs: host.Linux{Boot: boot}, Clock: host.SystemClock{}, Boot: boot,
		Secrets: vault, Project: t.TempDir(), Scratch: t.TempDir(), Env: os.Environ()}
}

func page(path string) HTTP { return HTTP{Path: path, Status: 200, PerTry: perTry} }

func call(method string) JSONRPC { return JSONRPC{Path: "/mcp", Method: method, PerTry: perTry} }

func timed(under time.Duration, tries int) Latency {
	return Latency{Path: "/health", Under: op.Duration(under), Tries: tries, PerTry: perTry}
}

func program(argv ...string) Command {
	return Command{Argv: argv, PerTry: op.Duration(10 * time.Second)}
}

// answering is a service that takes its time with each answer.
func answering(takes time.Duration, tests ...Test) func(testing.TB) optest.World {
	return func(t testing.TB) optest.World {
		s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			select {
			case <-time.After(takes):
				fmt.Fprint(w, `{"status":"healthy"}`)
			case <-r.Context().Done():
			}
		}))
		t.Cleanup(s.Close)
		return optest.World{Host: machine(t), Params: Run{Tests: tests, Base: s.URL, Within: op.Duration(time.Minute)}, Snapshot: func() string { return "" }}
	}
}

// services stands for the family of the drivers, which this one's ops take as values.
func services() builtin.Family {
	return builtin.NewFamily("service", "", builtin.Global(driver.Process{}))
}

func TestOps(t *testing.T) {
	bin := buildMcpd(t)
	optest.Run(t, optest.Suite{Family: Family, Others: []builtin.Family{services()}, Worlds: optest.Worlds{
		"run": answering(0, page("/health"), timed(time.Second, 3), program("true")),
		"rehearse": func(t testing.TB) optest.World {
			s := &stage{t, machine(t), bin}
			return optest.World{Host: s.h, Params: s.rehearse(nil, page("/health")), Snapshot: func() string { return "" }}
		},
		"run: it is slow": answering(1200*time.Millisecond, page("/health"), timed(5*time.Second, 1), program("sleep", "1.2")),
	}})
}

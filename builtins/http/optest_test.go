package http

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"testing"
	"time"

	"github.com/erlmcp/runner/runtime/host"
	"github.com/erlmcp/runner/runtime/op"
	"github.com/erlmcp/runner/runtime/optest"
	"github.com/erlmcp/runner/runtime/secret"
)

const canary = "canary-of-http/5f1d+"

// machine is this one, with a project of its own.
func machine(t testing.TB) *host.Host {
	t.Helper()
	env := map[string]string{"TOKEN": canary, "LINES": "first-line\nsecond-line", "NO_URL": "canary-no-url"}
	vault := &secret.Vault{Getenv: func(n string) (string, bool) { v, ok := env[n]; return v, ok }, Scrubber: &secret.Scrubber{}}
	return &host.Host{Files: host.OS{}, Net: host.Internet{}, Clock: host.SystemClock{}, Secrets: vault, Project: t.TempDir(), Scratch: t.TempDir()}
}

// answering is a service that takes its time.
func answering(takes time.Duration, params func(url secret.Text) any) func(testing.TB) optest.World {
	return func(t testing.TB) optest.World {
		s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			select {
			case <-time.After(takes):
				fmt.Fprint(w, `{"status":"healthy"}`)
			case <-r.Context().Done():
			}
		}))
		t.Cleanup(s.Close)
		return optest.World{Host: machine(t), Params: params(secret.Plain(s.URL)), Snapshot: func() string { return "" }}
	}
}

func get(url secret.Text) Get { return Get{URL: url, Timeout: timeout, MaxBody: most} }

func post(url secret.Text) Post { return Post{URL: url, Timeout: timeout, MaxBody: most} }

func request(method string, url secret.Text) Request {
	return Request{Method: method, URL: url, Timeout: timeout, MaxBody: most}
}

func TestOps(t *testing.T) {
	slow := 1200 * time.Millisecond
	optest.Run(t, optest.Suite{Family: Family, Worlds: optest.Worlds{
		"get":              answering(0, func(u secret.Text) any { return get(u) }),
		"get: it is slow":  answering(slow, func(u secret.Text) any { return get(u) }),
		"post":             answering(0, func(u secret.Text) any { return post(u) }),
		"post: it is slow": answering(slow, func(u secret.Text) any { return post(u) }),
		"request":          answering(0, func(u secret.Text) any { return request("PUT", u) }),
		"request: a GET":   answering(0, func(u secret.Text) any { return request("GET", u) }),
	}})
}

// What may change something is a Final, and no plan sends anything.
func TestClasses(t *testing.T) {
	for _, s := range Family(machine(t)).Ops {
		for method, want := range map[string]op.Class{"GET": op.ClassRead, "HEAD": op.ClassRead, "PUT": op.ClassFinal, "OPTIONS": op.ClassFinal} {
			b := op.Bound{Spec: s, Params: s.Proto}
			if r, ok := s.Proto.(Request); ok {
				r.Method = method
				b.Params = r
			} else if s.Name == "get" {
				want = op.ClassRead
			} else {
				want = op.ClassFinal
			}
			if b.Class() != want || want == op.ClassRead && !s.Sends {
				t.Errorf("%s %s: %s, sends %v", s.Name, method, b.Class(), s.Sends)
			}
		}
	}
}

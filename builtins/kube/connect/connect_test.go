package connect

import (
	"context"
	"encoding/pem"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/erlmcp/runner/builtins/cluster"
	"github.com/erlmcp/runner/builtins/kube/api"
	"github.com/erlmcp/runner/runtime/host"
	"github.com/erlmcp/runner/runtime/host/hosttest"
	"github.com/erlmcp/runner/runtime/op"
)

// server answers as an API server does to who has the token "good", and counts the requests.
func server(t *testing.T) (s *httptest.Server, ca string, asked *int) {
	t.Helper()
	asked = new(int)
	s = httptest.NewTLSServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		*asked++
		w.Header().Set("Content-Type", "application/json")
		switch r.Header.Get("Authorization") {
		case "Bearer good":
			fmt.Fprint(w, `{"major":"1","as":"`+r.Header.Get("Impersonate-User")+`"}`)
		case "Bearer poor":
			w.WriteHeader(http.StatusForbidden)
			fmt.Fprint(w, `{"kind":"Status","apiVersion":"v1","status":"Failure","reason":"Forbidden","code":403,"message":"forbidden: User \"ci\" cannot get path \"/version\""}`)
		default:
			w.WriteHeader(http.StatusUnauthorized)
			fmt.Fprint(w, `{"kind":"Status","apiVersion":"v1","status":"Failure","reason":"Unauthorized","code":401}`)
		}
	}))
	t.Cleanup(s.Close)
	ca = filepath.Join(t.TempDir(), "ca.crt")
	if err := os.WriteFile(ca, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: s.Certificate().Raw}), 0o600); err != nil {
		t.Fatal(err)
	}
	return s, ca, asked
}

const configs = `apiVersion: v1
kind: Config
current-context: production
clusters:
- {name: one, cluster: {server: "SERVER", certificate-authority: "CA"}}
- {name: dead, cluster: {server: "https://127.0.0.1:DEAD"}}
- {name: careless, cluster: {server: "SERVER", insecure-skip-tls-verify: true}}
- {name: stranger, cluster: {server: "SERVER"}}
users:
- {name: good, user: {token: good}}
- {name: bad, user: {token: expired}}
- {name: poor, user: {token: poor}}
- {name: late, user: {token: e30.eyJleHAiOjF9.e30}}
- {name: odd, user: {token: e30.eyJleHAiOiIxIn0.e30}}
- {name: plugin, user: {exec: {apiVersion: client.authentication.k8s.io/v1, command: /no/such/program, interactiveMode: Never}}}
- {name: uninstalled, user: {exec: {apiVersion: client.authentication.k8s.io/v1, command: no-such-plugin, installHint: "brew install no-such-plugin", interactiveMode: Never}}}
- {name: refused, user: {exec: {apiVersion: client.authentication.k8s.io/v1, command: sh, args: [-c, "echo the session of ana has ended: log in again >&2; exit 7"], interactiveMode: Never}}}
- {name: garbage, user: {exec: {apiVersion: client.authentication.k8s.io/v1, command: echo, args: [hello], interactiveMode: Never}}}
- {name: older, user: {exec: {apiVersion: client.authentication.k8s.io/v1, command: echo, args: ['{"apiVersion": "client.authentication.k8s.io/v1beta1", "kind": "ExecCredential", "status": {"token": "good"}}'], interactiveMode: Never}}}
- {name: empty, user: {exec: {apiVersion: client.authentication.k8s.io/v1, command: echo, args: ['{"apiVersion": "client.authentication.k8s.io/v1", "kind": "ExecCredential", "status": {}}'], interactiveMode: Never}}}
- {name: stuck, user: {exec: {apiVersion: client.authentication.k8s.io/v1, command: sh, args: [-c, "read x < GATE"], interactiveMode: Never}}}
- {name: renews, user: {exec: {apiVersion: client.authentication.k8s.io/v1, command: sh, interactiveMode: Never, args: [-c, "if test -e GATE.asked && ! test -e GATE.over; then read x < GATE; fi; touch GATE.asked; echo '{\"apiVersion\": \"client.authentication.k8s.io/v1\", \"kind\": \"ExecCredential\", \"status\": {\"token\": \"good\", \"expirationTimestamp\": \"2026-01-26T12:00:00Z\"}}'"]}}}
- {name: asks, user: {exec: {apiVersion: client.authentication.k8s.io/v1, command: cat, interactiveMode: Always}}}
contexts:
- {name: uninstalled, context: {cluster: one, user: uninstalled}}
- {name: refused, context: {cluster: one, user: refused}}
- {name: garbage, context: {cluster: one, user: garbage}}
- {name: older, context: {cluster: one, user: older}}
- {name: empty, context: {cluster: one, user: empty}}
- {name: stuck, context: {cluster: one, user: stuck}}
- {name: renews, context: {cluster: one, user: renews}}
- {name: asks, context: {cluster: one, user: asks}}
- {name: production, context: {cluster: one, user: good}}
- {name: expired, context: {cluster: one, user: bad}}
- {name: late, context: {cluster: one, user: late}}
- {name: odd, context: {cluster: one, user: odd}}
- {name: poor, context: {cluster: one, user: poor}}
- {name: plugin, context: {cluster: one, user: plugin}}
- {name: dead, context: {cluster: dead, user: good}}
- {name: careless, context: {cluster: careless, user: good}}
- {name: stranger, context: {cluster: stranger, user: good}}
- {name: half, context: {cluster: gone, user: good}}
`

func TestOpen(t *testing.T) {
	s, ca, asked := server(t)
	dead := strconv.Itoa(hosttest.Port(t))
	file := filepath.Join(t.TempDir(), "config")
	text := strings.NewReplacer("SERVER", s.URL, "CA", ca, "DEAD", dead).Replace(configs)
	if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	none := filepath.Join(t.TempDir(), "none")
	for _, c := range []struct {
		name string
		to   cluster.Cluster
		want string
		hint string
		sent bool
	}{
		{"a context", cluster.Cluster{Context: "production"}, "", "", true},
		{"a context and its server", cluster.Cluster{Context: "production", Server: s.URL + "/"}, "", "", true},
		{"an authority of one's own", cluster.Cluster{Context: "stranger", CA: ca}, "", "", true},
		{"no such context", cluster.Cluster{Context: "prodution"}, "has no context prodution (did you mean production?)", "it has asks, careless, dead", false},
		{"the context of another server", cluster.Cluster{Context: "production", Server: "https://10.0.0.1:6443"}, "production leads to " + s.URL + ", and server is https://10.0.0.1:6443", "nothing was sent", false},
		{"a server alone", cluster.Cluster{Server: s.URL}, "several contexts of " + file + " lead to " + s.URL, "say which: context = one of asks, careless", false},
		{"a server that nothing leads to", cluster.Cluster{Server: "https://10.0.0.9"}, "no context of " + file + " leads to https://10.0.0.9", "", false},
		{"a context without a cluster", cluster.Cluster{Context: "half"}, "context: half of " + file + " cannot be used", "", false},
		{"no kubeconfig", cluster.Cluster{Context: "production", Kubeconfig: none}, "there is none at " + none, "KUBECONFIG, or kubeconfig =", false},
		{"in a pod", cluster.Cluster{InCluster: true}, "in_cluster: ", "runner does not run in a pod here", false},
		{"no authority", cluster.Cluster{Context: "careless"}, "insecure-skip-tls-verify", "ca.crt", false},
		{"another authority", cluster.Cluster{Context: "stranger"}, "an authority that is not the cluster's", "nothing was sent", false},
		{"no such authority", cluster.Cluster{Context: "production", CA: none}, "ca: ", "", false},
		{"expired credentials", cluster.Cluster{Context: "expired"}, "it does not know the credentials of context expired", "have expired", true},
		{"a token that says so itself", cluster.Cluster{Context: "late"}, "the token of context late has expired at 1970-01-01 00:00:01 UTC", "get a new one", true},
		{"a token that says nothing of it", cluster.Cluster{Context: "odd"}, "it does not know the credentials of context odd", "have expired", true},
		{"no rights", cluster.Cluster{Context: "poor"}, `User "ci" cannot get path "/version"`, "may not do that", true},
		{"a plugin that is missing", cluster.Cluster{Context: "plugin"}, "cannot get the credentials of context plugin: exec: fork/exec /no/such/program: no such file", "run it by hand", false},
		{"a plugin that is not installed", cluster.Cluster{Context: "uninstalled"}, "cannot get the credentials of context uninstalled: there is no program no-such-plugin", "brew install no-such-plugin", false},
		{"a plugin that fails", cluster.Cluster{Context: "refused"}, "cannot get the credentials of context refused: sh ends with exit code 7; what it says is above", "run it by hand", false},
		{"a plugin that says something else", cluster.Cluster{Context: "garbage"}, "cannot get the credentials of context garbage: what echo prints is no ExecCredential", "run it by hand", false},
		{"a plugin of another version", cluster.Cluster{Context: "older"}, "echo gives those of another version: exec plugin is configured to use API version client.authentication.k8s.io/v1, plugin returned version client.authentication.k8s.io/v1beta1", "correct apiVersion", false},
		{"a plugin that gives nothing", cluster.Cluster{Context: "empty"}, "cannot get the credentials of context empty: echo gives neither a token nor a certificate", "run it by hand", false},
		{"a plugin that wants a terminal", cluster.Cluster{Context: "asks"}, "cannot get the credentials of context asks: cat asks at a terminal, and there is none", "log in before", false},
		{"nobody there", cluster.Cluster{Context: "dead"}, "connection refused", "nothing listens there", false},
	} {
		t.Run(c.name, func(t *testing.T) {
			before := *asked
			p := NewPool(&host.Host{Files: host.OS{}, Clock: host.SystemClock{}, Env: []string{"KUBECONFIG=" + file}})
			c.to.Namespace, c.to.Name = "shop", "web"
			_, err := p.Open(t.Context(), c.to)
			switch {
			case c.want == "" && err != nil, c.want != "" && (err == nil || !strings.Contains(err.Error(), c.want)):
				t.Errorf("%v, want %q", err, c.want)
			case !strings.Contains(op.HintOf(err), c.hint) || c.hint == "" && op.HintOf(err) != "":
				t.Errorf("hint %q, want %q", op.HintOf(err), c.hint)
			}
			if sent := *asked > before; sent != c.sent {
				t.Errorf("a request was sent: %v", sent)
			}
		})
	}
}

// A target in an undo log may name a way that this machine does not have: the one that it has gone for the same objects is taken.
func TestAgain(t *testing.T) {
	s, ca, _ := server(t)
	file := filepath.Join(t.TempDir(), "config")
	text := strings.NewReplacer("SERVER", s.URL, "CA", ca, "DEAD", "1").Replace(configs)
	if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	p := NewPool(&host.Host{Files: host.OS{}, Clock: host.SystemClock{}, Env: []string{"KUBECONFIG=" + file}})
	mine := cluster.Cluster{Namespace: "shop", Name: "web", Context: "production"}
	theirs := cluster.Cluster{Namespace: "shop", Name: "web", Context: "prod-of-another-machine"}
	if _, err := p.Again(t.Context(), theirs); err == nil {
		t.Error("an unknown way is gone")
	}
	conn, err := p.Open(t.Context(), mine)
	if err != nil {
		t.Fatal(err)
	}
	if got, err := p.Again(t.Context(), theirs); err != nil || got != conn {
		t.Errorf("%v, %v", got, err)
	}
	theirs.Name = "other"
	if _, err := p.Again(t.Context(), theirs); err == nil {
		t.Error("another set of objects has gone the same way")
	}
}

// gated is a pool whose kubeconfig has programs that do not end before the test does.
func gated(t *testing.T) *Pool {
	t.Helper()
	s, ca, _ := server(t)
	gate := filepath.Join(t.TempDir(), "gate")
	if err := syscall.Mkfifo(gate, 0o600); err != nil {
		t.Fatal(err)
	}
	open, err := os.OpenFile(gate, os.O_RDWR, 0) // the program ends with the test
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		os.WriteFile(gate+".over", nil, 0o600)
		open.WriteString("\n")
		time.Sleep(100 * time.Millisecond) // those that wait for their turn
		open.Close()
	})
	file := filepath.Join(t.TempDir(), "config")
	text := strings.NewReplacer("SERVER", s.URL, "CA", ca, "DEAD", "1", "GATE", gate).Replace(configs)
	if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return NewPool(&host.Host{Files: host.OS{}, Clock: host.SystemClock{}, Env: []string{"KUBECONFIG=" + file}})
}

// stops does something for 300 ms, and wants an error then.
func stops(t *testing.T, want string, do func(context.Context) error) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 300*time.Millisecond)
	defer cancel()
	done := make(chan error, 1)
	go func() { done <- do(ctx) }()
	select {
	case err := <-done:
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Error(err)
		}
	case <-time.After(20 * time.Second):
		t.Error("it waits")
	}
}

// Who is told to stop does not wait for a program that gives credentials and does not end.
func TestOpenStops(t *testing.T) {
	p := gated(t)
	stops(t, "cannot get the credentials of context stuck: sh has not ended", func(ctx context.Context) error {
		_, err := p.Open(ctx, cluster.Cluster{Namespace: "shop", Name: "web", Context: "stuck"})
		return err
	})
}

// Nor who is told so while new credentials are asked for, in the middle of a run.
func TestRequestsStop(t *testing.T) {
	conn, err := gated(t).Open(t.Context(), cluster.Cluster{Namespace: "shop", Name: "web", Context: "renews"})
	if err != nil {
		t.Fatal(err)
	}
	stops(t, context.DeadlineExceeded.Error(), func(ctx context.Context) error {
		_, err := conn.Get(ctx, api.Ref{Version: "v1", Kind: "Pod", Namespace: "shop", Name: "web"})
		return err
	})
	if err := conn.Within(50 * time.Millisecond).Reach(t.Context()); !errors.Is(err, api.ErrAsking) {
		t.Errorf("what is waited for is not said: %v", err)
	}
}

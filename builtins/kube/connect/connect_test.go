package connect

import (
	"encoding/pem"
	"fmt"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/erlmcp/runner/builtins/cluster"
	"github.com/erlmcp/runner/runtime/host"
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
- {name: plugin, user: {exec: {apiVersion: client.authentication.k8s.io/v1, command: /no/such/program, interactiveMode: Never}}}
contexts:
- {name: production, context: {cluster: one, user: good}}
- {name: expired, context: {cluster: one, user: bad}}
- {name: poor, context: {cluster: one, user: poor}}
- {name: plugin, context: {cluster: one, user: plugin}}
- {name: dead, context: {cluster: dead, user: good}}
- {name: careless, context: {cluster: careless, user: good}}
- {name: stranger, context: {cluster: stranger, user: good}}
- {name: half, context: {cluster: gone, user: good}}
`

func TestOpen(t *testing.T) {
	s, ca, asked := server(t)
	free, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	_, dead, _ := net.SplitHostPort(free.Addr().String())
	free.Close()
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
		{"no such context", cluster.Cluster{Context: "prodution"}, "has no context prodution (did you mean production?)", "it has careless, dead, expired", false},
		{"the context of another server", cluster.Cluster{Context: "production", Server: "https://10.0.0.1:6443"}, "production leads to " + s.URL + ", and server is https://10.0.0.1:6443", "nothing was sent", false},
		{"a server alone", cluster.Cluster{Server: s.URL}, "several contexts of " + file + " lead to " + s.URL, "say which: context = one of careless, expired", false},
		{"a server that nothing leads to", cluster.Cluster{Server: "https://10.0.0.9"}, "no context of " + file + " leads to https://10.0.0.9", "", false},
		{"a context without a cluster", cluster.Cluster{Context: "half"}, "context: half of " + file + " cannot be used", "", false},
		{"no kubeconfig", cluster.Cluster{Context: "production", Kubeconfig: none}, "there is none at " + none, "KUBECONFIG, or kubeconfig =", false},
		{"in a pod", cluster.Cluster{InCluster: true}, "in_cluster: ", "runner does not run in a pod here", false},
		{"no authority", cluster.Cluster{Context: "careless"}, "insecure-skip-tls-verify", "ca.crt", false},
		{"another authority", cluster.Cluster{Context: "stranger"}, "an authority that is not the cluster's", "nothing was sent", false},
		{"no such authority", cluster.Cluster{Context: "production", CA: none}, "ca: ", "", false},
		{"expired credentials", cluster.Cluster{Context: "expired"}, "it does not know the credentials of context expired", "have expired", true},
		{"no rights", cluster.Cluster{Context: "poor"}, `User "ci" cannot get path "/version"`, "may not do that", true},
		{"a plugin that is missing", cluster.Cluster{Context: "plugin"}, "cannot get the credentials of context plugin: exec: fork/exec /no/such/program: no such file", "run it by hand", false},
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

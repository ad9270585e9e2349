package kubetest

import (
	"bytes"
	"context"
	"encoding/json"
	"encoding/pem"
	"fmt"
	"io"
	"log"
	"maps"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/erlmcp/runner/builtins/kube/api"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/clientcmd"
	clientcmdapi "k8s.io/client-go/tools/clientcmd/api"
)

// Fault is what becomes of a request. Its parts go together: the server may do what is asked (Cut), and the answer be
// another (Status).
type Fault struct {
	Delay  time.Duration // how long the request waits on its way
	Drop   bool          // it does not reach the server, and the connection breaks
	Cut    bool          // the server does it, and its answer is lost: the connection breaks, or the answer is Status
	Status int           // the answer, with Reason, Message and After in it; without Cut, the request does not reach the server
	Reason metav1.StatusReason
	Text   string
	After  int  // what Retry-After says, in seconds; 0 leaves it out
	Event  bool // a watch is answered with an event that says Status, and ends
}

// Request is what a client wants of the API server.
type Request struct {
	Verb      string // get, list, watch, create, update, patch, apply, delete, deletecollection
	Resource  string // such as "deployments" or "pods/log", else the path
	Namespace string
	Name      string
	DryRun    bool
	N         int    // the number of the request, from 1
	Body      []byte // what it sends
}

// String is the verb and the resource, as Counts has them.
func (r Request) String() string { return r.Verb + " " + r.Resource }

// Changes reports whether the request may change something.
func (r Request) Changes() bool {
	return !r.DryRun && r.Verb != "get" && r.Verb != "list" && r.Verb != "watch"
}

// Proxy stands between clients and the API server, as its administrator for those that bring no token. It counts
// requests and lets them fail.
type Proxy struct {
	Server     string // its address
	Kubeconfig string // leads here
	Context    string

	config *rest.Config
	server *httptest.Server
	next   *httputil.ReverseProxy
	plain  *http.Transport // for those with a token
	admin  http.RoundTripper

	mu      sync.Mutex
	n       int
	counts  map[string]int
	faults  []func(Request) *Fault
	streams map[*http.Request]func() // what ends a watch
	sent    sync.WaitGroup
	flying  int
	most    int
}

// Proxy starts a proxy of the API server.
func (l *Cluster) Proxy(t testing.TB) *Proxy {
	t.Helper()
	admin, err := rest.TransportFor(l.config)
	if err != nil {
		t.Fatal(err)
	}
	tls, err := rest.TLSConfigFor(&rest.Config{TLSClientConfig: rest.TLSClientConfig{CAData: l.config.CAData}})
	if err != nil {
		t.Fatal(err)
	}
	p := &Proxy{Context: "proxy", admin: admin, plain: &http.Transport{TLSClientConfig: tls, MaxIdleConnsPerHost: 100}, counts: map[string]int{}, streams: map[*http.Request]func(){}}
	to, err := url.Parse(l.Server)
	if err != nil {
		t.Fatal(err)
	}
	p.next = &httputil.ReverseProxy{
		Rewrite:   func(r *httputil.ProxyRequest) { r.SetURL(to) },
		Transport: p, FlushInterval: -1,
		ErrorHandler: func(http.ResponseWriter, *http.Request, error) { panic(http.ErrAbortHandler) },
	}
	p.server = httptest.NewUnstartedServer(p)
	p.server.EnableHTTP2 = true
	p.server.Config.ErrorLog = log.New(io.Discard, "", 0)
	p.server.StartTLS()
	t.Cleanup(func() {
		p.CutStreams()
		p.server.CloseClientConnections()
		p.server.Close()
		p.plain.CloseIdleConnections()
	})
	p.Server = p.server.URL
	ca := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: p.server.Certificate().Raw})
	p.config = &rest.Config{Host: p.Server, TLSClientConfig: rest.TLSClientConfig{CAData: ca}}
	conf := clientcmdapi.NewConfig()
	conf.Clusters["proxy"] = &clientcmdapi.Cluster{Server: p.Server, CertificateAuthorityData: ca}
	conf.AuthInfos["proxy"] = &clientcmdapi.AuthInfo{}
	conf.Contexts["proxy"] = &clientcmdapi.Context{Cluster: "proxy", AuthInfo: "proxy"}
	p.Kubeconfig = filepath.Join(t.TempDir(), "kubeconfig")
	if err := clientcmd.WriteToFile(*conf, p.Kubeconfig); err != nil {
		t.Fatal(err)
	}
	return p
}

// Config is a way to the cluster through the proxy, as its administrator.
func (p *Proxy) Config() *rest.Config { return rest.CopyConfig(p.config) }

// Conn is a connection through the proxy.
func (p *Proxy) Conn(t testing.TB) *api.Conn {
	t.Helper()
	return connect(t, p.config)
}

// Fail asks f for the fault of each request from now on, one request at a time; nil is none. Of several functions the
// first that gives one counts.
func (p *Proxy) Fail(f func(Request) *Fault) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.faults = append(p.faults, f)
}

// Times lets the next n requests fail that are asked for as what says, such as "patch deployments"; "" is any.
func (p *Proxy) Times(n int, what string, f Fault) {
	p.Fail(func(r Request) *Fault {
		if n == 0 || what != "" && r.String() != what {
			return nil
		}
		n--
		return &f
	})
}

// Heal lets everything pass from now on.
func (p *Proxy) Heal() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.faults = nil
}

// CutStreams breaks every watch, and whatever else has no answer yet.
func (p *Proxy) CutStreams() {
	p.mu.Lock()
	all := p.streams
	p.streams = map[*http.Request]func(){}
	p.mu.Unlock()
	for _, end := range all {
		end()
	}
}

// Settle waits until the server has answered each request that changes something: it may be at work for a client that is
// gone.
func (p *Proxy) Settle() { p.sent.Wait() }

// Asked is how many requests there were.
func (p *Proxy) Asked() int {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.n
}

// Counts are the requests by verb and resource, such as "patch deployments".
func (p *Proxy) Counts() map[string]int {
	p.mu.Lock()
	defer p.mu.Unlock()
	return maps.Clone(p.counts)
}

// MostAtOnce is the largest number of requests, but for watches, that had no answer at one time.
func (p *Proxy) MostAtOnce() int {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.most
}

// Reset begins to count anew.
func (p *Proxy) Reset() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.n, p.most, p.counts = 0, 0, map[string]int{}
}

// RoundTrip implements http.RoundTripper: a token speaks for who brings it.
func (p *Proxy) RoundTrip(r *http.Request) (*http.Response, error) {
	if r.Header.Get("Authorization") != "" {
		return p.plain.RoundTrip(r)
	}
	return p.admin.RoundTrip(r)
}

// ServeHTTP implements http.Handler.
func (p *Proxy) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	want := parse(r)
	if r.Header.Get("Upgrade") == "" {
		want.Body, _ = io.ReadAll(r.Body)
		r.Body = io.NopCloser(bytes.NewReader(want.Body))
	}
	r, f, done := p.enter(r, want)
	defer done()
	if f == nil {
		p.next.ServeHTTP(w, r)
		return
	}
	select {
	case <-time.After(f.Delay):
	case <-r.Context().Done():
		return
	}
	switch {
	case f.Drop:
		panic(http.ErrAbortHandler)
	case f.Cut:
		p.next.ServeHTTP(&deaf{http.Header{}}, r)
		if f.Status == 0 {
			panic(http.ErrAbortHandler)
		}
	case f.Status == 0:
		p.next.ServeHTTP(w, r)
		return
	}
	f.answer(w)
}

// enter counts a request, and gives its fault.
func (p *Proxy) enter(r *http.Request, want Request) (*http.Request, *Fault, func()) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.n++
	want.N = p.n
	p.counts[want.String()]++
	var f *Fault
	for _, ask := range p.faults {
		if f = ask(want); f != nil {
			break
		}
	}
	ctx := r.Context()
	if want.Changes() { // the server goes on with it though the client is gone
		ctx = context.WithoutCancel(ctx)
		p.sent.Add(1)
	}
	ctx, end := context.WithCancel(ctx)
	r = r.WithContext(ctx)
	p.streams[r] = end
	if want.Verb != "watch" {
		p.flying++
		p.most = max(p.most, p.flying)
	}
	return r, f, func() {
		p.mu.Lock()
		defer p.mu.Unlock()
		delete(p.streams, r)
		if want.Verb != "watch" {
			p.flying--
		}
		if want.Changes() {
			p.sent.Done()
		}
		end()
	}
}

func (f *Fault) answer(w http.ResponseWriter) {
	s := metav1.Status{TypeMeta: metav1.TypeMeta{Kind: "Status", APIVersion: "v1"}, Status: metav1.StatusFailure, Code: int32(f.Status), Reason: f.Reason, Message: f.Text}
	if s.Message == "" {
		s.Message = "out of luck"
	}
	if f.After > 0 {
		w.Header().Set("Retry-After", strconv.Itoa(f.After))
		s.Details = &metav1.StatusDetails{RetryAfterSeconds: int32(f.After)}
	}
	w.Header().Set("Content-Type", "application/json")
	if f.Event {
		object, _ := json.Marshal(s)
		fmt.Fprintf(w, `{"type": "ERROR", "object": %s}`+"\n", object)
		return
	}
	w.WriteHeader(f.Status)
	json.NewEncoder(w).Encode(s)
}

// parse tells what a request wants.
func parse(r *http.Request) Request {
	q := r.URL.Query()
	out := Request{Resource: r.URL.Path, DryRun: q.Get("dryRun") != ""}
	at := strings.Split(strings.Trim(r.URL.Path, "/"), "/")
	switch {
	case at[0] == "api" && len(at) > 2:
		at = at[2:]
	case at[0] == "apis" && len(at) > 3:
		at = at[3:]
	default:
		at = nil
	}
	if len(at) > 2 && at[0] == "namespaces" && at[2] != "finalize" && at[2] != "status" {
		out.Namespace, at = at[1], at[2:]
	}
	if len(at) > 0 {
		out.Resource = at[0]
	}
	if len(at) > 1 {
		out.Name = at[1]
	}
	if len(at) > 2 {
		out.Resource += "/" + at[2]
	}
	one := out.Name != "" || at == nil
	switch {
	case r.Method == http.MethodGet && q.Get("watch") != "":
		out.Verb = "watch"
	case r.Method == http.MethodGet && !one:
		out.Verb = "list"
	case r.Method == http.MethodPatch && strings.Contains(r.Header.Get("Content-Type"), "apply"):
		out.Verb = "apply"
	case r.Method == http.MethodDelete && !one:
		out.Verb = "deletecollection"
	default:
		out.Verb = map[string]string{http.MethodPost: "create", http.MethodPut: "update"}[r.Method]
		if out.Verb == "" {
			out.Verb = strings.ToLower(r.Method)
		}
	}
	return out
}

// deaf takes an answer that nobody gets.
type deaf struct{ header http.Header }

func (d *deaf) Header() http.Header         { return d.header }
func (d *deaf) Write(p []byte) (int, error) { return len(p), nil }
func (d *deaf) WriteHeader(int)             {}

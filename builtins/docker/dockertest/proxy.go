package dockertest

import (
	"bytes"
	"context"
	"io"
	"net"
	"net/http"
	"net/http/httputil"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
)

// Fault is what becomes of a request.
type Fault int

// The faults.
const (
	None    Fault = iota
	Dropped       // it does not reach the engine, and the connection breaks
	Cut           // the engine does it, and the connection breaks before the answer
	Refused       // it does not reach the engine, and is answered with 500
	Halved        // the engine does it, and the answer is 500
)

// Proxy stands between a client and an engine, and lets requests fail. Pings and streams of events do not count, and have
// no fault.
type Proxy struct {
	Address string
	Streams chan context.CancelFunc // what ends a stream of events, when it is asked for

	mu    sync.Mutex
	n     int
	fault func(n int, r *http.Request) Fault
	sent  sync.WaitGroup // requests that change something and are with the engine
	next  *httputil.ReverseProxy
}

// NewProxy is a proxy of the engine at a Unix socket. The fault of the n-th request is asked for one request at a time.
func NewProxy(t testing.TB, engine string, fault func(n int, r *http.Request) Fault) *Proxy {
	t.Helper()
	socket, unix := strings.CutPrefix(engine, "unix://")
	if !unix {
		t.Fatalf("the engine is at %s: this test wants a Unix socket", engine)
	}
	dir, err := os.MkdirTemp("", "proxy") // the path of a socket is short
	if err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(dir, "sock")
	l, err := net.Listen("unix", path)
	if err != nil {
		t.Fatal(err)
	}
	transport := &http.Transport{DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
		return new(net.Dialer).DialContext(ctx, "unix", socket)
	}}
	p := &Proxy{Address: "unix://" + path, Streams: make(chan context.CancelFunc, 1000), fault: fault}
	p.next = &httputil.ReverseProxy{
		Rewrite: func(r *httputil.ProxyRequest) {
			r.Out.URL.Scheme, r.Out.URL.Host = "http", "engine"
		},
		Transport: transport, FlushInterval: -1,
		ErrorHandler: func(http.ResponseWriter, *http.Request, error) { panic(http.ErrAbortHandler) },
	}
	server := &http.Server{Handler: p}
	go server.Serve(l)
	t.Cleanup(func() {
		server.Close()
		transport.CloseIdleConnections()
		os.RemoveAll(dir)
	})
	return p
}

// Asked is how many requests there were.
func (p *Proxy) Asked() int {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.n
}

// Settle waits until the engine has answered every request that changes something: it may be at work for a client that
// is gone.
func (p *Proxy) Settle() { p.sent.Wait() }

// ServeHTTP implements http.Handler.
func (p *Proxy) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	switch {
	case strings.HasSuffix(r.URL.Path, "/_ping"):
		p.next.ServeHTTP(w, r)
		return
	case strings.HasSuffix(r.URL.Path, "/events"):
		ctx, stop := context.WithCancel(r.Context())
		defer stop()
		p.Streams <- stop
		p.next.ServeHTTP(w, r.WithContext(ctx))
		return
	}
	p.mu.Lock()
	p.n++
	f := p.fault(p.n, r)
	if f != Dropped && f != Refused && Changes(r) {
		p.sent.Add(1)
		defer p.sent.Done()
		body, _ := io.ReadAll(r.Body)
		r = r.WithContext(context.WithoutCancel(r.Context()))
		r.Body = io.NopCloser(bytes.NewReader(body))
	}
	p.mu.Unlock()
	switch f {
	case Dropped:
		panic(http.ErrAbortHandler)
	case Cut:
		p.next.ServeHTTP(&deaf{http.Header{}}, r)
		panic(http.ErrAbortHandler)
	case Halved:
		p.next.ServeHTTP(&deaf{http.Header{}}, r)
	case None:
		p.next.ServeHTTP(w, r)
		return
	}
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(http.StatusInternalServerError)
	io.WriteString(w, `{"message": "out of luck"}`)
}

// Changes reports whether a request may change what an engine has. Checks that run in containers change nothing.
func Changes(r *http.Request) bool {
	return r.Method != http.MethodGet && r.Method != http.MethodHead && !strings.HasSuffix(r.URL.Path, "/wait") && !strings.Contains(r.URL.Path, "/exec")
}

// deaf takes an answer that nobody gets.
type deaf struct{ header http.Header }

func (d *deaf) Header() http.Header         { return d.header }
func (d *deaf) Write(p []byte) (int, error) { return len(p), nil }
func (d *deaf) WriteHeader(int)             {}

//go:build labs

package home

import (
	"bytes"
	"context"
	"io"
	"net"
	"net/http"
	"path/filepath"
	"strings"
	"sync"
	"testing"
)

// proxy stands between a client and the engine, and lets requests fail. Streams of events do not count.
type proxy struct {
	address string
	mu      sync.Mutex
	n       int
	fault   func(n int) fault
	engine  *http.Transport
	streams chan context.CancelFunc // what ends a stream of events, when it is asked for
}

// fault is what becomes of a request.
type fault int

const (
	none    fault = iota
	dropped       // it does not reach the engine, and the connection breaks
	cut           // the engine does it, and the connection breaks before the answer
	refused       // it does not reach the engine, and is answered with 500
	halved        // the engine does it, and the answer is 500
)

func newProxy(t *testing.T, s *site, f func(n int) fault) *proxy {
	t.Helper()
	socket, unix := strings.CutPrefix(s.reg.Engine.DaemonHost(), "unix://")
	if !unix {
		t.Fatalf("the engine is at %s: these tests want a Unix socket", s.reg.Engine.DaemonHost())
	}
	path := filepath.Join(t.TempDir(), "proxy.sock")
	l, err := net.Listen("unix", path)
	if err != nil {
		t.Fatal(err)
	}
	p := &proxy{address: "unix://" + path, fault: f, streams: make(chan context.CancelFunc, 1000)}
	p.engine = &http.Transport{DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
		return new(net.Dialer).DialContext(ctx, "unix", socket)
	}}
	server := &http.Server{Handler: p}
	go server.Serve(l)
	t.Cleanup(func() {
		server.Close()
		p.engine.CloseIdleConnections()
	})
	return p
}

// asked is how many requests there were.
func (p *proxy) asked() int {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.n
}

// ServeHTTP implements http.Handler.
func (p *proxy) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	f := none
	if !strings.HasSuffix(r.URL.Path, "/_ping") && !strings.HasSuffix(r.URL.Path, "/events") {
		p.mu.Lock()
		p.n++
		f = p.fault(p.n)
		p.mu.Unlock()
	}
	switch f {
	case dropped:
		panic(http.ErrAbortHandler)
	case refused:
		http.Error(w, `{"message": "out of luck"}`, http.StatusInternalServerError)
		return
	}
	body, _ := io.ReadAll(r.Body)
	ctx, stop := context.WithCancel(r.Context())
	defer stop()
	if strings.HasSuffix(r.URL.Path, "/events") {
		p.streams <- stop
	}
	out := r.Clone(ctx)
	out.URL.Scheme, out.URL.Host, out.RequestURI, out.Body = "http", "engine", "", io.NopCloser(bytes.NewReader(body))
	got, err := p.engine.RoundTrip(out)
	if err != nil {
		panic(http.ErrAbortHandler)
	}
	defer got.Body.Close()
	switch f {
	case cut:
		io.Copy(io.Discard, got.Body)
		panic(http.ErrAbortHandler)
	case halved:
		http.Error(w, `{"message": "out of luck"}`, http.StatusInternalServerError)
		return
	}
	for k, v := range got.Header {
		w.Header()[k] = v
	}
	w.WriteHeader(got.StatusCode)
	flow(w, got.Body)
}

// flow passes on what comes, when it comes.
func flow(w http.ResponseWriter, from io.Reader) {
	http.NewResponseController(w).Flush()
	buf := make([]byte, 32<<10)
	for {
		n, err := from.Read(buf)
		w.Write(buf[:n])
		if err != nil {
			return
		}
		http.NewResponseController(w).Flush()
	}
}

package host

import (
	"context"
	"errors"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"syscall"
	"testing"
	"time"
)

func TestDo(t *testing.T) {
	mux := http.NewServeMux()
	mux.HandleFunc("/echo", func(w http.ResponseWriter, r *http.Request) {
		b, _ := io.ReadAll(r.Body)
		w.Header().Set("X-Saw", r.Method+" "+r.Header.Get("X-Sent"))
		w.WriteHeader(418)
		w.Write(b)
	})
	mux.Handle("/away", http.RedirectHandler("/echo", http.StatusFound))
	s := httptest.NewServer(mux)
	defer s.Close()
	r, err := Internet{}.Do(t.Context(), Request{Method: "POST", URL: s.URL + "/echo", Body: []byte("12345"), MaxBody: 4, Header: map[string]string{"X-Sent": "y"}})
	if err != nil || r.Status != 418 || string(r.Body) != "1234" || !r.Truncated || r.Header["x-saw"] != "POST y" || r.Took <= 0 {
		t.Errorf("%+v, %v", r, err)
	}
	if r, err := (Internet{}).Do(t.Context(), Request{URL: s.URL + "/away"}); err != nil || r.Status != 302 || r.Header["location"] != "/echo" {
		t.Errorf("a redirect not asked for: %+v, %v", r, err)
	}
	if r, err := (Internet{}).Do(t.Context(), Request{URL: s.URL + "/away", Follow: true}); err != nil || r.Status != 418 || r.Truncated {
		t.Errorf("a redirect asked for: %+v, %v", r, err)
	}
}

// raw answers each connection with a function of its own.
func raw(t *testing.T, answer func(net.Conn)) string {
	t.Helper()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	done := make(chan struct{})
	t.Cleanup(func() { ln.Close(); <-done })
	go func() {
		defer close(done)
		for {
			c, err := ln.Accept()
			if err != nil {
				return
			}
			answer(c)
			c.Close()
		}
	}()
	return ln.Addr().String()
}

func TestDoSaysWhatHappened(t *testing.T) {
	// What was not read when a connection is closed makes a reset of its end: the request is read first.
	hear := func(c net.Conn) { c.Read(make([]byte, 4096)) }
	gone := raw(t, hear)
	free, _ := net.Listen("tcp", "127.0.0.1:0")
	refused := free.Addr().String()
	free.Close()
	for _, c := range []struct{ url, want string }{
		{"http://" + refused, "connection refused"},
		{"http://" + gone, "EOF"},
		{"http://" + raw(t, func(c net.Conn) { hear(c); c.Write([]byte("garbage\r\n\r\n")) }), "malformed HTTP response"},
		{"http://" + raw(t, func(c net.Conn) { hear(c); c.Write([]byte("HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\ncut")) }), "unexpected EOF"},
		{"::", "cannot make a request of"},
	} {
		_, err := Internet{}.Do(t.Context(), Request{URL: c.url})
		if err == nil || !strings.Contains(err.Error(), c.want) || strings.HasPrefix(err.Error(), "Get ") {
			t.Errorf("%s: %v", c.want, err)
		}
	}
	if _, err := (Internet{}).Do(t.Context(), Request{URL: "http://" + refused}); !errors.Is(err, syscall.ECONNREFUSED) {
		t.Errorf("what the kernel said is lost: %v", err)
	}
	if err := (Internet{}).Dial(t.Context(), refused); !errors.Is(err, syscall.ECONNREFUSED) || !strings.Contains(err.Error(), "connection refused") {
		t.Errorf("dial: %v", err)
	}
	if err := (Internet{}).Dial(t.Context(), gone); err != nil {
		t.Errorf("dial: %v", err)
	}
}

func TestDoEndsWithItsContext(t *testing.T) {
	hold := make(chan struct{})
	addr := raw(t, func(net.Conn) { <-hold })
	defer close(hold)
	late := errors.New("late")
	ctx, cancel := SystemClock{}.Timeout(t.Context(), 50*time.Millisecond, late)
	defer cancel()
	if _, err := (Internet{}).Do(ctx, Request{URL: "http://" + addr}); !errors.Is(err, late) {
		t.Errorf("a silent server: %v", err)
	}
	if err := (SystemClock{}).Sleep(ctx, time.Hour); !errors.Is(err, late) || !errors.Is(context.Cause(ctx), late) {
		t.Errorf("sleep: %v", err)
	}
}

func TestNamesWithoutAnAddress(t *testing.T) {
	for want, d := range map[string]*net.DNSError{
		"no host is called db.example":                  {Name: "db.example", Server: "10.0.0.1:53", Err: "no such host", IsNotFound: true},
		"cannot look up db.example: server misbehaving": {Name: "db.example", Server: "10.0.0.1:53", Err: "server misbehaving"},
	} {
		err := plainly(t.Context(), &url.Error{Op: "Get", URL: "http://db.example", Err: &net.OpError{Op: "dial", Net: "tcp", Err: d}})
		if err.Error() != want || !errors.Is(err, d) {
			t.Errorf("want %q, got %v", want, err)
		}
	}
}

package host

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"strings"
	"time"
)

// MaxBody is how much of a response's body is read where a request does not say, in bytes.
const MaxBody = 1 << 20

// Request is one HTTP request. Redirects are followed only where Follow says so.
type Request struct {
	Method  string // GET when empty
	URL     string
	Header  map[string]string
	Body    []byte
	MaxBody int64 // of the response; MaxBody when 0
	Follow  bool
	TLS     TLS
}

// Response is what came back. Truncated says that the body was longer than was read.
type Response struct {
	Status    int
	Header    map[string]string
	Body      []byte
	Truncated bool
	Took      time.Duration
}

// Net is the network. Every call ends when its context does.
type Net interface {
	Do(ctx context.Context, r Request) (Response, error)
	// Dial opens a TCP connection and closes it.
	Dial(ctx context.Context, addr string) error
}

// Internet is the machine's network. Nothing is kept between two requests: a connection kept alive may lead to a
// process that is about to be replaced.
type Internet struct{}

// Do implements Net. Its errors say what happened in one short phrase, without the URL.
func (Internet) Do(ctx context.Context, r Request) (Response, error) {
	if r.Method == "" {
		r.Method = http.MethodGet
	}
	if r.MaxBody == 0 {
		r.MaxBody = MaxBody
	}
	req, client, err := r.request(ctx)
	if err != nil {
		return Response{}, err
	}
	start := time.Now()
	resp, err := client.Do(req)
	if err != nil {
		return Response{}, plainly(ctx, err)
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(io.LimitReader(resp.Body, r.MaxBody+1))
	if err != nil {
		return Response{}, plainly(ctx, err)
	}
	out := Response{Status: resp.StatusCode, Header: map[string]string{}, Took: time.Since(start)}
	out.Truncated = int64(len(body)) > r.MaxBody
	out.Body = body[:min(int64(len(body)), r.MaxBody)]
	for k := range resp.Header {
		out.Header[strings.ToLower(k)] = resp.Header.Get(k)
	}
	return out, nil
}

func newRequest(ctx context.Context, r Request) (*http.Request, error) {
	req, err := http.NewRequestWithContext(ctx, r.Method, r.URL, bytes.NewReader(r.Body))
	if err != nil {
		return nil, fmt.Errorf("cannot make a request of %q: %w", r.URL, err)
	}
	for k, v := range r.Header {
		req.Header.Set(k, v)
		if http.CanonicalHeaderKey(k) == "Host" {
			req.Host = v
		}
	}
	return req, nil
}

// Dial implements Net.
func (Internet) Dial(ctx context.Context, addr string) error {
	c, err := (&net.Dialer{}).DialContext(ctx, "tcp", addr)
	if err != nil {
		return plainly(ctx, err)
	}
	return c.Close()
}

// plainly strips what the reader knows already (method, URL, addresses) from the network's errors.
func plainly(ctx context.Context, err error) error {
	if ctx.Err() != nil {
		return context.Cause(ctx)
	}
	if u := untrusted(err); u != nil {
		return u
	}
	if u := (*url.Error)(nil); errors.As(err, &u) {
		err = u.Err
	}
	if d := (*net.DNSError)(nil); errors.As(err, &d) {
		if d.IsNotFound {
			return phrase{"no host is called " + d.Name, d}
		}
		return phrase{"cannot look up " + d.Name + ": " + d.Err, d}
	}
	if o := (*net.OpError)(nil); errors.As(err, &o) {
		return phrase{o.Op + ": " + strings.TrimPrefix(strings.TrimPrefix(o.Err.Error(), "connect: "), "read: "), o.Err}
	}
	return err
}

// phrase is an error of the network in short words.
type phrase struct {
	words string
	cause error
}

func (p phrase) Error() string { return p.words }

// Unwrap is what the kernel said.
func (p phrase) Unwrap() error { return p.cause }

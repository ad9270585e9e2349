package http

import (
	"context"

	"github.com/erlmcp/runner/runtime/host"
	"github.com/erlmcp/runner/runtime/op"
	"github.com/erlmcp/runner/runtime/secret"
)

// Get asks for a page.
type Get struct {
	_       op.Doc                 `doc:"Asks for a page. An answer with another status than expected is an error."`
	URL     secret.Text            `json:"url" doc:"What to ask for, such as \"https://erlmcp.example.com/health\"; a secret where the URL is one."`
	Headers map[string]secret.Text `json:"headers,omitempty" doc:"Headers to send; secrets may be given here."`
	Expect  []int                  `json:"expect,omitempty" doc:"The HTTP statuses that are right; any 2xx when left out."`
	Follow  bool                   `json:"follow,omitempty" doc:"Follow redirects, to another host without the headers."`
	Timeout op.Duration            `json:"timeout" doc:"How long the answer may take."`
	MaxBody op.Size                `json:"max_body" doc:"How much of the body is read."`
	TLS     TLS                    `json:"tls,omitzero" doc:"How the connection is secured, where the machine's own way is not enough."`
}

func (g Get) call() call {
	return call{Method: "GET", URL: g.URL, Headers: g.Headers, Expect: g.Expect, Follow: g.Follow, Timeout: g.Timeout, MaxBody: g.MaxBody, TLS: g.TLS}
}

// Summary implements op.Op.
func (g Get) Summary() string { return "send " + g.call().String() }

// Check implements op.Checked.
func (g Get) Check() error { return g.call().check() }

// Do implements op.Op.
func (g Get) Do(ctx context.Context, h *host.Host) (Response, error) { return g.call().do(ctx, h) }

// Post sends a body.
type Post struct {
	_       op.Doc                 `doc:"Sends a body by POST. An answer with another status than expected is an error; what was sent stays sent."`
	URL     secret.Text            `json:"url" doc:"Where to, such as \"https://erlmcp.example.com/mcp\"; a secret where the URL is one."`
	Body    secret.Text            `json:"body,omitzero" doc:"What to send, a text or a secret."`
	JSON    any                    `json:"json,omitempty" doc:"What to send as JSON instead: plain data, in which strings may be secrets."`
	Headers map[string]secret.Text `json:"headers,omitempty" doc:"Headers to send; secrets may be given here."`
	Expect  []int                  `json:"expect,omitempty" doc:"The HTTP statuses that are right; any 2xx when left out."`
	Follow  bool                   `json:"follow,omitempty" doc:"Follow redirects; a body is not sent on to another host."`
	Timeout op.Duration            `json:"timeout" doc:"How long the answer may take."`
	MaxBody op.Size                `json:"max_body" doc:"How much of the answer's body is read."`
	TLS     TLS                    `json:"tls,omitzero" doc:"How the connection is secured, where the machine's own way is not enough."`
}

func (p Post) call() call {
	return call{Method: "POST", URL: p.URL, Body: p.Body, JSON: p.JSON, Headers: p.Headers, Expect: p.Expect, Follow: p.Follow,
		Timeout: p.Timeout, MaxBody: p.MaxBody, TLS: p.TLS}
}

// Summary implements op.Op.
func (p Post) Summary() string { return "send " + p.call().String() }

// Check implements op.Checked.
func (p Post) Check() error { return p.call().check() }

// Do implements op.Op.
func (p Post) Do(ctx context.Context, h *host.Host) (Response, error) { return p.call().do(ctx, h) }

// Request sends a request of any method.
type Request struct {
	_       op.Doc                 `doc:"Sends a request of any method. GET and HEAD look; any other cannot be taken back."`
	Method  string                 `json:"method" doc:"The method, such as \"PUT\"."`
	URL     secret.Text            `json:"url" doc:"Where to; a secret where the URL is one."`
	Body    secret.Text            `json:"body,omitzero" doc:"What to send, a text or a secret."`
	JSON    any                    `json:"json,omitempty" doc:"What to send as JSON instead: plain data, in which strings may be secrets."`
	Headers map[string]secret.Text `json:"headers,omitempty" doc:"Headers to send; secrets may be given here."`
	Expect  []int                  `json:"expect,omitempty" doc:"The HTTP statuses that are right; any 2xx when left out."`
	Follow  bool                   `json:"follow,omitempty" doc:"Follow redirects, to another host without the headers; a body is not sent on to one."`
	Timeout op.Duration            `json:"timeout" doc:"How long the answer may take."`
	MaxBody op.Size                `json:"max_body" doc:"How much of the answer's body is read."`
	TLS     TLS                    `json:"tls,omitzero" doc:"How the connection is secured, where the machine's own way is not enough."`
}

func (r Request) call() call {
	return call{Method: r.Method, URL: r.URL, Body: r.Body, JSON: r.JSON, Headers: r.Headers, Expect: r.Expect, Follow: r.Follow,
		Timeout: r.Timeout, MaxBody: r.MaxBody, TLS: r.TLS}
}

// Grade implements op.Graded.
func (r Request) Grade() op.Class {
	if r.Method == "GET" || r.Method == "HEAD" {
		return op.ClassRead
	}
	return op.ClassFinal
}

// Summary implements op.Op.
func (r Request) Summary() string { return "send " + r.call().String() }

// Check implements op.Checked.
func (r Request) Check() error { return r.call().check() }

// Do implements op.Op.
func (r Request) Do(ctx context.Context, h *host.Host) (Response, error) { return r.call().do(ctx, h) }

// Package http sends requests that a script writes, and gives what came back, bounded. What other families mean by a
// request has ops of its own: health and smoke tests, notices. The package trusts no certificate that is not asked for by
// name, and sends nothing that was meant for one host on to another one.
package http

import (
	"time"

	"github.com/erlmcp/runner/runtime/builtin"
	"github.com/erlmcp/runner/runtime/host"
	"github.com/erlmcp/runner/runtime/op"
)

const (
	timeout = op.Duration(30 * time.Second)
	most    = op.Size(host.MaxBody)
	why     = "what a request has done cannot be taken back"
)

// Family is what scripts see as http.
func Family(h *host.Host) builtin.Family {
	request := op.Final(h, Request{Timeout: timeout, MaxBody: most}, why)
	request.Sends = true // a GET among them is a Read, which a plan must not send
	return builtin.NewFamily("http",
		"Sends HTTP requests and gives their answers. A GET looks; whatever else is sent may change something, and cannot be taken back.",
		op.Ask(h, Get{Timeout: timeout, MaxBody: most}),
		op.Final(h, Post{Timeout: timeout, MaxBody: most}, why),
		request,
		builtin.Value(TLS{}),
	)
}

// Response is what came back.
type Response struct {
	_         op.Doc            `doc:"What came back."`
	Status    int               `json:"status" doc:"The HTTP status."`
	Headers   map[string]string `json:"headers" doc:"The headers, by names in lower case."`
	Body      string            `json:"body" doc:"The body as text, as much of it as max_body allows."`
	JSON      any               `json:"json,omitempty" doc:"What the body holds where it is JSON, nested 64 deep at most; else None."`
	Took      op.Duration       `json:"took" doc:"From the request to the end of the answer."`
	Truncated bool              `json:"truncated" doc:"Whether the body was longer than what is given."`
}

var (
	_ op.Op[*host.Host, Response] = Get{}
	_ op.Op[*host.Host, Response] = Post{}
	_ op.Op[*host.Host, Response] = Request{}
	_ op.Graded                   = Request{}
	_ op.Checked                  = Get{}
	_ op.Checked                  = Post{}
	_ op.Checked                  = Request{}
	_ op.Checked                  = TLS{}
)

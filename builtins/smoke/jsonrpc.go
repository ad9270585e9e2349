package smoke

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strings"

	"github.com/erlmcp/runner/builtins/body"
	"github.com/erlmcp/runner/runtime/host"
	"github.com/erlmcp/runner/runtime/op"
	"github.com/erlmcp/runner/runtime/secret"
)

// JSONRPC calls a method of JSON-RPC 2.0 over HTTP.
type JSONRPC struct {
	_        op.Doc                 `doc:"A test that calls a method of JSON-RPC 2.0 by HTTP POST: an answer to this call, in JSON, with a result and no error."`
	Path     string                 `json:"path" doc:"A path such as \"/mcp\", or a URL."`
	Method   string                 `json:"method" doc:"The method, such as \"initialize\"; one that changes nothing."`
	Params   any                    `json:"params,omitempty" doc:"Its parameters, a dict or a list; an empty dict when left out."`
	Result   map[string]any         `json:"result,omitempty" doc:"Values that the result must hold, by path: {\"serverInfo.name\": \"erlmcp\"}."`
	Headers  map[string]secret.Text `json:"headers,omitempty" doc:"Headers to send; secrets may be given here."`
	Name     string                 `json:"name,omitempty" doc:"What the test is called in output and reports; the method and the path when left out."`
	Optional bool                   `json:"optional,omitempty" doc:"Tell of a failure, and go on."`
	PerTry   op.Duration            `json:"per_try" doc:"How long the answer may take."`
	Base     string                 `json:"base,omitempty" doc:"Where the path is asked, instead of where smoke.run says."`
}

// Smoke marks a test.
func (JSONRPC) Smoke() {}

func (t JSONRPC) title() string { return cmp.Or(t.Name, "jsonrpc "+t.Method+" "+t.Path) }
func (t JSONRPC) must() bool    { return !t.Optional }
func (JSONRPC) alone() bool     { return false }
func (t JSONRPC) here() bool    { return t.Base == "" && strings.HasPrefix(t.Path, "/") }

// Check implements op.Checked.
func (t JSONRPC) Check() error {
	if t.Method == "" {
		return errors.New(`method: want a method such as "initialize", got an empty string`)
	}
	switch t.Params.(type) {
	case nil, []any, map[string]any:
	default:
		return fmt.Errorf("params: want a dict or a list, got %s", body.Short(t.Params))
	}
	return cmp.Or(checkAsked(t.Path, t.Base, t.PerTry, t.Headers), body.CheckPaths("result", t.Result))
}

const callID = 1

func (t JSONRPC) try(ctx context.Context, w world) verdict {
	params := t.Params
	if params == nil {
		params = map[string]any{}
	}
	call, err := json.Marshal(map[string]any{"jsonrpc": "2.0", "id": callID, "method": t.Method, "params": params})
	if err != nil {
		return failed("a call", "params that are no JSON: %s", err)
	}
	req := host.Request{Method: "POST", URL: w.url(t.Path, t.Base), Body: call, Header: map[string]string{"Content-Type": "application/json"}}
	r, err := w.ask(ctx, req, t.Headers, t.PerTry)
	if err != nil {
		return failed("a result", "%s", err)
	}
	return t.judge(r)
}

// judge compares an answer with what is right.
func (t JSONRPC) judge(r host.Response) verdict {
	if r.Status/100 != 2 {
		return failed("200", "%s", answer(r))
	}
	if kind := r.Header["content-type"]; !strings.Contains(kind, "json") {
		return failed("content of the type application/json", "%s", body.Printable(cmp.Or(kind, "content without a type"), 80))
	}
	v, err := decoded(r)
	if err != nil {
		return failed("a JSON-RPC answer", "a body that is %s", err)
	}
	o, ok := v.(map[string]any)
	switch id, numbered := o["id"]; {
	case !ok || o["jsonrpc"] != any("2.0"):
		return failed("a JSON-RPC 2.0 answer", "%s", body.Short(v))
	case o["error"] != nil:
		return failed("a result", "%s", refused(o["error"]))
	case !numbered || !body.Same(id, callID):
		return failed(fmt.Sprintf("an answer to call %d", callID), "one to call %s", body.Short(id))
	}
	result, ok := o["result"]
	if !ok {
		return failed("a result", "%s", body.Short(v))
	}
	if path, got := body.Mismatch(result, t.Result); path != "" {
		return failed("result."+path+" = "+body.Short(t.Result[path]), "%s", got)
	}
	return verdict{good: true, expected: "a result", got: body.Short(result)}
}

// refused is a JSON-RPC error in a phrase.
func refused(v any) string {
	code, _ := body.At(v, "code")
	text, ok := body.At(v, "message")
	if !ok || code == nil {
		return "error " + body.Short(v)
	}
	return body.Printable(fmt.Sprintf("error %v: %v", code, text), 160)
}

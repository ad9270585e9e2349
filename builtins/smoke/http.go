package smoke

import (
	"bytes"
	"cmp"
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/erlmcp/runner/builtins/body"
	"github.com/erlmcp/runner/runtime/host"
	"github.com/erlmcp/runner/runtime/op"
	"github.com/erlmcp/runner/runtime/secret"
)

// HTTP asks for a page.
type HTTP struct {
	_        op.Doc                 `doc:"A test that asks for a page: its status, a text in it, values of its JSON. Redirects are not followed."`
	Path     string                 `json:"path" doc:"A path such as \"/health\", or a URL."`
	Status   int                    `json:"status" doc:"The HTTP status that is right."`
	Contains string                 `json:"contains,omitempty" doc:"A text that the body must hold."`
	JSON     map[string]any         `json:"json,omitempty" doc:"Values that the JSON body must hold, by path: {\"checks.database.status\": \"healthy\"}."`
	Headers  map[string]secret.Text `json:"headers,omitempty" doc:"Headers to send; secrets may be given here."`
	Name     string                 `json:"name,omitempty" doc:"What the test is called in output and reports; GET and the path when left out."`
	Optional bool                   `json:"optional,omitempty" doc:"Tell of a failure, and go on."`
	PerTry   op.Duration            `json:"per_try" doc:"How long the answer may take."`
	Base     string                 `json:"base,omitempty" doc:"Where the path is asked, instead of where smoke.run says."`
}

// Smoke marks a test.
func (HTTP) Smoke() {}

func (t HTTP) title() string { return cmp.Or(t.Name, "GET "+t.Path) }
func (t HTTP) must() bool    { return !t.Optional }
func (HTTP) alone() bool     { return false }
func (t HTTP) here() bool    { return t.Base == "" && strings.HasPrefix(t.Path, "/") }

// Check implements op.Checked.
func (t HTTP) Check() error {
	if t.Status < 200 || t.Status > 599 {
		return fmt.Errorf("status: want an HTTP status such as 200, got %d", t.Status)
	}
	return cmp.Or(checkAsked(t.Path, t.Base, t.PerTry, t.Headers), body.CheckPaths("json", t.JSON))
}

func (t HTTP) try(ctx context.Context, w world) verdict {
	r, err := w.ask(ctx, host.Request{URL: w.url(t.Path, t.Base)}, t.Headers, t.PerTry)
	if err != nil {
		return failed(fmt.Sprint(t.Status), "%s", err)
	}
	return t.judge(r, w.version)
}

// judge compares an answer with what is right. A body that names a version names the one that was deployed.
func (t HTTP) judge(r host.Response, version string) verdict {
	status := fmt.Sprint(t.Status)
	if r.Status != t.Status {
		return failed(status, "%s", answer(r))
	}
	if t.Contains != "" && !bytes.Contains(r.Body, []byte(t.Contains)) {
		return failed(fmt.Sprintf("a body with %q", t.Contains), "%s", answer(r))
	}
	v, err := decoded(r)
	if err != nil && len(t.JSON) > 0 {
		return failed("JSON", "a body that is %s", err)
	}
	if path, got := body.Mismatch(v, t.JSON); path != "" {
		return failed(path+" = "+body.Short(t.JSON[path]), "%s", got)
	}
	if named, ok := body.At(v, "version"); version != "" && ok && !body.SameVersion(named, version) {
		return failed("version "+version, "version %s", body.Short(named))
	}
	return verdict{good: true, expected: t.expected(), got: status}
}

// expected is all that the test asks for.
func (t HTTP) expected() string {
	parts := []string{fmt.Sprint(t.Status)}
	if t.Contains != "" {
		parts = append(parts, fmt.Sprintf("a body with %q", t.Contains))
	}
	for _, path := range slices.Sorted(maps.Keys(t.JSON)) {
		parts = append(parts, path+" = "+body.Short(t.JSON[path]))
	}
	return body.Printable(strings.Join(parts, ", "), 200)
}

// ask sends a request; its error is a phrase.
func (w world) ask(ctx context.Context, r host.Request, headers map[string]secret.Text, limit op.Duration) (host.Response, error) {
	own, err := w.headers(headers)
	if err != nil {
		return host.Response{}, err
	}
	if r.Header == nil {
		r.Header = map[string]string{}
	}
	maps.Copy(r.Header, own)
	ctx, cancel := w.h.Clock.Timeout(ctx, limit.D(), late(limit))
	defer cancel()
	resp, err := w.h.Net.Do(ctx, r)
	if err != nil {
		return resp, errors.New(body.NoAnswer(err))
	}
	return resp, nil
}

// answer is the start of a response, in a line.
func answer(r host.Response) string {
	s := fmt.Sprint(r.Status)
	if to := r.Header["location"]; r.Status/100 == 3 && to != "" {
		return s + " to " + body.Printable(to, 80)
	}
	if text := strings.Join(strings.Fields(body.Head(r.Body)), " "); text != "" {
		s += ": " + body.Printable(text, 120)
	}
	return s
}

func decoded(r host.Response) (any, error) {
	if r.Truncated {
		return nil, fmt.Errorf("over %s long", op.Size(len(r.Body)))
	}
	return body.Decode(r.Body)
}

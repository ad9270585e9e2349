package http

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/textproto"
	"net/url"
	"regexp"
	"slices"
	"strings"
	"time"

	"github.com/erlmcp/runner/builtins/body"
	"github.com/erlmcp/runner/runtime/host"
	"github.com/erlmcp/runner/runtime/op"
	"github.com/erlmcp/runner/runtime/secret"
)

// call is what the ops have in common.
type call struct {
	Method  string
	URL     secret.Text
	Body    secret.Text
	JSON    any
	Headers map[string]secret.Text
	Expect  []int
	Follow  bool
	Timeout op.Duration
	MaxBody op.Size
	TLS     TLS
}

// String is such as "GET https://example.com/health".
func (c call) String() string { return c.Method + " " + body.Printable(c.URL.String(), 200) }

var token = regexp.MustCompile("^[A-Za-z0-9!#$%&'*+.^_`|~-]+$")

const (
	maxBody    = 64 << 20
	maxTimeout = op.Duration(time.Hour)
)

func (c call) check() error {
	switch {
	case !token.MatchString(c.Method) || strings.ToUpper(c.Method) != c.Method:
		return fmt.Errorf(`method: want a method such as "PUT", got %q`, c.Method)
	case c.Timeout <= 0 || c.Timeout > maxTimeout:
		return fmt.Errorf("timeout: want more than 0s and at most %s, got %s", maxTimeout, c.Timeout)
	case c.MaxBody < 1 || c.MaxBody > maxBody:
		return op.Hint(fmt.Errorf("max_body: want 1 to %s, got %s", op.Size(maxBody), c.MaxBody), "an answer is held in memory")
	case c.JSON != nil && c.hasBody():
		return errors.New("json: cannot be combined with body")
	case slices.ContainsFunc(c.Expect, func(s int) bool { return s < 200 || s > 599 }):
		return fmt.Errorf("expect: want HTTP statuses such as 200, got %d", c.Expect)
	case (c.Method == "GET" || c.Method == "HEAD") && (c.JSON != nil || c.hasBody()):
		return fmt.Errorf("body: a %s has none", c.Method)
	}
	for name := range c.Headers {
		if !token.MatchString(name) {
			return fmt.Errorf("headers: want names such as \"Authorization\", got %q", name)
		}
	}
	if c.URL.IsSecret() {
		return c.TLS.Check()
	}
	if err := checkURL(c.URL.String()); err != nil {
		return fmt.Errorf("url: %w, got %q", err, c.URL.String())
	}
	u, _ := url.Parse(c.URL.String())
	if u.User != nil {
		return op.Hint(errors.New("url: want no user and password in it: they would be printed"), "say headers = {\"Authorization\": ...} with a secret")
	}
	return c.TLS.Check()
}

func (c call) hasBody() bool { return c.Body.IsSecret() || c.Body.String() != "" }

// checkURL does not quote what it refuses, which may be a secret.
func checkURL(text string) error {
	u, err := url.Parse(text)
	if err != nil || u.Scheme != "http" && u.Scheme != "https" || u.Hostname() == "" {
		return errors.New(`want a URL such as "https://example.com/health"`)
	}
	return nil
}

func (c call) do(ctx context.Context, h *host.Host) (Response, error) {
	if err := c.check(); err != nil {
		return Response{}, err
	}
	req, err := c.request(h)
	if err != nil {
		return Response{}, fmt.Errorf("cannot send %s: %w", c, err)
	}
	op.Waiting(ctx, "an answer to "+c.String(), h.Clock.Now().Add(c.Timeout.D()))
	limited, cancel := h.Clock.Timeout(ctx, c.Timeout.D(), fmt.Errorf("no answer within %s", c.Timeout))
	defer cancel()
	r, err := h.Net.Do(limited, req)
	if ctx.Err() != nil {
		return Response{}, context.Cause(ctx)
	}
	if err != nil {
		return Response{}, advised(fmt.Errorf("no good answer to %s: %s", c, body.NoAnswer(err)), err)
	}
	if r.Truncated {
		r.Body = []byte(h.Secrets.Scrubber.Piece(string(r.Body)))
	}
	return c.judge(r)
}

// request reads the files and the secrets.
func (c call) request(h *host.Host) (host.Request, error) {
	target, err := h.Secrets.Reveal(c.URL)
	if err != nil {
		return host.Request{}, err
	}
	if err := checkURL(target); err != nil {
		return host.Request{}, fmt.Errorf("url: %w; the secret %s is none", err, c.URL.Name())
	}
	r := host.Request{Method: c.Method, URL: target, Header: map[string]string{}, MaxBody: int64(c.MaxBody), Follow: c.Follow}
	if r.TLS, err = c.TLS.open(h); err != nil {
		return r, err
	}
	if r.Body, err = c.content(h, r.Header); err != nil {
		return r, err
	}
	for name, text := range c.Headers {
		value, err := h.Secrets.Reveal(text)
		if err != nil {
			return r, err
		}
		if strings.ContainsAny(value, "\r\n\x00") {
			return r, fmt.Errorf("headers: %s has more than one line", name)
		}
		r.Header[textproto.CanonicalMIMEHeaderKey(name)] = value
	}
	return r, nil
}

func (c call) content(h *host.Host, header map[string]string) ([]byte, error) {
	if c.JSON == nil {
		text, err := h.Secrets.Reveal(c.Body)
		return []byte(text), err
	}
	v, err := revealed(h.Secrets, c.JSON)
	if err != nil {
		return nil, err
	}
	header["Content-Type"] = "application/json"
	b, err := json.Marshal(v)
	if err != nil {
		return nil, fmt.Errorf("json: %w", err)
	}
	return b, nil
}

// revealed is plain data with the values of the secrets in it.
func revealed(vault *secret.Vault, v any) (any, error) {
	switch v := v.(type) {
	case secret.Text:
		return vault.Reveal(v)
	case []any:
		out := make([]any, len(v))
		for i, e := range v {
			var err error
			if out[i], err = revealed(vault, e); err != nil {
				return nil, err
			}
		}
		return out, nil
	case map[string]any:
		out := make(map[string]any, len(v))
		for k, e := range v {
			var err error
			if out[k], err = revealed(vault, e); err != nil {
				return nil, err
			}
		}
		return out, nil
	}
	return v, nil
}

// judge is the answer as scripts see it, or why it is not one that was expected.
func (c call) judge(r host.Response) (Response, error) {
	out := Response{Status: r.Status, Headers: r.Header, Body: strings.ToValidUTF8(string(r.Body), "\uFFFD"), Truncated: r.Truncated,
		Took: op.Duration(r.Took.Round(10 * time.Microsecond))}
	if !r.Truncated && len(bytes.TrimSpace(r.Body)) > 0 {
		out.JSON, _ = body.Decode(r.Body) // what is no JSON is text
	}
	want, good := "2xx", r.Status/100 == 2
	if len(c.Expect) > 0 {
		want, good = strings.Trim(fmt.Sprint(c.Expect), "[]"), slices.Contains(c.Expect, r.Status)
		want = strings.ReplaceAll(want, " ", " or ")
	}
	if good {
		return out, nil
	}
	return out, c.unexpected(r, want)
}

// unexpected is the error of an answer with another status than wanted.
func (c call) unexpected(r host.Response, want string) error {
	if to := r.Header["location"]; r.Status/100 == 3 && to != "" {
		err := fmt.Errorf("%s gives %d to %s, want %s", c, r.Status, body.Printable(to, 100), want)
		return op.Hint(err, "ask there, or say follow = True")
	}
	got := fmt.Sprint(r.Status)
	if text := strings.Join(strings.Fields(body.Head(r.Body)), " "); text != "" {
		got += ": " + body.Printable(text, 160)
	}
	err := fmt.Errorf("%s gives %s, want %s", c, got, want)
	switch denied := r.Status == 401 || r.Status == 403; {
	case denied && len(c.Headers) > 0:
		return op.Hint(err, "look whether the secrets in headers are still good")
	case denied:
		return op.Hint(err, `say who asks: headers = {"Authorization": secret.format("Bearer {}", secret.env("TOKEN"))}`)
	}
	return err
}

// advised adds what to do.
func advised(err, cause error) error {
	var u *host.Untrusted
	if !errors.As(cause, &u) {
		if strings.HasSuffix(cause.Error(), "connection refused") {
			return op.Hint(err, "nothing listens there: look at the port, and whether the service runs")
		}
		if strings.HasPrefix(cause.Error(), "no answer within") {
			return op.Hint(err, "give it more time: timeout = \"2m\"")
		}
		return err
	}
	switch u.Why {
	case host.Expired:
		return op.Hint(err, "renew the certificate; look at this machine's clock")
	case host.WrongName:
		return op.Hint(err, "ask by a name that the certificate has, or say tls = http.tls(server_name = ...)")
	case host.Unknown:
		return op.Hint(err, "say tls = http.tls(ca = \"ca.pem\"), a file with the authority that signed it")
	case host.NoTLS:
		return op.Hint(err, "say http:// in the URL, or look at the port")
	case host.NoClient:
		return op.Hint(err, "say tls = http.tls(cert = \"client.pem\", key = secret.file(\"client.key\"))")
	}
	return err
}

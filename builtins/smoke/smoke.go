// Package smoke asks of what was deployed whether it works: answers over HTTP and JSON-RPC, how fast they come, commands.
// A test is a value; smoke.run runs them side by side and says of each what was expected and what came. A test is tried
// once: one that holds only at times does not hold. The package changes nothing but a report in the project.
package smoke

import (
	"context"
	"errors"
	"fmt"
	"net/textproto"
	"net/url"
	"strings"
	"time"

	"github.com/erlmcp/runner/builtins/probe"
	"github.com/erlmcp/runner/runtime/builtin"
	"github.com/erlmcp/runner/runtime/host"
	"github.com/erlmcp/runner/runtime/op"
	"github.com/erlmcp/runner/runtime/secret"
)

const perTry = op.Duration(5 * time.Second)

// Family is the op smoke.run and the tests that it takes.
func Family(h *host.Host) builtin.Family {
	return builtin.NewFamily("smoke",
		"Asks of what was deployed whether it works. The tests are values; a test is tried once, and changes nothing.",
		op.Ask(h, Run{Base: "http://127.0.0.1:8080", Within: op.Duration(time.Minute)}),
		op.Make(h, Rehearse{Within: op.Duration(time.Minute)}),
		builtin.Value(HTTP{Status: 200, PerTry: perTry}),
		builtin.Value(JSONRPC{PerTry: perTry}),
		builtin.Value(Latency{Tries: 20, PerTry: perTry}),
		builtin.Value(Command{PerTry: op.Duration(30 * time.Second)}),
	)
}

// Test is one question, and which answer to it is right.
type Test interface {
	// Smoke marks what an environment may hold as a test.
	Smoke()
	op.Checked
	title() string
	must() bool // its failure is one of the deployment
	alone() bool
	here() bool // it asks where it is told to, not a place of its own
	try(ctx context.Context, w world) verdict
}

var (
	_ Test = HTTP{}
	_ Test = JSONRPC{}
	_ Test = Latency{}
	_ Test = Command{}
)

// world is where tests are run, and what is to answer there.
type world struct {
	h       *host.Host
	base    string
	version string
	key     op.Key
}

// verdict is what a test expected and what came, each in a phrase.
type verdict struct {
	good     bool
	expected string
	got      string
}

func failed(expected, format string, args ...any) verdict {
	return verdict{expected: expected, got: fmt.Sprintf(format, args...)}
}

// late is the reason why a try ends.
func late(limit op.Duration) error { return fmt.Errorf("no answer within %s", limit) }

// headers are the values of headers, secrets among them.
func (w world) headers(own map[string]secret.Text) (map[string]string, error) {
	out := map[string]string{"Accept": "application/json, */*"}
	for name, text := range own {
		value, err := w.h.Secrets.Reveal(text)
		if err != nil {
			return nil, err
		}
		out[textproto.CanonicalMIMEHeaderKey(name)] = value
	}
	return out, nil
}

// url is where a path is asked.
func (w world) url(path, base string) string {
	if !strings.HasPrefix(path, "/") {
		return path
	}
	if base == "" {
		base = w.base
	}
	return strings.TrimRight(base, "/") + path
}

// checkAsked holds the rules that tests over HTTP share.
func checkAsked(path, base string, perTry op.Duration, headers map[string]secret.Text) error {
	u, err := url.Parse(path)
	switch {
	case err != nil, !strings.HasPrefix(path, "/") && u.Scheme != "http" && u.Scheme != "https", (u.Host == "") != (u.Scheme == ""):
		return fmt.Errorf(`path: want "/health" or "http://host:port/health", got %q`, path)
	case u.User != nil:
		return errors.New("path: want no user and password in it: they would be printed; put them into headers")
	}
	if err := checkTime(perTry); err != nil {
		return err
	}
	for name := range headers {
		if name == "" || strings.ContainsAny(name, " :\r\n") {
			return fmt.Errorf("headers: want names such as \"Authorization\", got %q", name)
		}
	}
	return probe.CheckBase(base)
}

func checkTime(perTry op.Duration) error {
	if perTry <= 0 {
		return errors.New("per_try: want more than 0s")
	}
	return nil
}

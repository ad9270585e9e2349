package notify

import (
	"context"
	"encoding/json"
	"errors"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/erlmcp/runner/builtins/body"
	"github.com/erlmcp/runner/runtime/builtin"
	"github.com/erlmcp/runner/runtime/host"
	"github.com/erlmcp/runner/runtime/optest"
	"github.com/erlmcp/runner/runtime/secret"
)

const canary = "canary-of-notify-5f1d"

func TestOps(t *testing.T) {
	optest.Run(t, optest.Suite{Family: func(*host.Host) builtin.Family { return Family() }})
}

// machine knows a URL, which is a secret, and a token.
func machine(url string) *host.Host {
	env := map[string]string{"HOOK": url + "/services/" + canary, "TOKEN": "token-" + canary, "JUNK": "junk-" + canary}
	vault := &secret.Vault{Getenv: func(n string) (string, bool) { v, ok := env[n]; return v, ok }, Scrubber: &secret.Scrubber{}}
	return &host.Host{Net: host.Internet{}, Clock: host.SystemClock{}, Secrets: vault}
}

var message = Message{Event: Failed, Run: "20260126t120000-k3f9", App: "erlmcp", Environment: "production", Script: "deploy.star",
	User: "alice", Host: "ci-1", Error: "GET <!channel> & co\n  gives 503"}

func slack() Slack     { return Slack{URL: secret.Env("HOOK"), On: usual()} }
func webhook() Webhook { return Webhook{URL: secret.Env("HOOK"), On: usual()} }

func TestDeliver(t *testing.T) {
	var path, text, kind, token string
	s := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		b, _ := io.ReadAll(r.Body)
		path, text, kind, token = r.Method+" "+r.URL.Path, string(b), r.Header.Get("Content-Type"), r.Header.Get("X-Token")
	}))
	defer s.Close()
	h := machine(s.URL)
	if err := Deliver(t.Context(), h, slack(), message); err != nil || path != "POST /services/"+canary || kind != "application/json" {
		t.Errorf("%v: %s %s", err, path, kind)
	}
	var said struct{ Text, Channel string }
	if err := json.Unmarshal([]byte(text), &said); err != nil ||
		said.Text != "erlmcp production: deploy.star failed: GET &lt;!channel&gt; &amp; co gives 503 [run 20260126t120000-k3f9]" || said.Channel != "" {
		t.Errorf("%v: %s", err, text)
	}
	loud := slack()
	loud.Channel = "#deployments"
	if err := Deliver(t.Context(), h, loud, message); err != nil || !strings.Contains(text, `"channel":"#deployments"`) {
		t.Errorf("%v: %s", err, text)
	}
	w := webhook()
	w.Headers = map[string]secret.Text{"x-token": secret.Env("TOKEN")}
	if err := Deliver(t.Context(), h, w, message); err != nil || token != "token-"+canary {
		t.Errorf("%v: %s", err, token)
	}
	var got struct {
		Message
		Text string
	}
	want := message
	want.Error = "GET <!channel> & co gives 503"
	if err := json.Unmarshal([]byte(text), &got); err != nil || got.Message != want || got.Text != want.Text() {
		t.Errorf("%v: %s", err, text)
	}
	long := message
	long.Error = "the secret is token-" + canary + strings.Repeat(" \x1b[31m", 9000)
	if err := Deliver(t.Context(), h, w, long); err != nil || strings.Contains(text, canary) || !strings.Contains(text, "‹secret TOKEN›") || len(text) > 3000 || strings.Contains(text, `\u001b`) {
		t.Errorf("%v, %d bytes: %s", err, len(text), text)
	}
}

func TestText(t *testing.T) {
	on := func(event string, change func(*Message)) Message {
		m := message
		m.Event, m.Error = event, ""
		if change != nil {
			change(&m)
		}
		return m
	}
	for want, m := range map[string]Message{
		"deploy.star started by alice on ci-1":                                      on(Started, nil),
		"deploy.star finished (1.2.0 serves)":                                       on(Finished, func(m *Message) { m.Version = "1.2.0" }),
		"deploy.star is undone: every change is taken back (1.1.0 serves)":          on(Undone, func(m *Message) { m.Version = "1.1.0" }),
		"deploy.star is undone: NOT everything is as it was: x":                     on(Undone, func(m *Message) { m.Error = "x" }),
		"the dead run R is undone: every change is taken back":                      on(Recovered, func(m *Message) { m.Dead = "R" }),
		"the dead run R is undone: NOT everything is as it was: the link is a file": on(Recovered, func(m *Message) { m.Dead, m.Error = "R", "the link is a file" }),
	} {
		if got := m.Text(); got != "erlmcp production: "+want+" [run 20260126t120000-k3f9]" {
			t.Errorf("got %s\nwant %s", got, want)
		}
	}
}

// Whatever the endpoint does, the error is one line that holds no secret.
func TestUndeliverable(t *testing.T) {
	why := errors.New("no answer in time")
	serve := func(f http.HandlerFunc) string {
		s := httptest.NewServer(f)
		t.Cleanup(s.Close)
		return s.URL
	}
	reset := func(w http.ResponseWriter, _ *http.Request) {
		c, _, err := w.(http.Hijacker).Hijack()
		if err == nil {
			c.(*net.TCPConn).SetLinger(0)
			c.Close()
		}
	}
	status := func(code int) http.HandlerFunc {
		return func(w http.ResponseWriter, r *http.Request) {
			w.Header().Set("Location", "/"+canary)
			w.WriteHeader(code)
			io.WriteString(w, "echo "+r.URL.Path)
		}
	}
	for _, c := range []struct{ url, want string }{
		{serve(status(500)), "it answers 500"},
		{serve(status(302)), "it answers 302"},
		{serve(reset), "read: connection reset by peer"},
		{serve(func(_ http.ResponseWriter, r *http.Request) { io.Copy(io.Discard, r.Body); <-r.Context().Done() }), "no answer in time"},
		{"http://127.0.0.1:1", "connection refused"},
		{"http://" + canary + ".invalid", "no host is called "},
		{"http://127.0.0.1:1\n", "what HOOK holds is no URL that begins with https:// or http://"},
		{"gopher://x", "what HOOK holds is no URL"},
	} {
		ctx, cancel := host.SystemClock{}.Timeout(t.Context(), 500e6, why)
		for name, n := range map[string]Notice{"Slack at ‹secret HOOK›": slack(), "the webhook ‹secret HOOK›": webhook()} {
			err := Deliver(ctx, machine(c.url), n, message)
			if err == nil || !strings.HasPrefix(err.Error(), "cannot tell "+name+` of "failed": `+c.want) || strings.Contains(err.Error(), "\n") {
				t.Errorf("%q: %v", c.url, err)
			}
			if hostless := strings.ReplaceAll(err.Error(), canary+".invalid", ""); strings.Contains(hostless, canary) {
				t.Errorf("shows the secret: %v", err)
			}
		}
		cancel()
	}
	w := webhook()
	w.Headers = map[string]secret.Text{"A": secret.Env("NONE")}
	if err := Deliver(t.Context(), machine("http://127.0.0.1:1"), w, message); err == nil || !strings.Contains(err.Error(), "cannot read the secret NONE") {
		t.Error(err)
	}
	w = Webhook{URL: secret.Plain("http://127.0.0.1:1/token"), On: usual()}
	if err := Deliver(t.Context(), machine(""), w, message); err == nil || err.Error() != `cannot tell the webhook on 127.0.0.1:1 of "failed": connection refused` {
		t.Error(err)
	}
	ctx, cancel := context.WithCancelCause(t.Context())
	cancel(why)
	if err := Deliver(ctx, machine("http://127.0.0.1:1"), slack(), message); err == nil || !strings.HasSuffix(err.Error(), body.NoAnswer(why)) {
		t.Error(err)
	}
}

func TestWants(t *testing.T) {
	for _, what := range all() {
		if usually := what != Finished; slack().Wants(what) != usually || webhook().Wants(what) != usually {
			t.Error(what)
		}
	}
}

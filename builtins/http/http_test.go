package http

import (
	"context"
	"encoding/json"
	"encoding/pem"
	"errors"
	"fmt"
	"io"
	"log"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/erlmcp/runner/runtime/op"
	"github.com/erlmcp/runner/runtime/secret"
)

func serve(t *testing.T, f http.HandlerFunc) secret.Text {
	t.Helper()
	s := httptest.NewServer(f)
	t.Cleanup(s.Close)
	return secret.Plain(s.URL)
}

func says(status int, text string) http.HandlerFunc {
	return func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Location", "/login")
		w.WriteHeader(status)
		io.WriteString(w, text)
	}
}

func TestWhatIsSent(t *testing.T) {
	var got string
	url := serve(t, func(w http.ResponseWriter, r *http.Request) {
		b, _ := io.ReadAll(r.Body)
		got = fmt.Sprintf("%s %s %q %s %s", r.Method, r.URL, r.Header["Authorization"], r.Header.Get("Content-Type"), b)
	})
	bearer, err := secret.Format("Bearer {}", secret.Env("TOKEN"))
	if err != nil {
		t.Fatal(err)
	}
	headers := map[string]secret.Text{"authorization": bearer}
	g, p, j, r := get(url), post(url), post(url), request("PUT", url)
	g.Headers, p.Body, r.Body = headers, secret.Env("TOKEN"), secret.Plain("x")
	j.JSON, j.Headers = map[string]any{"a": []any{secret.Env("TOKEN"), int64(9007199254740993), true}}, headers
	quoted, _ := json.Marshal(canary)
	for want, o := range map[string]interface{ call() call }{
		`GET / ["Bearer ` + canary + `"]  `: g,
		`POST / []  ` + canary:              p,
		`POST / ["Bearer ` + canary + `"] application/json {"a":[` + string(quoted) + `,9007199254740993,true]}`: j,
		`PUT / []  x`: r,
	} {
		if _, err := o.call().do(t.Context(), machine(t)); err != nil || got != want {
			t.Errorf("got  %s\nwant %s\n%v", got, want, err)
		}
	}
}

func TestResponse(t *testing.T) {
	r, err := get(serve(t, func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("X-Version", "1.2.0")
		io.WriteString(w, `{"n": 9007199254740993, "l": [true]}`)
	})).Do(t.Context(), machine(t))
	o, _ := r.JSON.(map[string]any)
	if err != nil || r.Status != 200 || r.Headers["x-version"] != "1.2.0" || o["n"] != any(json.Number("9007199254740993")) || r.Took <= 0 || r.Truncated {
		t.Errorf("%+v, %v", r, err)
	}
	for text, isJSON := range map[string]bool{"": false, "OK": false, `{"a":1}{"b":2}`: false, strings.Repeat("[", 65) + strings.Repeat("]", 65): false, "[]": true, " 7 ": true} {
		r, err := get(serve(t, says(200, text))).Do(t.Context(), machine(t))
		if err != nil || (r.JSON != nil) != isJSON || r.Body != text {
			t.Errorf("%q: %+v, %v", text, r, err)
		}
	}
	g := get(serve(t, says(200, `{"a":1}\xff and more`)))
	g.MaxBody = 7
	if r, err := g.Do(t.Context(), machine(t)); err != nil || !r.Truncated || r.Body != `{"a":1}` || r.JSON != nil {
		t.Errorf("%+v, %v", r, err)
	}
}

// An error says in a line what happened, and a hint what to do.
func TestErrors(t *testing.T) {
	cut := func(w http.ResponseWriter, _ *http.Request) {
		c, _, err := w.(http.Hijacker).Hijack()
		if err == nil {
			c.(*net.TCPConn).SetLinger(0)
			c.Close()
		}
	}
	hang := func(_ http.ResponseWriter, r *http.Request) { <-r.Context().Done() }
	with := func(f http.HandlerFunc, change func(*Get)) Get { g := get(serve(t, f)); change(&g); return g }
	for _, c := range []struct {
		name string
		get  Get
		want string // URL is the server's
		hint string
	}{
		{"status", get(serve(t, says(503, "not\n yet \x1b[0m"))), `GET URL gives 503: not yet \x1b[0m, want 2xx`, ""},
		{"another status", with(says(200, ""), func(g *Get) { g.Expect = []int{404, 410} }), "GET URL gives 200, want 404 or 410", ""},
		{"redirect", get(serve(t, says(302, ""))), "GET URL gives 302 to /login, want 2xx", "ask there, or say follow = True"},
		{"unknown", get(serve(t, says(401, ""))), "GET URL gives 401, want 2xx", "say who asks: headers ="},
		{"denied", with(says(403, ""), func(g *Get) { g.Headers = map[string]secret.Text{"A": secret.Env("TOKEN")} }), "GET URL gives 403, want 2xx", "still good"},
		{"refused", get(secret.Plain("http://127.0.0.1:1")), "no good answer to GET URL: connection refused", "nothing listens there"},
		{"silence", with(hang, func(g *Get) { g.Timeout = op.Duration(50 * time.Millisecond) }), "no good answer to GET URL: no answer within 50ms", "give it more time"},
		{"reset", get(serve(t, cut)), "no good answer to GET URL: read: connection reset by peer", ""},
		{"no such name", get(secret.Plain("http://nowhere.invalid")), "no good answer to GET URL: no host is called nowhere.invalid", ""},
		{"no secret", with(says(200, ""), func(g *Get) { g.Headers = map[string]secret.Text{"A": secret.Env("NONE")} }), "cannot send GET URL: cannot read the secret NONE", ""},
		{"two lines", with(says(200, ""), func(g *Get) { g.Headers = map[string]secret.Text{"A": secret.Env("LINES")} }), "cannot send GET URL: headers: A has more than one line", ""},
		{"no URL", get(secret.Env("NO_URL")), "cannot send GET URL: url: want a URL such as \"https://example.com/health\"; the secret NO_URL is none", ""},
		{"no file", with(says(200, ""), func(g *Get) { g.TLS.CA = "ca.pem" }), "cannot send GET URL: cannot read ca.pem: it does not exist", ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			_, err := c.get.Do(t.Context(), machine(t))
			if err == nil {
				t.Fatal("no error")
			}
			got := strings.ReplaceAll(err.Error(), c.get.URL.String(), "URL")
			if !strings.HasPrefix(got, c.want) || strings.Contains(got, "\n") || !strings.Contains(op.HintOf(err), c.hint) || c.hint == "" && op.HintOf(err) != "" {
				t.Errorf("\ngot  %s (%s)\nwant %s (%s)", got, op.HintOf(err), c.want, c.hint)
			}
			if strings.Contains(err.Error()+op.HintOf(err), "canary") {
				t.Errorf("shows a secret: %v", err)
			}
		})
	}
}

// A server that says what it was sent cannot have it shown: the vault told the scrubber.
func TestSecretsAreKnownToTheScrubber(t *testing.T) {
	m := machine(t)
	p := post(serve(t, func(w http.ResponseWriter, r *http.Request) {
		w.WriteHeader(500)
		fmt.Fprint(w, r.Header.Get("X-Token"))
	}))
	p.Headers = map[string]secret.Text{"X-Token": secret.Env("TOKEN")}
	_, err := p.Do(t.Context(), m)
	if err == nil || !strings.Contains(err.Error(), canary) {
		t.Fatalf("the server says nothing: %v", err)
	}
	if shown := m.Secrets.Scrubber.String(err.Error()); strings.Contains(shown, canary) || !strings.Contains(shown, "‹secret TOKEN›") {
		t.Error(shown)
	}
	for _, text := range []string{post(secret.Env("TOKEN")).Summary(), fmt.Sprintf("%+v", p)} {
		if strings.Contains(text, "canary") || !strings.Contains(text, "‹secret TOKEN›") {
			t.Error(text)
		}
	}
}

func TestTLS(t *testing.T) {
	s := httptest.NewUnstartedServer(says(200, "ok"))
	s.Config.ErrorLog = log.New(io.Discard, "", 0)
	s.StartTLS()
	defer s.Close()
	m := machine(t)
	ca := certificate(s.Certificate().Raw)
	if err := os.WriteFile(filepath.Join(m.Project, "ca.pem"), ca, 0o600); err != nil {
		t.Fatal(err)
	}
	g := get(secret.Plain(s.URL))
	if _, err := g.Do(t.Context(), m); err == nil || !strings.Contains(err.Error(), "which is not known here") || !strings.Contains(op.HintOf(err), "http.tls(ca =") {
		t.Errorf("%v (%s)", err, op.HintOf(err))
	}
	g.TLS = TLS{CA: "ca.pem"}
	if r, err := g.Do(t.Context(), m); err != nil || r.Body != "ok" {
		t.Errorf("%+v, %v", r, err)
	}
	g.TLS.ServerName = "elsewhere.example"
	if _, err := g.Do(t.Context(), m); err == nil || !strings.Contains(err.Error(), "and not for elsewhere.example") || !strings.Contains(op.HintOf(err), "server_name") {
		t.Errorf("%v (%s)", err, op.HintOf(err))
	}
	g.TLS = TLS{Insecure: true}
	if r, err := g.Do(t.Context(), m); err != nil || r.Body != "ok" {
		t.Errorf("%+v, %v", r, err)
	}
	g.TLS = TLS{Cert: "ca.pem", Key: secret.Env("TOKEN")}
	if _, err := g.Do(t.Context(), m); err == nil || !strings.Contains(err.Error(), "cannot use the client's certificate") {
		t.Error(err)
	}
}

func certificate(der []byte) []byte {
	return pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der})
}

func TestCancelled(t *testing.T) {
	asked := make(chan struct{})
	url := serve(t, func(_ http.ResponseWriter, r *http.Request) {
		io.Copy(io.Discard, r.Body)
		close(asked)
		<-r.Context().Done()
	})
	why := errors.New("asked to stop")
	ctx, cancel := context.WithCancelCause(t.Context())
	go func() { <-asked; cancel(why) }()
	if _, err := post(url).Do(ctx, machine(t)); err != why {
		t.Error(err)
	}
}

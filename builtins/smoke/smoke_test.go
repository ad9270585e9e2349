package smoke

import (
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"regexp"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/erlmcp/runner/builtins/body"
	"github.com/erlmcp/runner/runtime/op"
	"github.com/erlmcp/runner/runtime/secret"
)

// heard is what an op shows.
type heard struct {
	op.Silent
	lines []string
	child chan struct{}
}

func (h *heard) Output(l string) { h.lines = append(h.lines, l) }

func (h *heard) Child(op.Child) error {
	if h.child != nil {
		close(h.child)
	}
	return nil
}

var took = regexp.MustCompile(`\b[0-9.]+(µs|ms|s)\b`)

func timeless(s string) string { return took.ReplaceAllString(s, "TIME") }

func serve(t *testing.T, f http.HandlerFunc) string {
	t.Helper()
	s := httptest.NewServer(f)
	t.Cleanup(s.Close)
	return s.URL
}

func says(kind string, status int, text string) http.HandlerFunc {
	return func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", kind)
		w.Header().Set("Location", "/login")
		w.WriteHeader(status)
		io.WriteString(w, text)
	}
}

func TestVerdicts(t *testing.T) {
	const doc = `{"status":"healthy","version":"1.2.0","checks":{"db":{"n":3}}}`
	json := func(text string) http.HandlerFunc { return says("application/json", 200, text) }
	changed := func(change func(*HTTP)) HTTP { h := page("/health"); change(&h); return h }
	rpc := call("initialize")
	named := rpc
	named.Result = map[string]any{"serverInfo.name": "erlmcp"}
	hang := func(_ http.ResponseWriter, r *http.Request) { <-r.Context().Done() }
	cut := func(w http.ResponseWriter, _ *http.Request) {
		c, _, err := w.(http.Hijacker).Hijack()
		if err == nil {
			c.(*net.TCPConn).SetLinger(0)
			c.Close()
		}
	}
	wrong := program("sh", "-c", "echo one >&2; echo not ready >&2; exit 4")
	four := wrong
	four.Exit = 4
	optional := page("/health")
	optional.Optional = true
	for _, c := range []struct {
		name   string
		test   Test
		answer http.HandlerFunc
		want   string // the line
	}{
		{"page", page("/health"), json(doc), "pass GET /health (TIME): 200"},
		{"status", page("/health"), says("text/plain", 503, "not\n yet \x1b[31m"), `FAIL GET /health (TIME): want 200, got 503: not yet \x1b[31m`},
		{"redirect", page("/health"), says("", 302, ""), "FAIL GET /health (TIME): want 200, got 302 to /login"},
		{"wanted status", changed(func(h *HTTP) { h.Status, h.Name = 302, "login" }), says("", 302, ""), "pass login (TIME): 302"},
		{"optional", optional, says("", 500, ""), "FAIL GET /health (TIME, optional): want 200, got 500"},
		{"contains", changed(func(h *HTTP) { h.Contains = "healthy" }), json(doc), "pass GET /health (TIME): 200"},
		{"lacks", changed(func(h *HTTP) { h.Contains = "sound" }), says("", 200, "ill"), `FAIL GET /health (TIME): want a body with "sound", got 200: ill`},
		{"value", changed(func(h *HTTP) { h.JSON = map[string]any{"checks.db.n": int64(3)} }), json(doc), "pass GET /health (TIME): 200"},
		{"other value", changed(func(h *HTTP) { h.JSON = map[string]any{"checks.db.n": int64(4)} }), json(doc), "FAIL GET /health (TIME): want checks.db.n = 4, got 3"},
		{"no value", changed(func(h *HTTP) { h.JSON = map[string]any{"checks.x": "y"} }), json(doc), `FAIL GET /health (TIME): want checks.x = "y", got missing`},
		{"no JSON", changed(func(h *HTTP) { h.JSON = map[string]any{"a": "b"} }), json("OK"), "FAIL GET /health (TIME): want JSON, got a body that is no JSON"},
		{"brackets", changed(func(h *HTTP) { h.JSON = map[string]any{"a": "b"} }), json(strings.Repeat("[", 2<<20)), "FAIL GET /health (TIME): want JSON, got a body that is over 1MiB long"},
		{"other version", page("/health"), json(`{"version":"1.1.0"}`), `FAIL GET /health (TIME): want version 1.2.0, got version "1.1.0"`},
		{"no version", page("/health"), json(`[1]`), "pass GET /health (TIME): 200"},
		{"silence", changed(func(h *HTTP) { h.PerTry = op.Duration(50 * time.Millisecond) }), hang, "FAIL GET /health (TIME): want 200, got no answer within TIME"},
		{"reset", page("/health"), cut, "FAIL GET /health (TIME): want 200, got read: connection reset by peer"},
		{"no secret", changed(func(h *HTTP) { h.Headers = map[string]secret.Text{"X": secret.Env("NONE")} }), json(doc),
			"FAIL GET /health (TIME): want 200, got cannot read the secret NONE: the environment variable is not set"},
		{"elsewhere", changed(func(h *HTTP) { h.Base = "http://127.0.0.1:1" }), json(doc), "FAIL GET /health (TIME): want 200, got connection refused"},

		{"call", rpc, json(`{"jsonrpc":"2.0","id":1,"result":{"serverInfo":{"name":"erlmcp"}}}`), `pass jsonrpc initialize /mcp (TIME): {"serverInfo":{"name":"erlmcp"}}`},
		{"result", named, json(`{"jsonrpc":"2.0","id":1,"result":{"serverInfo":{"name":"erlmcp"}}}`), `pass jsonrpc initialize /mcp (TIME): {"serverInfo":{"name":"erlmcp"}}`},
		{"other result", named, json(`{"jsonrpc":"2.0","id":1,"result":{"serverInfo":{"name":"x"}}}`), `FAIL jsonrpc initialize /mcp (TIME): want result.serverInfo.name = "erlmcp", got "x"`},
		{"error", rpc, json(`{"jsonrpc":"2.0","id":1,"error":{"code":-32601,"message":"method not\nfound"}}`), `FAIL jsonrpc initialize /mcp (TIME): want a result, got error -32601: method not\nfound`},
		{"odd error", rpc, json(`{"jsonrpc":"2.0","id":1,"error":"x"}`), `FAIL jsonrpc initialize /mcp (TIME): want a result, got error "x"`},
		{"another's answer", rpc, json(`{"jsonrpc":"2.0","id":2,"result":1}`), "FAIL jsonrpc initialize /mcp (TIME): want an answer to call 1, got one to call 2"},
		{"nobody's answer", rpc, json(`{"jsonrpc":"2.0","result":1}`), "FAIL jsonrpc initialize /mcp (TIME): want an answer to call 1, got one to call null"},
		{"no result", rpc, json(`{"jsonrpc":"2.0","id":1}`), `FAIL jsonrpc initialize /mcp (TIME): want a result, got {"id":1,"jsonrpc":"2.0"}`},
		{"no answer", rpc, json(`[]`), "FAIL jsonrpc initialize /mcp (TIME): want a JSON-RPC 2.0 answer, got []"},
		{"old answer", rpc, json(`{"id":1,"result":1}`), `FAIL jsonrpc initialize /mcp (TIME): want a JSON-RPC 2.0 answer, got {"id":1,"result":1}`},
		{"garbage", rpc, json("\x00{"), "FAIL jsonrpc initialize /mcp (TIME): want a JSON-RPC answer, got a body that is no JSON"},
		{"no content type", rpc, says("text/html", 200, "{}"), "FAIL jsonrpc initialize /mcp (TIME): want content of the type application/json, got text/html"},
		{"not found", rpc, says("text/plain", 404, "no"), "FAIL jsonrpc initialize /mcp (TIME): want 200, got 404: no"},

		{"fast", timed(10*time.Second, 3), json(doc), "pass latency of /health (TIME): p95 TIME of 3 tries (median TIME, slowest TIME)"},
		{"slow", timed(time.Nanosecond, 3), json(doc), "FAIL latency of /health (TIME): want p95 under 1ns, got p95 TIME of 3 tries (median TIME, slowest TIME)"},
		{"ill", timed(time.Second, 3), says("", 503, ""), "FAIL latency of /health (TIME): want p95 under TIME, and 2xx, got 503 at try 1 of 3"},

		{"program", program("true"), json(doc), "pass true (TIME): exit 0"},
		{"its code", four, json(doc), "pass sh -c \"echo one >&2; echo not ready >&2; exit 4\" (TIME): exit 4"},
		{"another code", wrong, json(doc), "FAIL sh -c \"echo one >&2; echo not ready >&2; exit 4\" (TIME): want exit 0, got exit 4: not ready"},
		{"killed", program("sh", "-c", "kill -9 $$"), json(doc), "FAIL sh -c \"kill -9 $$\" (TIME): want exit 0, got ended by signal: killed"},
	} {
		t.Run(c.name, func(t *testing.T) {
			w := world{h: machine(t), base: serve(t, c.answer), version: "1.2.0"}
			r, err := runAll(t.Context(), w, []Test{c.test}, op.Duration(20*time.Second))
			if err != nil || len(r.Tests) != 1 {
				t.Fatalf("%+v, %v", r, err)
			}
			got := timeless(r.Tests[0].String())
			if got != c.want {
				t.Errorf("\ngot  %s\nwant %s", got, c.want)
			}
		})
	}
}

func TestWhatIsSent(t *testing.T) {
	var got string
	base := serve(t, func(w http.ResponseWriter, r *http.Request) {
		b, _ := io.ReadAll(r.Body)
		got = fmt.Sprintf("%s %s %s %q %s %s", r.Method, r.URL, r.Header.Get("Accept"), r.Header["Authorization"], r.Header.Get("Content-Type"), b)
	})
	bearer, err := secret.Format("Bearer {}", secret.Env("TOKEN"))
	if err != nil {
		t.Fatal(err)
	}
	m := call("tools/list")
	m.Params, m.Headers = []any{int64(1)}, map[string]secret.Text{"authorization": bearer, "accept": secret.Plain("a/b")}
	m.try(t.Context(), world{h: machine(t), base: base + "/"})
	if want := `POST /mcp a/b ["Bearer ` + token + `"] application/json {"id":1,"jsonrpc":"2.0","method":"tools/list","params":[1]}`; got != want {
		t.Errorf("\ngot  %s\nwant %s", got, want)
	}
	call("initialize").try(t.Context(), world{h: machine(t), base: base})
	if !strings.HasSuffix(got, `"params":{}}`) || !strings.Contains(got, "application/json, */*") {
		t.Error(got)
	}
}

// Tests run side by side, and those of latency with no other beside them; the outcomes come in the order given.
func TestSideBySide(t *testing.T) {
	var under, most, beside atomic.Int64
	base := serve(t, func(w http.ResponseWriter, r *http.Request) {
		n := under.Add(1)
		defer under.Add(-1)
		if r.URL.Path == "/health" {
			beside.Store(max(beside.Load(), n))
		}
		most.Store(max(most.Load(), n))
		time.Sleep(100 * time.Millisecond)
	})
	tests := []Test{timed(time.Second, 2)}
	for i := range 6 {
		tests = append(tests, page(fmt.Sprintf("/%d", i)))
	}
	h := &heard{}
	start := time.Now()
	r, err := Run{Tests: tests, Base: base, Within: op.Duration(time.Minute)}.Do(op.WithSpeaker(t.Context(), h), machine(t))
	if took := time.Since(start); err != nil || r.Passed != 7 || most.Load() < 4 || beside.Load() != 1 || took > 2*time.Second {
		t.Errorf("%+v, %v; %d at a time, %d beside latency, took %s", r, err, most.Load(), beside.Load(), took)
	}
	if want := "pass latency of /health,pass GET /0,pass GET /1,pass GET /2,pass GET /3,pass GET /4,pass GET /5,7 of 7 smoke tests passed in TIME"; names(h.lines) != want {
		t.Errorf("\ngot  %s\nwant %s", names(h.lines), want)
	}
}

func names(lines []string) string {
	var out []string
	for _, l := range lines {
		l, _, _ = strings.Cut(timeless(l), " (TIME")
		out = append(out, l)
	}
	return strings.Join(out, ",")
}

func TestFailure(t *testing.T) {
	base := serve(t, says("", 500, "broken"))
	optional := page("/optional")
	optional.Optional = true
	h := &heard{}
	r, err := Run{Tests: []Test{page("/a"), optional, page("/b"), program("true")}, Base: base, Within: op.Duration(time.Minute)}.Do(op.WithSpeaker(t.Context(), h), machine(t))
	if want := "2 of 4 smoke tests failed\n  GET /a: want 200, got 500: broken\n  GET /b: want 200, got 500: broken"; err == nil || err.Error() != want {
		t.Errorf("\ngot  %v\nwant %s", err, want)
	}
	if r.Passed != 1 || r.Failed != 2 || r.OptionalFailed != 1 || !strings.HasSuffix(timeless(h.lines[4]), "1 of 4 smoke tests passed in TIME; 1 optional one failed") {
		t.Errorf("%+v %q", r, h.lines)
	}
	if r, err := (Run{Tests: []Test{optional}, Base: base, Within: op.Duration(time.Minute)}).Do(t.Context(), machine(t)); err != nil || r.OptionalFailed != 1 {
		t.Errorf("%+v, %v", r, err)
	}
	var many []Test
	for range 100 {
		many = append(many, page("/"+strings.Repeat("x", 500)))
	}
	_, err = Run{Tests: many, Base: serve(t, says("", 500, strings.Repeat("y\n", 9000))), Within: op.Duration(time.Minute)}.Do(t.Context(), machine(t))
	if lines := strings.Split(err.Error(), "\n"); len(lines) > 24 || len(lines[1]) > 400 || lines[len(lines)-1] != "  and 85 more" {
		t.Errorf("%d lines:\n%s", len(lines), err)
	}
}

func TestWithin(t *testing.T) {
	base := serve(t, func(_ http.ResponseWriter, r *http.Request) { <-r.Context().Done() })
	start := time.Now()
	r, err := Run{Tests: []Test{page("/a"), timed(time.Second, 3), program("sleep", "60")}, Base: base, Within: op.Duration(300 * time.Millisecond)}.Do(t.Context(), machine(t))
	if err == nil || r.Failed != 3 || time.Since(start) > 2*time.Second || strings.Count(err.Error(), "got the tests are not done within 300ms") != 3 {
		t.Errorf("after %s: %v", time.Since(start), err)
	}
}

func TestCancelled(t *testing.T) {
	base := serve(t, func(_ http.ResponseWriter, r *http.Request) { <-r.Context().Done() })
	why := errors.New("asked to stop")
	h := &heard{child: make(chan struct{})}
	ctx, cancel := contextOf(t, h)
	var stopped time.Time
	go func() {
		<-h.child
		stopped = time.Now()
		cancel(why)
	}()
	_, err := Run{Tests: []Test{page("/a"), program("sleep", "60"), timed(time.Second, 3)}, Base: base, Within: op.Duration(time.Minute)}.Do(ctx, machine(t))
	if err != why || time.Since(stopped) > time.Second || len(h.lines) > 0 {
		t.Errorf("%v, %s after; %q", err, time.Since(stopped), h.lines)
	}
}

func TestSpread(t *testing.T) {
	times := make([]time.Duration, 20)
	for i := range times {
		times[i] = time.Duration(20-i) * time.Millisecond
	}
	if p95, text := spread(times); p95 != 19*time.Millisecond || text != "p95 19ms of 20 tries (median 10ms, slowest 20ms)" {
		t.Errorf("%s %s", p95, text)
	}
	if p95, text := spread(times[:1]); p95 != time.Millisecond || text != "p95 1ms of 1 tries (median 1ms, slowest 1ms)" {
		t.Errorf("%s %s", p95, text)
	}
}

func TestTitlesArePrintable(t *testing.T) {
	p := page("/\x1b]0;x\n")
	r, err := runAll(t.Context(), world{h: machine(t), base: "http://127.0.0.1:1"}, []Test{p}, perTry)
	if want := body.Printable(p.title(), 100); err != nil || r.Tests[0].Name != want || strings.ContainsAny(r.Tests[0].String(), "\n\x1b") {
		t.Errorf("%+v, %v", r, err)
	}
}

package probe

import (
	"errors"
	"io"
	"strings"
	"testing"
	"time"

	"github.com/erlmcp/runner/runtime/host"
	"github.com/erlmcp/runner/runtime/op"
)

// probe is the default one, of a path, changed.
func probe(change ...func(*Probe)) Probe {
	p := Default()
	p.Path, p.Base = "/health", "http://127.0.0.1:8080"
	for _, c := range change {
		c(&p)
	}
	return p
}

func accept(words ...string) func(*Probe) { return func(p *Probe) { p.Accept = words } }

func status(code int) func(*Probe) { return func(p *Probe) { p.Status = code } }

func holds(path string, want any) func(*Probe) {
	return func(p *Probe) { p.JSON = map[string]any{path: want} }
}

const (
	goodDoc = `{"status":"healthy","version":"1.2.0","checks":{"vm":{"status":"healthy"}},
		"metrics":{"memory_total":12278024,"run_queue":0,"odd":"x"},"system":{"otp_release":"26","cores":8}}`
	dbDown = `{"status":"unhealthy","version":"1.2.0","checks":{"vm":{"status":"healthy"},
		"database":{"status":"unhealthy","message":"connection refused"}}}`
	dbSlow = `{"status":"degraded","checks":{"database":{"status":"degraded","error":"slow"},"disk":"full","gproc":"ok"}}`
)

func TestJudge(t *testing.T) {
	type answer struct {
		name    string
		code    int
		body    string
		err     error
		probe   Probe
		version string
		good    bool
		text    string
	}
	for _, c := range []answer{
		{"healthy", 200, goodDoc, nil, probe(), "", true, "200 healthy, version 1.2.0"},
		{"unhealthy", 503, dbDown, nil, probe(), "", false, "503 unhealthy: database: connection refused"},
		{"unhealthy under 200", 200, dbDown, nil, probe(), "", false, "200 unhealthy, want healthy: database: connection refused"},
		{"a good word under a bad status", 500, goodDoc, nil, probe(), "", false, "500 healthy"},
		{"degraded, refused", 200, dbSlow, nil, probe(), "", false, "200 degraded, want healthy: database: slow; disk: full"},
		{"degraded, accepted", 200, dbSlow, nil, probe(accept("healthy", "degraded")), "", true, "200 degraded: database: slow; disk: full"},
		{"a word of its own", 200, `{"status":"UP"}`, nil, probe(accept("UP")), "", true, "200 UP"},
		{"a foreign word", 200, `{"status":"UP"}`, nil, probe(), "", false, "200 UP, want healthy"},
		{"the right version", 200, goodDoc, nil, probe(), "1.2.0", true, "200 healthy, version 1.2.0"},
		{"another version", 200, goodDoc, nil, probe(), "1.3.0", false, "200 healthy, version 1.2.0, want 1.3.0"},
		{"no version", 200, `{"status":"healthy"}`, nil, probe(), "1.3.0", true, "200 healthy"},
		{"plain text", 200, "OK", nil, probe(), "", false, "200, the body is no JSON"},
		{"nothing", 200, "", nil, probe(), "", false, "200, the body is no JSON"},
		{"two documents", 200, goodDoc + goodDoc, nil, probe(), "", false, "200, the body is more than one JSON value"},
		{"cut short", 200, goodDoc[:40], nil, probe(), "", false, "200, the body is no JSON"},
		{"JSON of another kind", 200, `[1]`, nil, probe(), "", false, "200, the body is no health document: it has no status"},
		{"a status that is no word", 200, `{"status":{"a":1}}`, nil, probe(), "", false, "200, the body is no health document: it has no status"},
		{"brackets", 200, strings.Repeat("[", 1<<20), nil, probe(), "", false, "200, the body is nested deeper than 64"},
		{"bare status", 200, "OK", nil, probe(status(200)), "", true, "200"},
		{"bare status of an unhealthy document", 200, dbDown, nil, probe(status(200)), "", false, "200 unhealthy, want healthy: database: connection refused"},
		{"any 2xx", 204, "", nil, probe(accept()), "", true, "204"},
		{"any document", 200, dbDown, nil, probe(accept()), "", true, "200 unhealthy, version 1.2.0: database: connection refused"},
		{"another status", 200, "", nil, probe(status(204)), "", false, "200, want 204"},
		{"not found", 404, "<html>", nil, probe(), "", false, "404"},
		{"redirect", 302, "", nil, probe(), "", false, "302 to /login"},
		{"redirect, wanted", 302, "", nil, probe(status(302)), "", true, "302 to /login"},
		{"value", 200, goodDoc, nil, probe(holds("checks.vm.status", "healthy")), "", true, "200 healthy, version 1.2.0"},
		{"another value", 200, goodDoc, nil, probe(holds("metrics.run_queue", int64(3))), "", false, "200 healthy, metrics.run_queue is 0, want 3"},
		{"a number of another type", 200, `{"n":1.0}`, nil, probe(holds("n", int64(1))), "", true, "200"},
		{"a huge number", 200, `{"n":9007199254740992}`, nil, probe(holds("n", int64(9007199254740993))), "", false,
			"200, n is 9007199254740992, want 9007199254740993"},
		{"in a list", 200, `{"l":[{"a":true}]}`, nil, probe(holds("l.0.a", true)), "", true, "200"},
		{"missing value", 200, goodDoc, nil, probe(holds("checks.db", "up")), "", false, `200 healthy, checks.db is missing, want "up"`},
		{"no JSON for a value", 200, "OK", nil, probe(holds("a", "b")), "", false, "200, the body is no JSON"},
		{"status by value", 200, `{"status":"UP"}`, nil, probe(holds("status", "UP")), "", true, "200 UP"},
		{"refused", 0, "", errors.New("dial: connection refused"), probe(), "", false, "connection refused"},
		{"late", 0, "", late(5 * time.Second), probe(), "", false, "no answer within 5s"},
		{"closed", 0, "", io.EOF, probe(), "", false, "the connection ends before the answer does"},
	} {
		t.Run(c.name, func(t *testing.T) {
			r := host.Response{Status: c.code, Body: []byte(c.body), Header: map[string]string{"location": "/login"}}
			a := Judge(r, c.err, c.probe, c.version)
			if a.Good != c.good || a.Text != c.text {
				t.Errorf("good %v, %q\nwant %v, %q", a.Good, a.Text, c.good, c.text)
			}
		})
	}
}

func TestJudgeTruncated(t *testing.T) {
	r := host.Response{Status: 200, Body: []byte(strings.Repeat(" ", 1<<20)), Truncated: true}
	if a := Judge(r, nil, probe(), ""); a.Good || a.Text != "200, the body is over 1MiB long" {
		t.Errorf("%v %q", a.Good, a.Text)
	}
}

func TestHintForAnotherVersion(t *testing.T) {
	r := host.Response{Status: 200, Body: []byte(`{"status":"healthy","version":"dev"}`)}
	if a := Judge(r, nil, probe(), "1.0.0"); a.Good || !strings.Contains(a.Hint, "main.version={version}") {
		t.Errorf("%+v", a)
	}
	if a := Judge(r, nil, probe(), "dev"); !a.Good || a.Hint != "" {
		t.Errorf("%+v", a)
	}
}

func TestHintOnlyForAMissingDocument(t *testing.T) {
	const want = "say status = 200 in the probe where the HTTP status alone is enough"
	if a := Judge(host.Response{Status: 200, Body: []byte("OK")}, nil, probe(), ""); a.Hint != want {
		t.Errorf("hint %q", a.Hint)
	}
	if a := Judge(host.Response{Status: 503, Body: []byte("no")}, nil, probe(), ""); a.Hint != "" {
		t.Errorf("hint on 503: %q", a.Hint)
	}
}

func TestBodyIsPrintable(t *testing.T) {
	body := "\x1b[31mred\x00\xff\u202e\n" + strings.Repeat("é", 2000)
	a := Judge(host.Response{Status: 500, Body: []byte(body)}, nil, probe(), "")
	if want := `\x1b[31mred\x00` + "\uFFFD" + `\u202e\n`; !strings.HasPrefix(a.Body, want) || len([]rune(a.Body)) > 201 {
		t.Errorf("body %q", a.Body)
	}
}

func TestDocument(t *testing.T) {
	a := Judge(host.Response{Status: 200, Body: []byte(goodDoc)}, nil, probe(), "")
	r := a.result(3, 1500*time.Microsecond)
	if r.LiveVersion() != "1.2.0" || r.Status != "healthy" || r.Metrics["memory_total"] != 12278024 || len(r.Metrics) != 2 ||
		r.System["otp_release"] != "26" || r.System["cores"] != "8" || len(r.Failing) != 0 || r.Tries != 3 {
		t.Errorf("result %+v", r)
	}
}

func FuzzDocument(f *testing.F) {
	f.Add([]byte(goodDoc))
	f.Add([]byte(dbDown))
	f.Add([]byte(dbDown[:100]))
	f.Add([]byte(strings.Repeat("[", 2<<20)))
	f.Add([]byte(strings.Repeat(`{"checks":`, 5000)))
	f.Add([]byte(`{"status":7,"version":[],"checks":[1],"metrics":"x","system":null}`))
	f.Add([]byte(`{"status":"healthy","checks":{"a":1,"b":null,"c":{"status":{}}},"metrics":{"n":1e999999,"m":-0}}`))
	f.Add([]byte(`{"status":"healthy\u0000\n\u202e","version":1e400}`))
	f.Add([]byte("\"\\"))
	relaxed, strict := probe(status(200)), probe(holds("metrics.n", 1.5))
	f.Fuzz(func(t *testing.T, body []byte) {
		r := host.Response{Status: 200, Body: body}
		for _, p := range []Probe{probe(), relaxed, strict} {
			a := Judge(r, nil, p, "1.0")
			for _, s := range []string{a.Text, a.Body} {
				if strings.ContainsAny(s, "\n\x00\x1b\u202e") || len([]rune(s)) > 1200 {
					t.Errorf("not fit to print: %q", s)
				}
			}
			if d := a.Document; a.Good && p.Status == 0 && len(p.JSON) == 0 && d.Status != healthy {
				t.Errorf("good with status %q", d.Status)
			}
		}
		u := &Unhealthy{Subject: "x", Answers: []Seen{{Judge(r, nil, probe(), ""), 1}}, Tries: 1}
		if n := strings.Count(u.Error(), "\n"); n > 4 {
			t.Errorf("%d lines", n)
		}
	})
}

func TestProbeCheck(t *testing.T) {
	for want, p := range map[string]Probe{
		`path: want what to ask, such as "/health", or a command`:                              Default(),
		"command: want a path or a command, got both":                                          probe(func(p *Probe) { p.Command = []string{"true"} }),
		`path: want "/health", "http://host:port/health" or "tcp://host:port", got "health"`:   probe(func(p *Probe) { p.Path = "health" }),
		`path: want "/health", "http://host:port/health" or "tcp://host:port", got "tcp://db"`: probe(func(p *Probe) { p.Path = "tcp://db" }),
		`path: want "/health", "http://host:port/health" or "tcp://host:port", got "//evil/x"`: probe(func(p *Probe) { p.Path = "//evil/x" }),
		"path: want no user and password in it: they would be printed":                         probe(func(p *Probe) { p.Path = "http://a:b@h/" }),
		"stable_for: want less than within (1m), got 1m30s":                                    probe(func(p *Probe) { p.StableFor = op.Duration(90 * time.Second) }),
		"consecutive: want 1 or more, got 0":                                                   probe(func(p *Probe) { p.Consecutive = 0 }),
		"per_try: want more than 0s":                                                           probe(func(p *Probe) { p.PerTry = 0 }),
		"within: want more than 0s":                                                            probe(func(p *Probe) { p.Within = 0 }),
		"status: want an HTTP status such as 200, got 20":                                      probe(status(20)),
		`json: want paths such as "checks.vm.status", got "a..b"`:                              probe(holds("a..b", 1)),
		`base: want an origin such as "http://127.0.0.1:8080", got "127.0.0.1:8080"`:           probe(func(p *Probe) { p.Base = "127.0.0.1:8080" }),
		"accept: want words such as \"degraded\", got an empty string":                         probe(accept("")),
		"command: status and json are for HTTP answers; a command is judged by its exit":       probe(status(200), func(p *Probe) { p.Path, p.Command = "", []string{"true"} }),
	} {
		if err := p.Check(); err == nil || err.Error() != want {
			t.Errorf("got  %v\nwant %s", err, want)
		}
	}
	for _, path := range []string{"/health", "/health?full=1", "https://h.example/health", "tcp://:5432", "tcp://[::1]:80"} {
		if err := probe(func(p *Probe) { p.Path = path }).Check(); err != nil {
			t.Errorf("%s: %v", path, err)
		}
	}
}

func TestBase(t *testing.T) {
	p := Default()
	p.Path = "/health"
	if err := p.Placed(); err == nil || op.HintOf(err) == "" {
		t.Errorf("a wait without host and port: %v", err)
	}
	p = p.WithBase("http://127.0.0.1:9").(Probe)
	if p = p.WithBase("http://127.0.0.1:10").(Probe); p.Subject() != "http://127.0.0.1:9/health" {
		t.Errorf("asks %s", p.Subject())
	}
}

package health

import (
	"net/http"
	"net/http/httptest"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/erlmcp/runner/builtins/probe"
	"github.com/erlmcp/runner/runtime/builtin"
	"github.com/erlmcp/runner/runtime/host"
	"github.com/erlmcp/runner/runtime/op"
)

// asked is the default probe of a path, changed.
func asked(change ...func(*probe.Probe)) probe.Probe {
	p := probing("http://127.0.0.1:8080")
	for _, c := range change {
		c(&p)
	}
	return p
}

func stable(d time.Duration) func(*probe.Probe) {
	return func(p *probe.Probe) { p.StableFor = op.Duration(d) }
}

func registry(t *testing.T) *op.Registry {
	t.Helper()
	families := []builtin.Family{Family(&host.Host{})}
	r, err := op.NewRegistry(builtin.Specs(families), builtin.Values(families))
	if err != nil {
		t.Fatal(err)
	}
	return r
}

func TestWire(t *testing.T) {
	r := registry(t)
	w := Wait{Version: "1.2.0", Within: op.Duration(30 * time.Second), Probe: asked(stable(5*time.Second), func(p *probe.Probe) {
		p.Accept, p.Status, p.JSON = []string{}, 204, map[string]any{"checks.vm.status": "healthy"}
	})}
	wire, err := r.Encode(w)
	if err != nil {
		t.Fatal(err)
	}
	const want = `{"op":"health.wait","params":{"probe":{"path":"/health","accept":[],"status":204,"json":{"checks.vm.status":"healthy"},` +
		`"within":"1m","stable_for":"5s","consecutive":1,"per_try":"5s","base":"http://127.0.0.1:8080"},"version":"1.2.0","within":"30s"}}`
	if string(wire) != want {
		t.Errorf("got  %s\nwant %s", wire, want)
	}
	back, err := r.Decode(wire)
	if err != nil || !reflect.DeepEqual(back.Params, w) {
		t.Errorf("came back as %+v, %v", back.Params, err)
	}
}

func TestSummaries(t *testing.T) {
	p := asked(stable(5 * time.Second))
	for want, got := range map[string]string{
		"wait up to 1m until http://127.0.0.1:8080/health is healthy for 5s at 1.2.0": Wait{Probe: p, Version: "1.2.0"}.Summary(),
		"wait up to 10s until tcp://127.0.0.1:5432 is healthy": Wait{Within: op.Duration(10 * time.Second),
			Probe: asked(func(p *probe.Probe) { p.Path = "tcp://:5432" })}.Summary(),
		"ask bin/erlmcp ping whether it is healthy": Check{Probe: asked(func(p *probe.Probe) { p.Path, p.Command = "", []string{"bin/erlmcp", "ping"} })}.Summary(),
	} {
		if got != want {
			t.Errorf("got %q, want %q", got, want)
		}
	}
}

// A plan neither waits nor sends.
func TestPlansLeaveThemOut(t *testing.T) {
	for _, s := range registry(t).Specs() {
		if s.Class != op.ClassRead || !s.Sends {
			t.Errorf("%s: class %s, sends %v", s.FullName(), s.Class, s.Sends)
		}
	}
}

func TestOverridesAreChecked(t *testing.T) {
	p := asked(stable(20 * time.Second))
	if err := (Wait{Probe: p, Within: op.Duration(10 * time.Second)}).Check(); err == nil ||
		err.Error() != "stable_for: want less than within (10s), got 20s" {
		t.Error(err)
	}
	if err := (Wait{Probe: p, StableFor: op.Duration(time.Second), PerTry: op.Duration(time.Second), Accept: []string{"UP"}}).Check(); err != nil {
		t.Error(err)
	}
}

// What a wait says goes before what its probe says, and what a check requires is an error.
func TestWhatAnOpSaysCounts(t *testing.T) {
	degraded := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.Write([]byte(`{"status":"degraded","version":"1.1.0"}`))
	}))
	defer degraded.Close()
	h := &host.Host{Net: host.Internet{}, Clock: host.SystemClock{}}
	w := Wait{Probe: asked(), Base: degraded.URL, Accept: []string{"degraded"}, Consecutive: 2, Within: op.Duration(20 * time.Second), PerTry: op.Duration(10 * time.Second)}
	if r, err := w.Do(t.Context(), h); err != nil || r.Tries != 2 || r.Status != "degraded" {
		t.Errorf("%+v, %v", r, err)
	}
	w.Version, w.Within, w.PerTry = "1.2.0", op.Duration(200*time.Millisecond), op.Duration(100*time.Millisecond)
	if _, err := w.Do(t.Context(), h); err == nil || !strings.Contains(err.Error(), "is not healthy after 200ms: 200 degraded, version 1.1.0, want 1.2.0") {
		t.Error(err)
	}
	c := Check{Probe: probing(degraded.URL)}
	if r, err := c.Do(t.Context(), h); err != nil || r.Healthy || r.Answer != "200 degraded, want healthy" {
		t.Errorf("%+v, %v", r, err)
	}
	c.Require = true
	if _, err := c.Do(t.Context(), h); err == nil || err.Error() != degraded.URL+"/health is not healthy: 200 degraded, want healthy" {
		t.Error(err)
	}
}

package health

import (
	"reflect"
	"testing"
	"time"

	"github.com/erlmcp/runner/runtime/builtin"
	"github.com/erlmcp/runner/runtime/op"
)

func registry(t *testing.T) *op.Registry {
	t.Helper()
	families := []builtin.Family{Family(machine(t))}
	r, err := op.NewRegistry(builtin.Specs(families), builtin.Values(families))
	if err != nil {
		t.Fatal(err)
	}
	return r
}

func TestWire(t *testing.T) {
	r := registry(t)
	w := Wait{Version: "1.2.0", Within: op.Duration(30 * time.Second), Probe: probe(func(p *Probe) { p.Accept = []string{} }, status(204), stable(5*time.Second),
		holds("checks.vm.status", "healthy"))}
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
	p := probe(stable(5 * time.Second))
	for want, got := range map[string]string{
		"wait up to 1m until http://127.0.0.1:8080/health is healthy for 5s at 1.2.0": Wait{Probe: p, Version: "1.2.0"}.Summary(),
		"wait up to 10s until tcp://127.0.0.1:5432 is healthy": Wait{Within: op.Duration(10 * time.Second),
			Probe: probe(func(p *Probe) { p.Path = "tcp://:5432" })}.Summary(),
		"ask bin/erlmcp ping whether it is healthy": Check{Probe: command("bin/erlmcp", "ping")}.Summary(),
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
	p := probe(stable(20 * time.Second))
	if err := (Wait{Probe: p, Within: op.Duration(10 * time.Second)}).Check(); err == nil ||
		err.Error() != "stable_for: want less than within (10s), got 20s" {
		t.Error(err)
	}
	if err := (Wait{Probe: p, StableFor: op.Duration(time.Second), PerTry: op.Duration(time.Second), Accept: []string{"UP"}}).Check(); err != nil {
		t.Error(err)
	}
}

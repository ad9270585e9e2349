package script

import (
	"context"
	"math"
	"reflect"
	"strings"
	"testing"

	"github.com/erlmcp/runner/runtime/builtin"
	"github.com/erlmcp/runner/runtime/op"
)

const judging = `
def judge(answer):
    if answer["path"] == "/grow":
        answer["more"] = 1
    if answer["path"] == "/act":
        releases.list("/opt")
    for i in range(10000000 if answer["path"] == "/long" else 0):
        pass
    return "it is " + answer["path"]

production = environment(app = "erlmcp", target = host(root = "/opt/erlmcp"), health = probe("/health", judge = judge))
grow = environment(app = "erlmcp", target = host(root = "/opt/erlmcp"), health = probe("/grow", judge = judge))
long = environment(app = "erlmcp", target = host(root = "/opt/erlmcp"), health = probe("/long", judge = judge))
act = environment(app = "erlmcp", target = host(root = "/opt/erlmcp"), health = probe("/act", judge = judge))
`

// A function that environments.star gives to a value is called where main is, long after loading.
func TestFunctionOfAnEnvironment(t *testing.T) {
	for environment, want := range map[string]string{
		"production": "",
		"grow":       "environments.star:4:15: judge is asked about /grow: cannot insert into frozen hash table",
		"long":       "environments.star:7:5: judge is asked about /long: the script has taken more than 300000 steps",
		"act":        "environments.star:6:9: judge is asked about /act: releases.list has an effect and is called in a function given to probe",
	} {
		o := open(t, map[string]string{environmentsFile: judging, "deploy.star": `
def main(environment):
    print(environment.health)
    health.wait(environment.health)
    health.wait(probe(environment.health.path, judge = environment.health.judge))
`}, "deploy.star", func(o *Options) { o.Limits.Steps = 300000 })
		err := o.main(t.Context(), environment)
		got := ""
		if err != nil {
			got = Diagnose(err).String()
		}
		if !strings.HasPrefix(got, want) || (want == "") != (got == "") {
			t.Errorf("%s: got\n%s\nwant\n%s", environment, got, want)
		}
		const called = "judge = <function judge>, kind = \"probe\")\nenvironments.star:2:1 judge: it is /health\nenvironments.star:2:1 judge: it is /health"
		if all := strings.Join(o.lines, "\n"); want == "" && !strings.Contains(all, called) {
			t.Error(all)
		}
	}
}

// What a log names is found again where the same source is loaded, and only there; it lives as long as whoever calls it.
func TestFunctionByItsNameInALog(t *testing.T) {
	o := open(t, map[string]string{environmentsFile: judging, "deploy.star": "def main(environment):\n    pass\n"}, "deploy.star")
	w := &world{}
	registry, err := op.NewRegistry(builtin.Specs(families(w)), builtin.Values(families(w)))
	if err != nil {
		t.Fatal(err)
	}
	read := func(function string) op.Func {
		b, err := registry.Decode([]byte(`{"op": "health.wait", "params": {"probe": {"path": "/health", "judge": ` + function + `}}}`))
		if err != nil {
			t.Fatal(err)
		}
		return reflect.ValueOf(b.Params).FieldByName("Probe").Interface().(Probe).Judge
	}
	digest := ""
	for _, f := range o.Files() {
		if f.Name == environmentsFile {
			digest = f.Digest
		}
	}
	known := `{"module": "environments.star", "name": "judge", "digest": "` + digest + `"}`
	if f := read(known); f.Call != nil || f.Name != "judge" {
		t.Errorf("without a script: %+v", f)
	}
	registry.Function = o.Function
	for _, other := range []string{strings.Replace(known, digest, "00", 1), strings.Replace(known, "judge", "grow", 1), strings.Replace(known, "judge", "jugde", 1), strings.Replace(known, "environments", "deploy", 1)} {
		if f := read(other); f.Call != nil {
			t.Errorf("%s can be called", other)
		}
	}
	f := read(known)
	got, err := f.Invoke(t.Context(), map[string]any{"path": "/x"})
	if err != nil || got != "it is /x" {
		t.Errorf("%v, %v", got, err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := f.Invoke(ctx, map[string]any{"path": "/x"}); err == nil {
		t.Error("it is called although nobody waits for it any more")
	}
}

func TestHowManyArgumentsAFunctionTakes(t *testing.T) {
	for parameters, want := range map[string][2]int{
		"": {0, 0}, "a": {1, 1}, "a, b": {2, 2}, "a, b = 1": {1, 2}, "*more": {0, math.MaxInt}, "a, *more": {1, math.MaxInt}, "a, **more": {1, 1}, "a, *, b": {2, 1}, "a, *, b = 1": {1, 1},
	} {
		o := open(t, map[string]string{environmentsFile: "def judge(" + parameters + "):\n    pass\n", "deploy.star": "def main():\n    pass\n"}, "deploy.star")
		if o.err != nil {
			t.Fatal(o.err)
		}
		f := o.Function(op.Func{Module: environmentsFile, Name: "judge", Digest: o.loader.modules[environmentsFile].Digest})
		if got := [2]int{f.Min, f.Max}; got != want {
			t.Errorf("(%s): %v, want %v", parameters, got, want)
		}
	}
}

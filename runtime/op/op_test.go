package op

import (
	"context"
	"strings"
	"testing"
	"time"

	"github.com/erlmcp/runner/runtime/secret"
)

type world struct{}

type driver interface{ drive() }

type process struct {
	Argv []string               `json:"argv"`
	Env  map[string]secret.Text `json:"env,omitempty"`
}

func (process) drive() {}

type Switch struct {
	_       Doc      `doc:"Switches."`
	Root    string   `json:"root" doc:"Where."`
	Service driver   `json:"service,omitempty" doc:"What."`
	Timeout Duration `json:"timeout" doc:"How long."`
	Key     Key      `json:"key"`
}

func (s Switch) Summary() string                             { return "switch " + s.Root }
func (s Switch) Target(world) string                         { return "host:" + s.Root }
func (s Switch) Do(context.Context, world) (string, error)   { return "done", nil }
func (s Switch) Inverse(context.Context, world) (any, error) { return Back{Root: s.Root}, nil }

type Back struct {
	Root string `json:"root"`
}

func (b Back) Summary() string                             { return "switch back " + b.Root }
func (b Back) Do(context.Context, world) (Restored, error) { return Restored{}, nil }

func registry(t testing.TB) *Registry {
	r, err := NewRegistry(map[string][]*Spec{
		"releases": {Change(world{}, Switch{Timeout: Duration(time.Minute)}), Undo(world{}, Back{})},
	}, map[string]any{"process": process{}})
	if err != nil {
		t.Fatal(err)
	}
	return r
}

func TestWire(t *testing.T) {
	r := registry(t)
	in := Switch{Root: "/opt/x", Timeout: Duration(90 * time.Second), Key: "run/7",
		Service: process{Argv: []string{"bin/x"}, Env: map[string]secret.Text{"A": secret.Plain("1"), "B": secret.Env("B")}}}
	wire, err := r.Encode(in)
	if err != nil {
		t.Fatal(err)
	}
	const want = `{"op":"releases.switch","params":{"root":"/opt/x","service":{"kind":"process","argv":["bin/x"],` +
		`"env":{"A":"1","B":{"secret":{"env":"B"}}}},"timeout":"1m30s","key":"run/7"}}`
	if string(wire) != want {
		t.Errorf("wire\n got %s\nwant %s", wire, want)
	}
	b, err := r.Decode(wire)
	if err != nil {
		t.Fatal(err)
	}
	if again, _ := r.Encode(b.Params); string(again) != string(wire) {
		t.Errorf("came back as %s", again)
	}
	if _, err := r.Decode([]byte(`{"op":"releases.swich","params":{}}`)); err == nil {
		t.Error("an unknown op is read")
	}
}

func TestBound(t *testing.T) {
	s := registry(t).specs["releases.switch"]
	b := Bound{Spec: s, Params: Switch{Root: "/r"}}.WithKey("run/3")
	if b.Params.(Switch).Key != "run/3" || b.Target() != "host:/r" || b.Summary() != "switch /r" {
		t.Errorf("bound: %+v, %s, %s", b.Params, b.Target(), b.Summary())
	}
	inv, err := b.Inverse(t.Context())
	if err != nil || inv != (Back{Root: "/r"}) {
		t.Errorf("inverse: %v, %v", inv, err)
	}
	b.Unknown = map[string]string{"timeout": Unknown{"build.go"}.String()}
	if got := b.Summary(); got != `releases.switch(root = "/r", timeout = ‹known after build.go›)` {
		t.Errorf("summary with an unknown: %s", got)
	}
}

func TestSnake(t *testing.T) {
	for in, want := range map[string]string{"WaitFor": "wait_for", "HTTP": "http", "JSONPath": "json_path", "Go": "go"} {
		if got := Snake(in); got != want {
			t.Errorf("Snake(%s) = %s", in, got)
		}
	}
}

type heard struct {
	Silent
	lines []string
}

func (h *heard) Output(line string) { h.lines = append(h.lines, line) }

func TestOutputCutsLines(t *testing.T) {
	h := &heard{}
	w := Output(WithSpeaker(t.Context(), h))
	w.Write([]byte("one\r\ntw"))
	w.Write([]byte("o\n" + strings.Repeat("x", maxLine+5)))
	w.Close()
	if len(h.lines) != 4 || h.lines[0] != "one" || h.lines[1] != "two" || h.lines[2] != strings.Repeat("x", maxLine)+"…" || h.lines[3] != "…xxxxx" {
		t.Errorf("lines: %d, %.40q", len(h.lines), h.lines)
	}
}

func FuzzDuration(f *testing.F) {
	for _, s := range []string{"90s", "5m30s", "1h", "-1s", "9999999999h", "1", ""} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		var d, back Duration
		if d.UnmarshalText([]byte(s)) != nil {
			return
		}
		if err := back.UnmarshalText([]byte(d.String())); err != nil || back != d || d < 0 {
			t.Errorf("%q is %s, back %s, %v", s, d, back, err)
		}
	})
}

func FuzzSize(f *testing.F) {
	for _, s := range []string{"2GiB", "500MB", "1.5 GiB", "0", "9999999999999TB", "-1", "1e9"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		var n, back Size
		if n.UnmarshalText([]byte(s)) != nil {
			return
		}
		text, _ := n.MarshalText()
		if err := back.UnmarshalText(text); err != nil || back != n || n < 0 {
			t.Errorf("%q is %d, back %d, %v", s, n, back, err)
		}
	})
}

func FuzzDecode(f *testing.F) {
	f.Add([]byte(`{"op":"releases.switch","params":{"root":"/r","service":{"kind":"process","argv":["a"]},"timeout":"1s"}}`))
	f.Add([]byte(`{"op":"releases.switch","params":[]}`))
	f.Add([]byte(`{"op":"releases.switch","params":{"service":{"kind":"probe"}}}`))
	f.Add([]byte(`nul`))
	r := registry(f)
	f.Fuzz(func(t *testing.T, data []byte) {
		b, err := r.Decode(data)
		if err != nil {
			return
		}
		wire, err := r.Encode(b.Params)
		if err != nil {
			t.Fatalf("decoded but not encoded: %v", err)
		}
		if _, err := r.Decode(wire); err != nil {
			t.Errorf("%s is not read back: %v", wire, err)
		}
	})
}

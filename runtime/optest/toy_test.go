package optest

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/erlmcp/runner/runtime/builtin"
	"github.com/erlmcp/runner/runtime/host"
	"github.com/erlmcp/runner/runtime/op"
	"github.com/erlmcp/runner/runtime/secret"
)

// The toy family switches a folder from one version to another: it stops what runs, switches the link, and starts. Its
// op breaks one rule where Fault names it.

type Switch struct {
	_     op.Doc `doc:"Switches a folder to a version."`
	Dir   string `json:"dir" doc:"The folder."`
	To    string `json:"to" doc:"The version."`
	Fault string `json:"fault,omitempty" doc:"The rule to break."`
	Key   op.Key `json:"key"`
}

type Switched struct {
	To string `json:"to" doc:"The version that serves."`
}

func (s Switch) Summary() string {
	if s.Fault == "summary" {
		return "one\ntwo"
	}
	return "switch " + s.Dir + " to " + s.To
}

func (s Switch) Target(h *host.Host) string { return h.RootTarget(s.Dir) }

func (s Switch) Preview(ctx context.Context, h *host.Host) (Switched, error) {
	switch s.Fault {
	case "preview writes":
		return Switched{}, write(h, s.Dir, "link", "x")
	case "preview writes behind the host's back":
		return Switched{}, os.WriteFile(filepath.Join(s.Dir, "link"), []byte("x"), 0o600)
	case "preview waits":
		return Switched{}, h.Clock.Sleep(ctx, time.Millisecond)
	}
	return Switched{s.To}, nil
}

func (s Switch) Difference(_ context.Context, h *host.Host) ([]string, error) {
	if s.Fault == "difference writes" {
		return nil, write(h, s.Dir, "link", "x")
	}
	return []string{"link: " + s.To}, nil
}

func (s Switch) Inverse(_ context.Context, h *host.Host) (any, error) {
	b := Back{Dir: s.Dir, Want: read(h, s.Dir, "link"), Made: s.To, Ran: read(h, s.Dir, "runs"), Fault: s.Fault}
	switch s.Fault {
	case "inverse writes":
		return b, write(h, s.Dir, "link", "x")
	case "has no inverse":
		return nil, nil
	case "loses on the wire":
		b.Lost.Text = b.Ran
		b.Ran = ""
	}
	return b, nil
}

func (s Switch) Do(ctx context.Context, h *host.Host) (Switched, error) {
	switch s.Fault {
	case "deaf":
		op.Waiting(ctx, "nothing", h.Clock.Now().Add(time.Minute))
		h.Clock.Sleep(context.WithoutCancel(ctx), 1200*time.Millisecond)
	case "mute":
		if err := h.Clock.Sleep(ctx, 1200*time.Millisecond); err != nil {
			return Switched{}, err
		}
	default:
		op.Waiting(ctx, "the world", h.Clock.Now().Add(time.Minute))
	}
	for _, step := range []struct{ name, file, text string }{{"stopped", "runs", ""}, {"switched", "link", s.To}, {"", "runs", s.To}} {
		if ctx.Err() != nil && s.Fault != "deaf" {
			return Switched{}, context.Cause(ctx)
		}
		if err := write(h, s.Dir, step.file, step.text); err != nil {
			return Switched{}, err
		}
		if err := op.Half(ctx, step.name); step.name != "" && err != nil && s.Fault != "goes on" {
			return Switched{}, err
		}
	}
	return Switched{s.To}, nil
}

type Back struct {
	_     op.Doc `doc:"Switches back."`
	Dir   string `json:"dir" doc:"The folder."`
	Want  string `json:"want" doc:"The version to return to."`
	Made  string `json:"made" doc:"The version that it may replace."`
	Ran   string `json:"ran" doc:"What ran."`
	Lost  lost   `json:"lost,omitzero" doc:"What the wire does not carry."`
	Fault string `json:"fault,omitempty" doc:"The rule to break."`
}

type lost struct {
	Text string `json:"-"`
}

func (b Back) Summary() string { return "switch back to " + b.Want }

func (b Back) Do(ctx context.Context, h *host.Host) (op.Restored, error) {
	link, runs := read(h, b.Dir, "link"), read(h, b.Dir, "runs")
	switch {
	case link != b.Want && link != b.Made, b.Fault == "half is a conflict" && runs == "",
		b.Fault == "its own half is a conflict" && link == b.Want && runs != b.Ran:
		return op.Restored{}, &op.Conflict{What: b.Dir, Wanted: b.Want, Found: link}
	case link == b.Want && runs == b.Ran && b.Fault != "is relative":
		return op.Restored{Already: b.Fault != "never already"}, nil
	case b.Fault == "is relative" && link == b.Want:
		return op.Restored{Already: true}, write(h, b.Dir, "link", b.Made)
	}
	if err := write(h, b.Dir, "link", b.Want); err != nil {
		return op.Restored{}, err
	}
	if err := op.Half(ctx, "switched back"); err != nil || b.Fault == "forgets" {
		return op.Restored{}, err
	}
	return op.Restored{}, write(h, b.Dir, "runs", b.Ran+b.Lost.Text)
}

// Peek is a Read; one that sends is registered as an Ask.
type Peek struct {
	_     op.Doc `doc:"Looks."`
	Dir   string `json:"dir" doc:"The folder."`
	Fault string `json:"fault,omitempty" doc:"The rule to break."`
}

func (p Peek) Summary() string { return "look at " + p.Dir }
func (p Peek) Do(ctx context.Context, h *host.Host) (string, error) {
	if p.Fault == "dials" {
		return "", h.Net.Dial(ctx, "127.0.0.1:1")
	}
	return read(h, p.Dir, "link"), nil
}

func read(h *host.Host, dir, name string) string {
	b, _ := host.ReadFile(h.Files, filepath.Join(dir, name), 1<<10)
	return string(b)
}

func write(h *host.Host, dir, name, text string) error {
	return host.WriteFile(h.Files, filepath.Join(dir, name), []byte(text), 0o600)
}

// Part is a value with a field of every kind that the wire knows.
type Part struct {
	_       op.Doc                 `doc:"A part."`
	Text    secret.Text            `json:"text" doc:"A text."`
	Within  op.Duration            `json:"within" doc:"A duration."`
	Size    op.Size                `json:"size,omitempty" doc:"A size."`
	Env     map[string]secret.Text `json:"env,omitempty" doc:"Variables."`
	Next    *Part                  `json:"next,omitempty" doc:"The next part."`
	Check   op.Func                `json:"check,omitzero" doc:"A function."`
	At      time.Time              `json:"at,omitzero" doc:"A time."`
	Numbers []float64              `json:"numbers,omitempty" doc:"Numbers."`
	Any     any                    `json:"any,omitempty" doc:"Anything plain."`
	Mode    own                    `json:"mode,omitempty" doc:"A form of its own."`
}

func (Part) part() {}

// own has a form of its own on the wire, which only it knows.
type own string

func (o *own) UnmarshalText(text []byte) error {
	if string(text) != "" {
		return errors.New("want nothing")
	}
	return nil
}

func toy(h *host.Host) builtin.Family {
	return builtin.NewFamily("toy", "A toy.", op.Change(h, Switch{}), op.Undo(h, Back{}), op.Read(h, Peek{}), builtin.Value(Part{Within: op.Duration(time.Minute)}))
}

func folder(params func(dir string) any) func(testing.TB) World {
	return func(t testing.TB) World {
		h := &host.Host{Files: host.OS{}, Procs: host.Linux{}, Net: host.Internet{}, Clock: host.SystemClock{}}
		dir := t.TempDir()
		if err := errors.Join(write(h, dir, "link", "1"), write(h, dir, "runs", "1")); err != nil {
			t.Fatal(err)
		}
		return World{Host: h, Params: params(dir), Snapshot: func() string {
			return "link " + read(h, dir, "link") + ", runs " + read(h, dir, "runs")
		}}
	}
}

func switching(fault string) func(testing.TB) World {
	return folder(func(dir string) any { return Switch{Dir: dir, To: "2", Fault: fault} })
}

func peeking(fault string) func(testing.TB) World {
	return folder(func(dir string) any { return Peek{Dir: dir, Fault: fault} })
}

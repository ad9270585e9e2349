package engine

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"go.uber.org/goleak"

	"github.com/erlmcp/runner/runtime/event"
	"github.com/erlmcp/runner/runtime/host"
	"github.com/erlmcp/runner/runtime/journal"
	"github.com/erlmcp/runner/runtime/op"
	"github.com/erlmcp/runner/runtime/secret"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// world is a toy target: a folder whose files are values. Every op of the tests works on it.
type world struct {
	root string
	mu   sync.Mutex
	fail map[string]error // by value: Set fails behind its effect, once
	seen []string
}

func (w *world) path(name string) string { return filepath.Join(w.root, "values", name) }

func (w *world) get(name string) string {
	b, err := os.ReadFile(w.path(name))
	if errors.Is(err, fs.ErrNotExist) {
		return ""
	}
	return string(b)
}

func (w *world) put(name, value string) error {
	if value == "" {
		if err := os.Remove(w.path(name)); !errors.Is(err, fs.ErrNotExist) {
			return err
		}
		return nil
	}
	return os.WriteFile(w.path(name), []byte(value), 0o644)
}

func (w *world) failure(value string) error {
	w.mu.Lock()
	defer w.mu.Unlock()
	err := w.fail[value]
	delete(w.fail, value)
	return err
}

type Set struct {
	Name  string `json:"name"`
	Value string `json:"value"`
	Bare  bool   `json:"bare,omitempty"` // has no target
	Keep  bool   `json:"keep,omitempty"` // its inverse counts as contents
	Key   op.Key `json:"key"`
}

func (s Set) Summary() string { return "set " + s.Name + " to " + s.Value }
func (s Set) Target(w *world) string {
	if s.Bare {
		return ""
	}
	return "host:" + w.root
}

func (s Set) Inverse(_ context.Context, w *world) (any, error) {
	was := w.get(s.Name)
	if was == s.Value {
		return nil, nil
	}
	if s.Keep {
		return Refill{Unset{s.Name, was, s.Value}}, nil
	}
	return Unset{s.Name, was, s.Value}, nil
}

// Refill is an Unset that holds contents.
type Refill struct{ Unset Unset }

func (Refill) HoldsContents()    {}
func (f Refill) Summary() string { return f.Unset.Summary() }

func (f Refill) Do(ctx context.Context, w *world) (op.Restored, error) { return f.Unset.Do(ctx, w) }

type served struct{ Version string }

func (s served) LiveVersion() string { return s.Version }

func (s Set) Do(ctx context.Context, w *world) (served, error) {
	if s.Value == "panic" {
		panic("the op is wrong")
	}
	if err := w.put(s.Name, s.Value); err != nil {
		return served{}, err
	}
	err := w.failure(s.Value)
	if errors.Is(err, errHang) {
		<-ctx.Done()
		err = context.Cause(ctx)
	}
	return served{s.Value}, err
}

type Unset struct {
	Name, Want, Made string
}

func (u Unset) Summary() string { return "set " + u.Name + " back to " + u.Want }

func (u Unset) Do(ctx context.Context, w *world) (op.Restored, error) {
	if err := w.failure("undo " + u.Name); errors.Is(err, errHang) {
		<-ctx.Done()
		return op.Restored{}, context.Cause(ctx)
	} else if err != nil {
		return op.Restored{}, err
	}
	switch found := w.get(u.Name); found {
	case u.Want:
		return op.Restored{Already: true, Live: u.Want}, nil
	case u.Made:
		return op.Restored{Live: u.Want}, w.put(u.Name, u.Want)
	default:
		return op.Restored{}, &op.Conflict{What: u.Name, Wanted: u.Want, Found: found}
	}
}

type Look struct {
	Name string `json:"name"`
	Want string `json:"want,omitempty"`
}

func (l Look) Summary() string { return "look at " + l.Name }

func (l Look) Do(_ context.Context, w *world) (string, error) {
	w.mu.Lock()
	w.seen = append(w.seen, l.Name)
	w.mu.Unlock()
	got := w.get(l.Name)
	if l.Want != "" && got != l.Want {
		return got, fmt.Errorf("%s is %s, wanted %s", l.Name, got, l.Want)
	}
	return got, nil
}

type Tell struct {
	What string `json:"what"`
	Keep string `json:"keep,omitempty"` // why a failure behind it leaves everything
}

func (t Tell) Stays() string { return t.Keep }

func (t Tell) Summary() string                              { return "tell " + t.What }
func (t Tell) Do(context.Context, *world) (struct{}, error) { return struct{}{}, nil }

type Wait struct{}

func (Wait) Summary() string { return "wait for the end" }
func (Wait) Do(ctx context.Context, _ *world) (struct{}, error) {
	<-ctx.Done()
	return struct{}{}, context.Cause(ctx)
}

// rig is a world, and the runs on it.
type rig struct {
	t     *testing.T
	w     *world
	reg   *op.Registry
	facts []event.Record
	n     int
	cfg   Config
	hear  func(event.Fact)
}

func newRig(t *testing.T) *rig {
	root := t.TempDir()
	if err := os.Mkdir(filepath.Join(root, "values"), 0o755); err != nil {
		t.Fatal(err)
	}
	w := &world{root: root, fail: map[string]error{}}
	reg, err := op.NewRegistry(map[string][]*op.Spec{"toy": {
		op.Change(w, Set{}), op.Undo(w, Unset{}), op.Undo(w, Refill{}), op.Read(w, Look{}), op.Final(w, Tell{}, "it is told"), op.Ask(w, Wait{}),
	}}, nil)
	if err != nil {
		t.Fatal(err)
	}
	return &rig{t: t, w: w, reg: reg}
}

var errMistake = errors.New("a mistake in the script")

func (g *rig) run() *Run {
	g.n++
	g.facts = nil
	boot, _ := host.BootID()
	c := g.cfg
	c.ID = fmt.Sprintf("run-%d", g.n)
	c.Registry = g.reg
	if c.Host == nil {
		c.Host = &host.Host{Files: host.OS{}, Procs: host.Linux{Boot: boot}, Clock: host.SystemClock{},
			Secrets: &secret.Vault{Scrubber: &secret.Scrubber{}, Getenv: os.LookupEnv}, Boot: boot}
	}
	c.Started = event.RunStarted{Command: "run", Script: "deploy.star", User: "tester", Host: "here"}
	c.Sinks = append(c.Sinks, g)
	c.Home = func(any) (string, journal.Home, error) {
		home := journal.Root{Files: c.Host.Files, Path: g.w.root}
		return home.Target(), home, nil
	}
	c.Explain = func(err error) event.RunFailed { return event.RunFailed{Error: err.Error()} }
	c.Mistake = func(err error) bool { return errors.Is(err, errMistake) }
	c.Catchable = func(err error) bool { return !errors.Is(err, errMistake) }
	return New(c)
}

func (g *rig) Emit(r event.Record) error {
	g.facts = append(g.facts, r)
	if g.hear != nil {
		g.hear(r.Fact)
	}
	return nil
}

func (g *rig) bind(params any) op.Bound {
	g.t.Helper()
	wire, err := g.reg.Encode(params)
	if err != nil {
		g.t.Fatal(err)
	}
	b, err := g.reg.Decode(wire)
	if err != nil {
		g.t.Fatal(err)
	}
	return b
}

// script runs steps in order: an op's struct, an error to fail with, or a func.
func (g *rig) script(steps ...any) event.RunFinished {
	g.t.Helper()
	r := g.run()
	return r.Main(g.t.Context(), func(ctx context.Context) error { return g.steps(ctx, r, "", steps...) })
}

func (g *rig) steps(ctx context.Context, r *Run, branch string, steps ...any) error {
	for _, s := range steps {
		var err error
		switch s := s.(type) {
		case error:
			err = s
		case func(ctx context.Context, r *Run) error:
			err = s(ctx, r)
		case parallel:
			err = g.parallel(ctx, r, branch, s)
		case string:
			err = map[string]func() error{
				"lease":  func() error { _, err := r.Lease(ctx, "production", nil, "", "deploy.star:3:5"); return err },
				"commit": func() error { return r.Commit(ctx, "done", "", branch) },
			}[s]()
		default:
			b := g.bind(s)
			b.Branch = branch
			_, err = r.Perform(ctx, b)
		}
		if err != nil {
			return err
		}
	}
	return nil
}

func (g *rig) want(f event.RunFinished, exit int, values map[string]string) {
	g.t.Helper()
	if f.Exit != exit {
		g.t.Errorf("exit %d, want %d: %+v\n%s", f.Exit, exit, f, g.story())
	}
	for name, value := range values {
		if got := g.w.get(name); got != value {
			g.t.Errorf("%s is %q, want %q", name, got, value)
		}
	}
}

func (g *rig) story() string {
	var b strings.Builder
	for _, r := range g.facts {
		fmt.Fprintf(&b, "  %s %+v\n", r.Fact.Kind(), r.Fact)
	}
	return b.String()
}

func (g *rig) outcomes() string {
	var out []string
	for _, r := range g.facts {
		if u, ok := r.Fact.(event.OpUndone); ok {
			out = append(out, u.Op+":"+string(u.Outcome))
		}
	}
	return strings.Join(out, " ")
}

var (
	errBoom = errors.New("boom")
	errHang = errors.New("hang")
)

type values = map[string]string

package script

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"
	"testing/fstest"
	"time"

	"github.com/erlmcp/runner/runtime/builtin"
	"github.com/erlmcp/runner/runtime/host"
	"github.com/erlmcp/runner/runtime/op"
	"github.com/erlmcp/runner/runtime/secret"
)

// world is what the ops of these tests act on: it only remembers.
type world struct {
	mu    sync.Mutex
	lines []string
}

func (w *world) note(format string, args ...any) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.lines = append(w.lines, fmt.Sprintf(format, args...))
}

type driver interface{ driver() }

type (
	Systemd struct {
		_    op.Doc `doc:"A systemd unit."`
		Unit string `json:"unit" doc:"The unit's name."`
	}
	Host struct {
		Root    string `json:"root" doc:"Where releases lie."`
		Service driver `json:"service,omitempty" doc:"What runs them."`
	}
	Probe struct {
		Path   string      `json:"path" doc:"What is asked."`
		Within op.Duration `json:"within" doc:"How long."`
		Accept []string    `json:"accept,omitempty" doc:"What is well."`
		Judge  op.Func     `json:"judge,omitzero" doc:"What says so."`
	}
	Environment struct {
		Name      string                 `json:"name,omitempty" script:"-"`
		App       string                 `json:"app" doc:"What is deployed."`
		Target    any                    `json:"target" doc:"Where to."`
		Health    Probe                  `json:"health,omitzero" doc:"What says that it is well."`
		Protected bool                   `json:"protected,omitempty" doc:"Ask first."`
		Keep      int                    `json:"keep" doc:"How many releases stay."`
		Secrets   map[string]secret.Text `json:"secrets,omitempty" doc:"By name."`
	}
	EnvSecret struct {
		Name string `json:"name" doc:"The variable."`
	}
	SecretFormat struct {
		Format string      `json:"format" doc:"With {}."`
		Value  secret.Text `json:"value" doc:"What stands there."`
	}
)

func (Systemd) driver() {}

func (e Environment) WithName(name string) any { e.Name = name; return e }
func (e EnvSecret) Make() (any, error)         { return secret.Env(e.Name), nil }
func (f SecretFormat) Make() (any, error)      { return secret.Format(f.Format, f.Value) }
func (e Environment) Check() error {
	if e.Keep < 1 {
		return errors.New("keep: want 1 or more")
	}
	return nil
}

type Release struct {
	ID      string    `json:"id" doc:"Its number."`
	Version string    `json:"version,omitempty" doc:"Its version."`
	Size    op.Size   `json:"size,omitempty" doc:"Its size."`
	Made    time.Time `json:"made,omitzero" doc:"When."`
}

type (
	List struct {
		_    op.Doc `doc:"Lists what is installed."`
		Root string `json:"root" doc:"Where."`
	}
	Find struct {
		Root string `json:"root" doc:"Where."`
		ID   string `json:"id,omitempty" doc:"Which."`
	}
	Install struct {
		Root string  `json:"root" doc:"Where."`
		Size op.Size `json:"size,omitempty" doc:"At most."`
		Key  op.Key  `json:"key"`
	}
	Activate struct {
		_       op.Doc      `doc:"Switches."`
		Root    string      `json:"root" doc:"Where."`
		ID      string      `json:"id" doc:"What."`
		Service driver      `json:"service,omitempty" doc:"What runs it."`
		Timeout op.Duration `json:"timeout" doc:"How long."`
		Keep    int         `json:"keep,omitempty" doc:"How many stay."`
		Key     op.Key      `json:"key"`
	}
	Deactivate struct {
		Root string `json:"root"`
	}
	Wait struct {
		Probe  Probe       `json:"probe" doc:"What."`
		Within op.Duration `json:"within,omitempty" doc:"How long."`
	}
	Exec struct {
		Argv []string               `json:"argv" doc:"The program and its arguments."`
		Env  map[string]secret.Text `json:"env,omitempty" doc:"Its environment."`
		When op.Func                `json:"when,omitzero" doc:"Whether."`
	}
	Broken struct{}
)

func (o List) Summary() string       { return "list" }
func (o Find) Summary() string       { return "find" }
func (o Install) Summary() string    { return "install" }
func (o Activate) Summary() string   { return "activate " + o.ID }
func (o Deactivate) Summary() string { return "deactivate" }
func (o Wait) Summary() string       { return "wait" }
func (o Exec) Summary() string       { return "run" }
func (o Broken) Summary() string     { return "break" }

func (o List) Do(_ context.Context, w *world) ([]Release, error) {
	return []Release{{ID: "1", Version: "1.0"}, {ID: "2", Size: 3 << 20, Made: time.Unix(0, 0)}}, nil
}

func (o Find) Do(_ context.Context, w *world) (*Release, error) {
	if o.ID == "" {
		return nil, nil
	}
	return &Release{ID: o.ID}, nil
}

func (o Install) Do(_ context.Context, w *world) (Release, error) {
	w.note("install %s", o.Root)
	return Release{ID: "7", Version: "1.7"}, nil
}

func (o Activate) Do(_ context.Context, w *world) (struct{}, error) {
	if o.ID == "bad" {
		return struct{}{}, op.Hint(errors.New("cannot switch to bad: it is not installed"), "releases.list shows what is")
	}
	w.note("activate %s %s", o.Root, o.ID)
	return struct{}{}, nil
}
func (o Activate) Target(*world) string                         { return "host:" + o.Root }
func (o Activate) Inverse(context.Context, *world) (any, error) { return Deactivate{o.Root}, nil }
func (o Deactivate) Do(context.Context, *world) (op.Restored, error) {
	return op.Restored{}, nil
}

func (o Wait) Do(ctx context.Context, w *world) (struct{}, error) {
	if o.Probe.Path == "/never" {
		<-ctx.Done()
		return struct{}{}, context.Cause(ctx)
	}
	if o.Probe.Judge.Name != "" {
		v, err := o.Probe.Judge.Invoke(ctx, map[string]any{"path": o.Probe.Path})
		w.note("%s %s: %v", o.Probe.Judge.At, o.Probe.Judge.Name, v)
		if err != nil {
			err = fmt.Errorf("cannot wait: %w", &op.Misuse{Err: fmt.Errorf("%s is asked about %s: %w", o.Probe.Judge.Name, o.Probe.Path, err)})
		}
		return struct{}{}, err
	}
	w.note("wait %s %s", o.Probe.Path, o.Within)
	return struct{}{}, nil
}

func (o Exec) Do(ctx context.Context, w *world) (string, error) {
	if o.When.Name != "" {
		v, err := o.When.Invoke(ctx, "x", 3)
		if err != nil {
			return "", err
		}
		return fmt.Sprint(v), nil
	}
	w.note("run %q %v", o.Argv, o.Env)
	return "out", nil
}

func (o Broken) Do(context.Context, *world) (string, error) {
	var m map[string]string
	m["a"] = "b"
	return "", nil
}

func families(w *world) []builtin.Family {
	return []builtin.Family{
		builtin.NewFamily("releases", "Versions on a host. They lie beside each other.",
			op.Read(w, List{}), op.Read(w, Find{}), op.Make(w, Install{}),
			op.Change(w, Activate{Timeout: op.Duration(time.Minute)}), op.Undo(w, Deactivate{}), op.Read(w, Broken{})),
		builtin.NewFamily("health", "Whether it is well.", op.Ask(w, Wait{}), builtin.Global(Probe{Within: op.Duration(time.Minute)})),
		builtin.NewFamily("shell", "Programs.", op.Final(w, Exec{}, "nobody knows what it did")),
		builtin.NewFamily("environments", "Where to.", builtin.Global(Environment{Keep: 5}), builtin.Global(Host{}), builtin.Global(Systemd{})),
		builtin.NewFamily("secret", "What must not be seen.",
			builtin.ValueSpec{Name: "env", Proto: EnvSecret{}}, builtin.ValueSpec{Name: "format", Proto: SecretFormat{}}),
	}
}

// fakeRun performs ops as they are and notes the rest.
type fakeRun struct {
	*world
	plan bool
}

func (r *fakeRun) Perform(ctx context.Context, b op.Bound) (any, error) {
	if r.plan && (b.Class() != op.ClassRead || b.Sends || len(b.Unknown) > 0) {
		r.note("%s would %s %v", b.At, b.Summary(), b.Unknown)
		return op.Unknown{After: b.FullName()}, nil
	}
	return b.Do(ctx)
}

func (r *fakeRun) Stage(name, at string) { r.note("%s stage %s", at, name) }
func (r *fakeRun) Print(text, at string) { r.note("%s print %s", at, text) }
func (r *fakeRun) Lease(_ context.Context, name string, target any, force, at string) ([]op.Dead, error) {
	r.note("%s lease %s %v (%s)", at, name, target, force)
	return nil, nil
}

func (r *fakeRun) Unfinished(_ context.Context, target any) ([]op.Dead, error) {
	r.note("unfinished %v", target)
	return nil, nil
}

func (r *fakeRun) Held(_ context.Context, name string, target any) (*op.Held, error) {
	r.note("held %s %v", name, target)
	return nil, nil
}

func (r *fakeRun) Recover(_ context.Context, target any) error {
	r.note("recover %v", target)
	return nil
}

func (r *fakeRun) Commit(_ context.Context, message, at, branch string) error {
	r.note("%s commit %s", at, message)
	return nil
}

func (r *fakeRun) OnUndo(_ context.Context, b op.Bound) error {
	r.note("%s on undo %s", b.At, b.FullName())
	return nil
}

func (r *fakeRun) Attempt(ctx context.Context, _ string, fn func(context.Context) error) (caught, err error) {
	err = fn(ctx)
	if err != nil && (IsMistake(err) || ctx.Err() != nil) {
		return nil, err
	}
	return err, nil
}

func (r *fakeRun) Parallel(ctx context.Context, at, branch string, names []string, _ int,
	fn func(context.Context, int, string) error) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	errs := make([]error, len(names))
	var wg sync.WaitGroup
	for i, n := range names {
		wg.Go(func() {
			if errs[i] = fn(ctx, i, branch+"1/"+n+"/"); errs[i] != nil {
				cancel()
			}
		})
	}
	wg.Wait()
	for _, err := range errs {
		if err != nil && !errors.Is(err, context.Canceled) {
			return err
		}
	}
	return nil
}

func (r *fakeRun) Confirm(_ context.Context, question, at string) error {
	if strings.Contains(question, "no") {
		return errors.New("the answer is no")
	}
	return nil
}

const stockEnvironments = `
production = environment(app = "erlmcp", target = host(root = "/opt/erlmcp", service = systemd("erlmcp.service")),
    health = probe("/health"), secrets = {"TOKEN": secret.env("TOKEN")})
staging = environment(app = "erlmcp", target = host(root = "/srv/staging"))
`

var library = fstest.MapFS{
	"verify.star":    {Data: []byte("def verify(environment):\n    \"\"\"Verifies.\"\"\"\n    health.wait(environment.health)\n")},
	"wrong.star":     {Data: []byte("x = 1 +\n")},
	"relative.star":  {Data: []byte("load(\"verify.star\", \"verify\")\ncheck = verify\n")},
	"cyclic_a.star":  {Data: []byte("load(\"cyclic_b.star\", \"b\")\na = 1\n")},
	"cyclic_b.star":  {Data: []byte("load(\"cyclic_a.star\", \"a\")\nb = 1\n")},
	"deep_down.star": {Data: []byte("def go(x):\n    return inner(x)\n\ndef inner(x):\n    return 1 // x\n")},
}

var stock = fstest.MapFS{"rollback.star": {Data: []byte("def main(environment, to = \"\"):\n    \"\"\"Goes back.\"\"\"\n    print(environment.name, to)\n")}}

// opened is a script in a project of these files.
type opened struct {
	*Script
	*world
	project *Project
	err     error
}

type setting func(*Options)

func open(t testing.TB, files map[string]string, name string, settings ...setting) *opened {
	t.Helper()
	dir := t.TempDir()
	if _, ok := files[environmentsFile]; !ok {
		write(t, dir, environmentsFile, stockEnvironments)
	}
	for n, src := range files {
		write(t, dir, n, src)
	}
	p, err := FindProject(dir, stock, library)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { p.Close() })
	w := &world{}
	o := Options{Families: families(w), Clock: host.SystemClock{}, Info: Info{ID: "run1", Now: time.Unix(1e9, 0).UTC()},
		Abandon: func(reason string) { t.Error("abandoned: " + reason) }}
	for _, s := range settings {
		s(&o)
	}
	s, err := Open(t.Context(), p, name, o)
	return &opened{s, w, p, err}
}

// main runs the script with a command line.
func (o *opened) main(ctx context.Context, args ...string) error {
	if o.err != nil {
		return o.err
	}
	call, err := o.Parse(args, nil)
	if err != nil {
		return err
	}
	return o.Main(ctx, &fakeRun{o.world, o.options.Plan}, call)
}

// run is a script deploy.star with this body of main.
func run(t testing.TB, body string, settings ...setting) (*opened, error) {
	t.Helper()
	src := "def main():\n    " + strings.ReplaceAll(strings.TrimSpace(body), "\n", "\n    ") + "\n"
	o := open(t, map[string]string{"deploy.star": src}, "deploy.star", settings...)
	return o, o.main(t.Context())
}

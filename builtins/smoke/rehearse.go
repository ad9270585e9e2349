package smoke

import (
	"bytes"
	"cmp"
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"io/fs"
	"path/filepath"
	"strings"
	"sync"
	"time"

	"github.com/erlmcp/runner/builtins/artifact"
	"github.com/erlmcp/runner/builtins/driver"
	"github.com/erlmcp/runner/builtins/layout"
	"github.com/erlmcp/runner/builtins/probe"
	"github.com/erlmcp/runner/runtime/host"
	"github.com/erlmcp/runner/runtime/op"
)

// Rehearse is smoke.rehearse.
type Rehearse struct {
	_        op.Doc            `doc:"Starts a copy of what was built, beside the one that serves: on a free port, with a name, a cookie and folders of its own. It waits until the copy is healthy, runs the tests against it, and ends it. Nothing that serves is touched."`
	Root     string            `json:"root" doc:"The host root that it is built for; the trial lies there while it lasts."`
	Artifact artifact.Artifact `json:"artifact" doc:"What a build made."`
	Service  driver.Service    `json:"service" doc:"How it is run; it must take its port from PORT."`
	Probe    probe.Probe       `json:"probe" doc:"What says that it is healthy: a path."`
	Tests    []Test            `json:"tests,omitempty" doc:"The smoke tests; those that name another place than a path are left out."`
	Config   string            `json:"config,omitempty" doc:"The file of the project that it is configured by."`
	Shared   []string          `json:"shared,omitempty" doc:"Folders that it expects to be linked; in a trial they are empty."`
	Within   op.Duration       `json:"within,omitempty" doc:"How long the tests may take in all."`
	Key      op.Key            `json:"key,omitempty"`
}

// Rehearsal is the result of Rehearse.
type Rehearsal struct {
	_       op.Doc      `doc:"How a rehearsal went."`
	Healthy op.Duration `json:"healthy" doc:"How long it took to be healthy."`
	Version string      `json:"version" doc:"The version that answered."`
	Tests   Result      `json:"tests" doc:"How the tests went."`
}

// Summary implements op.Op.
func (r Rehearse) Summary() string {
	return fmt.Sprintf("rehearse %s on a free port", r.Artifact)
}

// Check implements op.Checked.
func (r Rehearse) Check() error {
	if !strings.HasPrefix(r.Probe.Path, "/") {
		return op.Hint(errors.New("cannot rehearse: the probe asks another place than a path of the service, which is not the trial"),
			`give the probe a path such as "/health", or say rehearse = False`)
	}
	return r.Probe.Check()
}

// Do implements op.Op.
func (r Rehearse) Do(ctx context.Context, h *host.Host) (Rehearsal, error) {
	if err := r.Check(); err != nil {
		return Rehearsal{}, err
	}
	root := layout.At(h, r.Root)
	if err := host.MkdirAll(h.Files, root.Own(), 0o755); err != nil {
		return Rehearsal{}, fmt.Errorf("cannot rehearse: %w", host.Plainly(err))
	}
	turn, err := root.Turn(ctx, "trial.lock", "another rehearsal to end")
	if err != nil {
		return Rehearsal{}, fmt.Errorf("cannot rehearse: %w", err)
	}
	defer host.Unlock(turn)
	trial := root.Own("trial")
	if err := host.RemoveAll(h.Files, trial); err != nil { // left by a run that was killed
		return Rehearsal{}, fmt.Errorf("cannot rehearse: %w", host.Plainly(err))
	}
	var out Rehearsal
	unit, err := r.lay(ctx, h, trial)
	if err == nil {
		out, err = r.play(ctx, h, unit)
	}
	return out, errors.Join(err, host.RemoveAll(h.Files, trial))
}

// lay makes the copy and all that it needs, and gives how to start it.
func (r Rehearse) lay(ctx context.Context, h *host.Host, trial string) (driver.Unit, error) {
	t := driver.Trial{Dir: filepath.Join(trial, "release"), Scratch: filepath.Join(trial, "scratch"),
		Name: "trial" + strings.ToLower(rand.Text()[:8]), Secret: rand.Text()}
	if r.Config != "" {
		t.Config = h.Abs(r.Config)
	}
	var err error
	if t.Port, err = host.FreePort(); err == nil {
		t.Dist, err = host.FreePort()
	}
	if err != nil {
		return driver.Unit{}, fmt.Errorf("cannot find a free port: %w", err)
	}
	if err := r.copy(ctx, h, t); err != nil {
		return driver.Unit{}, fmt.Errorf("cannot copy %s: %w", r.Artifact.Name, host.Plainly(err))
	}
	u, err := r.Service.Rehearsal(h, t)
	if err != nil {
		return u, err
	}
	return u, u.Prepare(h)
}

func (r Rehearse) copy(ctx context.Context, h *host.Host, t driver.Trial) error {
	to := t.Dir
	if info, err := h.Files.Stat(h.Abs(r.Artifact.Path)); err == nil && !info.IsDir() {
		to = filepath.Join(t.Dir, "bin", r.Artifact.Name)
	}
	if err := host.MkdirAll(h.Files, filepath.Dir(to), 0o755); err != nil {
		return err
	}
	if err := artifact.Copy(ctx, h.Files, h.Abs(r.Artifact.Path), to); err != nil {
		return err
	}
	for _, name := range r.Shared {
		shared, link := filepath.Join(t.Scratch, "shared", name), filepath.Join(t.Dir, name)
		err := errors.Join(host.MkdirAll(h.Files, shared, 0o777), host.MkdirAll(h.Files, filepath.Dir(link), 0o755))
		if err == nil {
			err = h.Files.Symlink(shared, link)
		}
		if err != nil && !errors.Is(err, fs.ErrExist) {
			return err
		}
	}
	return nil
}

// play runs the trial for as long as it is asked.
func (r Rehearse) play(ctx context.Context, h *host.Host, u driver.Unit) (Rehearsal, error) {
	on, curtain := context.WithCancelCause(ctx)
	said := &lines{}
	ended := make(chan error, 1)
	go func() {
		cmd := host.Cmd{Argv: u.Argv, Dir: u.Dir, Env: u.Env, User: u.User, Stdout: said, Stderr: said, Grace: u.Grace.D(), Leash: true}
		exit, err := h.Procs.Run(on, cmd, func(p host.Proc) error {
			return op.StartChild(ctx, op.Child{PID: p.PID, Start: p.Start, Boot: p.Boot, Name: u.Argv[0]})
		})
		if err == nil {
			err = fmt.Errorf("the trial has ended by itself: %s", exit)
		}
		ended <- err
		curtain(err)
	}()
	out, err := r.ask(on, h, u)
	curtain(errors.New("the rehearsal is over"))
	if end := <-ended; err != nil && ctx.Err() == nil && errors.Is(err, end) {
		err = end
	}
	if err != nil && ctx.Err() == nil {
		err = fmt.Errorf("the rehearsal of %s fails: %w%s", r.Artifact, err, said.last())
	}
	return out, err
}

func (r Rehearse) ask(ctx context.Context, h *host.Host, u driver.Unit) (Rehearsal, error) {
	p := r.Probe
	p.Base = fmt.Sprintf("http://127.0.0.1:%d", u.Port)
	seen, err := probe.Wait(ctx, h, p, r.Artifact.Version)
	out := Rehearsal{Healthy: seen.Took, Version: seen.Version}
	var tests []Test
	for _, t := range r.Tests {
		if t.here() {
			tests = append(tests, t)
		}
	}
	if err != nil || len(tests) == 0 {
		return out, err
	}
	out.Tests, err = runAll(ctx, world{h, p.Base, r.Artifact.Version, r.Key}, tests, cmp.Or(r.Within, op.Duration(time.Minute)))
	return out, cmp.Or(err, out.Tests.failure())
}

// lines keeps the end of what the trial says.
type lines struct {
	mu   sync.Mutex
	kept []byte
}

const (
	keptBytes = 8 << 10
	keptLines = 20
)

// Write implements io.Writer.
func (l *lines) Write(b []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.kept = append(l.kept, b...)
	l.kept = l.kept[max(0, len(l.kept)-keptBytes):]
	return len(b), nil
}

// last is the last lines, for an error's end.
func (l *lines) last() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	text := strings.ToValidUTF8(string(bytes.TrimSpace(l.kept)), "\uFFFD")
	if text == "" {
		return "\nit said nothing"
	}
	all := strings.Split(text, "\n")
	return "\nit said at last:\n  " + strings.Join(all[max(0, len(all)-keptLines):], "\n  ")
}

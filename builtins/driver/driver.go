// Package driver is how a release is run as a service on a host: the closed set of drivers, and the record on the
// target of what was started and how. Two families share it, releases and service. It never looks at current.
package driver

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"time"

	"golang.org/x/sys/unix"

	"github.com/erlmcp/runner/runtime/host"
	"github.com/erlmcp/runner/runtime/op"
	"github.com/erlmcp/runner/runtime/secret"
)

// Service is a driver, as scripts describe it.
type Service interface {
	// Unit resolves the description for one release: secrets revealed, paths absolute, the program found.
	Unit(h *host.Host, root, release string, key op.Key) (Unit, error)
	driver()
}

// Process runs the program itself, in a session of its own. Nothing restarts it after a crash or a boot.
type Process struct {
	_            op.Doc                 `doc:"A service that runner starts itself, in a session of its own; nothing restarts it after a crash or a boot, so a protected environment takes it only with unsupervised = True."`
	Argv         []string               `json:"argv" doc:"The program and its arguments; a relative program is the release's."`
	Port         int                    `json:"port,omitempty" doc:"The TCP port that it listens on, told to it as PORT; it must be free at the start."`
	Env          map[string]secret.Text `json:"env,omitempty" doc:"More environment variables; secrets may stand here."`
	Signal       string                 `json:"signal,omitempty" doc:"The signal that asks it to end."`
	Grace        op.Duration            `json:"grace,omitempty" doc:"How long it may take to end before it is killed."`
	Unsupervised bool                   `json:"unsupervised,omitempty" doc:"Accept in a protected environment that nothing restarts it."`
}

func (Process) driver() {}

// Check implements op.Checked.
func (p Process) Check() error {
	if len(p.Argv) == 0 || p.Argv[0] == "" {
		return errors.New("argv: want a program and its arguments, got none")
	}
	if p.Port < 0 || p.Port > 65535 {
		return fmt.Errorf("port: want 1 to 65535, got %d", p.Port)
	}
	if unix.SignalNum(p.Signal) == 0 {
		return fmt.Errorf(`signal: want a name such as "SIGTERM", got %q`, p.Signal)
	}
	return nil
}

// inherited are the variables that a service gets from the runner's own environment; the rest of that belongs to
// whoever deploys.
func inherited() []string { return []string{"PATH", "HOME", "LANG", "TZ", "USER"} }

// Unit implements Service.
func (p Process) Unit(h *host.Host, root, release string, key op.Key) (Unit, error) {
	root = h.Abs(root)
	u := Unit{Release: release, Dir: filepath.Join(root, "releases", release), Argv: p.Argv, Port: p.Port,
		Signal: p.Signal, Grace: p.Grace, Key: key}
	for _, kv := range h.Env {
		if name, _, _ := strings.Cut(kv, "="); slices.Contains(inherited(), name) {
			u.Env = append(u.Env, kv)
		}
	}
	if p.Port > 0 {
		u.Env = append(u.Env, "PORT="+strconv.Itoa(p.Port))
	}
	for _, name := range slices.Sorted(maps.Keys(p.Env)) {
		value, err := h.Secrets.Reveal(p.Env[name])
		if err != nil {
			return u, err
		}
		u.Env = append(u.Env, name+"="+value)
	}
	return u, u.startable(h)
}

// Unit is everything that starts a release again, with no script and no secret from elsewhere. It lies with the
// target, readable by its owner alone, under the digest of its content.
type Unit struct {
	Release string      `json:"release"`
	Dir     string      `json:"dir"`
	Argv    []string    `json:"argv"`
	Env     []string    `json:"env,omitempty"`
	Port    int         `json:"port,omitempty"`
	Signal  string      `json:"signal"`
	Grace   op.Duration `json:"grace"`
	Key     op.Key      `json:"key"` // of the op that made it
}

// startable finds out, before anything is stopped, whether the program is there.
func (u Unit) startable(h *host.Host) error {
	prog := u.Argv[0]
	if !strings.Contains(prog, "/") {
		return nil
	}
	if !filepath.IsAbs(prog) {
		prog = filepath.Join(u.Dir, prog)
	}
	info, err := h.Files.Stat(prog)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return op.Hint(fmt.Errorf("cannot start %s: the release has no such file", u.Argv[0]), "see what is in %s", u.Dir)
	case err != nil:
		return fmt.Errorf("cannot start %s: %w", u.Argv[0], err)
	case info.IsDir() || info.Mode()&0o111 == 0:
		return fmt.Errorf("cannot start %s: it is not executable", u.Argv[0])
	}
	return nil
}

func dir(root string, names ...string) string {
	return filepath.Join(append([]string{root, ".runner"}, names...)...)
}

// maxRecord is the largest record that is read, in bytes.
const maxRecord = 1 << 20

// Store writes a unit and gives its digest. Stored again, it is the same.
func Store(h *host.Host, root string, u Unit) (string, error) {
	b, err := json.Marshal(u)
	if err != nil {
		return "", err
	}
	if err := host.MkdirAll(h.Files, dir(root, "services"), 0o700); err != nil {
		return "", err
	}
	digest := host.SHA256(b)
	if err := host.WriteFile(h.Files, dir(root, "services", digest+".json"), b, 0o600); err != nil {
		return digest, err
	}
	return digest, setAside(h, root)
}

// spare is how many bytes are set aside, before anything is stopped, for an undo: a new release that fills the disk does
// not keep the old one from being started again.
const spare = 64 << 10

func setAside(h *host.Host, root string) error {
	if _, err := h.Files.Stat(dir(root, "spare")); !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	return host.WriteFile(h.Files, dir(root, "spare"), make([]byte, spare), 0o600)
}

// Spend gives back what Store has set aside, for an undo to write in.
func Spend(h *host.Host, root string) error {
	if err := h.Files.Remove(dir(root, "spare")); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	return nil
}

// Load reads a unit by its digest.
func Load(h *host.Host, root, digest string) (Unit, error) {
	var u Unit
	b, err := host.ReadFile(h.Files, dir(root, "services", filepath.Base(digest)+".json"), maxRecord)
	if err == nil && host.SHA256(b) != digest {
		err = errors.New("its bytes have another digest")
	}
	if err == nil {
		err = json.Unmarshal(b, &u)
	}
	if err != nil {
		return u, fmt.Errorf("cannot read how a release was started: %w", err)
	}
	return u, nil
}

// Sweep removes the units of releases that are not kept.
func Sweep(h *host.Host, root string, kept func(release string) bool) error {
	entries, err := h.Files.ReadDir(dir(root, "services"))
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	for _, e := range entries {
		u, err := Load(h, root, strings.TrimSuffix(e.Name(), ".json"))
		if err == nil && !kept(u.Release) {
			if err := h.Files.Remove(dir(root, "services", e.Name())); err != nil {
				return err
			}
		}
	}
	return nil
}

// Running is what was started last on a root, and whether it still runs.
type Running struct {
	Unit     string    `json:"unit"` // digest; "" where nothing was ever started
	Proc     host.Proc `json:"proc"`
	Stopping bool      `json:"stopping,omitempty"` // it was asked to end
	Alive    bool      `json:"-"`
	Loaded   Unit      `json:"-"`
}

// Serves reports whether the process runs and is to go on: one that was asked to end, by a run that did not see its
// end, is as good as gone.
func (r Running) Serves() bool { return r.Alive && !r.Stopping }

func (r Running) record(h *host.Host, root string) error {
	b, err := json.Marshal(r)
	if err != nil {
		return err
	}
	return host.WriteFile(h.Files, dir(root, "service.json"), b, 0o644)
}

// Current reads what was started last.
func Current(h *host.Host, root string) (Running, error) {
	var r Running
	b, err := host.ReadFile(h.Files, dir(root, "service.json"), maxRecord)
	if errors.Is(err, fs.ErrNotExist) {
		return r, nil
	}
	if err == nil {
		err = json.Unmarshal(b, &r)
	}
	if err != nil {
		return r, fmt.Errorf("cannot read which process serves %s: %w", root, err)
	}
	r.Alive = h.Procs.Alive(r.Proc)
	if r.Loaded, err = Load(h, root, r.Unit); err != nil && r.Alive {
		return r, err
	}
	return r, nil
}

// Stop ends what runs: politely, and after the unit's grace by force. What is not running is no error. That it was
// asked to end is on record, durably, before it is asked.
func Stop(ctx context.Context, h *host.Host, root string, r Running) error {
	if !r.Alive {
		return nil
	}
	if ctx.Err() != nil {
		return context.Cause(ctx)
	}
	u := r.Loaded
	r.Stopping = true
	if err := r.record(h, root); err != nil {
		return fmt.Errorf("cannot record that release %s is stopped: %w", u.Release, err)
	}
	op.Waiting(ctx, fmt.Sprintf("process %d of release %s to end", r.Proc.PID, u.Release), h.Clock.Now().Add(u.Grace.D()))
	if err := h.Procs.Stop(ctx, r.Proc, syscall.Signal(unix.SignalNum(u.Signal)), u.Grace.D()); err != nil {
		return err
	}
	return release(ctx, h, r)
}

// releasing is how long what a process has left behind, which was killed, may hold on to its port.
const releasing = 5 * time.Second

// release waits until nothing of a process that has ended holds its port. A child of it that is killed with it ends in
// the kernel's own time, which cannot be watched: it was never ours to wait for.
func release(ctx context.Context, h *host.Host, r Running) error {
	until := h.Clock.Now().Add(releasing)
	for announced := false; r.Loaded.Port > 0 && h.Clock.Now().Before(until); announced = true {
		owner, taken := h.Procs.PortOwner(r.Loaded.Port)
		if foreign := owner.PID > 0 && owner.Group != r.Proc.PID; !taken || foreign {
			return nil
		}
		if !announced {
			op.Waiting(ctx, fmt.Sprintf("port %d to be free", r.Loaded.Port), until)
		}
		if err := h.Clock.Sleep(ctx, 5*time.Millisecond); err != nil {
			return err
		}
	}
	return nil
}

// PortTaken is a port that something else listens on.
type PortTaken struct {
	Port  int
	Owner host.PortOwner
}

func (p *PortTaken) Error() string {
	if p.Owner.PID == 0 {
		return fmt.Sprintf("port %d is taken by a process of another user", p.Port)
	}
	return fmt.Sprintf("port %d is taken by process %d (%s)", p.Port, p.Owner.PID, p.Owner.Name)
}

// PortFree is nil where nobody listens on the unit's port but what runs, which is to be stopped; else a *PortTaken.
// While a process ends there is an instant in which its port is taken still and nobody is seen to hold it.
func (u Unit) PortFree(h *host.Host, runs Running) error {
	if u.Port == 0 {
		return nil
	}
	owner, taken := h.Procs.PortOwner(u.Port)
	ours := runs.Alive && (owner.Group == runs.Proc.PID || runs.Stopping && owner.PID == 0)
	if !taken || ours {
		return nil
	}
	return &PortTaken{u.Port, owner}
}

// Start starts a stored unit. The process is on record, durably, before the program begins.
func Start(ctx context.Context, h *host.Host, root, digest string) error {
	if ctx.Err() != nil {
		return context.Cause(ctx)
	}
	u, err := Load(h, root, digest)
	if err != nil {
		return err
	}
	if err := u.startable(h); err != nil {
		return err
	}
	if err := u.PortFree(h, Running{}); err != nil {
		return op.Hint(fmt.Errorf("cannot start release %s: %w", u.Release, err), "end that process, or give the service another port")
	}
	log, err := freshLog(h, root)
	if err != nil {
		return fmt.Errorf("cannot make a log for release %s: %w", u.Release, err)
	}
	cmd := host.Cmd{Argv: u.Argv, Dir: u.Dir, Env: u.Env, Log: log}
	_, err = h.Procs.Spawn(ctx, cmd, func(p host.Proc) error { return Running{Unit: digest, Proc: p}.record(h, root) })
	if err != nil {
		return fmt.Errorf("cannot start release %s: %w", u.Release, err)
	}
	return nil
}

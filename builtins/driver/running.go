package driver

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"reflect"
	"syscall"
	"time"

	"golang.org/x/sys/unix"

	"github.com/erlmcp/runner/runtime/host"
	"github.com/erlmcp/runner/runtime/op"
)

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
		return r, fmt.Errorf("cannot read which process serves %s: %w", root, host.Plainly(err))
	}
	r.Alive = h.Procs.Alive(r.Proc)
	if r.Loaded, err = Load(h, root, r.Unit); err != nil && r.Alive {
		return r, err
	}
	if m := r.Loaded.Systemd; m != nil {
		now, err := m.state(context.Background(), h)
		r.Alive, r.Proc.PID = now.active, now.pid
		return r, err
	}
	return r, nil
}

// Name is what people call what was started: a process, or a unit of systemd's, whose process may be another one now.
func (r Running) Name() string {
	if m := r.Loaded.Systemd; m != nil {
		return m.Unit
	}
	return fmt.Sprintf("process %d", r.Proc.PID)
}

// As reports whether what was started last was started as the service says now, whoever deploys.
func (r Running) As(h *host.Host, root string, s Service) (bool, error) {
	if r.Unit == "" || s == nil {
		return false, nil
	}
	u, err := s.Unit(h, root, r.Loaded.Release, r.Loaded.Key)
	if err != nil {
		return false, err
	}
	was := r.Loaded
	u.Env, was.Env = ours(u.Env), ours(was.Env)
	u.Secrets, was.Secrets = nil, nil // they are in Env
	return reflect.DeepEqual(u, was), nil
}

// End waits until what runs ends, and gives an error that says so; nil when ctx ends first, and where nothing was started.
// What systemd starts again has ended when that does not help.
func (r Running) End(ctx context.Context, h *host.Host) error {
	if r.Unit == "" {
		return nil
	}
	if m := r.Loaded.Systemd; m != nil {
		return m.end(ctx, h)
	}
	if h.Procs.Wait(ctx, r.Proc) != nil || ctx.Err() != nil {
		return nil
	}
	return fmt.Errorf("process %d of release %s has ended by itself", r.Proc.PID, r.Loaded.Release)
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
	if u.Systemd != nil {
		return u.Systemd.stop(ctx, h, u.Grace.D())
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
	return fmt.Sprintf("port %d is taken by %s", p.Port, who(p.Owner))
}

func who(owner host.PortOwner) string {
	if owner.PID == 0 {
		return "a process of another user"
	}
	return fmt.Sprintf("process %d (%s)", owner.PID, owner.Name)
}

// PortFree is nil where nobody listens on the unit's port but what runs, which is to be stopped; else a *PortTaken.
// While a process ends there is an instant in which its port is taken still and nobody is seen to hold it; and who holds
// it on behalf of another user, as systemd's services do, root alone can see.
func (u Unit) PortFree(h *host.Host, runs Running) error {
	if u.Port == 0 {
		return nil
	}
	owner, taken := h.Procs.PortOwner(u.Port)
	unseen := owner.PID == 0 && (runs.Stopping || runs.Loaded.Systemd != nil && runs.Loaded.Port == u.Port)
	ours := runs.Alive && (owner.Group == runs.Proc.PID || unseen)
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
	if err := u.Prepare(h); err != nil {
		return fmt.Errorf("cannot make the folders of release %s: %w", u.Release, err)
	}
	record := func(p host.Proc) error { return Running{Unit: digest, Proc: p}.record(h, root) }
	if m := u.Systemd; m != nil {
		return m.start(ctx, h, root, u, func() error { return record(host.Proc{}) })
	}
	log, err := freshLog(h, root)
	if err != nil {
		return fmt.Errorf("cannot make a log for release %s: %w", u.Release, err)
	}
	cmd := host.Cmd{Argv: u.Argv, Dir: u.Dir, Env: u.Env, Log: log, User: u.User}
	if _, err = h.Procs.Spawn(ctx, cmd, record); err != nil {
		return fmt.Errorf("cannot start release %s: %w", u.Release, err)
	}
	return nil
}

package driver

import (
	"cmp"
	"errors"
	"fmt"
	"path/filepath"

	"golang.org/x/sys/unix"

	"github.com/erlmcp/runner/runtime/host"
	"github.com/erlmcp/runner/runtime/op"
	"github.com/erlmcp/runner/runtime/secret"
)

// Process runs the program itself, in a session of its own. Nothing restarts it after a crash or a boot.
type Process struct {
	_            op.Doc                 `doc:"A service that runner starts itself, in a session of its own; nothing restarts it after a crash or a boot, so a protected environment takes it only with unsupervised = True."`
	Argv         []string               `json:"argv" doc:"The program and its arguments; a relative program is the release's."`
	Port         int                    `json:"port,omitempty" doc:"The TCP port that it listens on, told to it as PORT; it must be free at the start."`
	Env          map[string]secret.Text `json:"env,omitempty" doc:"More environment variables; secrets may stand here."`
	Signal       string                 `json:"signal,omitempty" doc:"The signal that asks it to end."`
	Grace        op.Duration            `json:"grace,omitempty" doc:"How long it may take to end before it is killed."`
	Unsupervised bool                   `json:"unsupervised,omitempty" doc:"Accept in a protected environment that nothing restarts it."`
	User         string                 `json:"user,omitempty" script:"-"`
}

func (Process) driver() {}

// Kind implements Service.
func (Process) Kind() string { return "process" }

// Listens implements Service.
func (p Process) Listens() int { return p.Port }

// Supervised implements Service.
func (p Process) Supervised() bool { return p.Unsupervised }

// With implements Service.
func (p Process) With(env map[string]secret.Text, user string) Service {
	p.Env, p.User = merged(p.Env, env), cmp.Or(user, p.User)
	return p
}

// Check implements op.Checked.
func (p Process) Check() error {
	if len(p.Argv) == 0 || p.Argv[0] == "" {
		return errors.New("argv: want a program and its arguments, got none")
	}
	if err := checkPort(p.Port); err != nil {
		return err
	}
	if unix.SignalNum(p.Signal) == 0 {
		return fmt.Errorf(`signal: want a name such as "SIGTERM", got %q`, p.Signal)
	}
	return nil
}

// Unit implements Service. The program finds its configuration by the variable CONFIG_FILE.
func (p Process) Unit(h *host.Host, root, release string, key op.Key) (Unit, error) {
	u := Unit{Release: release, Dir: filepath.Join(h.Abs(root), "releases", release), Argv: p.Argv, Port: p.Port,
		Signal: p.Signal, Grace: p.Grace, User: p.User, Key: key}
	return p.resolve(h, u, configuration(h, u.Dir))
}

// Rehearsal implements Service.
func (p Process) Rehearsal(h *host.Host, t Trial) (Unit, error) {
	if p.Port == 0 {
		return Unit{}, op.Hint(errors.New("cannot rehearse a service without a port: it would answer where the one that runs does"),
			"say process(..., port = N): it is told its port as PORT")
	}
	u := Unit{Dir: t.Dir, Argv: p.Argv, Port: t.Port, Signal: p.Signal, Grace: p.Grace, User: p.User}
	return p.resolve(h, u, t.Config)
}

func (p Process) resolve(h *host.Host, u Unit, config string) (Unit, error) {
	own := portVariable(u.Port)
	if config != "" {
		own = append(own, "CONFIG_FILE="+config)
	}
	if err := u.environ(h, own, p.Env); err != nil {
		return u, err
	}
	return u, u.startable(h)
}

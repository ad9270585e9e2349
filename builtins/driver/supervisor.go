package driver

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"time"

	"golang.org/x/sys/unix"

	"github.com/erlmcp/runner/runtime/host"
	"github.com/erlmcp/runner/runtime/op"
)

// Supervisor is systemd, which runs a unit.
type Supervisor struct {
	Unit string `json:"unit"` // its name
	File string `json:"file"` // what its unit file must say
}

// unitFolder is where an administrator's unit files lie (systemd.unit(5)).
const unitFolder = "/etc/systemd/system"

// answering is how long systemctl may take to say how a unit is.
const answering = 10 * time.Second

func (m Supervisor) call(ctx context.Context, h *host.Host, words ...string) (string, error) {
	var out, said bytes.Buffer
	cmd := host.Cmd{Argv: entitled(os.Geteuid() == 0, systemctl(words...)), Dir: "/", Env: h.Env, Stdout: &out, Stderr: &said}
	exit, err := h.Procs.Run(ctx, cmd, nil)
	if err != nil {
		return "", fmt.Errorf("cannot ask systemd about %s: %w", m.Unit, err)
	}
	if exit != (host.Exit{}) {
		return "", op.Hint(fmt.Errorf("cannot %s %s: systemctl: %s: %s", words[0], m.Unit, exit, strings.TrimSpace(said.String())),
			"journalctl --unit %s tells more; runner setup ENV makes the unit and the right to run it", m.Unit)
	}
	return out.String(), nil
}

// state is what systemd says of a unit.
type state struct {
	active bool
	pid    int
	code   int // of the last end of its main process: how (CLD_EXITED is 1), and with what
	status int
}

// ended says how the main process has ended last.
func (s state) ended() string {
	if s.code == 0 || s.code == 1 {
		return host.Exit{Code: s.status}.String()
	}
	return host.Exit{Signal: unix.SignalName(syscall.Signal(s.status))}.String()
}

func parseState(text string) state {
	var s state
	for line := range strings.Lines(text) {
		name, value, _ := strings.Cut(strings.TrimSpace(line), "=")
		switch name {
		case "ActiveState": // deactivating too: its processes are there still
			s.active = value != "inactive" && value != "failed" && value != ""
		case "MainPID":
			s.pid, _ = strconv.Atoi(value)
		case "ExecMainCode":
			s.code, _ = strconv.Atoi(value)
		case "ExecMainStatus":
			s.status, _ = strconv.Atoi(value)
		}
	}
	return s
}

func (m Supervisor) state(ctx context.Context, h *host.Host) (state, error) {
	ctx, cancel := h.Clock.Timeout(ctx, answering, errors.New("systemd does not answer within "+answering.String()))
	defer cancel()
	out, err := m.call(ctx, h, "show", showing, m.Unit)
	return parseState(out), err
}

// place makes the unit file say what it must, which root alone may do.
func (m Supervisor) place(ctx context.Context, h *host.Host) error {
	name := filepath.Join(unitFolder, m.Unit)
	b, err := host.ReadFile(h.Files, name, maxRecord)
	if err == nil && string(b) == m.File {
		return nil
	}
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	if os.Geteuid() != 0 {
		return op.Hint(fmt.Errorf("%s is not as this deployment needs it, and root alone may change it", name), "sudo runner setup ENV writes it")
	}
	if err := host.WriteFile(h.Files, name, []byte(m.File), 0o644); err != nil {
		return err
	}
	_, err = m.call(ctx, h, "daemon-reload")
	return err
}

// environment writes the variables of a unit for systemd (systemd.exec(5), EnvironmentFile).
func (m Supervisor) environment(h *host.Host, root string, env []string) error {
	var b strings.Builder
	for _, kv := range env {
		name, value, _ := strings.Cut(kv, "=")
		fmt.Fprintf(&b, "%s=\"%s\"\n", name, strings.NewReplacer(`\`, `\\`, `"`, `\"`, "`", "\\`", "$", `\$`).Replace(value))
	}
	return host.WriteFile(h.Files, environmentFile(root), []byte(b.String()), 0o600)
}

// start starts a unit. That it is to run is on record before.
func (m Supervisor) start(ctx context.Context, h *host.Host, root string, u Unit, record func() error) error {
	if err := m.place(ctx, h); err != nil {
		return err
	}
	if err := m.environment(h, root, u.Env); err != nil {
		return err
	}
	if err := record(); err != nil {
		return err
	}
	_, err := m.call(ctx, h, "start", m.Unit)
	return err
}

// stop stops it. It returns when nothing of the unit runs.
func (m Supervisor) stop(ctx context.Context, h *host.Host, grace time.Duration) error {
	limit := grace + answering
	op.Waiting(ctx, m.Unit+" to stop", h.Clock.Now().Add(limit))
	ctx, cancel := h.Clock.Timeout(ctx, limit, fmt.Errorf("%s does not stop within %s", m.Unit, limit))
	defer cancel()
	_, err := m.call(ctx, h, "stop", m.Unit)
	return err
}

// endings is how often a service may end by itself before it is said that it does not run. systemd itself gives up one
// that ends at once after five times, and never one that takes longer to end.
const endings = 3

// again is when a service that has ended is looked at again: systemd starts it after a second, and tells of that on D-Bus
// alone, which runner does not speak.
const again = 200 * time.Millisecond

// end waits until systemd runs a unit no longer, or its process has ended too often, and gives an error that says so; nil
// when ctx ends first, and where systemd does not answer.
func (m Supervisor) end(ctx context.Context, h *host.Host) error {
	var last host.Proc
	for ends := 0; ; {
		now, err := m.state(ctx, h)
		switch proc, there := h.Procs.Find(now.pid); {
		case err != nil:
			return nil
		case !now.active:
			return fmt.Errorf("systemd no longer runs %s: %s", m.Unit, now.ended())
		case ends >= endings:
			return fmt.Errorf("%s has ended by itself %d times: %s", m.Unit, ends, now.ended())
		case now.pid > 0 && there && proc != last:
			err = h.Procs.Wait(ctx, proc)
			ends, last = ends+1, proc
		default:
			err = h.Clock.Sleep(ctx, again)
		}
		if err != nil || ctx.Err() != nil {
			return nil
		}
	}
}

// tail is the last n lines that a unit has logged.
func (m Supervisor) tail(ctx context.Context, h *host.Host, n int) (string, error) {
	var out, said bytes.Buffer
	argv := entitled(os.Geteuid() == 0, journal(m.Unit))
	exit, err := h.Procs.Run(ctx, host.Cmd{Argv: argv, Dir: "/", Env: h.Env, Stdout: &out, Stderr: &said}, nil)
	if err == nil && exit != (host.Exit{}) {
		err = fmt.Errorf("cannot read the journal of %s: journalctl: %s: %s", m.Unit, exit, strings.TrimSpace(said.String()))
	}
	lines := strings.Split(strings.TrimRight(strings.ToValidUTF8(out.String(), "\uFFFD"), "\n"), "\n")
	return strings.Join(lines[max(0, len(lines)-n):], "\n"), err
}

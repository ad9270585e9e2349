package driver

import (
	"context"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/erlmcp/runner/runtime/host"
	"github.com/erlmcp/runner/runtime/host/hosttest"
	"github.com/erlmcp/runner/runtime/op"
	"github.com/erlmcp/runner/runtime/secret"
)

// systemd stands for systemctl: it runs what the unit file says, with the variables of its file, and notes its arguments.
// A file fail in its folder makes it refuse.
const systemd = `#!/bin/sh
dir=$(dirname "$0")/..
echo "$@" >>"$dir/said"
shift 2
verb=$1
for unit; do :; done
test ! -e "$dir/fail" || test "$verb" = show || { echo "Job for $unit failed." >&2; exit 1; }
pid=$(cat "$dir/pid" 2>/dev/null)
case "$verb" in
daemon-reload) cp "$dir/etc/"*.service "$dir/loaded";;
start)
	test -e "$dir/loaded" || { echo "Unit $unit not found." >&2; exit 5; }
	set -a
	. "$(sed -n 's/^EnvironmentFile=//p' "$dir/loaded")"
	cd "$(sed -n 's/^WorkingDirectory=//p' "$dir/loaded")"
	eval exec setsid "$(sed -n 's/^ExecStart=//p' "$dir/loaded")" >>"$dir/journal" 2>&1 &
	echo $! >"$dir/pid";;
stop) test -z "$pid" || { kill "$pid"; while kill -0 "$pid" 2>/dev/null; do sleep 0.01; done; rm "$dir/pid"; };;
show)
	echo LoadState=loaded
	if test -n "$pid" && kill -0 "$pid" 2>/dev/null; then echo ActiveState=active; echo "MainPID=$pid"
	elif test -e "$dir/again"; then echo ActiveState=activating; echo MainPID=0
	else echo ActiveState=inactive; echo MainPID=0; echo ExecMainCode=1; echo ExecMainStatus=3; fi;;
esac
`

const journalctl = "#!/bin/sh\ndir=$(dirname \"$0\")/..\necho \"$@\" >\"$dir/asked\"\ncat \"$dir/journal\"\n"

// etc is the file system with a folder in place of systemd's.
type etc struct {
	host.OS
	dir string
}

func (e etc) in(name string) string {
	if rest, ok := strings.CutPrefix(name, unitFolder); ok {
		return e.dir + rest
	}
	return name
}

func (e etc) Open(name string, flag int, perm fs.FileMode) (host.File, error) {
	return e.OS.Open(e.in(name), flag, perm)
}
func (e etc) Rename(from, to string) error              { return e.OS.Rename(e.in(from), e.in(to)) }
func (e etc) Remove(name string) error                  { return e.OS.Remove(e.in(name)) }
func (e etc) Chmod(name string, perm fs.FileMode) error { return e.OS.Chmod(e.in(name), perm) }
func (e etc) SyncDir(name string) error                 { return e.OS.SyncDir(e.in(name)) }

// systemdPlace is a root on a machine with systemd.
func systemdPlace(t *testing.T) (p *place, machine string) {
	t.Helper()
	p = relxPlace(t, "")
	machine = t.TempDir()
	for name, text := range map[string]string{"bin/systemctl": systemd, "bin/journalctl": journalctl} {
		p.must(os.MkdirAll(filepath.Dir(filepath.Join(machine, name)), 0o755))
		p.must(os.WriteFile(filepath.Join(machine, name), []byte(text), 0o755))
	}
	p.must(os.Mkdir(filepath.Join(machine, "etc"), 0o755))
	p.must(os.Symlink("releases/000001", filepath.Join(p.root, "current")))
	p.h.Files = etc{dir: filepath.Join(machine, "etc")}
	p.h.Env[0] = "PATH=" + machine + "/bin:" + os.Getenv("PATH")
	t.Cleanup(func() {
		if r, err := Current(p.h, p.root); err == nil && r.Alive {
			p.must(Stop(context.Background(), p.h, p.root, r))
		}
	})
	return p, machine
}

func (p *place) read(name string) string {
	p.t.Helper()
	b, err := os.ReadFile(name)
	p.must(err)
	return string(b)
}

func TestSystemd(t *testing.T) {
	p, machine := systemdPlace(t)
	s := Systemd{Name: "app.service", Port: hosttest.Port(t), Grace: op.Duration(5 * time.Second),
		Env: map[string]secret.Text{"PASSWORD": secret.Env("PASSWORD"), "ODD": secret.Plain("a\"b\\c$d`e f")}}
	u, err := s.Unit(p.h, p.root, "000001", "r/1")
	p.must(err)
	r := p.startUnit(u)
	if !r.Alive || !r.Serves() || r.Proc.PID == 0 {
		t.Fatalf("started, it is %+v", r)
	}
	said := p.read(filepath.Join(machine, "said"))
	want := "--no-pager --no-ask-password daemon-reload\n--no-pager --no-ask-password start app.service\n" +
		"--no-pager --no-ask-password show " + showing + " app.service\n"
	if said != want {
		t.Errorf("systemctl was called\n%s\nwant\n%s", said, want)
	}
	env := filepath.Join(p.root, ".runner", "service.env")
	if info, err := os.Stat(env); err != nil || info.Mode() != 0o600 {
		t.Errorf("the variables' file: %v, %v", info.Mode(), err)
	}
	if text := p.read(env); !strings.Contains(text, `PASSWORD="canary-PASSWORD"`) || !strings.Contains(text, "ODD=\"a\\\"b\\\\c\\$d\\`e f\"") {
		t.Errorf("it holds\n%s", text)
	}
	if strings.Contains(said+p.read(filepath.Join(machine, "etc", "app.service")), "canary") {
		t.Error("a secret is in an argument or in the unit file")
	}
	for range 500 {
		if lines, where, err := Said(t.Context(), p.h, p.root, r, 20); err != nil || strings.Contains(lines, "up app") {
			if where != "journalctl --unit app.service" || err != nil {
				t.Errorf("%s, %v", where, err)
			}
			break
		}
		time.Sleep(10 * time.Millisecond)
	}
	p.must(Stop(t.Context(), p.h, p.root, r))
	if r := p.current(); r.Alive || !r.Stopping {
		t.Errorf("stopped, it is %+v", r)
	}
	p.startUnit(u)
	if n := strings.Count(p.read(filepath.Join(machine, "said")), "daemon-reload"); n != 1 {
		t.Errorf("an unchanged unit file is loaded %d times", n)
	}
}

func TestSystemdRefuses(t *testing.T) {
	p, machine := systemdPlace(t)
	p.must(os.WriteFile(filepath.Join(machine, "fail"), nil, 0o644))
	u, err := Systemd{Name: "app.service"}.Unit(p.h, p.root, "000001", "r/1")
	p.must(err)
	digest, err := Store(p.h, p.root, u)
	p.must(err)
	err = Start(t.Context(), p.h, p.root, digest)
	if err == nil || !strings.Contains(err.Error(), "systemctl: exit 1: Job for daemon-reload failed.") || !strings.Contains(op.HintOf(err), "journalctl --unit app.service") {
		t.Errorf("%v (%s)", err, op.HintOf(err))
	}
	p.h.Env[0] = "PATH=" + machine
	if err := Start(t.Context(), p.h, p.root, digest); err == nil || !strings.Contains(err.Error(), "cannot start systemctl: it is not in PATH") {
		t.Errorf("no systemd: %v", err)
	}
}

// The unit file is the same for every release, and nothing in it is expanded that should not be.
func TestUnitFile(t *testing.T) {
	s := Systemd{Name: "app.service", Argv: []string{"bin/app", `say "100%" $HOME`}, User: "erlmcp", Grace: op.Duration(30 * time.Second)}
	want := `# Written by runner setup. Changes are overwritten: a drop-in (systemctl edit) is not.
[Unit]
Description=app, deployed by runner
Wants=network-online.target
After=network-online.target

[Service]
Type=exec
EnvironmentFile=/opt/100%%/.runner/service.env
User=erlmcp
WorkingDirectory=/opt/100%%/current
ExecStart="/opt/100%%/current/bin/app" "say \"100%%\" $$HOME"
Restart=on-failure
RestartSec=1
KillMode=mixed
TimeoutStopSec=30

[Install]
WantedBy=multi-user.target
`
	if got := s.File("/opt/100%"); got != want {
		t.Errorf("%s", got)
	}
}

func TestSystemctl(t *testing.T) {
	for root, want := range map[bool]string{true: "systemctl --no-pager --no-ask-password stop x.service", false: "sudo -n systemctl --no-pager --no-ask-password stop x.service"} {
		if got := strings.Join(entitled(root, systemctl("stop", "x.service")), " "); got != want {
			t.Errorf("%q, want %q", got, want)
		}
	}
}

func TestState(t *testing.T) {
	for text, want := range map[string]state{
		"ActiveState=active\nMainPID=42\n":                                  {active: true, pid: 42},
		"ActiveState=deactivating\nMainPID=42\n":                            {active: true, pid: 42},
		"ActiveState=failed\nMainPID=0\n":                                   {},
		"ActiveState=failed\nMainPID=0\nExecMainCode=2\nExecMainStatus=9\n": {code: 2, status: 9},
		"ActiveState=inactive\nMainPID=0\n":                                 {},
		"":                                                                  {},
		"garbage\n=\nMainPID=x\n":                                           {},
	} {
		if got := parseState(text); got != want {
			t.Errorf("%q: %+v", text, got)
		}
	}
	for s, want := range map[state]string{{code: 1, status: 3}: "exit 3", {code: 2, status: 9}: "ended by signal: SIGKILL", {code: 3, status: 11}: "ended by signal: SIGSEGV", {}: "exit 0"} {
		if got := s.ended(); got != want {
			t.Errorf("%+v: %s", s, got)
		}
	}
}

// watches tells when a process is waited for.
type watches struct {
	host.Procs
	begun chan struct{}
}

func (w watches) Wait(ctx context.Context, p host.Proc) error {
	w.begun <- struct{}{}
	return w.Procs.Wait(ctx, p)
}

// TestSystemdGivesUp: a service that ends by itself again and again, or for good, is told of at once.
func TestSystemdGivesUp(t *testing.T) {
	p, machine := systemdPlace(t)
	u, err := Systemd{Name: "app.service", Grace: op.Duration(5 * time.Second)}.Unit(p.h, p.root, "000001", "r/1")
	p.must(err)
	r := p.startUnit(u)
	kill := func() {
		pid, err := strconv.Atoi(strings.TrimSpace(p.read(filepath.Join(machine, "pid"))))
		p.must(err)
		p.must(syscall.Kill(pid, syscall.SIGKILL))
	}
	ended := make(chan error, 1)
	await := func(want string) {
		t.Helper()
		select {
		case err := <-ended:
			if err == nil || err.Error() != want {
				t.Errorf("%v, want %s", err, want)
			}
		case <-time.After(30 * time.Second):
			t.Fatal("nothing is told")
		}
	}
	go func() { ended <- r.End(t.Context(), p.h) }()
	kill()
	await("systemd no longer runs app.service: exit 3")
	p.must(os.WriteFile(filepath.Join(machine, "again"), nil, 0o644)) // it says that it starts it again
	r = p.startUnit(u)
	watched := watches{p.h.Procs, make(chan struct{}, endings)}
	seen := *p.h
	seen.Procs = watched
	go func() { ended <- r.End(t.Context(), &seen) }()
	for i := range endings {
		<-watched.begun
		kill()
		if i < endings-1 {
			_, err := u.Systemd.call(t.Context(), p.h, "start", "app.service")
			p.must(err)
		}
	}
	await("app.service has ended by itself 3 times: exit 0")
	ctx, cancel := context.WithCancel(t.Context())
	r = p.startUnit(u)
	go func() { ended <- r.End(ctx, p.h) }()
	cancel()
	if err := <-ended; err != nil {
		t.Errorf("a wait that is over: %v", err)
	}
	p.must(os.Remove(filepath.Join(machine, "again")))
}

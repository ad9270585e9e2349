package driver

import (
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/erlmcp/runner/runtime/host"
	"github.com/erlmcp/runner/runtime/host/hosttest"
	"github.com/erlmcp/runner/runtime/op"
	"github.com/erlmcp/runner/runtime/secret"
)

// listener is the variable that makes it one that listens on PORT and does not end when it is asked to.
const listener = "RUNNER_TEST_LISTENER"

func listen() {
	signal.Ignore(syscall.SIGTERM)
	if _, err := net.Listen("tcp", "127.0.0.1:"+os.Getenv("PORT")); err != nil {
		panic(err)
	}
	fmt.Println("listens")
	select {}
}

func TestMain(m *testing.M) {
	if os.Getenv(listener) != "" {
		listen()
	}
	os.Exit(m.Run())
}

// place is a root with one release, whose programs are shell scripts.
type place struct {
	t    testing.TB
	h    *host.Host
	root string
	n    int
}

func newPlace(t testing.TB) *place {
	t.Helper()
	boot, err := host.BootID()
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	vault := &secret.Vault{Getenv: func(name string) (string, bool) { return "canary-" + name, true }, Scrubber: &secret.Scrubber{}}
	h := &host.Host{Files: host.OS{}, Procs: host.Linux{Boot: boot}, Clock: host.SystemClock{}, Boot: boot, Secrets: vault, Project: dir,
		Env: []string{"PATH=" + os.Getenv("PATH"), "HOME=/home/x", "AWS_SECRET=of-who-deploys", "LD_PRELOAD=", "PORT=1"}}
	p := &place{t: t, h: h, root: filepath.Join(dir, "root")}
	p.must(os.MkdirAll(filepath.Join(p.root, "releases", "000001", "bin"), 0o755))
	t.Cleanup(func() {
		if r, err := Current(h, p.root); err == nil && r.Proc.PID > 0 && h.Procs.Alive(r.Proc) {
			syscall.Kill(-r.Proc.PID, syscall.SIGKILL)
		}
	})
	return p
}

func (p *place) must(err error) {
	p.t.Helper()
	if err != nil {
		p.t.Fatal(err)
	}
}

func process(argv ...string) Process {
	return Process{Argv: argv, Signal: "SIGTERM", Grace: op.Duration(5 * time.Second)}
}

func (p *place) store(s Process) (Unit, string) {
	p.t.Helper()
	p.n++
	u, err := s.Unit(p.h, p.root, "000001", op.Key(fmt.Sprintf("r/%d", p.n)))
	p.must(err)
	digest, err := Store(p.h, p.root, u)
	p.must(err)
	return u, digest
}

func (p *place) start(s Process) Running {
	p.t.Helper()
	_, digest := p.store(s)
	p.must(Start(p.t.Context(), p.h, p.root, digest))
	return p.current()
}

func (p *place) current() Running {
	p.t.Helper()
	r, err := Current(p.h, p.root)
	p.must(err)
	return r
}

// logs waits until the service's log holds a text.
func (p *place) logs(want string) string {
	p.t.Helper()
	for range 1000 {
		if tail, err := Tail(p.h, p.root, 20); err != nil || strings.Contains(tail, want) {
			p.must(err)
			return tail
		}
		time.Sleep(5 * time.Millisecond)
	}
	p.t.Fatalf("the log never says %q", want)
	return ""
}

func TestStartAndStop(t *testing.T) {
	p := newPlace(t)
	if r := p.current(); r.Unit != "" || r.Alive || r.Serves() {
		t.Errorf("before: %+v", r)
	}
	r := p.start(process("sh", "-c", "pwd; echo ready; exec sleep 60"))
	if !r.Serves() || r.Loaded.Release != "000001" || r.Loaded.Key != "r/1" {
		t.Errorf("started: %+v", r)
	}
	if got := p.logs("ready"); got != filepath.Join(p.root, "releases", "000001")+"\nready" {
		t.Errorf("log %q", got)
	}
	if sid, err := unix.Getsid(r.Proc.PID); err != nil || sid != r.Proc.PID {
		t.Errorf("its session is %d, %v", sid, err)
	}
	p.must(Stop(t.Context(), p.h, p.root, r))
	if after := p.current(); after.Alive || after.Proc != r.Proc {
		t.Errorf("stopped: %+v", after)
	}
	p.must(Stop(t.Context(), p.h, p.root, p.current()))
}

// A secret is in the unit, which its owner alone reads, and nowhere else.
func TestSecretsAreInTheUnitAlone(t *testing.T) {
	p := newPlace(t)
	s := process("sh", "-c", "echo ready; sleep 60; true") // no exec: in its midst environ is empty
	s.Env = map[string]secret.Text{"TOKEN": secret.Env("TOKEN"), "MODE": secret.Plain("prod")}
	r := p.start(s)
	p.logs("ready")
	unit := filepath.Join(p.root, ".runner", "services", r.Unit+".json")
	p.must(filepath.WalkDir(p.root, func(path string, e os.DirEntry, err error) error {
		if err != nil || e.IsDir() {
			return err
		}
		b, err := os.ReadFile(path)
		info, _ := e.Info()
		if holds := strings.Contains(string(b), "canary"); holds != (path == unit) || holds && info.Mode() != 0o600 {
			t.Errorf("%s, %s: holds the secret: %v", path, info.Mode(), holds)
		}
		return err
	}))
	if info, err := os.Stat(filepath.Dir(unit)); err != nil || info.Mode().Perm() != 0o700 {
		t.Errorf("the folder of units: %v, %v", info.Mode(), err)
	}
	for _, file := range []string{"cmdline", "environ"} {
		b, err := os.ReadFile(fmt.Sprintf("/proc/%d/%s", r.Proc.PID, file))
		if strings.Contains(string(b), "canary-TOKEN") != (file == "environ") || err != nil {
			t.Errorf("%s is %q, %v", file, b, err)
		}
	}
}

func TestEnvironment(t *testing.T) {
	p := newPlace(t)
	s := process("env")
	s.Port, s.Env = 54321, map[string]secret.Text{"Z": secret.Plain("z"), "A": secret.Plain("a")}
	want := []string{p.h.Env[0], "HOME=/home/x", "PORT=54321", "A=a", "Z=z"}
	if u, _ := p.store(s); !slices.Equal(u.Env, want) {
		t.Errorf("the unit has %q", u.Env)
	}
	p.start(s)
	tail := p.logs("Z=z")
	for _, kv := range strings.Fields(tail) {
		if own := slices.Contains(want, kv); !own && !strings.HasPrefix(kv, "PWD=") && !strings.HasPrefix(kv, "SHLVL=") && !strings.HasPrefix(kv, "_=") && !strings.HasPrefix(kv, "OLDPWD=") {
			t.Errorf("it runs with %q", kv)
		}
	}
}

// The record names a process that is another's now: the pid came round again.
func TestAnotherProcessIsNeverSignalled(t *testing.T) {
	p := newPlace(t)
	r := p.start(process("true"))
	other := exec.Command("sleep", "60")
	other.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	p.must(other.Start())
	ended := make(chan error, 1)
	go func() { ended <- other.Wait() }()
	defer other.Process.Kill()
	// The start time is 1, and not that of a process of this test: those may begin in one tick of the kernel's clock.
	for _, proc := range []host.Proc{{PID: other.Process.Pid, Start: 1, Boot: r.Proc.Boot}, {PID: other.Process.Pid, Start: 1, Boot: "another"}} {
		p.must(Running{Unit: r.Unit, Proc: proc}.record(p.h, p.root))
		found := p.current()
		if found.Alive || found.Serves() {
			t.Errorf("%+v is taken for the service", found)
		}
		p.must(Stop(t.Context(), p.h, p.root, found))
		select {
		case err := <-ended:
			t.Fatalf("the other process ended: %v", err)
		case <-time.After(50 * time.Millisecond):
		}
	}
}

func TestEndedByForce(t *testing.T) {
	p := newPlace(t)
	s := process("sh", "-c", "trap '' TERM; echo ready; while :; do sleep 60; done")
	s.Grace = op.Duration(100 * time.Millisecond)
	r := p.start(s)
	p.logs("ready")
	began := time.Now()
	p.must(Stop(t.Context(), p.h, p.root, r))
	if took := time.Since(began); p.current().Alive || took < 100*time.Millisecond || took > 3*time.Second {
		t.Errorf("alive %v after %s", p.current().Alive, took)
	}
}

func TestSignalOfItsOwn(t *testing.T) {
	p := newPlace(t)
	s := process("sh", "-c", "trap 'echo interrupted; exit 0' INT; echo ready; while :; do sleep 0.01; done")
	s.Signal = "SIGINT"
	r := p.start(s)
	p.logs("ready")
	p.must(Stop(t.Context(), p.h, p.root, r))
	p.logs("interrupted")
}

func TestDiesAtOnce(t *testing.T) {
	p := newPlace(t)
	r := p.start(process("sh", "-c", "echo why; exit 3"))
	p.must(p.h.Procs.Wait(t.Context(), r.Proc))
	if r := p.current(); r.Alive || r.Unit == "" || p.logs("why") != "why" {
		t.Errorf("%+v", r)
	}
}

// Behind a launcher that ends at once, its program is ended too, and its port is free when a stop has returned.
func TestLauncher(t *testing.T) {
	p := newPlace(t)
	s := process("sh", "-c", `"$0" & wait`, os.Args[0])
	s.Port, s.Env = hosttest.Port(t), map[string]secret.Text{listener: secret.Plain("1")}
	for range 10 {
		r := p.start(s)
		p.logs("listens")
		p.must(Stop(t.Context(), p.h, p.root, r))
	}
}

// Killed while it waits, a stop is on record: what it asked to end is not what serves, though it runs still.
func TestStopThatIsKilled(t *testing.T) {
	p := newPlace(t)
	r := p.start(process("sh", "-c", "trap 'sleep 0.2; exit 0' TERM; echo ready; while :; do sleep 0.01; done"))
	p.logs("ready")
	m := hosttest.NewMortal(p.h)
	time.AfterFunc(50*time.Millisecond, m.Die)
	if err := Stop(t.Context(), m.Host(), p.root, r); !errors.Is(err, hosttest.ErrDead) {
		t.Fatal(err)
	}
	now := p.current()
	if !now.Alive || now.Serves() || now.Proc != r.Proc || now.Unit != r.Unit {
		t.Errorf("%+v", now)
	}
	p.must(Stop(t.Context(), p.h, p.root, now))
	if again := p.start(now.process()); !again.Serves() {
		t.Errorf("started again: %+v", again)
	}
}

func (r Running) process() Process { return process(r.Loaded.Argv...) }

func TestPort(t *testing.T) {
	p := newPlace(t)
	l, err := net.Listen("tcp", "127.0.0.1:0")
	p.must(err)
	defer l.Close()
	s := process("true")
	s.Port = l.Addr().(*net.TCPAddr).Port
	u, digest := p.store(s)
	err = Start(t.Context(), p.h, p.root, digest)
	var taken *PortTaken
	if want := fmt.Sprintf("cannot start release 000001: port %d is taken by process %d (", s.Port, os.Getpid()); !errors.As(err, &taken) || !strings.HasPrefix(err.Error(), want) {
		t.Errorf("want %q, got %v", want, err)
	}
	if p.current().Unit != "" {
		t.Error("it was recorded")
	}
	self := Running{Proc: host.Proc{PID: unix.Getpgrp()}, Alive: true}
	if err := u.PortFree(p.h, self); err != nil {
		t.Errorf("held by what is to be stopped: %v", err)
	}
	self.Alive = false
	if err := u.PortFree(p.h, self); err == nil {
		t.Error("held by what came after one that ended")
	}
	if text := (&PortTaken{Port: 80}).Error(); text != "port 80 is taken by a process of another user" {
		t.Error(text)
	}
}

func TestCheck(t *testing.T) {
	for want, s := range map[string]Process{
		"argv: want a program":                         {},
		"port: want 1 to 65535, got 65536":             {Argv: []string{"x"}, Port: 65536},
		`signal: want a name such as "SIGTERM", got "`: {Argv: []string{"x"}, Signal: "TERM"},
	} {
		if err := s.Check(); err == nil || !strings.HasPrefix(err.Error(), want) {
			t.Errorf("want %q, got %v", want, err)
		}
	}
}

func TestRecordsThatCannotBeRead(t *testing.T) {
	p := newPlace(t)
	r := p.start(process("sleep", "60"))
	unit := filepath.Join(p.root, ".runner", "services", r.Unit+".json")
	p.must(os.WriteFile(unit, []byte("{}"), 0o600))
	if _, err := Load(p.h, p.root, r.Unit); err == nil || err.Error() != "cannot read how a release of "+p.root+" was started: its bytes have another digest" {
		t.Errorf("%v", err)
	}
	if _, err := Load(p.h, p.root, "none"); err == nil || !strings.HasSuffix(err.Error(), "was started: it does not exist") {
		t.Errorf("%v", err)
	}
	if _, err := Current(p.h, p.root); err == nil {
		t.Error("what runs without a unit cannot be stopped, and is taken as it is")
	}
	p.must(p.h.Procs.Stop(t.Context(), r.Proc, syscall.SIGKILL, time.Second))
	if now := p.current(); now.Alive || now.Unit != r.Unit {
		t.Errorf("%+v", now)
	}
	p.must(os.WriteFile(filepath.Join(p.root, ".runner", "service.json"), []byte("{"), 0o644))
	if _, err := Current(p.h, p.root); err == nil || !strings.HasPrefix(err.Error(), "cannot read which process serves "+p.root) {
		t.Errorf("%v", err)
	}
}

func TestSweep(t *testing.T) {
	p := newPlace(t)
	none := func(string) bool { return false }
	p.must(Sweep(p.h, p.root, none))
	_, one := p.store(process("one"))
	u, _ := p.store(process("two"))
	u.Release = "000002"
	two, err := Store(p.h, p.root, u)
	p.must(err)
	p.must(os.WriteFile(filepath.Join(p.root, ".runner", "services", "foreign.json"), nil, 0o600))
	p.must(Sweep(p.h, p.root, func(release string) bool { return release == "000002" }))
	if _, err := Load(p.h, p.root, one); err == nil {
		t.Error("the unit of a release that is gone stays")
	}
	if again, err := Load(p.h, p.root, two); err != nil || again.Release != "000002" {
		t.Errorf("%+v, %v", again, err)
	}
	if _, err := os.Stat(filepath.Join(p.root, ".runner", "services", "foreign.json")); err != nil {
		t.Error(err)
	}
}

// The record of what runs holds no more than it must, and its forms are read by runs of later versions.
func TestRecordOnDisk(t *testing.T) {
	b, err := json.Marshal(Running{Unit: "u", Proc: host.Proc{PID: 1, Start: 2, Boot: "b"}, Alive: true})
	if want := `{"unit":"u","proc":{"pid":1,"start":2,"boot":"b"}}`; string(b) != want || err != nil {
		t.Errorf("%s, %v", b, err)
	}
}

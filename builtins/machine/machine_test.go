package machine

import (
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/erlmcp/runner/runtime/host"
	"github.com/erlmcp/runner/runtime/op"
	"github.com/erlmcp/runner/runtime/secret"
)

func newHost(t testing.TB) *host.Host {
	t.Helper()
	boot, err := host.BootID()
	if err != nil {
		t.Fatal(err)
	}
	dir, err := filepath.EvalSymlinks(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	return &host.Host{Files: host.OS{}, Procs: host.Linux{Boot: boot}, Net: host.Internet{}, Clock: host.SystemClock{}, Boot: boot,
		Project: dir, Scratch: t.TempDir(), Env: os.Environ(), Secrets: &secret.Vault{Scrubber: &secret.Scrubber{}}}
}

func must(t testing.TB, errs ...error) {
	t.Helper()
	if err := errors.Join(errs...); err != nil {
		t.Fatal(err)
	}
}

// listener and locker are what the test's own program does when it is started by a test.
const (
	listener = "RUNNER_TEST_LISTEN"
	holder   = "RUNNER_TEST_HOLD"
)

func TestMain(m *testing.M) {
	switch {
	case os.Getenv(listener) != "":
		l, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			panic(err)
		}
		fmt.Println(l.Addr().(*net.TCPAddr).Port)
		time.Sleep(time.Hour) // select {} would be a deadlock without cgo, and end it
	case os.Getenv(holder) != "":
		holdLock(os.Getenv(holder))
	}
	os.Setenv("SSL_CERT_FILE", authority())
	code := m.Run()
	os.Remove(os.Getenv("SSL_CERT_FILE"))
	os.Exit(code)
}

// itself starts the test's own program as another, and gives its first line.
func itself(t testing.TB, dir string, env ...string) (*exec.Cmd, string) {
	t.Helper()
	c := exec.Command("/proc/self/exe")
	c.Dir, c.Env = dir, append(os.Environ(), env...)
	out, err := c.StdoutPipe()
	must(t, err, c.Start())
	t.Cleanup(func() { c.Process.Kill(); c.Wait() })
	line := make([]byte, 100)
	n, err := out.Read(line)
	must(t, err)
	return c, strings.TrimSpace(string(line[:n]))
}

func port(t testing.TB, h *host.Host, n int) Listener {
	t.Helper()
	l, err := Port{Port: n}.Do(t.Context(), h)
	must(t, err)
	return l
}

func TestPort(t *testing.T) {
	h := newHost(t)
	root := filepath.Join(h.Project, "app root")
	release := filepath.Join(root, "releases", "000004")
	must(t, os.MkdirAll(filepath.Join(release, "bin"), 0o755), os.MkdirAll(filepath.Join(root, ".runner"), 0o755))
	c, said := itself(t, release, listener+"=1")
	n, err := strconv.Atoi(said)
	must(t, err)
	want := Listener{Port: n, Taken: true, PID: c.Process.Pid, Name: "exe", User: host.UserName(os.Geteuid()), Root: root, Release: "000004"}
	if got := port(t, h, n); got != want {
		t.Errorf("\n got %+v\nwant %+v", got, want)
	}
	must(t, os.Rename(root, root+" moved"))
	if got := port(t, h, n); got.Root != root+" moved" {
		t.Errorf("moved: %+v", got)
	}
	must(t, os.Remove(filepath.Join(root+" moved", ".runner")))
	if got := port(t, h, n); got.Root != "" || got.Release != "" || got.PID != c.Process.Pid {
		t.Errorf("no root of runner: %+v", got)
	}
	c.Process.Kill()
	c.Wait()
	if got := port(t, h, n); got != (Listener{Port: n}) {
		t.Errorf("gone: %+v", got)
	}
}

// What works elsewhere is known by its program, in the release, or by the words of its command.
func TestPortOfAProgramInARelease(t *testing.T) {
	h := newHost(t)
	root := filepath.Join(h.Project, "root")
	must(t, os.MkdirAll(filepath.Join(root, "releases", "000012"), 0o755), os.MkdirAll(filepath.Join(root, ".runner"), 0o755))
	own, err := os.Readlink("/proc/self/exe")
	must(t, err)
	program, err := os.ReadFile(own)
	must(t, err)
	path := filepath.Join(root, "releases", "000012", "app")
	must(t, os.WriteFile(path, program, 0o755))
	for _, argv := range [][]string{{path}, {own, "-test.run=x", path}} {
		c := exec.Command(argv[0], argv[1:]...)
		c.Args[0] = "app"
		c.Env = append(os.Environ(), listener+"=1")
		out, err := c.StdoutPipe()
		must(t, err, c.Start())
		defer func() { c.Process.Kill(); c.Wait() }()
		var n int
		fmt.Fscan(out, &n)
		if got := port(t, h, n); got.Root != root || got.Release != "000012" {
			t.Errorf("%s: %+v", argv, got)
		}
	}
}

func TestConnect(t *testing.T) {
	h := newHost(t)
	l, err := net.Listen("tcp", "127.0.0.1:0")
	must(t, err)
	try := func(address string) Connected {
		c, err := Connect{Address: address, Timeout: op.Duration(200 * time.Millisecond)}.Do(t.Context(), h)
		must(t, err)
		return c
	}
	if c := try(l.Addr().String()); !c.OK || c.Problem != "" {
		t.Errorf("open: %+v", c)
	}
	l.Close()
	if c := try(l.Addr().String()); c.OK || c.Problem != "connection refused" {
		t.Errorf("refused: %+v", c)
	}
	if c := try("no.such.host.invalid:1"); c.OK || c.Problem == "" || strings.Contains(c.Problem, "\n") {
		t.Errorf("no such host: %+v", c)
	}
	if c := try("192.0.2.1:9"); c.OK || c.Problem == "" {
		t.Errorf("silence: %+v", c)
	}
}

func TestTree(t *testing.T) {
	h := newHost(t)
	me := host.UserName(os.Geteuid())
	o, err := Tree{}.Do(t.Context(), h)
	if want := (Owned{Path: h.Project, Owner: me, User: me, Root: os.Geteuid() == 0}); err != nil || o != want {
		t.Errorf("%+v, %v", o, err)
	}
	if os.Geteuid() != 0 {
		t.Skip("only root can give a folder away")
	}
	must(t, os.Chown(h.Project, 4711, 4711))
	if o, err := (Tree{}).Do(t.Context(), h); err != nil || o.Owner != "4711" || !o.Foreign || !o.Root {
		t.Errorf("%+v, %v", o, err)
	}
}

func TestUser(t *testing.T) {
	h := newHost(t)
	if a, err := (User{Name: "root"}).Do(t.Context(), h); err != nil || !a.Exists || a.UID != 0 || a.Home == "" || a.Group == "" {
		t.Errorf("%+v, %v", a, err)
	}
	if a, err := (User{Name: "no-such-user"}).Do(t.Context(), h); err != nil || a != (Account{Name: "no-such-user"}) {
		t.Errorf("%+v, %v", a, err)
	}
}

func TestMemoryAndPlatform(t *testing.T) {
	h := newHost(t)
	if m, err := (Memory{}).Do(t.Context(), h); err != nil || m.Total < 64<<20 || m.Available <= 0 || m.Available > m.Total {
		t.Errorf("%+v, %v", m, err)
	}
	if n := kilobytes("MemFree: 7 kB\nMemTotal:   12 kB\nMemAvailable: x kB\n", "MemTotal"); n != 12<<10 {
		t.Errorf("%d", n)
	}
	if p, _ := (Platform{}).Do(t.Context(), h); p != runtime.GOOS+"/"+runtime.GOARCH {
		t.Error(p)
	}
}

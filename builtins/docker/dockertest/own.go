package dockertest

import (
	"bytes"
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/erlmcp/runner/runtime/host"
	"golang.org/x/sys/unix"
)

// starting is how long an engine may take until it answers, and ending until nothing of it runs.
const (
	starting = 30 * time.Second
	ending   = 10 * time.Second
)

// Engine is an engine of a test alone. It leaves the machine's engine as it is: one that is told to have no bridge, or
// started again with a pool of addresses, removes the bridge of the machine's engine, and one that may write to the
// packet filter empties the others' chains.
type Engine struct {
	Address string // stays the same from one life to the next
	Data    string // the folder with all that it keeps

	t      testing.TB
	dir    string
	bridge string
	flags  []string
	procs  host.Linux
	life   int
	mark   string // in the environment of all that it starts
}

// Own starts an engine that the test may kill, with more flags for it where some are given. Nothing of it is left in the
// end. It needs root, as engines do.
func Own(t testing.TB, flags ...string) *Engine {
	t.Helper()
	boot, err := host.BootID()
	if err != nil {
		t.Fatal(err)
	}
	dir, err := os.MkdirTemp("", "runner-own")
	if err != nil {
		t.Fatal(err)
	}
	name := strings.ToLower(rand.Text()[:8])
	e := &Engine{Address: "unix://" + filepath.Join(dir, "sock"), Data: filepath.Join(dir, "data"), t: t, dir: dir, bridge: "br-" + name, flags: flags, procs: host.Linux{Boot: boot}, mark: "RUNNER_OWN_ENGINE=" + name}
	t.Cleanup(e.remove)
	e.run("ip", "link", "add", e.bridge, "type", "bridge")
	e.run("ip", "address", "add", e.free(), "dev", e.bridge)
	e.run("ip", "link", "set", e.bridge, "up")
	e.run(rule("-I")...)
	e.start()
	return e
}

// free is an address for the bridge, in a network that this machine has nothing of.
func (e *Engine) free() string {
	taken, err := net.InterfaceAddrs()
	if err != nil {
		e.t.Fatal(err)
	}
	for range 100 {
		seed := make([]byte, 2)
		rand.Read(seed)
		n := net.IPNet{IP: net.IPv4(10, 100+seed[0]%100, seed[1], 1), Mask: net.CIDRMask(24, 32)}
		if !slices.ContainsFunc(taken, func(a net.Addr) bool { t, ok := a.(*net.IPNet); return ok && (n.Contains(t.IP) || t.Contains(n.IP)) }) {
			return n.String()
		}
	}
	e.t.Fatal("no network is free for an engine")
	return ""
}

// rule lets containers reach one another where another engine has the machine forward nothing but its own.
func rule(verb string) []string {
	return []string{"iptables", "-w", verb, "FORWARD", "-i", "br-+", "-o", "br-+", "-j", "ACCEPT"}
}

func (e *Engine) run(argv ...string) {
	e.t.Helper()
	if err := e.try(argv...); err != nil {
		e.t.Fatal(err)
	}
}

func (e *Engine) try(argv ...string) error {
	var said bytes.Buffer
	ctx, cancel := context.WithTimeout(context.Background(), ending)
	defer cancel()
	exit, err := e.procs.Run(ctx, host.Cmd{Argv: argv, Dir: e.dir, Env: os.Environ(), Stdout: &said, Stderr: &said}, nil)
	if err == nil && exit != (host.Exit{}) {
		err = fmt.Errorf("%s: %s: %s", strings.Join(argv, " "), exit, said.String())
	}
	return err
}

// start starts a containerd and the engine, in a life of its own: what a killed engine leaves in its folder for
// processes cannot be used again.
func (e *Engine) start() {
	e.t.Helper()
	e.life++
	exec := filepath.Join(e.dir, "exec"+strconv.Itoa(e.life))
	if err := errors.Join(os.MkdirAll(exec, 0o711), e.config()); err != nil {
		e.t.Fatal(err)
	}
	sock := filepath.Join(exec, "containerd.sock")
	e.spawn("containerd", "--config", filepath.Join(e.dir, "containerd.toml"), "--root", filepath.Join(e.Data, "containerd", "daemon"),
		"--state", filepath.Join(exec, "containerd"), "--address", sock)
	e.spawn(append([]string{"dockerd", "--config-file", filepath.Join(e.dir, "docker.json"), "--host", e.Address, "--data-root", e.Data,
		"--exec-root", exec, "--pidfile", filepath.Join(exec, "pid"), "--containerd", sock, "--bridge", e.bridge, "--iptables=false"}, e.flags...)...)
}

// config writes configurations that are not the machine's.
func (e *Engine) config() error {
	return errors.Join(os.WriteFile(filepath.Join(e.dir, "docker.json"), []byte("{}"), 0o600),
		os.WriteFile(filepath.Join(e.dir, "containerd.toml"), []byte("version = 2\ndisabled_plugins = [\"io.containerd.grpc.v1.cri\"]\n"), 0o600))
}

// spawn starts a program and waits until it says that it is ready.
func (e *Engine) spawn(argv ...string) {
	e.t.Helper()
	told := filepath.Join(e.dir, fmt.Sprintf("ready-%s-%d", argv[0], e.life))
	l, err := net.ListenUnixgram("unixgram", &net.UnixAddr{Name: told, Net: "unixgram"})
	if err != nil {
		e.t.Fatal(err)
	}
	defer l.Close()
	log := filepath.Join(e.dir, argv[0]+".log")
	p, err := e.procs.Spawn(e.t.Context(), host.Cmd{Argv: argv, Dir: e.dir, Env: append(os.Environ(), e.mark, "NOTIFY_SOCKET="+told), Log: log}, func(host.Proc) error { return nil })
	if err != nil {
		e.t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(context.Background(), starting)
	over := make(chan struct{})
	defer func() { cancel(); <-over }()
	go func() {
		defer close(over)
		e.procs.Wait(ctx, p)
		l.SetReadDeadline(time.Unix(1, 0)) // it has ended, or its time is over
	}()
	b := make([]byte, 1<<10)
	for {
		n, err := l.Read(b)
		if err != nil {
			said, _ := os.ReadFile(log)
			e.t.Fatalf("%s does not start within %s: %s", argv[0], starting, said[max(0, len(said)-2000):])
		}
		if strings.Contains(string(b[:n]), "READY=1") {
			return
		}
	}
}

// Restart has the engine live again, in the same data: killed, if it was not.
func (e *Engine) Restart() {
	e.t.Helper()
	e.Kill()
	e.start()
}

// Kill ends the engine at once, with all that it has started: its containers too, as when a machine loses its power.
func (e *Engine) Kill() {
	e.t.Helper()
	if err := e.kill(); err != nil {
		e.t.Fatal(err)
	}
}

func (e *Engine) kill() error {
	e.signal(unix.SIGSTOP) // nothing is started behind the look at what there is
	ctx, cancel := context.WithTimeout(context.Background(), ending)
	defer cancel()
	for _, p := range e.signal(unix.SIGKILL) {
		if err := e.procs.Wait(ctx, p); err != nil {
			return fmt.Errorf("the process %d of an engine does not end: %w", p.PID, err)
		}
	}
	os.Remove(filepath.Join(e.dir, "sock"))
	return e.unmount()
}

// signal sends a signal to every process of the engine: those with its mark, and what they have started.
func (e *Engine) signal(s syscall.Signal) (all []host.Proc) {
	ours, parents, starts := map[int]bool{}, map[int]int{}, map[int]uint64{}
	names, _ := filepath.Glob("/proc/[0-9]*")
	for _, name := range names {
		pid, _ := strconv.Atoi(filepath.Base(name))
		stat, _ := os.ReadFile(name + "/stat")
		env, _ := os.ReadFile(name + "/environ")
		if f := strings.Fields(string(stat[bytes.LastIndexByte(stat, ')')+1:])); len(f) > 19 {
			parents[pid], _ = strconv.Atoi(f[1])
			starts[pid], _ = strconv.ParseUint(f[19], 10, 64)
			ours[pid] = bytes.Contains(env, []byte(e.mark))
		}
	}
	for pid := range parents {
		for up := pid; up > 1; up = parents[up] {
			if ours[up] {
				all = append(all, host.Proc{PID: pid, Start: starts[pid], Boot: e.procs.Boot})
				unix.Kill(pid, s)
				break
			}
		}
	}
	return all
}

// unmount ends every mount in the folder, the innermost first.
func (e *Engine) unmount() (err error) {
	const detach = 2 // MNT_DETACH, which other systems do not name: this engine runs on Linux alone
	b, err := os.ReadFile("/proc/self/mountinfo")
	lines := strings.Split(string(b), "\n")
	for _, line := range slices.Backward(lines) {
		if f := strings.Fields(line); len(f) > 4 && strings.HasPrefix(f[4], e.dir+"/") {
			if gone := unix.Unmount(f[4], detach); gone != nil && !errors.Is(gone, unix.EINVAL) {
				err = errors.Join(err, fmt.Errorf("cannot unmount %s: %w", f[4], gone))
			}
		}
	}
	return err
}

// bridges are the links of the networks that the engine has had.
func (e *Engine) bridges() []string {
	known, _ := os.ReadFile(filepath.Join(e.Data, "network", "files", "local-kv.db"))
	names := append(bridgeName.FindAllString(string(known), -1), e.bridge)
	slices.Sort(names)
	return slices.DeleteFunc(slices.Compact(names), func(name string) bool { _, err := net.InterfaceByName(name); return err != nil })
}

var bridgeName = regexp.MustCompile(`br-[0-9a-f]{12}`)

// remove removes everything: processes, mounts, links, the rule, the folder.
func (e *Engine) remove() {
	err := errors.Join(e.kill(), e.try(rule("-D")...))
	for _, name := range e.bridges() {
		err = errors.Join(err, e.try("ip", "link", "delete", name))
	}
	if err = errors.Join(err, os.RemoveAll(e.dir)); err != nil {
		e.t.Error(err)
	}
}

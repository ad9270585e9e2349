package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/erlmcp/runner/builtins/files"
	"github.com/erlmcp/runner/runtime/event"
	"github.com/erlmcp/runner/runtime/host"
	"github.com/erlmcp/runner/runtime/host/hosttest"
)

// race measures runner against a rival, turn by turn, so that what else the machine does meets both. It reports the
// medians, which it gives as well: ns/op is runner's, ms-NAME the rival's, x-NAME their ratio.
func race(b *testing.B, name string, ours, rival func() time.Duration) (x, y time.Duration) {
	b.Helper()
	var a, r []time.Duration
	for b.Loop() {
		a, r = append(a, ours()), append(r, rival())
	}
	x, y = median(a), median(r)
	b.ReportMetric(float64(x.Nanoseconds()), "ns/op")
	b.ReportMetric(float64(y.Nanoseconds())/1e6, "ms-"+name)
	b.ReportMetric(float64(x)/float64(y), "x-"+name)
	return x, y
}

func median(d []time.Duration) time.Duration {
	slices.Sort(d)
	return d[len(d)/2]
}

// took is how long a program ran that has to succeed.
func took(b *testing.B, cmd *exec.Cmd) time.Duration {
	b.Helper()
	begun := time.Now()
	out, err := cmd.CombinedOutput()
	d := time.Since(begun)
	if err != nil {
		b.Fatalf("%v: %v\n%s", cmd.Args, err, out)
	}
	return d
}

// bench is a project as a user has it, the built program, and a target of runner's beside one of the shell's.
type bench struct {
	*site
	runner string
	bins   string
	shell  string // the root of the shell's target
	port   int    // of the shell's target
	flips  int
}

const benchEnvironments = `
production = environment(
    app = "mcpd",
    build = command(["cp", "%s/{version}", "mcpd"], output = "mcpd"),
    target = host(root = %q, service = process(["bin/mcpd"], port = %d)),
    health = probe("/health", within = "10s"),
)
`

// newBench builds the program as the Makefile does. The roots lie outside the project: they are no source.
func newBench(b *testing.B) *bench {
	b.Helper()
	s := newSite(b)
	bins, err := binaries()
	if err != nil {
		b.Fatal(err)
	}
	n := &bench{site: s, runner: filepath.Join(b.TempDir(), "runner"), bins: filepath.Dir(bins["1.0.0"]), shell: b.TempDir(), port: hosttest.Port(b)}
	build := exec.Command("go", "build", "-trimpath", "-ldflags", "-s -w", "-o", n.runner, ".")
	build.Env = append(os.Environ(), "CGO_ENABLED=0")
	took(b, build)
	if err := os.Symlink(b.TempDir(), s.root()); err != nil {
		b.Fatal(err)
	}
	root, err := filepath.EvalSymlinks(s.root())
	if err != nil {
		b.Fatal(err)
	}
	s.write("environments.star", fmt.Sprintf(benchEnvironments, n.bins, root, s.port))
	s.write(".gitignore", "target\n")
	b.Cleanup(func() {
		if pid, err := os.ReadFile(filepath.Join(n.shell, "pid")); err == nil {
			exec.Command("kill", "-9", strings.TrimSpace(string(pid))).Run()
		}
	})
	return n
}

// flip is another version than the last one.
func (n *bench) flip() string {
	n.flips++
	return []string{"1.0.0", "1.1.0"}[n.flips%2]
}

func (n *bench) run(args ...string) time.Duration {
	cmd := exec.Command(n.runner, args...)
	cmd.Dir, cmd.Env = n.dir, n.env()
	return took(n.t.(*testing.B), cmd)
}

// sh runs a script of testdata/bench.
func (n *bench) sh(script string, args ...string) time.Duration {
	path := filepath.Join("..", "..", "testdata", "bench", script)
	return took(n.t.(*testing.B), exec.Command("sh", append([]string{path, n.shell, strconv.Itoa(n.port)}, args...)...))
}

// BenchmarkVersion is the start-up of runner with everything linked.
func BenchmarkVersion(b *testing.B) {
	n := newBench(b)
	race(b, "true", func() time.Duration { return n.run("version") }, func() time.Duration { return took(b, exec.Command("/bin/true")) })
}

// BenchmarkBuiltinCall is one call of a builtin in a script, with its facts in the journal, against the same op called
// in Go.
func BenchmarkBuiltinCall(b *testing.B) {
	const calls = 1000
	s := newSite(b)
	s.write("calls.star", fmt.Sprintf("def main():\n    for i in range(%d):\n        files.template(text = \"port = {{.port}}\", values = {\"port\": i})\n", calls))
	plain := func() time.Duration {
		begun := time.Now()
		for i := range calls {
			if _, err := (files.Template{Text: "port = {{.port}}", Values: map[string]any{"port": i}}).Do(context.Background(), &host.Host{}); err != nil {
				b.Fatal(err)
			}
		}
		return time.Since(begun) / calls
	}
	script := func() time.Duration {
		spans := &spans{}
		s.facts(spans, "calls.star", "--quiet")
		return spans.last.Sub(spans.first) / calls
	}
	race(b, "go", script, plain)
}

// facts runs the program in this process with a sink beside the others.
func (s *site) facts(sink event.Sink, args ...string) {
	s.t.Helper()
	null, err := os.OpenFile(os.DevNull, os.O_RDWR, 0)
	if err != nil {
		s.t.Fatal(err)
	}
	defer null.Close()
	p := &program{args: args, dir: s.dir, env: s.env(), stdin: null, stdout: null, stderr: null, now: time.Now,
		wrap: func(h *host.Host) *host.Host { return h }, sinks: []event.Sink{sink}}
	if code := p.run(); code != 0 {
		s.t.Fatalf("%v: exit %d", args, code)
	}
}

// spans hears when the first op of a run starts, when the last one ends, and how long each took.
type spans struct {
	first, last time.Time
	seconds     map[string]float64
}

// Emit implements event.Sink.
func (s *spans) Emit(r event.Record) error {
	switch f := r.Fact.(type) {
	case event.OpStarted:
		if s.first.IsZero() {
			s.first = time.Now()
		}
	case event.OpFinished:
		if s.seconds == nil {
			s.seconds = map[string]float64{}
		}
		s.last, s.seconds[f.Name] = time.Now(), f.Seconds
	}
	return nil
}

// BenchmarkActivate is releases.activate over a running mcpd, against kill, ln -sfn and exec by a shell script.
func BenchmarkActivate(b *testing.B) {
	n := newBench(b)
	n.write("activate.star", `
def main(environment, id = ""):
    lease(environment)
    releases.activate(environment.target.root, id, service = environment.target.service)
    health.wait(environment.health)
`)
	for range 2 {
		version := n.flip()
		n.run(n.deploy(version)...)
		n.sh("deploy.sh", filepath.Join(n.bins, version), version)
	}
	id := 0
	ours := func() time.Duration {
		id = id%2 + 1
		spans := &spans{}
		n.facts(spans, "activate.star", "production", "--id", fmt.Sprintf("%06d", id))
		return time.Duration(spans.seconds["releases.activate"] * float64(time.Second))
	}
	race(b, "shell", ours, func() time.Duration {
		d := n.sh("switch.sh", fmt.Sprintf("%06d", id))
		n.healthy(n.port)
		return d
	})
}

// healthy waits until mcpd answers on a port.
func (n *bench) healthy(port int) {
	n.t.Helper()
	twin := site{port: port}
	for end := time.Now().Add(patience); twin.answers() == ""; time.Sleep(time.Millisecond) {
		if time.Now().After(end) {
			n.t.Fatalf("nothing answers on port %d", port)
		}
	}
}

// BenchmarkDeploy is deploy.star whole, from the command to its end: the build is found again, and mcpd is upgraded and
// healthy. The shell's script does the same steps.
func BenchmarkDeploy(b *testing.B) {
	n := newBench(b)
	for range 2 { // from here on both builds are found again
		n.run(n.deploy(n.flip())...)
	}
	version := ""
	ours := func() time.Duration {
		version = n.flip()
		return n.run(n.deploy(version)...)
	}
	race(b, "shell", ours, func() time.Duration { return n.sh("deploy.sh", filepath.Join(n.bins, version), version) })
	if n.answers() != version || (&site{port: n.port}).answers() != version {
		b.Fatalf("%q answers, and %q for the shell, want %q", n.answers(), (&site{port: n.port}).answers(), version)
	}
}

// BenchmarkRollback is rollback.star from the command to its end, which is behind the proof of health and the deleting of
// what is old, and to the first answer of what served before: ms-healthy. Of a single program, and of a folder as an OTP
// release is one, 60 MB in 2,500 files. The rival is what nobody can be faster than: mcpd ended politely, and another one
// started, until that answers.
func BenchmarkRollback(b *testing.B) {
	b.Run("program", func(b *testing.B) {
		n := newBench(b)
		n.rollback(func() []string { return n.deploy(n.flip()) })
	})
	b.Run("folder", func(b *testing.B) {
		n := newBench(b)
		built := map[string]string{"1.0.0": n.folder("1.0.0"), "1.1.0": n.folder("1.1.0")}
		n.rollback(func() []string {
			version := n.flip()
			return append(n.deploy(version), "--artifact", built[version])
		})
	})
}

// rollback deploys until every turn has something old to delete, and goes back and forth.
func (n *bench) rollback(deploy func() []string) {
	b := n.t.(*testing.B)
	for range 7 {
		n.run(deploy()...)
	}
	var serves *exec.Cmd
	end := func() {
		if serves != nil {
			serves.Process.Signal(syscall.SIGTERM)
			serves.Wait()
		}
	}
	b.Cleanup(end)
	bare := func() time.Duration {
		begun := time.Now()
		end()
		serves = exec.Command(filepath.Join(n.bins, "1.0.0"))
		serves.Env = append(os.Environ(), "PORT="+strconv.Itoa(n.port))
		if err := serves.Start(); err != nil {
			b.Fatal(err)
		}
		n.healthy(n.port)
		return time.Since(begun)
	}
	var healthy []time.Duration
	_, own := race(b, "restart", func() time.Duration {
		version, begun, answered := n.answers(), time.Now(), make(chan time.Duration)
		go func() {
			for now := version; now == "" || now == version; now = n.answers() {
				time.Sleep(time.Millisecond)
			}
			answered <- time.Since(begun)
		}()
		whole := n.run("rollback.star", "production")
		healthy = append(healthy, <-answered)
		return whole
	}, bare)
	b.ReportMetric(float64(median(healthy).Microseconds())/1000, "ms-healthy")
	b.ReportMetric(float64((median(healthy)-own).Microseconds())/1000, "ms-beyond")
}

// folder is mcpd among files such as those of an OTP release: half of each is noise, half text.
func (n *bench) folder(version string) string {
	b, r := n.t.(*testing.B), rand.NewChaCha8([32]byte([]byte(fmt.Sprintf("%32s", version))))
	dir := filepath.Join(b.TempDir(), version)
	write := func(name string, data []byte) {
		if err := errors.Join(os.MkdirAll(filepath.Dir(name), 0o755), os.WriteFile(name, data, 0o755)); err != nil {
			b.Fatal(err)
		}
	}
	program, err := os.ReadFile(filepath.Join(n.bins, version))
	if err != nil {
		b.Fatal(err)
	}
	write(filepath.Join(dir, "bin", "mcpd"), program)
	for i := range 2500 {
		data := bytes.Repeat([]byte("-export([init/1, terminate/2])."), 800)
		r.Read(data[:len(data)/2])
		write(filepath.Join(dir, fmt.Sprintf("lib/app%02d/ebin/m%d.beam", i/50, i)), data)
	}
	return dir
}

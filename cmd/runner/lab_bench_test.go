//go:build labs

package main

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/erlmcp/runner/runtime/host/hosttest"
)

// labBench is the lab, two versions of it built, and a target of the shell's beside runner's.
type labBench struct {
	*lab
	b     *testing.B
	built map[string]string
	shell string // the root of the shell's target
	port  int    // of the shell's target
	turns int
}

func newLabBench(b *testing.B) *labBench {
	b.Helper()
	l := newLab(b)
	n := &labBench{lab: l, b: b, built: map[string]string{}, shell: b.TempDir(), port: hosttest.Port(b)}
	for _, version := range []string{"1.0.0", "1.1.0"} {
		l.version(version)
		n.built[version] = filepath.Join(b.TempDir(), "erlmcp")
		l.tool("rebar3", "as", "prod", "release", "--output-dir", filepath.Dir(n.built[version]))
	}
	b.Cleanup(func() {
		if pid, err := os.ReadFile(filepath.Join(n.shell, "pid")); err == nil {
			n, _ := strconv.Atoi(strings.TrimSpace(string(pid)))
			syscall.Kill(-n, syscall.SIGKILL)
		}
	})
	return n
}

// next is another version than the last one, and how runner deploys what is built of it.
func (n *labBench) next() (version string, args []string) {
	n.turns++
	version = []string{"1.0.0", "1.1.0"}[n.turns%2]
	return version, []string{"deploy.star", "quick", "--artifact", n.built[version], "--output", "plain"}
}

func (n *labBench) timed(args ...string) time.Duration { return took(n.b, n.command(args...)) }

func (n *labBench) script(args ...string) time.Duration {
	path := filepath.Join("..", "..", "testdata", "bench", "erlang.sh")
	return took(n.b, exec.Command("bash", append([]string{path, n.shell, strconv.Itoa(n.port)}, args...)...))
}

// BenchmarkLabDeploy is a deployment of the real OTP release, whole, over the one that runs: from what was built before, and
// from its source. The rival is a shell script that gives the same proofs.
func BenchmarkLabDeploy(b *testing.B) {
	n := newLabBench(b)
	b.Run("built", func(b *testing.B) {
		n.b = b
		for range 2 {
			version, args := n.next()
			n.timed(args...)
			n.script(version, n.built[version])
		}
		version, args := "", []string(nil)
		x, y := race(b, "shell", func() time.Duration {
			version, args = n.next()
			return n.timed(args...)
		}, func() time.Duration { return n.script(version, n.built[version]) })
		n.lab.serves(version)
		bare, own := n.bare(), []time.Duration(nil)
		for range 3 {
			own = append(own, bare())
		}
		b.ReportMetric(median(own).Seconds()*1000, "ms-own")
		b.ReportMetric(float64(x-median(own))/float64(y-median(own)), "x-beyond")
	})
	b.Run("source", func(b *testing.B) {
		n.b = b
		project := b.TempDir() // of its own: what the one has compiled, the other has not
		if err := os.CopyFS(project, labSource{os.DirFS(filepath.Join("..", "..", "testdata", "apps", "erlmcp"))}); err != nil {
			b.Fatal(err)
		}
		built, version := filepath.Join(b.TempDir(), "erlmcp"), ""
		ours := func() time.Duration {
			n.turns++
			version = fmt.Sprintf("2.0.%d", n.turns)
			n.lab.version(version)
			return n.timed("deploy.star", "quick", "--skip-tests", "--output", "plain")
		}
		theirs := func() time.Duration {
			name := filepath.Join(project, "src", "erlmcp.app.src")
			app, err := os.ReadFile(name)
			if err == nil {
				app = regexp.MustCompile(`\{vsn, "[^"]*"\}`).ReplaceAll(app, []byte(`{vsn, "`+version+`"}`))
				err = os.WriteFile(name, app, 0o644)
			}
			if err != nil {
				b.Fatal(err)
			}
			return n.script(version, built, project)
		}
		ours()
		theirs() // both have compiled once
		race(b, "shell", ours, theirs)
		n.lab.serves(version)
	})
}

// BenchmarkLabRollback is rollback.star, from the command to its end, without what nobody can do without: the release's
// own stop, and its start until it answers as healthy.
func BenchmarkLabRollback(b *testing.B) {
	n := newLabBench(b)
	for range 2 {
		_, args := n.next()
		n.timed(args...)
	}
	bare := n.bare()
	var ours, own []time.Duration
	for b.Loop() {
		ours, own = append(ours, n.timed("rollback.star", "quick", "--output", "plain")), append(own, bare())
	}
	whole, without := median(ours), median(own)
	b.ReportMetric(float64(whole.Nanoseconds()), "ns/op")
	b.ReportMetric(float64(without.Microseconds())/1000, "ms-own")
	b.ReportMetric(float64((whole-without).Microseconds())/1000, "ms-beyond")
}

// bare starts a release of its own, with nothing around it, and gives what stops that and starts it again.
func (n *labBench) bare() func() time.Duration {
	dir, twin := n.b.TempDir(), *n.lab
	twin.site = &site{t: n.b, port: hosttest.Port(n.b)}
	var node *exec.Cmd
	end := func() {
		if node != nil {
			node.Process.Signal(syscall.SIGTERM)
			node.Wait()
		}
	}
	n.b.Cleanup(end)
	again := func() time.Duration {
		begun := time.Now()
		end()
		node = exec.Command(filepath.Join(n.built["1.0.0"], "bin", "erlmcp"), "foreground")
		node.Env = append(os.Environ(), "HOME="+dir, "PORT="+strconv.Itoa(twin.port), fmt.Sprintf("NODE_NAME=erlmcp_bare_%d@127.0.0.1", twin.port),
			"RUNNER_LOG_DIR="+dir, "RELX_OUT_FILE_PATH="+dir, "RELX_REPLACE_OS_VARS=true")
		if err := node.Start(); err != nil {
			n.b.Fatal(err)
		}
		for until := begun.Add(patience); twin.document().Status != "healthy"; time.Sleep(time.Millisecond) {
			if time.Now().After(until) {
				n.b.Fatal("the release does not answer")
			}
		}
		return time.Since(begun)
	}
	again()
	return again
}

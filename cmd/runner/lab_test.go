//go:build labs

package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/erlmcp/runner/runtime/host/hosttest"
)

// lab is a project with the Erlang application of the tests in a git repository, a root of its own, and the program as it
// is shipped. Its node's name has its port, since all nodes of a machine share one epmd.
type lab struct {
	*site
	node   string
	runner string
}

// labEnvironments differ in how much they ask for; they are one target.
const labEnvironments = `
def _env(accept = ["healthy"], stable_for = "0s", within = "30s", **more):
    return environment(
        app = "erlmcp",
        build = rebar3(profile = "prod", tests = ["eunit", "ct"]),
        config = "config/production.config",
        target = host(
            root = "target",
            service = relx("erlmcp", port = {port}, node = "{node}", grace = "3s", unsupervised = True),
        ),
        health = probe("/health", accept = accept, within = within, stable_for = stable_for),
        smoke = [
            smoke.http("/health/ready"),
            smoke.jsonrpc("/mcp", method = "initialize", result = {"serverInfo.name": "erlmcp"}),
            smoke.latency("/health/live", under = "500ms"),
        ],
        secrets = {"TOKEN": secret.env("TOKEN")},
        **more
    )

quick = _env()
careful = _env(rehearse = True)
impatient = _env(within = "20s") # an Erlang node on a busy machine takes its time
lenient = _env(accept = ["healthy", "degraded"])
stable = _env(stable_for = "4s")
production = _env(rehearse = True, protected = True)
broken = _env(needs = ["127.0.0.1:1"], certificates = ["config/no.pem"])
`

const labScripts = `
-- recover.star --
def main(environment):
    lease(environment)
-- ask.star --
def main(environment):
    lease(environment)
    root = environment.target.root
    print("ping", service.ping(root))
    print("rpc", service.rpc(root, "os", "getenv", args = "[\"TOKEN\"]"), service.rpc(root, "erlang", "node"))
`

// labRunner is runner for the lab of Erlang.
func labRunner() (string, error) {
	for _, name := range []string{"erl", "rebar3", "git", "epmd"} {
		if _, err := exec.LookPath(name); err != nil {
			return "", fmt.Errorf("the lab cannot run without %s: make setup installs it", name)
		}
	}
	return shipped()
}

// shipped is runner as "make build" makes it.
var shipped = sync.OnceValues(func() (string, error) {
	cache, err := os.UserCacheDir()
	if err != nil {
		return "", err
	}
	name := filepath.Join(cache, "runner-test", "lab", "runner")
	build := exec.Command("go", "build", "-trimpath", "-ldflags", "-s -w", "-o", name, ".")
	build.Env = append(os.Environ(), "CGO_ENABLED=0")
	if b, err := build.CombinedOutput(); err != nil {
		return "", fmt.Errorf("%w: %s", err, b)
	}
	return name, nil
})

func newLab(t testing.TB) *lab {
	t.Helper()
	runner, err := labRunner()
	if err != nil {
		t.Fatal(err)
	}
	l := &lab{site: &site{t: t, dir: t.TempDir(), port: hosttest.Port(t), home: t.TempDir()}, runner: runner}
	l.node = fmt.Sprintf("erlmcp_lab_%d", l.port)
	l.copy()
	l.write("environments.star", strings.NewReplacer("{port}", fmt.Sprint(l.port), "{node}", l.node).Replace(labEnvironments))
	for _, part := range strings.Split(labScripts, "\n-- ")[1:] {
		name, text, _ := strings.Cut(part, " --\n")
		l.write(name, text)
	}
	l.tool("git", "init", "--quiet")
	l.version("1.0.0")
	t.Cleanup(func() {
		l.killService()
		if left := l.nodes(); len(left) > 0 {
			t.Errorf("nodes are left: %v", left)
			exec.Command("kill", append([]string{"-9"}, strings.Fields(strings.Trim(fmt.Sprint(left), "[]"))...)...).Run()
		}
	})
	return l
}

// copy makes the project from the application's source, without what was built there.
func (l *lab) copy() {
	l.t.Helper()
	if err := os.CopyFS(l.dir, labSource{os.DirFS(filepath.Join("..", "..", "testdata", "apps", "erlmcp"))}); err != nil {
		l.t.Fatal(err)
	}
	l.write(".gitignore", l.read(".gitignore")+"/target\n")
}

// labSource is the application's folder without _build.
type labSource struct{ fs.FS }

// ReadDir implements fs.ReadDirFS.
func (s labSource) ReadDir(name string) ([]fs.DirEntry, error) {
	entries, err := fs.ReadDir(s.FS, name)
	return slices.DeleteFunc(entries, func(e fs.DirEntry) bool { return e.Name() == "_build" }), err
}

func (l *lab) tool(argv ...string) string {
	l.t.Helper()
	cmd := exec.Command(argv[0], argv[1:]...)
	cmd.Dir, cmd.Env = l.dir, append(l.env(), "GIT_AUTHOR_NAME=lab", "GIT_AUTHOR_EMAIL=lab@example.com", "GIT_COMMITTER_NAME=lab", "GIT_COMMITTER_EMAIL=lab@example.com")
	out, err := cmd.CombinedOutput()
	if err != nil {
		l.t.Fatalf("%v: %v\n%s", argv, err, out)
	}
	return string(out)
}

// version makes the source another version, committed, with faults built in.
func (l *lab) version(version string, faults ...string) {
	l.t.Helper()
	app := regexp.MustCompile(`\{vsn, "[^"]*"\}`).ReplaceAllString(l.read("src/erlmcp.app.src"), `{vsn, "`+version+`"}`)
	l.write("src/erlmcp.app.src", app)
	l.write("priv/fault.config", strings.Join(append(faults, ""), "\n"))
	l.tool("git", "add", "--all")
	l.tool("git", "commit", "--quiet", "--allow-empty", "--message", version)
}

// runs runs the program, wants an exit code, and gives what it wrote.
func (l *lab) runs(code int, args ...string) string {
	l.t.Helper()
	began := time.Now()
	cmd := l.command(args...)
	out, err := cmd.CombinedOutput()
	if exit := (*exec.ExitError)(nil); err != nil && !errors.As(err, &exit) {
		l.t.Fatal(err)
	}
	if got := cmd.ProcessState.ExitCode(); got != code {
		l.t.Fatalf("%v: exit %d, want %d\n%s", args, got, code, out)
	}
	l.t.Logf("%5.1fs  exit %d  runner %s", time.Since(began).Seconds(), code, strings.Join(args, " "))
	return string(out)
}

func (l *lab) command(args ...string) *exec.Cmd {
	cmd := exec.Command(l.runner, args...)
	cmd.Dir, cmd.Env = l.dir, l.env()
	return cmd
}

// begin starts the program and does not wait for it.
func (l *lab) begin(args ...string) *live {
	l.t.Helper()
	run := &live{t: l.t, cmd: l.command(args...), out: &seen{}}
	run.cmd.Stdout, run.cmd.Stderr = run.out, run.out
	run.begin()
	return run
}

// document is what the node says of itself; Version is "" where none answers.
type document struct {
	Status, Version string
	Metrics         struct {
		Uptime int `json:"uptime_seconds"`
	}
	System struct {
		PID  string `json:"os_pid"`
		Node string
	}
}

func (l *lab) document() (d document) {
	resp, err := http.Get(fmt.Sprintf("http://127.0.0.1:%d/health", l.port))
	if err != nil {
		return d
	}
	defer resp.Body.Close()
	if err := json.NewDecoder(resp.Body).Decode(&d); err != nil {
		l.t.Errorf("the health document: %v", err)
	}
	return d
}

// serves wants a version to answer, and its node to be the only one that was started from the root.
func (l *lab) serves(version string) document {
	l.t.Helper()
	d := l.document()
	if d.Version != version {
		l.t.Fatalf("%q answers, want %q", d.Version, version)
	}
	if nodes := l.nodes(); len(nodes) != 1 || fmt.Sprint(nodes[0]) != d.System.PID {
		l.t.Fatalf("process %s answers, and the nodes of the root are %v", d.System.PID, nodes)
	}
	if !strings.HasPrefix(d.System.Node, l.node+"@") {
		l.t.Fatalf("the node is %s, want %s", d.System.Node, l.node)
	}
	return d
}

// nodes are the processes of Erlang that were started from the root, trials too.
func (l *lab) nodes() (pids []int) {
	names, _ := filepath.Glob("/proc/[0-9]*/exe")
	for _, name := range names {
		exe, _ := os.Readlink(name)
		var pid int
		if strings.HasPrefix(exe, l.root()+"/") && strings.Contains(exe, "/beam.smp") {
			fmt.Sscanf(name, "/proc/%d/exe", &pid)
			pids = append(pids, pid)
		}
	}
	return pids
}

// processes are the command lines of all that runs.
func processes() map[int]string {
	all := map[int]string{}
	names, _ := filepath.Glob("/proc/[0-9]*/cmdline")
	for _, name := range names {
		var pid int
		b, err := os.ReadFile(name)
		if _, scan := fmt.Sscanf(name, "/proc/%d/cmdline", &pid); err == nil && scan == nil && len(b) > 0 {
			all[pid] = strings.ReplaceAll(string(b), "\x00", " ")
		}
	}
	return all
}

// contains wants texts in an output.
func (l *lab) contains(out string, texts ...string) {
	l.t.Helper()
	for _, text := range texts {
		if !strings.Contains(out, text) {
			l.t.Errorf("no %q in\n%s", text, out)
		}
	}
}

// in is the lab inside of a subtest.
func (l *lab) in(t *testing.T) *lab {
	s := *l.site
	s.t = t
	return &lab{&s, l.node, l.runner}
}

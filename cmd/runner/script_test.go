package main

import (
	"cmp"
	"errors"
	"flag"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"testing"
	"time"

	"github.com/rogpeppe/go-internal/testscript"

	"github.com/erlmcp/runner/runtime/host/hosttest"
)

var update = flag.Bool("update", false, "rewrite what the scripts expect")

// TestScripts runs testdata/script/*.txtar: everything that a user can see, one behaviour each.
func TestScripts(t *testing.T) {
	bins, err := binaries()
	if err != nil {
		t.Fatal(err)
	}
	apps, err := filepath.Abs(filepath.Join("..", "..", "testdata", "apps"))
	if err != nil {
		t.Fatal(err)
	}
	cache, err := os.UserCacheDir()
	if err != nil {
		t.Fatal(err)
	}
	testscript.Run(t, testscript.Params{
		Dir:                 filepath.Join("..", "..", "testdata", "script"),
		UpdateScripts:       *update,
		RequireExplicitExec: true,
		RequireUniqueNames:  true,
		Setup: func(e *testscript.Env) error {
			s := &site{t: t, dir: e.WorkDir, port: hosttest.Port(t)}
			for name, value := range map[string]string{
				"PORT": strconv.Itoa(s.port), "BINS": filepath.Dir(bins["1.0.0"]), "TOKEN": "canary-5f1d6f0c-canary", "HOME": e.WorkDir, "APPS": apps,
				"GOCACHE": cmp.Or(os.Getenv("GOCACHE"), filepath.Join(cache, "go-build")),
			} {
				e.Setenv(name, value)
			}
			e.Values["site"] = s
			e.Defer(s.killService)
			return os.WriteFile(filepath.Join(e.WorkDir, "environments.star"), s.environments(), 0o644)
		},
		Cmds: map[string]func(*testscript.TestScript, bool, []string){
			"exits":    exits,
			"answers":  answers,
			"build":    build,
			"screen":   screen,
			"expand":   expand,
			"pid":      pid,
			"occupy":   occupy,
			"endpoint": endpoint,
		},
	})
}

// exits runs a program and wants an exit code: exits 10 runner deploy.star production.
func exits(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) < 2 {
		ts.Fatalf("usage: exits CODE PROGRAM [ARGS]")
	}
	want, err := strconv.Atoi(args[0])
	ts.Check(err)
	got := 0
	var exit *exec.ExitError
	if err := ts.Exec(args[1], args[2:]...); errors.As(err, &exit) {
		got = exit.ExitCode()
	} else if err != nil {
		ts.Check(err)
	}
	if got != want {
		ts.Fatalf("exit %d, want %d", got, want)
	}
}

// answers waits for a version to answer on the port of the script's service: answers 1.0.0. With none, it
// wants nothing to answer.
func answers(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) > 1 {
		ts.Fatalf("usage: answers [VERSION]")
	}
	s := ts.Value("site").(*site)
	want := append(args, "")[0]
	for end := time.Now().Add(patience); s.answers() != want; time.Sleep(5 * time.Millisecond) {
		if time.Now().After(end) {
			ts.Fatalf("%q answers, want %q", s.answers(), want)
		}
	}
}

// build says which version of mcpd the script's project holds: build 1.1.0.
func build(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 1 {
		ts.Fatalf("usage: build VERSION")
	}
	ts.Check(os.WriteFile(ts.MkAbs("VERSION"), []byte(args[0]+"\n"), 0o644))
}

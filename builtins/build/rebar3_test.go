package build

import (
	"context"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/erlmcp/runner/builtins/artifact"
	"github.com/erlmcp/runner/runtime/host"
	"github.com/erlmcp/runner/runtime/host/hosttest"
	"github.com/erlmcp/runner/runtime/op"
)

// rebar is a rebar3 of the test's own: it makes the release and the logs that RELEASE and LOGS say.
const rebar = `#!/bin/sh
test "$1" = version && { echo rebar 3.19.0 on Erlang/OTP ${OTP:-25}; exit 0; }
echo "$@" >>"$HOME/calls"
case "$3" in
release)
	sh -c "$SCRIPT" || exit $?
	mkdir -p "$7/$5/bin" "$7/$5/releases" && echo 13.1.5 ${MADE:-1.2.0} >"$7/$5/releases/start_erl.data"
	test -z "$REL" || { mkdir "$7/$5/releases/1.2.0"; echo "$REL" >"$7/$5/releases/1.2.0/$5.rel"; echo x >"$7/$5/releases/1.2.0/start_clean.rel"; }
	echo "Release successfully assembled: $7/$5";;
eunit) printf '%b' "${EUNIT:-3 tests, 0 failures\n}"; exit ${EXIT:-0};;
ct) mkdir -p "$5/ct_run.x/lib.app.logs/run.x" && printf '%b' "${CT:-=case a_SUITE:one\n=result ok\n}" >"$5/ct_run.x/lib.app.logs/run.x/suite.log"; exit ${EXIT:-0};;
esac
`

// withRebar is the environment with that rebar3 first in PATH.
func withRebar(t testing.TB, more ...string) []string {
	t.Helper()
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, "rebar3"), []byte(rebar), 0o755); err != nil {
		t.Fatal(err)
	}
	set := append([]string{"PATH=" + dir + ":" + os.Getenv("PATH"), "HOME=" + dir, "GOFLAGS=", "GOPROXY=off", "GOCACHE=" + goCache(t)}, more...)
	var env []string
	for i, kv := range append(os.Environ(), set...) {
		name, _, _ := strings.Cut(kv, "=")
		later := append(os.Environ(), set...)[i+1:]
		if !slices.ContainsFunc(later, func(other string) bool { return strings.HasPrefix(other, name+"=") }) {
			env = append(env, kv)
		}
	}
	return env
}

func goCache(t testing.TB) string {
	t.Helper()
	dir, err := os.UserCacheDir()
	if err != nil {
		t.Fatal(err)
	}
	if set := os.Getenv("GOCACHE"); set != "" {
		return set
	}
	return filepath.Join(dir, "go-build")
}

var release = Rebar3{Profile: "prod", Timeout: defaultTimeout, Key: "run/1"}

func project() map[string]string {
	return map[string]string{
		"rebar.config":    "%% {release, {other, \"1\"}, []}\n{relx, [{release, {app, version},\n [app]}]}.\n",
		"src/app.app.src": "{application, app, [\n {vsn, \"1.2.0\"}]}. %% {vsn, \"9\"}\n",
		"src/app.erl":     "-module(app).\n",
	}
}

func TestRebar3(t *testing.T) {
	h := newHost(t, project())
	h.Env = withRebar(t)
	a, found := performed(t, h, release)
	if found || a.Name != "app" || a.Version != "1.2.0" || a.Platform != "any" || filepath.Base(a.Path) != "app" {
		t.Fatalf("%+v, found %v", a, found)
	}
	if again, found := performed(t, h, release); !found || again != a {
		t.Errorf("again: %+v, %v", again, found)
	}
	if p, err := release.Preview(t.Context(), hosttest.Frozen(t, h)); p != a || err != nil {
		t.Errorf("foreseen %+v, %v", p, err)
	}
	write(t, h, "_build/prod/lib/app/ebin/app.beam", "compiled")
	if _, found := performed(t, h, release); !found {
		t.Error("_build counts as source")
	}
	for name, change := range map[string]func(*Rebar3){
		"profile": func(r *Rebar3) { r.Profile = "dev" },
		"source":  func(*Rebar3) { write(t, h, "src/app.erl", "-module(app). %% changed\n") },
		"otp":     func(*Rebar3) { h.Env = append(h.Env, "OTP=26") },
		"flags":   func(*Rebar3) { h.Env = append(h.Env, "ERL_COMPILER_OPTIONS=[debug_info]") },
	} {
		r := release
		change(&r)
		if _, found := performed(t, h, r); found {
			t.Errorf("another %s: found again", name)
		}
	}
}

// A release has a version of its own; what it says of itself when it runs is its application's.
func TestAReleaseIsTheVersionOfItsApplication(t *testing.T) {
	rel := func(apps string) string {
		return `REL={release,{"app","1.2.0"},{erts,"13.1"},[{kernel,"8.5"},` + apps + `]}.`
	}
	for _, c := range []struct{ apps, asked, want string }{
		{`{app,"1.4.0+build.1.ref81f3ca3"}`, "", "1.4.0+build.1.ref81f3ca3"},
		{`{app, "1.4.0", permanent}`, "", "1.4.0"},
		{`{my_app,"1.4.0"}`, "", "1.2.0"},
		{`{app,"1.4.0"}`, "1.4.0", "1.4.0"},
		{`{app,"1.4.0"}`, "1.2.0", "1.2.0"},
	} {
		h := newHost(t, project())
		h.Env = withRebar(t, rel(c.apps))
		r := release
		r.Version = c.asked
		a, _ := performed(t, h, r)
		if a.Version != c.want {
			t.Errorf("%s, asked for %q: version %q, want %q", c.apps, c.asked, a.Version, c.want)
		}
		if c.asked == "" {
			if b, err := (File{Path: a.Path}).Do(t.Context(), h); b.Version != c.want || err != nil {
				t.Errorf("%s, built before: %q, %v", c.apps, b.Version, err)
			}
		}
	}
	h := newHost(t, project())
	h.Env = withRebar(t, rel(`{app,"1.4.0"}`))
	r := release
	r.Version = "7.0"
	if _, err := r.Do(t.Context(), h); err == nil || err.Error() != "cannot build app 7.0: the release is 1.2.0, and its application 1.4.0" {
		t.Error(err)
	}
}

func TestRebar3Errors(t *testing.T) {
	for want, c := range map[string]struct {
		files map[string]string
		env   []string
		set   Rebar3
		hint  string
	}{
		"cannot build a release: there is no rebar.config in ":                  {files: map[string]string{"rebar.config": ""}, set: Rebar3{Dir: "src"}, hint: "dir names"},
		"cannot build a release: rebar.config names none":                       {files: map[string]string{"rebar.config": "{relx, []}."}, hint: "release names it"},
		"cannot build a release: rebar.config names a, b":                       {files: map[string]string{"rebar.config": "{release, {b, \"1\"}, []}. {release,{a,\"1\"},[]}."}, hint: "release names the one"},
		"cannot build app: exit 3\n  undefined function":                        {env: []string{"SCRIPT=echo undefined function; exit 3"}},
		"cannot build app 7.0: the release is 1.2.0":                            {set: Rebar3{Version: "7.0"}, hint: "*.app.src"},
		"cannot build app: rebar3 made no release of that name":                 {env: []string{"MADE=a b c"}},
		"cannot start rebar3: it is not in PATH":                                {env: []string{"PATH=/nowhere"}, hint: "install rebar3"},
		"cannot start rebar3: Erlang's escript is not in PATH":                  {env: []string{"PATH=" + escriptless(t)}, hint: "install rebar3"},
		"cannot use the vsn of src/app.app.src: want a version of letters, dig": {files: map[string]string{"src/app.app.src": "{vsn,\"a b\"}"}},
	} {
		h := newHost(t, project())
		for name, text := range c.files {
			write(t, h, name, text)
		}
		h.Env = withRebar(t, c.env...)
		r := c.set
		r.Profile, r.Timeout, r.Key = "prod", defaultTimeout, "run/1"
		_, err := r.Do(t.Context(), h)
		if err == nil || !strings.HasPrefix(err.Error(), want) || !strings.Contains(op.HintOf(err), c.hint) {
			t.Errorf("want %q (%s), got %v (%s)", want, c.hint, err, op.HintOf(err))
		}
	}
}

// escriptless is a PATH with a rebar3 that cannot find its interpreter.
func escriptless(t *testing.T) string {
	dir := t.TempDir()
	must(t, os.WriteFile(filepath.Join(dir, "rebar3"), []byte("#!/usr/bin/env no-such-escript\n"), 0o755))
	return dir
}

// What rebar3 made of the version is the truth: the vsn of the application may be for it to work out.
func TestRebar3VersionIsTheReleases(t *testing.T) {
	h := newHost(t, project())
	write(t, h, "src/app.app.src", "{application, app, [{vsn, git}]}.")
	h.Env = withRebar(t, "MADE=1.3.0+build.2")
	if a, _ := performed(t, h, release); a.Version != "1.3.0+build.2" {
		t.Errorf("%+v", a)
	}
}

// Two runs that build in one folder do so one after the other, and one that waited does not build again.
func TestTwoAtOnce(t *testing.T) {
	h := newHost(t, map[string]string{"src": "1"})
	alone := `mkdir busy || exit 9; sleep 0.3; echo "$0" >>"$HOME/built"; rmdir busy; cp src out`
	h.Env = append(h.Env, "HOME="+t.TempDir())
	build := func(version string, key op.Key, ear *heard) error {
		c := Command{Argv: []string{"sh", "-c", alone, "{version}"}, Output: "out", Version: version, Timeout: defaultTimeout, Key: key}
		_, err := c.Do(op.WithSpeaker(t.Context(), ear), h)
		return err
	}
	ended := make(chan error)
	ears := []*heard{{}, {}, {}}
	for i, version := range []string{"1", "2", "2"} {
		go func() { ended <- build(version, op.Key("run/"+version+string(rune('a'+i))), ears[i]) }()
	}
	for range ears {
		must(t, <-ended)
	}
	b, _ := os.ReadFile(filepath.Join(strings.TrimPrefix(h.Env[len(h.Env)-1], "HOME="), "built"))
	if strings.Count(string(b), "1\n") != 1 || strings.Count(string(b), "2\n") != 1 {
		t.Errorf("built %q", b)
	}
	waits := 0
	for _, ear := range ears {
		for _, w := range ear.waits {
			if strings.HasPrefix(w, "another run, which builds in ") {
				waits++
			}
		}
	}
	if waits == 0 {
		t.Error("a wait is not announced")
	}
}

// A run that waits for another's build stops when it is told to, and when it has waited too long.
func TestWaitForAnotherEnds(t *testing.T) {
	h := newHost(t, map[string]string{"src": "1"})
	other := &plan{what: "other"}
	_, err := open(h).alone(t.Context(), other, time.Minute)
	must(t, err)
	defer other.hold.Close()
	c := Command{Argv: []string{"cp", "src", "out"}, Output: "out", Version: "1", Timeout: op.Duration(200 * time.Millisecond), Key: "run/1"}
	if _, err := c.Do(t.Context(), h); err == nil || !strings.Contains(err.Error(), "another run builds in "+h.Project+" for longer than 200ms") {
		t.Errorf("late: %v", err)
	}
	c.Timeout = defaultTimeout
	ctx, cancel := context.WithCancelCause(t.Context())
	stopped := errors.New("asked to stop")
	time.AfterFunc(100*time.Millisecond, func() { cancel(stopped) })
	if _, err := c.Do(ctx, h); !errors.Is(err, stopped) {
		t.Errorf("stopped: %v", err)
	}
}

// realErlang is a copy of the application that the labs deploy, and skips where rebar3 is not installed.
func realErlang(t *testing.T) *host.Host {
	if _, err := exec.LookPath("rebar3"); err != nil {
		t.Skip("not run: rebar3 is not installed")
	}
	h := newHost(t, nil)
	must(t, os.Remove(h.Project))
	app, err := filepath.Abs("../../testdata/apps/erlmcp")
	must(t, err)
	must(t, exec.Command("cp", "-r", app, h.Project).Run())
	must(t, os.RemoveAll(h.Abs("_build")))
	h.Env = append(h.Env, "HOME="+t.TempDir())
	return h
}

func TestRealRelease(t *testing.T) {
	h := realErlang(t)
	begun := time.Now()
	a, _ := performed(t, h, release)
	t.Logf("cold: %s", time.Since(begun))
	if a.Name != "erlmcp" || a.Version != "0.6.0" || a.Platform != machine {
		t.Fatalf("%+v", a)
	}
	begun = time.Now()
	if again, found := performed(t, h, release); !found || again != a {
		t.Errorf("again: %+v, %v", again, found)
	}
	t.Logf("found again: %s", time.Since(begun))
	text, err := os.ReadFile(h.Abs("src/erlmcp.app.src"))
	must(t, err)
	write(t, h, "src/erlmcp.app.src", strings.Replace(string(text), "0.6.0", "0.7.0", 1))
	begun = time.Now()
	b, found := performed(t, h, release)
	t.Logf("changed: %s", time.Since(begun))
	if old, _ := filepath.Glob(filepath.Join(b.Path, "*", "*0.6.0")); found || b.Version != "0.7.0" || len(old) > 0 {
		t.Errorf("%+v, found %v, with %v", b, found, old)
	}
	taken, err := File{Path: b.Path}.Do(t.Context(), h)
	if err != nil || taken.Version != "0.7.0" || taken.Platform != machine || taken.Digest != b.Digest {
		t.Errorf("taken as a file: %+v, %v", taken, err)
	}
	if d, _, err := artifact.Digest(host.OS{}, a.Path); d != a.Digest || err != nil {
		t.Errorf("the first is %s, %v", d, err)
	}
}

func TestRealTests(t *testing.T) {
	h := realErlang(t)
	r := Rebar3Test{Suites: bothSuites(), Profile: "test", Timeout: defaultTimeout, Key: "run/1"}
	got, err := r.Do(t.Context(), h)
	if err != nil || got.Passed != 68 || got.Skipped != 0 || got.Took <= 0 || len(got.Paths) != 2 {
		t.Errorf("%+v, %v", got, err)
	}
	write(t, h, "test/bad_tests.erl", "-module(bad_tests).\n-export([one_test/0]).\none_test() -> error(seen).\n")
	write(t, h, "test/bad_SUITE.erl", "-module(bad_SUITE).\n-export([all/0, no/1, yes/1]).\nall() -> [no, yes].\nno(_) -> ct:fail(also_seen).\nyes(_) -> {skip, later}.\n")
	_, err = r.Do(t.Context(), h)
	for _, want := range []string{"2 of 71 tests failed\n", "\n  bad_tests:one_test/0: {error,seen, ", "\n  bad_SUITE:no: {test_case_failed,also_seen}"} {
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("want %q, got %v", want, err)
		}
	}
	if hint := op.HintOf(err); !strings.HasPrefix(hint, "all that was said is in "+h.Scratch) {
		t.Errorf("hint %s", hint)
	}
	write(t, h, "test/bad_tests.erl", "-module(bad_tests.\n")
	_, err = r.Do(t.Context(), h)
	if err == nil || !strings.HasPrefix(err.Error(), "cannot run eunit: exit 1\n") || !strings.Contains(err.Error(), "bad_tests.erl") {
		t.Errorf("a syntax error: %v", err)
	}
	if left, _ := filepath.Glob(h.Abs("*.crashdump")); len(left) > 0 {
		t.Errorf("left: %v", left)
	}
}

// What is built is named by the source as it was when the building began, not when the waiting did.
func TestSourceChangesWhileWaiting(t *testing.T) {
	h := newHost(t, map[string]string{"src": "1"})
	other := &plan{what: "other"}
	_, err := open(h).alone(t.Context(), other, time.Minute)
	must(t, err)
	c := Command{Argv: []string{"cp", "src", "out"}, Output: "out", Version: "1", Timeout: defaultTimeout, Key: "run/1"}
	ctx := op.WithSpeaker(t.Context(), &whenWaiting{then: func() { write(t, h, "src", "2"); other.hold.Close() }})
	a, err := c.Do(ctx, h)
	if b, _ := os.ReadFile(a.Path); err != nil || string(b) != "2" {
		t.Errorf("built %q, %v", b, err)
	}
	write(t, h, "src", "1")
	if a, found := performed(t, h, c); found {
		b, _ := os.ReadFile(a.Path)
		t.Errorf("found %s for 1", b)
	}
}

type whenWaiting struct {
	op.Silent
	then func()
}

func (w *whenWaiting) Waiting(what string, _ time.Time) {
	if strings.HasPrefix(what, "another run") {
		w.then()
	}
}

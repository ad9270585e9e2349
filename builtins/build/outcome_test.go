package build

import (
	"fmt"
	"os"
	"strings"
	"testing"

	"github.com/erlmcp/runner/runtime/host"
	"github.com/erlmcp/runner/runtime/op"
)

func text(t *testing.T, name string) string {
	t.Helper()
	b, err := os.ReadFile("testdata/suites/" + name)
	must(t, err)
	return string(b)
}

// What rebar3 3.19 said of tests that fail in every way.
func TestEunit(t *testing.T) {
	o, err := eunit(text(t, "eunit.txt"))
	if err != nil || o.failed != 6 || o.passed != 51 || o.skipped != 0 {
		t.Errorf("%+v, %v", o, err)
	}
	want := `6 of 57 tests failed
  bad_tests:one_test/0: ?assertEqual(1, 1 + list_to_integer ( "1" )) expected: 1 got: 2
  bad_tests:-two_test_/0-fun-1-/0:4: the title: ?assertEqual(<<108,111,110,103>>, list_to_binary ( lists : duplicate ( 300 , $x ) )) expected: <<"long">> got: <<"xxxx…
  bad_tests:three_test/0: {error, {crash,here}, [{bad_tests,three_test,0, [{file,"test/bad_tests.erl"},{line,5}]},…
  bad_tests:-four_test_/0-fun-0-/0: {timeout, #{stacktrace => …
  undefined: {blame,[3,4]}
  and 1 more`
	for i, line := range strings.Split(want, "\n") {
		got := append(strings.Split(o.failure().Error(), "\n"), make([]string, 10)...)[i]
		start, _, _ := strings.Cut(line, "…")
		if !strings.HasPrefix(got, start) || len([]rune(got)) > 250 {
			t.Errorf("want %q, got %q", line, got)
		}
	}
	for said, want := range map[string]string{
		"\n  All 5 tests passed.\n":                                  "0 0 5",
		"  Test passed.\n":                                           "0 0 1",
		"=====\n  Failed: 2.  Skipped: 1.  Passed: 30.\n":            "2 1 30",
		"4 tests, 1 failures, 2 skipped\n":                           "1 2 1",
		"\x1b[0;32m4 tests, 0 failures\n\x1b[0m":                     "0 0 4",
		"my own 4 tests, 9 failures\n1 tests, 0 failures, 1 skipped": "0 1 0",
	} {
		o, err := eunit(said)
		if got := fmt.Sprintf("%d %d %d", o.failed, o.skipped, o.passed); got != want || err != nil {
			t.Errorf("%q: %s, %v", said, got, err)
		}
	}
	if _, err := eunit("no such thing"); err != errNoTests {
		t.Errorf("garbage: %v", err)
	}
}

func TestCommonTest(t *testing.T) {
	h := newHost(t, map[string]string{"logs/ct_run.a/lib.x.logs/run.1/suite.log": text(t, "ct.txt"), "logs/ct_run.a/lib.y.logs/run.1/suite.log": "=case y_SUITE:one\n=result ok\n"})
	o, err := commonTest(host.OS{}, h.Abs("logs"))
	if err != nil || o.failed != 3 || o.passed != 19 || o.skipped != 2 {
		t.Errorf("%+v, %v", o, err)
	}
	said := o.failure().Error()
	for _, want := range []string{"3 of 24 tests failed\n", "\n  bad_SUITE:b: {badarg, [{erlang,list_to_integer, [\"", "\n  bad_SUITE:d: {test_case_failed,\"this is why\"}, ", "\n  bad_SUITE:init_per_group: {nogroup, "} {
		if !strings.Contains(said, want) {
			t.Errorf("want %q in\n%s", want, said)
		}
	}
	if _, err := commonTest(host.OS{}, h.Abs("none")); err != errNoTests {
		t.Errorf("none: %v", err)
	}
}

func TestManyFailuresFitOneScreen(t *testing.T) {
	var o outcome
	for i := range 100 {
		o.failed++
		o.fail(fmt.Sprint("case ", i), strings.Repeat("why ", 1000))
	}
	said := o.failure().Error()
	if lines := strings.Count(said, "\n"); lines != named+1 || len(said) > 3000 || !strings.HasSuffix(said, "\n  and 90 more") {
		t.Errorf("%d lines, %d bytes: %s", lines, len(said), said)
	}
}

func TestSuitesThatEndStrangely(t *testing.T) {
	for want, env := range map[string][]string{
		"": nil,
		"cannot run eunit: exit 1\n  3 tests, 0 failures":                  {"EXIT=1"},
		"cannot run eunit: it ended with success, and 1 of 3 tests failed": {"EUNIT=3 tests, 1 failures\n"},
		"cannot run eunit: exit 1\n  nonsense":                             {"EUNIT=nonsense\n", "EXIT=1"},
		"2 of 5 tests failed\n  a_SUITE:x: why":                            {"EUNIT=3 tests, 1 failures\n", "CT==case a_SUITE:x\n=result failed: why\n=case a_SUITE:y\n=result ok\n", "EXIT=1"},
		"cannot start rebar3: it is not in PATH":                           {"PATH=/nowhere"},
	} {
		h := newHost(t, project())
		h.Env = withRebar(t, env...)
		_, err := Rebar3Test{Suites: bothSuites(), Profile: "test", Timeout: defaultTimeout, Key: "run/1"}.Do(t.Context(), h)
		if want == "" && err != nil || want != "" && (err == nil || !strings.HasPrefix(err.Error(), want) || op.HintOf(err) == "") {
			t.Errorf("want %q, got %v", want, err)
		}
	}
}

// The logs of an attempt that was stopped do not count in the next.
func TestSuitesAgain(t *testing.T) {
	h := newHost(t, project())
	h.Env = withRebar(t)
	write(t, h, "x", "")
	must(t, os.MkdirAll(h.Scratch+"/run-1-ct/ct_run.old/lib.app.logs/run.x", 0o755))
	must(t, os.WriteFile(h.Scratch+"/run-1-ct/ct_run.old/lib.app.logs/run.x/suite.log", []byte("=case old:x\n=result failed: y\n"), 0o644))
	got, err := Rebar3Test{Suites: []string{"ct"}, Profile: "test", Timeout: defaultTimeout, Key: "run/1"}.Do(t.Context(), h)
	if err != nil || got.Passed != 1 {
		t.Errorf("%+v, %v", got, err)
	}
}

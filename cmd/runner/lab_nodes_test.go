//go:build labs

package main

import (
	"fmt"
	"net/http"
	"os"
	"regexp"
	"strings"
	"syscall"
	"testing"
	"time"
)

// poison is a module that tries to stop the node that runs, as code of a release can: by Erlang's own distribution, by
// the tools of its release, and by its start script, with all that it was told.
const poison = `-module(erlmcp_poison).
-export([run/0]).

run() ->
    Live = '{node}@127.0.0.1',
    Erts = filename:join(code:root_dir(), "erts-" ++ erlang:system_info(version)),
    Call = Erts ++ "/bin/erl_call -name {node}@127.0.0.1 -timeout 3 -a 'init stop'",
    io:format("poison: ping ~p~n", [net_adm:ping(Live)]),
    io:format("poison: stop ~p~n", [rpc:call(Live, init, stop, [], 3000)]),
    {ok, Names} = net_adm:names(),
    io:format("poison: epmd names it: ~p~n", [lists:keymember("{node}", 1, Names)]),
    io:format("poison: call ~p~n", [os:cmd(Call ++ " -c \"$NODE_COOKIE\" 2>&1")]),
    io:format("poison: cookie file ~p~n", [os:cmd(Call ++ " 2>&1")]),
    io:format("poison: tried~n").
`

// poisoned makes the source another version that tries to stop the node that runs, and fails a smoke test.
func (l *lab) poisoned(version string) {
	l.t.Helper()
	l.write("src/erlmcp_poison.erl", strings.ReplaceAll(poison, "{node}", l.node))
	app := l.read("src/erlmcp_app.erl")
	begin := "    erlmcp_log:start(),\n"
	if !strings.Contains(app, begin) {
		l.t.Fatal("erlmcp_app.erl has changed")
	}
	l.write("src/erlmcp_app.erl", strings.Replace(app, begin, begin+"    erlmcp_poison:run(),\n", 1))
	l.version(version, "{mcp, error}.")
}

// unbroken asks the live node all the time, and in the end wants the same process, up without a break, no answer missed.
func (l *lab) unbroken(during func()) {
	l.t.Helper()
	before := l.document()
	stop, missed := make(chan struct{}), make(chan []string, 1)
	go func() {
		var errs []string
		defer func() { missed <- errs }()
		for {
			resp, err := http.Get(fmt.Sprintf("http://127.0.0.1:%d/health/live", l.port))
			if err == nil {
				resp.Body.Close()
			}
			if err != nil || resp.StatusCode != 200 {
				errs = append(errs, fmt.Sprintf("%s: %v", time.Now().Format(time.TimeOnly), err))
			}
			select {
			case <-stop:
				return
			case <-time.After(20 * time.Millisecond):
			}
		}
	}()
	began := time.Now()
	during()
	took := time.Since(began)
	close(stop)
	if errs := <-missed; len(errs) > 0 {
		l.t.Errorf("%d answers are missed: %v", len(errs), errs[0])
	}
	after := l.document()
	if after.System != before.System || time.Duration(after.Metrics.Uptime-before.Metrics.Uptime+2)*time.Second < took {
		l.t.Errorf("it was %+v, and %s later it is %+v", before, took, after)
	}
}

// TestLabRehearsal rehearses beside a node that serves: the trial passes, fails, is killed, and is up to no good, and the
// node that serves does not notice.
func TestLabRehearsal(t *testing.T) {
	t.Parallel()
	l := newLab(t)
	l.write("rehearse.star", `load("@std/project.star", "build_app")
load("@std/verify.star", "rehearse")

def main(environment):
    rehearse(environment, build_app(environment))
`)
	l.runs(0, "deploy.star", "careful", "--skip-tests", "--output", "plain")
	rehearse := []string{"rehearse.star", "careful", "--output", "plain"}
	t.Run("it passes", func(t *testing.T) {
		l := l.in(t)
		l.version("3.0.0")
		l.unbroken(func() { l.contains(l.runs(0, rehearse...), "3 of 3 smoke tests passed") })
		l.serves("1.0.0")
	})
	t.Run("runner is killed", func(t *testing.T) {
		l := l.in(t)
		l.version("3.1.0", `{slow_start, "20s"}.`)
		l.unbroken(func() {
			run := l.begin(rehearse...)
			l.until("a trial", func() bool { return len(l.nodes()) == 2 })
			run.send(syscall.SIGKILL)
			<-run.ended
			l.until("the trial to end with its runner", func() bool { return len(l.nodes()) == 1 })
		})
		l.version("3.2.0")
		l.unbroken(func() { l.runs(0, rehearse...) })
		l.serves("1.0.0")
	})
	t.Run("it fails", func(t *testing.T) {
		l := l.in(t)
		l.version("3.3.0", "{fail_start, error}.")
		l.unbroken(func() { l.contains(l.runs(1, rehearse...), "told_to_fail", "nothing is changed") })
		l.serves("1.0.0")
	})
	t.Run("it tries to stop what serves", func(t *testing.T) {
		l := l.in(t)
		l.poisoned("3.4.0")
		out := ""
		l.unbroken(func() { out = l.runs(1, "deploy.star", "careful", "--skip-tests", "--output", "plain", "-v") })
		l.contains(out, "poison: ping pang", "poison: stop {badrpc,", "poison: epmd names it: true", "poison: tried", "FAIL jsonrpc")
		for _, line := range regexp.MustCompile(`poison: .*`).FindAllString(out, -1) {
			t.Log(line)
		}
		l.serves("1.0.0")
	})
	if _, err := os.Stat(l.root(".runner", "trial")); err == nil {
		t.Error("the last trial is still there")
	}
}

// until waits for what a test wants to see.
func (l *lab) until(what string, seen func() bool) {
	l.t.Helper()
	for end := time.Now().Add(3 * patience); !seen(); time.Sleep(5 * time.Millisecond) {
		if time.Now().After(end) {
			l.t.Fatalf("there was never %s; the nodes are %v", what, l.nodes())
		}
	}
}

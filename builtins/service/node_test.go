package service

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/erlmcp/runner/builtins/driver"
	"github.com/erlmcp/runner/runtime/op"
	"github.com/erlmcp/runner/runtime/optest"
)

// node is a script that answers as the start script of a release does.
const node = `#!/bin/sh
case "$1" in
foreground) exec sleep 60;;
ping) cat "$RUNNER_LOG_DIR/answer";;
rpc) shift; echo "$*";;
esac
`

// withNode is a root whose service was started by such a script; what a ping answers stands in a file.
func withNode(p *place) *place {
	p.t.Helper()
	bin := filepath.Join(p.root, "releases", "000001", "bin")
	p.must(os.MkdirAll(bin, 0o755))
	p.must(os.WriteFile(filepath.Join(bin, "app"), []byte(node), 0o755))
	u, err := driver.Relx{Name: "app", Grace: op.Duration(5 * time.Second)}.Unit(p.h, p.root, "000001", "20250101t000000-old0/1")
	p.must(err)
	unit, err := driver.Store(p.h, p.root, u)
	p.must(err)
	p.must(driver.Start(p.t.Context(), p.h, p.root, unit))
	p.answers("pong")
	return p
}

func (p *place) answers(text string) {
	p.must(os.WriteFile(filepath.Join(p.root, "shared", "log", "answer"), []byte(text), 0o644))
}

func nodeWorld(prepare func(*place) *place, params func(root string) any) func(testing.TB) optest.World {
	return func(t testing.TB) optest.World {
		p := prepare(newPlace(t, "/bin/true"))
		return optest.World{Host: p.h, Params: params(p.root), Snapshot: func() string { return "" }}
	}
}

func ping(root string) any { return Ping{Root: root, Timeout: op.Duration(10 * time.Second)} }

func rpc(root string) any {
	return Rpc{Root: root, Module: "erlang", Function: "memory", Timeout: op.Duration(10 * time.Second)}
}

func TestPing(t *testing.T) {
	p := newPlace(t, "/bin/true")
	asked := func() (bool, error) { return ping(p.root).(Ping).Do(t.Context(), p.h) }
	if up, err := asked(); up || err != nil {
		t.Errorf("nothing was started: %v, %v", up, err)
	}
	withNode(p)
	if up, err := asked(); !up || err != nil {
		t.Errorf("it answers: %v, %v", up, err)
	}
	p.answers("Node is not running!")
	if up, err := asked(); up || err != nil {
		t.Errorf("it says no: %v, %v", up, err)
	}
	p.must(os.Remove(filepath.Join(p.root, "shared", "log", "answer")))
	if up, err := asked(); up || err != nil {
		t.Errorf("the script fails: %v, %v", up, err)
	}
}

func TestRpc(t *testing.T) {
	p := withNode(newPlace(t, "/bin/true"))
	if said, err := rpc(p.root).(Rpc).Do(t.Context(), p.h); said != "erlang memory []" || err != nil {
		t.Errorf("%q, %v", said, err)
	}
	p.must(driver.Stop(t.Context(), p.h, p.root, p.runs()))
	if _, err := rpc(p.root).(Rpc).Do(t.Context(), p.h); err == nil || !strings.Contains(err.Error(), "it does not run") {
		t.Errorf("it has ended: %v", err)
	}
	for _, bad := range []Rpc{{Module: "os:cmd", Function: "x"}, {Module: "os", Function: ""}, {Module: "os", Function: "x", Args: "a"}} {
		if bad.Check() == nil {
			t.Errorf("%+v passes", bad)
		}
	}
}

func TestLogs(t *testing.T) {
	p := newPlace(t, "/bin/true")
	logs := func(l Logs) string {
		t.Helper()
		text, err := l.Do(t.Context(), p.h)
		p.must(err)
		return text
	}
	if got := logs(Logs{Root: p.root, Lines: 2}); got != "" {
		t.Errorf("nothing was started: %q", got)
	}
	withNode(p)
	p.must(os.WriteFile(driver.LogPath(p.root), []byte("one\ntwo\nthree\n"), 0o644))
	own := filepath.Join(p.root, "own.log")
	p.must(os.WriteFile(own, []byte("four\nfive\n"), 0o644))
	if got := logs(Logs{Root: p.root, Lines: 2}); got != "two\nthree" {
		t.Errorf("the service's: %q", got)
	}
	if got := logs(Logs{Root: p.root, Lines: 1, File: own}); got != "five" {
		t.Errorf("its own: %q", got)
	}
	if (Logs{Root: p.root}).Check() == nil {
		t.Error("no lines are wanted")
	}
}

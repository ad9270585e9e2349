//go:build labs

package main

import (
	"bytes"
	"crypto/sha256"
	"encoding/json"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/erlmcp/runner/runtime/host"
)

// TestLabErlang is the life of a production target: deployed, upgraded, looked at, taken back and forth.
func TestLabErlang(t *testing.T) {
	t.Parallel()
	l := newLab(t)
	watched := watchArgv(t)
	t.Run("first deployment, with its tests", func(t *testing.T) {
		l := l.in(t)
		out := l.runs(0, "deploy.star", "production", "--output", "plain")
		l.contains(out, "tests, 0 failures", "All 17 tests passed", "3 of 3 smoke tests passed", "verdict: 1.0.0 serves and is healthy")
		l.serves("1.0.0")
	})
	t.Run("again there is nothing to do", func(t *testing.T) {
		l := l.in(t)
		before := l.serves("1.0.0")
		l.contains(l.runs(0, "deploy.star", "production", "--output", "plain"), "nothing is changed")
		if after := l.serves("1.0.0"); after.System.PID != before.System.PID {
			t.Errorf("process %s serves, before it was %s", after.System.PID, before.System.PID)
		}
	})
	t.Run("upgrade", func(t *testing.T) {
		l := l.in(t)
		l.version("1.1.0")
		l.runs(0, "deploy.star", "production", "--output", "plain")
		l.serves("1.1.0")
		l.keepsToItself("000001", "000002")
	})
	t.Run("secrets in no command line", func(t *testing.T) {
		l := l.in(t)
		l.hidden(watched())
	})
	t.Run("asked", func(t *testing.T) {
		l := l.in(t)
		l.contains(l.runs(0, "ask.star", "production", "--output", "plain"), "ping True", `rpc "‹secret TOKEN›" '`+l.node+"@127.0.0.1'")
	})
	t.Run("doctor", func(t *testing.T) {
		l := l.in(t)
		l.contains(l.runs(0, "doctor", "production", "--output", "plain"), "release 000002, version 1.1.0, accepted as good", "listens on", "has no problem that doctor knows of")
		l.contains(l.runs(1, "doctor", "broken", "--output", "plain"), "broken is not well", "127.0.0.1:1 does not accept connections", "cannot read the certificate of config/no.pem: it does not exist")
		l.serves("1.1.0")
	})
	t.Run("rollback", func(t *testing.T) { l.in(t).goesBack() })
	t.Run("doctor of a node that was killed", func(t *testing.T) {
		l := l.in(t)
		l.killService()
		l.contains(l.runs(1, "doctor", "production", "--output", "plain"), "release 000002 does not run", "connection refused")
		l.runs(0, "deploy.star", "production", "--output", "plain")
		l.serves("1.1.0")
	})
}

// goesBack takes a protected target with 1.1.0 back to the backup of 1.0.0, then that back, then by name.
func (l *lab) goesBack() {
	l.t.Helper()
	l.contains(l.runs(18, "rollback.star", "production", "--output", "plain"), "--yes")
	l.serves("1.1.0")
	back := func(version string, more ...string) {
		l.t.Helper()
		l.runs(0, append([]string{"rollback.star", "production", "--yes", "--output", "plain"}, more...)...)
		l.serves(version)
	}
	back("1.0.0")
	named, err := filepath.Glob(l.root("backups", "erlmcp-pre-rollback-*"))
	if err != nil || len(named) != 1 {
		l.t.Fatalf("backups before a rollback: %v, %v", named, err)
	}
	back("1.1.0", filepath.Base(named[0])) // the rollback taken back
	back("1.0.0", "1.0.0")
	out := l.runs(1, "rollback.star", "production", filepath.Base(named[0])+"x", "--yes", "--output", "plain")
	l.contains(out, filepath.Base(named[0]), "nothing is changed")
	back("1.1.0", "000002")
}

// keepsToItself wants releases that ran to be as they were installed, and what their nodes wrote to lie in shared.
func (l *lab) keepsToItself(ids ...string) {
	l.t.Helper()
	for _, id := range ids {
		var m struct{ Files []host.Entry }
		b, err := os.ReadFile(l.root("releases", id, ".runner-release.json"))
		if err == nil {
			err = json.Unmarshal(b, &m)
		}
		if err != nil || len(m.Files) < 50 {
			l.t.Fatalf("the manifest of %s: %d files, %v", id, len(m.Files), err)
		}
		listed := map[string]bool{".": true, ".runner-release.json": true}
		for _, e := range m.Files {
			listed[e.Path] = true
			info, err := os.Lstat(l.root("releases", id, e.Path))
			if err != nil || info.Mode() != e.Mode {
				l.t.Errorf("%s of %s: %v, %v", e.Path, id, info, err)
			} else if info.Mode().IsRegular() && e.SHA256 != sum(l.root("releases", id, e.Path)) {
				l.t.Errorf("%s of %s has changed", e.Path, id)
			}
		}
		fs.WalkDir(os.DirFS(l.root("releases", id)), ".", func(name string, d fs.DirEntry, _ error) error {
			if !listed[name] && name != ".runner-config" && filepath.Dir(name) != ".runner-config" {
				l.t.Errorf("%s was written into %s", name, id)
			}
			return nil
		})
		for _, name := range []string{"run/" + id + "/vm.args", "run/" + id + "/production.config", "log/production.log", "log/service.log"} {
			if _, err := os.Stat(l.root("shared", name)); err != nil {
				l.t.Error(err)
			}
		}
	}
	if info, err := os.Stat(l.root("shared", "run", ids[0])); err != nil || info.Mode().Perm() != 0o700 {
		l.t.Errorf("the folder with the cookie: %v, %v", info, err)
	}
}

func sum(name string) string {
	b, _ := os.ReadFile(name)
	return fmt.Sprintf("sha256:%x", sha256.Sum256(b))
}

// hidden wants the secret and the cookie in the environment of the node, and in no command line that was seen.
func (l *lab) hidden(seen map[string]bool) {
	l.t.Helper()
	b, err := os.ReadFile(l.root(".runner", "cookie"))
	cookie := strings.TrimSpace(string(b))
	if err != nil || len(cookie) < 20 {
		l.t.Fatalf("the cookie is %q, %v", cookie, err)
	}
	env, err := os.ReadFile(fmt.Sprintf("/proc/%s/environ", l.document().System.PID))
	if err != nil || !bytes.Contains(env, []byte("TOKEN=canary-5f1d6f0c-canary")) || !bytes.Contains(env, []byte("HOME="+l.root(".runner", "home")+"\x00")) {
		l.t.Errorf("the node does not have its secrets: %v", err)
	}
	node := false
	for argv := range seen {
		node = node || strings.Contains(argv, "-name "+l.node+"@")
		if strings.Contains(argv, "canary-5f1d6f0c") || strings.Contains(argv, cookie) {
			l.t.Errorf("a secret is in a command line: %s", argv)
		}
	}
	if !node {
		l.t.Errorf("the watch saw no node among %d command lines", len(seen))
	}
}

// watchArgv notes every command line that it sees until it is asked.
func watchArgv(t *testing.T) func() map[string]bool {
	stop, all := make(chan struct{}), make(chan map[string]bool, 1)
	go func() {
		seen := map[string]bool{}
		defer func() { all <- seen }()
		for {
			for _, argv := range processes() {
				seen[argv] = true
			}
			select {
			case <-stop:
				return
			case <-t.Context().Done():
				return
			default:
			}
		}
	}()
	return func() map[string]bool { close(stop); return <-all }
}

// TestLabInit makes the project that "runner init" writes serve, with nothing added but a free port.
// Beside it another copy of the project does not: its node would have the same name.
func TestLabInit(t *testing.T) {
	t.Parallel()
	begun := func() *lab {
		l := newLab(t)
		os.Remove(filepath.Join(l.dir, "environments.star"))
		l.contains(l.runs(0, "init"), "found a rebar3 release, erlmcp", "next: runner deploy.star dev")
		l.write("environments.star", strings.ReplaceAll(l.read("environments.star"), "8080", fmt.Sprint(l.port)))
		return l
	}
	l := begun()
	out := l.runs(0, "deploy.star", "dev", "--output", "plain")
	l.contains(out, "All 17 tests passed", "1.0.0 serves and is healthy")
	pid := l.document().System.PID
	if l.document().Version != "1.0.0" || pid == "" {
		t.Fatalf("%+v", l.document())
	}
	l.contains(l.runs(0, "deploy.star", "dev", "--output", "plain"), "nothing is changed")
	l.contains(l.runs(0, "doctor", "dev", "--output", "plain"), "no problem")
	beside := begun()
	beside.contains(beside.runs(10, "deploy.star", "dev", "--skip-tests", "--output", "plain"),
		"cannot switch to 000001: the node name erlmcp is taken by process "+pid+" (beam.smp)", `give this one a name of its own: node = "NAME"`)
	if l.document().System.PID != pid {
		t.Error("another process answers")
	}
}

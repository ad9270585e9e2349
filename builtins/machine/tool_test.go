package machine

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/erlmcp/runner/runtime/host"
	"github.com/erlmcp/runner/runtime/op"
)

// fake makes a program that is found before others.
func fake(t testing.TB, h *host.Host, name, script string) string {
	t.Helper()
	dir := filepath.Join(h.Project, "bin")
	path := filepath.Join(dir, name)
	must(t, os.MkdirAll(dir, 0o755), os.WriteFile(path, []byte("#!/bin/sh\n"+script+"\n"), 0o755))
	h.Env = []string{"PATH=" + dir + ":" + os.Getenv("PATH"), "HOME=/"}
	return path
}

func tool(t testing.TB, h *host.Host, p Tool) Program {
	t.Helper()
	if p.Timeout == 0 {
		p.Timeout = op.Duration(10 * time.Second)
	}
	must(t, p.Check())
	got, err := p.Do(t.Context(), h)
	must(t, err)
	return got
}

func TestTool(t *testing.T) {
	h := newHost(t)
	path := fake(t, h, "psql", `echo "psql (PostgreSQL) 15.4 (Debian 15.4-1)"`)
	want := Program{Name: "psql", Found: true, Path: path, Version: "15.4", Enough: true}
	for _, least := range []string{"", "15", "15.4", "15.3.9", "9.99", "15.4.0"} {
		if got := tool(t, h, Tool{Name: "psql", AtLeast: least}); got != want {
			t.Errorf("at least %q: %+v", least, got)
		}
	}
	want.Enough, want.Problem = false, "it is version 15.4, want 15.10 or later"
	if got := tool(t, h, Tool{Name: "psql", AtLeast: "15.10"}); got != want {
		t.Errorf("%+v", got)
	}
	if got := tool(t, h, Tool{Name: "no-such-tool", AtLeast: "1"}); got != (Program{Name: "no-such-tool", Problem: "it is not in PATH"}) {
		t.Errorf("missing: %+v", got)
	}
	if got := tool(t, h, Tool{Name: "bin/psql", AtLeast: "15"}); !got.Enough || got.Path != path {
		t.Errorf("by path: %+v", got)
	}
}

func TestToolInTrouble(t *testing.T) {
	h := newHost(t)
	for _, c := range []struct{ script, version, problem string }{
		{"echo no number", "", "it does not tell its version: there is no number in its answer"},
		{"echo 2.0 >&2", "2.0", ""},
		{"echo 2.0; exit 3", "", "it does not tell its version: exit 3"},
		{"kill -9 $$", "", "it does not tell its version: ended by signal: killed"},
		{"sleep 100", "", "it does not tell its version: it ran longer than 300ms"},
		{"head -c 3000000 /dev/zero | tr '\\0' x; echo 2", "", "it does not tell its version: there is no number in its answer"},
		{"cat", "", "it does not tell its version: there is no number in its answer"},
		{`printf '\377\376 9.1'`, "9.1", ""},
	} {
		fake(t, h, "x", c.script)
		limit := op.Duration(time.Minute)
		if c.script == "sleep 100" {
			limit = op.Duration(300 * time.Millisecond)
		}
		got := tool(t, h, Tool{Name: "x", AtLeast: "1", Timeout: limit})
		if !got.Found || got.Version != c.version || got.Problem != c.problem || got.Enough != (c.problem == "") {
			t.Errorf("%s: %+v", c.script, got)
		}
		if got := tool(t, h, Tool{Name: "x", Timeout: limit}); !got.Enough || got.Version != c.version {
			t.Errorf("%s, any version: %+v", c.script, got)
		}
	}
	must(t, os.Chmod(fake(t, h, "x", "echo 1"), 0o644))
	if got := tool(t, h, Tool{Name: "x"}); got.Found || got.Problem != "it is not in PATH" {
		t.Errorf("not executable: %+v", got)
	}
	if got := tool(t, h, Tool{Name: "./bin/x"}); got.Found || got.Problem != "permission denied" {
		t.Errorf("not executable, by path: %+v", got)
	}
}

// The programs of this machine answer, each with the arguments that runner knows for it.
func TestKnownTools(t *testing.T) {
	h := newHost(t)
	met := 0
	for _, name := range []string{"go", "git", "make", "erl", "rebar3", "docker", "openssl", "tar", "curl", "ssh", "sh"} {
		got := tool(t, h, Tool{Name: name})
		t.Logf("%+v", got)
		if got.Found && name != "sh" {
			met++
			if got.Version == "" {
				t.Errorf("%s tells no version: %+v", name, got)
			}
		}
	}
	if met < 3 {
		t.Errorf("only %d of them are here", met)
	}
}

func TestParseVersion(t *testing.T) {
	for text, want := range map[string]string{
		"go version go1.26.0 linux/amd64":                        "1.26.0",
		"git version 2.39.5":                                     "2.39.5",
		"GNU Make 4.3\nBuilt for x86_64-pc-linux-gnu":            "4.3",
		"rebar 3.19.0 on Erlang/OTP 25 Erts 13.1.5":              "3.19.0",
		"Docker version 20.10.24+dfsg1, build 297e128":           "20.10.24",
		"systemd 252 (252.17-1~deb12u1)":                         "252.17",
		"jq-1.6":                                                 "1.6",
		"less 590 (GNU regular expressions)\nCopyright (C) 1984": "590",
		"25\n": "25",
		"OpenSSH_9.2p1 Debian-2+deb12u3, OpenSSL 3.0.11 19 Sep 2023": "9.2",
		"openjdk version \"17.0.9\" 2023-10-17":                      "17.0.9",
		"1.26rc1":                                                    "1.26",
		"nothing\n12":                                                "",
		"":                                                           "",
	} {
		if got := parseVersion(text); got != want {
			t.Errorf("%q is %q, want %q", text, got, want)
		}
	}
}

func TestCompare(t *testing.T) {
	for _, c := range []struct {
		a, b string
		want int
	}{{"1", "1.0.0", 0}, {"1.10", "1.9", 1}, {"01.2", "1.2", 0}, {"2", "10", -1}, {"1.2.3", "1.2", 1}, {"", "0", 0},
		{"99999999999999999999999", "100000000000000000000000", -1}} {
		got, back := Compare(c.a, c.b), Compare(c.b, c.a)
		if sign(got) != c.want || sign(back) != -c.want {
			t.Errorf("%s and %s: %d, %d", c.a, c.b, got, back)
		}
	}
}

func sign(n int) int { return min(1, max(-1, n)) }

func FuzzVersion(f *testing.F) {
	f.Add("git version 2.39.5", "1.0")
	f.Add(strings.Repeat("9", 5000)+"."+strings.Repeat("9.", 5000), "\xff 7")
	f.Fuzz(func(t *testing.T, a, b string) {
		x, y := parseVersion(a), parseVersion(b)
		for _, v := range []string{x, y} {
			if v != "" && !plainVersion.MatchString(v) {
				t.Errorf("%q is no version", v)
			}
		}
		if sign(Compare(x, y)) != -sign(Compare(y, x)) || Compare(x, x) != 0 || Compare(x, x+".0") != 0 {
			t.Errorf("%q and %q", x, y)
		}
	})
}

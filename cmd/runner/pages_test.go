package main

import (
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"testing"
)

// TestOperatorsPage and TestAuthorsPage do what the two pages say, from the first line to the last: a block of console is
// typed, a block of python is a file, and an exit code stands behind a command that fails.

func TestOperatorsPage(t *testing.T) { follow(t, "scripts/README.md", 19) }

func TestAuthorsPage(t *testing.T) { follow(t, "stdlib/README.md", 6) }

func follow(t *testing.T, page string, least int) {
	pageIn(t, page, least, t.TempDir(), nil, "8080", strconv.Itoa(newSite(t).port))
}

var (
	block   = regexp.MustCompile("(?ms)^```(console|python|yaml|dockerfile)\n(.*?)^```$")
	fails   = regexp.MustCompile(`  # exit (\d+)$`)
	itsName = regexp.MustCompile(`^# (\S+)\n`)
)

// pageIn does what a page says in a folder with mcpd's source and an environment of more variables, with some words of its
// files replaced by others, the port among them.
func pageIn(t *testing.T, page string, least int, dir string, env []string, words ...string) {
	t.Parallel()
	text, err := os.ReadFile(filepath.Join("..", "..", page))
	if err != nil {
		t.Fatal(err)
	}
	must := func(err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}
	must(os.CopyFS(dir, os.DirFS(filepath.Join("..", "..", "testdata", "apps", "mcpd"))))
	other, bin := strings.NewReplacer(words...), t.TempDir()
	self, err := os.Executable()
	must(err)
	must(os.WriteFile(filepath.Join(bin, "runner"), []byte("#!/bin/sh\n"+asRunner+"=1 exec "+self+` "$@"`+"\n"), 0o755))
	sh := func(line string) (string, int) {
		cmd := exec.Command("sh", "-c", "PATH="+bin+":$PATH; "+line)
		cmd.Dir = dir
		cmd.Env = append(os.Environ(), env...)
		out, _ := cmd.CombinedOutput()
		return string(out), cmd.ProcessState.ExitCode()
	}
	t.Cleanup(func() { sh("pkill -9 -f " + dir + "/.runner/targets") })
	if out, code := sh("git init -q . && echo 1.0.0 > VERSION && git add -A && git -c user.name=t -c user.email=t@localhost commit -qm 1"); code != 0 {
		t.Fatal(out)
	}
	ran := 0
	for _, m := range block.FindAllStringSubmatch(string(text), -1) {
		if m[1] != "console" {
			name := itsName.FindStringSubmatch(m[2])
			if name == nil {
				t.Fatalf("a block of %s names no file:\n%s", page, m[2])
			}
			must(os.MkdirAll(filepath.Dir(filepath.Join(dir, name[1])), 0o755))
			must(os.WriteFile(filepath.Join(dir, name[1]), []byte(other.Replace(m[2])), 0o644))
			continue
		}
		for line := range strings.Lines(m[2]) {
			line, ok := strings.CutPrefix(strings.TrimSpace(line), "$ ")
			if !ok {
				t.Fatalf("a line of %s is no command: %q", page, line)
			}
			want := 0
			if f := fails.FindStringSubmatch(line); f != nil {
				want, _ = strconv.Atoi(f[1])
			}
			out, code := sh(line)
			if code != want {
				t.Fatalf("%s: exit %d, want %d\n%s", line, code, want, out)
			}
			t.Logf("%s: exit %d", line, code)
			ran++
			if line == "runner init" {
				_, code := sh("sed -i s/8080/" + other.Replace("8080") + "/ environments.star")
				if code != 0 {
					t.Fatal("the port cannot be changed")
				}
			}
		}
	}
	if ran < least {
		t.Errorf("%s has %d commands, want %d or more", page, ran, least)
	}
}

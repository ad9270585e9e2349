package main

import (
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
)

// blocks are the fenced blocks of README.md in a language.
func blocks(t *testing.T, language string) []string {
	t.Helper()
	b, err := os.ReadFile(filepath.Join("..", "..", "README.md"))
	if err != nil {
		t.Fatal(err)
	}
	var out []string
	for _, m := range regexp.MustCompile("(?s)```"+language+"\n(.*?)```").FindAllStringSubmatch(string(b), -1) {
		out = append(out, m[1])
	}
	if len(out) == 0 {
		t.Fatalf("README.md has no block in %s", language)
	}
	return out
}

// TestReadmeCommands runs what the README tells a new user to type. make check is what runs this test.
func TestReadmeCommands(t *testing.T) {
	for _, line := range strings.Split(strings.TrimSpace(blocks(t, "sh")[0]), "\n") {
		words := strings.Fields(strings.Split(line, "#")[0])
		if slices.Equal(words, []string{"make", "check"}) {
			continue
		}
		cmd := exec.Command(words[0], words[1:]...)
		cmd.Dir = filepath.Join("..", "..")
		out, err := cmd.CombinedOutput()
		if err != nil {
			t.Fatalf("%s: %v\n%s", line, err, out)
		}
		for _, want := range []string{
			"production: release 000001, version 1.0.0 answers, healthy",
			"production: release 000002, version 1.1.0 answers, healthy",
			"exit 10", "1.1.0 serves and is healthy; 1.2.0 was wanted", "recover 2", "version 1.3.0 answers, healthy",
		} {
			if !strings.Contains(string(out), want) {
				t.Errorf("%s does not show %q:\n%s", line, want, out)
			}
		}
	}
}

// TestReadmeScripts plans the README's own scripts.
func TestReadmeScripts(t *testing.T) {
	s := newSite(t)
	scripts := blocks(t, "python")
	s.write("environments.star", scripts[0])
	s.write("deploy.star", `load("@std/project.star", "build_app")
load("@std/rollout.star", "accept", "roll_out")
load("@std/verify.star", "verify")

`+scripts[1])
	s.write("VERSION", "1.0.0\n")
	s.must(0, "plan", "deploy.star", "production")
	if got := s.out.String(); !strings.Contains(got, "build.rebar3 will make") || !strings.Contains(got, "commit") && !strings.Contains(got, "releases.install") {
		t.Errorf("the plan of the README's script:\n%s", got)
	}
	for _, c := range regexp.MustCompile("`runner ([a-z]+)[ `]").FindAllStringSubmatch(strings.Join(readmeLines(t), "\n"), -1) {
		if !slices.ContainsFunc(commands(), func(k command) bool { return k.name == c[1] }) {
			t.Errorf("the README names the command %s, which there is not", c[1])
		}
	}
}

func readmeLines(t *testing.T) []string {
	b, err := os.ReadFile(filepath.Join("..", "..", "README.md"))
	if err != nil {
		t.Fatal(err)
	}
	return strings.Split(string(b), "\n")
}

package main

import (
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"
)

// completes is a project with a runner in its folder, to be completed by a shell.
func completes(t *testing.T) *site {
	s := newSite(t)
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	s.write("runner", "#!/bin/sh\n"+asRunner+"=1 exec "+self+` "$@"`+"\n")
	if err := os.Chmod(filepath.Join(s.dir, "runner"), 0o755); err != nil {
		t.Fatal(err)
	}
	s.write("VERSION", "1.0.0\n")
	s.must(0, "plan", "deploy.star", "production")
	return s
}

// inShell runs a program in the project, and gives its output's lines.
func (s *site) inShell(argv ...string) []string {
	s.t.Helper()
	cmd := exec.Command(argv[0], argv[1:]...)
	cmd.Dir, cmd.Env = s.dir, append(s.env(), "PATH="+s.dir+":"+os.Getenv("PATH"), "TERM=dumb", "RUNNER_TEST_PATIENCE=1m")
	out, err := cmd.CombinedOutput()
	if err != nil {
		s.t.Fatalf("%v: %v\n%s", argv, err, out)
	}
	return strings.Split(strings.TrimSpace(string(out)), "\n")
}

// TestCompletionInShells completes words in each shell as that does it itself. Where zsh or fish is missing the test
// says so; bash is everywhere.
func TestCompletionInShells(t *testing.T) {
	s := completes(t)
	for shell, complete := range map[string]func(line string) []string{
		"bash": func(line string) []string {
			return s.inShell("bash", "-c", `source <(runner completion bash)
				COMP_WORDS=($1) COMP_CWORD=$((${#COMP_WORDS[@]} - 1))
				[[ $1 == *" " ]] && COMP_WORDS+=("") COMP_CWORD=$((COMP_CWORD + 1))
				_runner && printf '%s\n' "${COMPREPLY[@]}"`, "bash", line)
		},
		"zsh": func(line string) []string {
			return s.inShell("zsh", "-f", "-c", `compdef() { [[ $* == "_runner runner" ]] || exit 1 }
				_describe() { print -rl -- "${(P@)2%%:*}" }
				_files() { print -r -- FILES }
				source <(runner completion zsh)
				words=("${(@s: :)1}") CURRENT=$#words
				_runner`, "zsh", line)
		},
		"fish": func(line string) []string {
			var out []string
			for _, l := range s.inShell("fish", "--no-config", "-c", "runner completion fish | source; complete -C $argv[1]", line) {
				word, _, _ := strings.Cut(l, "\t")
				out = append(out, word)
			}
			return out
		},
	} {
		t.Run(shell, func(t *testing.T) {
			s.t = t
			if _, err := exec.LookPath(shell); err != nil {
				if shell == "bash" {
					t.Fatal("bash is missing")
				}
				t.Skipf("NOT TESTED: there is no %s here; apt-get install %s", shell, shell)
			}
			for line, want := range map[string][]string{
				"runner dep":                         {"deploy.star"},
				"runner un":                          {"undo", "unhold"},
				"runner deploy.star ":                {"other", "production"},
				"runner deploy.star prod":            {"production"},
				"runner plan deploy.star o":          {"other"},
				"runner deploy.star production --sk": {"--skip-tests"},
				"runner hold p":                      {"production"},
				"runner completion ":                 {"bash", "fish", "zsh"},
				"runner --output j":                  {"json"},
				"runner doc releases.acti":           {"releases.activate"},
			} {
				got := complete(line)
				slices.Sort(got)
				if !slices.Equal(got, want) {
					t.Errorf("%q completes to %v, want %v", line, got, want)
				}
			}
		})
	}
}

// TestCompletionNeverDisturbs: whatever the words and the project, there is no error and no long wait.
func TestCompletionNeverDisturbs(t *testing.T) {
	s := completes(t)
	for name, environments := range map[string]string{
		"good":     string(s.environments()),
		"broken":   "production = environment(",
		"wrong":    "production = environment(app = 7)",
		"endless":  "def f():\n    for i in range(1000000000):\n        pass\nf()\nproduction = 1\n",
		"hungry":   "def f():\n    return [i for i in range(100000000)]\nx = f()\n",
		"recursed": `load("environments.star", "x")`,
	} {
		s.write("environments.star", environments)
		for _, words := range [][]string{
			{}, {""}, {"deploy.star", ""}, {"deploy.star", "production", "--"}, {"rollback.star", "production", ""}, {"undo", ""}, {"undo", "production", ""},
			{"log", ""}, {"nothing.star", ""}, {"../..", ""}, {"--state", ""}, {"--output", "=", "p"}, {"run"}, {"run", "", "", ""}, {"\x00", "\xff\t\n"}, {"--", ""},
		} {
			cmd := s.command(append([]string{completeWord}, words...)...)
			if slices.ContainsFunc(words, func(w string) bool { return strings.Contains(w, "\x00") }) {
				continue // no shell can
			}
			var out, errs strings.Builder
			cmd.Stdout, cmd.Stderr = &out, &errs
			began := time.Now()
			err := cmd.Run()
			if took := time.Since(began); took > 2*time.Second {
				t.Errorf("%s %q takes %s", name, words, took)
			}
			if err != nil || errs.Len() > 0 {
				t.Errorf("%s %q: %v: %s", name, words, err, errs.String())
			}
		}
	}
	os.Remove(filepath.Join(s.dir, "environments.star"))
	if got := s.inShell("runner", completeWord, "ch"); !slices.Equal(got, []string{"check\tlook for mistakes in every script of the project, or in some, and run none"}) {
		t.Errorf("outside of a project: %v", got)
	}
}

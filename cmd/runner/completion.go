//go:build !windows

package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"maps"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/erlmcp/runner/builtins/project"
	"github.com/erlmcp/runner/runtime/builtin"
	"github.com/erlmcp/runner/runtime/host"
	"github.com/erlmcp/runner/runtime/op"
	"github.com/erlmcp/runner/runtime/script"
	"github.com/erlmcp/runner/scripts"
	"github.com/erlmcp/runner/stdlib"
)

// completeWord is the hidden command that the shells' scripts call, with the words so far; the last is being written.
const completeWord = "__complete"

func shells() []string { return []string{"bash", "zsh", "fish"} }

// showCompletion is "runner completion SHELL".
func (p *program) showCompletion(_ flags, args []string) (int, error) {
	if len(args) != 1 || !slices.Contains(shells(), args[0]) {
		near := ""
		if len(args) == 1 {
			near = ", got " + args[0] + suggest(args[0], shells())
		}
		return 0, &usage{"completion wants a shell: bash, zsh or fish" + near, "source <(runner completion bash)"}
	}
	text, err := templates.ReadFile("templates/completion." + args[0])
	if err != nil {
		return 0, err
	}
	_, err = p.stdout.Write(text)
	return 0, err
}

// candidate is a word that may stand next, and what it means.
type candidate struct{ word, means string }

// tabPatience is how long a person who presses tab waits.
const tabPatience = 70 * time.Millisecond

// complete prints what may stand for the last word, a line each, and never an error: nothing, where it takes too long.
func (p *program) complete(words []string) int {
	ctx, cancel := host.SystemClock{}.Timeout(context.Background(), cmp.Or(p.patience, tabPatience), errors.New("too late"))
	defer cancel()
	done := make(chan []candidate, 1)
	go func() { // ends with the process, where it is too late
		done <- (&completion{p, ctx}).candidates(words)
	}()
	select {
	case <-ctx.Done():
	case all := <-done:
		var b strings.Builder
		for _, c := range all {
			means, _, _ := strings.Cut(c.means, "\n")
			fmt.Fprintf(&b, "%s\t%s\n", c.word, strings.ReplaceAll(means, "\t", " "))
		}
		io.WriteString(p.stdout, b.String())
	}
	return 0
}

// completion finds candidates. Where something is wrong it finds none.
type completion struct {
	p   *program
	ctx context.Context
}

func (c *completion) candidates(words []string) []candidate {
	if len(words) == 0 {
		return nil
	}
	before, now := words[:len(words)-1], words[len(words)-1]
	joined := ""
	switch n := len(before); { // bash parts --output=plain into three words
	case now == "=":
		now = ""
	case n > 0 && before[n-1] == "=":
		before = before[:n-1]
	case strings.HasPrefix(now, "--") && strings.Contains(now, "="):
		name, value, _ := strings.Cut(now, "=")
		before, now, joined = append(slices.Clone(before), name), value, name+"="
	}
	var out []candidate
	for _, x := range c.next(before, now) {
		if strings.HasPrefix(x.word, now) {
			out = append(out, candidate{joined + x.word, x.means})
		}
	}
	return out
}

// next is what may stand behind the words.
func (c *completion) next(before []string, now string) []candidate {
	if len(before) > 0 {
		if last := before[len(before)-1]; last == "--output" {
			return words("auto", "plain", "json")
		} else if flagValues()[last] {
			return nil
		}
	}
	_, word, rest := split(before)
	_, known := find(word)
	if word == "run" || word == "plan" {
		if known = false; len(rest) == 0 {
			return append(c.scripts(), c.flags(now)...)
		}
		word, rest = rest[0], rest[1:]
	}
	switch {
	case word == "":
		return slices.Concat(commandWords(), c.scripts(), c.flags(now))
	case known:
		return append(c.command(word, rest), c.flags(now)...)
	}
	return c.script(word, rest, now)
}

func words(all ...string) []candidate {
	var out []candidate
	for _, w := range all {
		out = append(out, candidate{w, ""})
	}
	return out
}

func commandWords() []candidate {
	var out []candidate
	for _, c := range commands() {
		out = append(out, candidate{c.name, c.help})
	}
	return out
}

// flags are runner's own, once a word begins like one.
func (c *completion) flags(now string) []candidate {
	if !strings.HasPrefix(now, "-") {
		return nil
	}
	out := []candidate{{"--help", "Describe the command or the script."}}
	for _, f := range flagModel() {
		out = append(out, candidate{"--" + f.Name, f.Help})
	}
	return out
}

// command is what stands behind a subcommand.
func (c *completion) command(name string, rest []string) []candidate {
	usage, _ := find(name)
	switch {
	case name == "completion" && len(rest) == 0:
		return words(shells()...)
	case name == "check":
		return c.scripts()
	case name == "log" && len(rest) == 0:
		return c.ownRuns()
	case name == "doc" && len(rest) == 0:
		return c.names()
	case strings.Contains(usage.usage, "ENVIRONMENT") && len(rest) == 0:
		return words(c.environments()...)
	case name == "undo" && len(rest) == 1:
		return c.runsOf(rest[0])
	}
	return nil
}

func (c *completion) project() (*script.Project, *surroundings) {
	proj, err := script.FindProject(c.p.dir, scripts.FS, stdlib.FS)
	if err != nil {
		return nil, nil
	}
	s, err := c.p.surround(proj.Dir, "")
	if err != nil {
		return nil, nil
	}
	return proj, s
}

// scripts are those that can be run.
func (c *completion) scripts() []candidate {
	proj, _ := c.project()
	if proj == nil {
		return nil
	}
	return words(slices.DeleteFunc(proj.List(), func(n string) bool { return strings.HasPrefix(n, "@") || n == environments })...)
}

// values are the environments by their names.
func (c *completion) values() (*surroundings, map[string]any) {
	proj, s := c.project()
	if proj == nil {
		return nil, nil
	}
	envs, _, _ := script.Environments(c.ctx, proj, script.Options{Families: s.families})
	return s, envs
}

func (c *completion) environments() []string {
	_, envs := c.values()
	return slices.Sorted(maps.Keys(envs))
}

func (c *completion) ownRuns() []candidate {
	_, s := c.project()
	if s == nil {
		return nil
	}
	runs, _ := s.journals().Runs()
	return newest(runs)
}

func (c *completion) runsOf(environment string) []candidate {
	s, envs := c.values()
	if s == nil {
		return nil
	}
	target, err := targetOf(envs[environment])
	if err != nil {
		return nil
	}
	_, home, err := s.home(target)
	if err != nil {
		return nil
	}
	runs, _ := home.Logs(c.ctx)
	return newest(runs)
}

func newest(runs []string) []candidate {
	out := words(runs...)
	slices.Reverse(out)
	return out
}

// names are what "runner doc" knows.
func (c *completion) names() []candidate {
	s, err := c.p.surround(c.p.dir, "")
	if err != nil {
		return nil
	}
	var out []candidate
	for _, f := range append(s.families, script.Core()) {
		out = append(out, candidate{f.Name, f.Doc})
		out = append(out, members(f)...)
	}
	return out
}

func members(f builtin.Family) []candidate {
	var out []candidate
	for _, v := range f.Values {
		out = append(out, candidate{f.Call(v), ""})
	}
	for _, o := range f.Ops {
		if o.Class != op.ClassUndo {
			out = append(out, candidate{o.FullName(), ""})
		}
	}
	return out
}

// script is what stands behind a script: its environment, its flags, and a release or a backup to go back to.
func (c *completion) script(name string, rest []string, now string) []candidate {
	proj, s := c.project()
	if proj == nil {
		return nil
	}
	opened, err := script.Open(c.ctx, proj, name, script.Options{Families: s.families, Info: script.Info{Now: c.p.now()}})
	if err != nil {
		return nil
	}
	positional, all := opened.Words()
	if len(rest) > 0 {
		last := rest[len(rest)-1]
		if i := slices.IndexFunc(all, func(p script.Param) bool { return "--"+p.Flag() == last }); i >= 0 && all[i].Type != script.TypeBool {
			return nil
		}
	}
	out := c.flags(now)
	if len(out) > 0 {
		for _, p := range all {
			flag := "--" + p.Flag()
			if p.Type == script.TypeBool && p.Default != "" {
				flag = "--no-" + p.Flag()
			}
			out = append(out, candidate{flag, p.Doc})
		}
		return out
	}
	given := slices.DeleteFunc(slices.Clone(rest), func(w string) bool { return strings.HasPrefix(w, "-") })
	switch n := len(given); {
	case n >= len(positional):
	case positional[n].Name == "environment":
		return words(opened.Environments...)
	case positional[n].Name == "to":
		return c.releases(given)
	}
	return nil
}

// releases are the releases and backups of the environment among the words, by their folders.
func (c *completion) releases(given []string) []candidate {
	s, envs := c.values()
	var out []candidate
	for _, name := range given {
		target, _ := targetOf(envs[name])
		if h, ok := target.(project.Host); ok {
			for _, kind := range []string{"releases", "backups"} {
				entries, _ := s.host.Files.ReadDir(filepath.Join(s.host.Abs(h.Root), kind))
				for _, e := range slices.Backward(entries) {
					if !strings.HasPrefix(e.Name(), ".") {
						out = append(out, candidate{e.Name(), ""})
					}
				}
			}
		}
	}
	return out
}

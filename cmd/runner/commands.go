//go:build !windows

package main

import (
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"text/tabwriter"

	"github.com/erlmcp/runner/runtime/builtin"
	"github.com/erlmcp/runner/runtime/engine"
	"github.com/erlmcp/runner/runtime/op"
	"github.com/erlmcp/runner/runtime/script"
)

// command is a subcommand: its line in the help, and what it does with runner's flags and the other arguments.
type command struct {
	name, usage, help string
	run               func(p *program, f flags, args []string) (int, error)
}

// commands are the subcommands. A word that is none of them is a script.
func commands() []command {
	return []command{
		{"run", "SCRIPT [ENVIRONMENT] [ARGS]", "run a script; the word run may be left out", (*program).runScript},
		{"plan", "SCRIPT [ENVIRONMENT] [ARGS]", "show what a run would do, and do nothing", (*program).planScript},
		{"test", "[PATHS] [-run REGEXP] [-cover]", "run the tests of scripts, against fakes", (*program).testScripts},
		{"doctor", "ENVIRONMENT", "look at an environment, and say what is wrong with it", (*program).doctor},
		{"setup", "ENVIRONMENT [--group NAME]", "make what deployments without root need, printing each command first", (*program).setupTarget},
		{"undo", "ENVIRONMENT [RUN]", "take back the last run that is not committed", (*program).undoRun},
		{"hold", "ENVIRONMENT [--until TIME] [REASON]", "let no run change an environment; without a reason, say who does", (*program).holdTarget},
		{"unhold", "ENVIRONMENT", "end a hold", (*program).unholdTarget},
		{"runs", "[ENVIRONMENT]", "list the runs of this machine, or those that had an environment's lease", (*program).listRuns},
		{"log", "RUN", "show a run again", (*program).showLog},
		{"init", "[DIR]", "write environments.star for the application in a folder", (*program).initProject},
		{"check", "[SCRIPTS]", "look for mistakes in every script of the project, or in some, and run none", (*program).checkScripts},
		{"config", "ENVIRONMENT", "show what environments.star says of an environment", (*program).showConfig},
		{"completion", "bash|zsh|fish", "print what completes the words of runner in a shell", (*program).showCompletion},
		{"doc", "[NAME]", "describe a family, an op or a value", (*program).showDoc},
		{"version", "", "say which runner this is", (*program).showVersion},
	}
}

// run is the whole invocation.
func (p *program) run() int {
	if len(p.args) > 0 && p.args[0] == completeWord {
		return p.complete(p.args[1:])
	}
	own, word, rest := split(p.args)
	f, err := parse(own)
	if err != nil {
		return p.reject(f, err)
	}
	i := slices.IndexFunc(commands(), func(c command) bool { return c.name == word })
	switch {
	case word == "help":
		io.WriteString(p.stdout, overview())
		return 0
	case word == "":
		if len(rest) > 0 && rest[0] != "--help" && rest[0] != "-h" {
			return p.reject(f, &usage{"there is no flag " + rest[0] + suggest(rest[0], allFlags()), "runner --help lists the flags"})
		}
		io.WriteString(p.stdout, overview())
		return 0
	case i >= 0 && slices.ContainsFunc(ownHelp(word, rest), isHelp):
		fmt.Fprintf(p.stdout, "usage: runner %s %s\n\n%s\n", word, commands()[i].usage, sentence(commands()[i].help))
		return 0
	}
	c, args := commands()[0], append([]string{word}, rest...)
	if i >= 0 {
		c, args = commands()[i], rest
	}
	if near := suggest(word, commandNames()); i < 0 && near != "" && !strings.Contains(word, ".") {
		return p.reject(f, &usage{"there is no command " + word + near, "runner --help lists the commands"})
	}
	code, err := c.run(p, f, args)
	if err != nil {
		return p.reject(f, err)
	}
	return code
}

// find gives a command by its name.
func find(name string) (command, bool) {
	i := slices.IndexFunc(commands(), func(c command) bool { return c.name == name })
	if i < 0 {
		return command{}, false
	}
	return commands()[i], true
}

// ownHelp are the arguments in which a command looks for --help: behind a script it is the script's.
func ownHelp(word string, rest []string) []string {
	if word == "run" || word == "plan" {
		return rest[:min(1, len(rest))]
	}
	return rest
}

func isHelp(arg string) bool { return arg == "--help" || arg == "-h" }

func sentence(s string) string { return strings.ToUpper(s[:1]) + s[1:] + "." }

func commandNames() []string {
	var out []string
	for _, c := range commands() {
		out = append(out, c.name)
	}
	return out
}

func allFlags() []string {
	var out []string
	for name := range flagValues() {
		out = append(out, name)
	}
	slices.Sort(out)
	return out
}

func suggest(word string, known []string) string { return builtin.DidYouMean(word, known) }

// overview is what runner says of itself.
func overview() string {
	var b strings.Builder
	b.WriteString("runner executes Starlark deployment scripts, and takes back by itself what fails.\n\nusage: runner [COMMAND] [FLAGS]\n\nCommands:\n")
	w := tabwriter.NewWriter(&b, 0, 8, 2, ' ', 0)
	for _, c := range commands() {
		fmt.Fprintf(w, "  %s\t%s\n", strings.TrimSpace("runner "+c.name+" "+c.usage), c.help)
	}
	w.Flush()
	b.WriteString("\nFlags:\n")
	for _, f := range flagModel() {
		fmt.Fprintf(w, "  %s\t%s\n", f.Summary(), f.Help)
	}
	w.Flush()
	b.WriteString("\nrunner SCRIPT --help describes a script and its arguments.\n")
	return b.String()
}

// reject says why nothing was done, and gives the exit code for it.
func (p *program) reject(f flags, err error) int {
	text, hint, code := err.Error(), op.HintOf(err), engine.ExitFailed
	var own *usage
	var theirs *script.Usage
	var none *script.NoProject
	var wrong *unopened
	var refused *op.Refused
	switch {
	case errors.As(err, &own):
		hint, code = own.hint, engine.ExitUsage
	case errors.As(err, &theirs), errors.As(err, &none):
		code = engine.ExitUsage
	case errors.As(err, &refused):
		code = engine.ExitRefused
	case errors.As(err, &wrong):
		text, hint, code = strings.TrimRight(script.Diagnose(wrong.error).String(), "\n"), "", engine.ExitUsage
	}
	if f.Output == "json" {
		return p.rejectJSON(code, text, hint)
	}
	fmt.Fprintf(p.stderr, "%s\n", text)
	if hint != "" {
		fmt.Fprintf(p.stderr, "hint: %s\n", hint)
	}
	return code
}

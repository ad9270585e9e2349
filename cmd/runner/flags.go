//go:build !windows

package main

import (
	"fmt"
	"regexp"
	"strings"

	"github.com/alecthomas/kong"

	"github.com/erlmcp/runner/runtime/op"
	"github.com/erlmcp/runner/runtime/script"
)

// flags are runner's own. No parameter of a script's main can have one of these names.
type flags struct {
	Output      string      `enum:"auto,plain,json" default:"auto" help:"How facts are written: auto, plain or json."`
	State       string      `placeholder:"DIR" help:"Where this machine keeps its journals; .runner in the project when left out."`
	Yes         bool        `short:"y" help:"Answer yes to every question."`
	DryRun      bool        `help:"Show what the run would do, and do nothing, as runner plan does."`
	NoUndo      bool        `help:"Leave things as they are when the run fails."`
	UndoTimeout op.Duration `default:"5m" help:"How long an undo may take."`
	Deadline    op.Duration `help:"Stop the run after this time, and take back what it changed."`
	Wait        bool        `help:"Wait for a lease that another run holds."`
	Verbose     bool        `short:"v" help:"Show results, parameters and backtraces."`
	Quiet       bool        `short:"q" help:"Show what the script prints, failures and the verdict only."`
	Abandon     string      `placeholder:"REASON" help:"Of undo: take nothing back, and let the next run go on from the world as it is."`
	Until       string      `placeholder:"TIME" help:"Of hold: for how long, such as 2h, or until when, such as 2026-01-26T14:00:00Z."`
	ExitCode    bool        `help:"Of plan: exit with 3 when there are changes."`
	MaxSteps    uint64      `default:"1000000000" help:"How many steps the interpreter may take."`
	MaxMemory   op.Size     `default:"1GiB" help:"How much memory a script may use."`
	MaxSource   op.Size     `default:"1MiB" help:"How large a script's file may be."`
}

func (f flags) limits() script.Limits {
	return script.Limits{Steps: f.MaxSteps, Memory: f.MaxMemory, Source: f.MaxSource}
}

// split finds the first word that is no flag, and parts runner's own flags from the rest. What is no flag of runner's
// may be the script's; whoever parses that says so if not.
func split(args []string) (own []string, word string, rest []string) {
	takes := flagValues()
	for i := 0; i < len(args); i++ {
		name, _, joined := strings.Cut(args[i], "=")
		value, known := takes[name]
		switch {
		case args[i] == "--":
			return own, word, append(rest, args[i:]...)
		case known:
			own = append(own, args[i])
			if value && !joined && i+1 < len(args) {
				i++
				own = append(own, args[i])
			}
		case word == "" && !strings.HasPrefix(args[i], "-"):
			word = args[i]
		default:
			rest = append(rest, args[i])
		}
	}
	return own, word, rest
}

// flagValues tells of every spelling of runner's flags whether a value follows it.
func flagValues() map[string]bool {
	takes := map[string]bool{}
	for _, f := range flagModel() {
		takes["--"+f.Name] = !f.IsBool()
		if f.Short != 0 {
			takes["-"+string(f.Short)] = !f.IsBool()
		}
	}
	return takes
}

// flagModel describes runner's own flags.
func flagModel() []*kong.Flag {
	return kong.Must(&flags{}, kong.NoDefaultHelp(), kong.Name("runner")).Model.Flags
}

// parse reads runner's own flags.
func parse(args []string) (flags, error) {
	var f flags
	k, err := kong.New(&f, kong.NoDefaultHelp(), kong.Name("runner"))
	if err != nil {
		return f, err
	}
	if _, err := k.Parse(args); err != nil {
		return f, &usage{inWords(err), "runner --help lists the flags"}
	}
	return f, nil
}

var expected = regexp.MustCompile(`^(--[\w-]+): expected (?:a valid 64 bit )?(\w+)(?: value)? but got ("[^"]*")`)

// inWords is kong's error in our words.
func inWords(err error) string {
	m := expected.FindStringSubmatch(err.Error())
	switch {
	case m == nil:
		return err.Error()
	case m[3] == `"EOL"`:
		return m[1] + " wants a value"
	case m[2] == "uint":
		return m[1] + ": want a number, got " + m[3]
	}
	return fmt.Sprintf("%s: want a %s, got %s", m[1], m[2], m[3])
}

// usage is a mistake on the command line.
type usage struct{ text, hint string }

func (u *usage) Error() string { return u.text }

//go:build !windows

package main

import (
	"context"
	"fmt"
	"os"
	"regexp"

	"golang.org/x/term"

	"github.com/erlmcp/runner/runtime/event"
	"github.com/erlmcp/runner/runtime/host"
	"github.com/erlmcp/runner/runtime/render"
	"github.com/erlmcp/runner/runtime/script"
	"github.com/erlmcp/runner/runtime/secret"
	"github.com/erlmcp/runner/scripts"
	"github.com/erlmcp/runner/stdlib"
)

// unopened is a script that could not be opened.
type unopened struct{ error }

func (u *unopened) Unwrap() error { return u.error }

// opened is a script with its arguments, ready to be run or planned.
type opened struct {
	*surroundings
	project *script.Project
	script  *script.Script
	call    script.Call
	flags   flags
}

// open loads a script and reads its arguments. Nothing is written.
func (p *program) open(f flags, args []string, plan bool) (*opened, error) {
	if len(args) == 0 {
		return nil, &usage{"missing the script", "runner deploy.star production"}
	}
	proj, err := script.FindProject(p.dir, scripts.FS, stdlib.FS)
	if err != nil {
		return nil, err
	}
	s, err := p.surround(proj.Dir, f.State)
	if err != nil {
		return nil, err
	}
	o := &opened{surroundings: s, project: proj, flags: f}
	o.script, err = script.Open(context.Background(), proj, args[0], script.Options{
		Families: s.families, Limits: f.limits(), Plan: plan, Clock: host.SystemClock{},
		Info: script.Info{ID: s.id, Now: p.now().UTC()}, Abandon: p.abandon,
	})
	if err != nil {
		return nil, &unopened{err}
	}
	o.registry.Function = o.script.Function
	o.conceal(p)
	// Runner's own flags are read already, and a parse sets what it is given anew: this one knows their names only.
	if o.call, err = o.script.Parse(args[1:], &flags{}); err != nil {
		return nil, &unopened{err}
	}
	s.conceal(p, o.script.EnvironmentOf(o.call))
	return o, nil
}

var namedSecret = regexp.MustCompile(`\bsecret\.env\(\s*(?:name\s*=\s*)?["'](\w+)["']`)

// conceal makes the scrubber know the variables that the files name as secrets before they are used: a program that
// inherits one may say it first.
func (o *opened) conceal(p *program) {
	for _, file := range o.script.Files() {
		for _, m := range namedSecret.FindAllStringSubmatch(file.Source, -1) {
			if value, ok := p.getenv(m[1]); ok {
				o.host.Secrets.Scrubber.Add(secret.Env(m[1]).Name(), value)
			}
		}
	}
}

// abandon ends the process as kill -9 would, when the interpreter does not stop: the next run recovers.
func (p *program) abandon(reason string) {
	fmt.Fprintf(p.stderr, "the interpreter does not stop (%s): runner ends itself as kill -9 would, and the next run recovers\n", reason)
	os.Exit(70)
}

// started is the first fact of a run of the script.
func (o *opened) started(p *program, command string, args []string) event.RunStarted {
	owner := p.owner(o.script.Name)
	f := event.RunStarted{Command: command, Script: o.script.Name, Args: args, Environment: o.call.Environment,
		Project: o.project.Dir, Host: owner.Host, User: owner.User, PID: owner.PID, Version: version}
	for _, file := range o.script.Files() {
		if file.BuiltIn {
			f.BuiltIn = append(f.BuiltIn, file.Name)
		}
	}
	return f
}

// explain turns an error of the script into a fact.
func (o *opened) explain(err error) event.RunFailed {
	r := o.script.Diagnose(err)
	f := event.RunFailed{Error: r.Message, At: r.At, Hint: r.Hint, Excerpt: r.Excerpt, Backtrace: r.Backtrace}
	if id := faultOf(err); id != "" {
		f.Fault = id
	}
	return f
}

// renderer writes facts as the flags say.
func (p *program) renderer(f flags, to *os.File) event.Sink {
	if f.Output == "json" {
		return render.JSON(to)
	}
	return render.Plain(to, p.style(f, to))
}

func (p *program) style(f flags, to *os.File) render.Style {
	never, _ := p.getenv("NO_COLOR")
	colour := f.Output == "auto" && never == "" && term.IsTerminal(int(to.Fd()))
	return render.Style{Colour: colour, Verbose: f.Verbose, Quiet: f.Quiet}
}

// Package script finds a project, loads its scripts and runs their main: threads, limits, the command line that main's
// signature is, and errors that say where and what to do. It has no effect of its own and refuses every effect while
// scripts load: what an op does, and what is recorded of it, is up to the Run that main is given.
package script

import (
	"context"
	"fmt"
	"sync/atomic"
	"time"

	"go.starlark.net/starlark"

	"github.com/erlmcp/runner/runtime/builtin"
	"github.com/erlmcp/runner/runtime/op"
)

// Run is what a script's main acts on. Positions are such as "deploy.star:31:5"; branch is the path of a branch of
// parallel, such as "7/web/", else "".
type Run interface {
	op.Performer
	Stage(name, at string)
	Print(text, at string)
	// Recover takes back what dead runs left on a target, and keeps no lease of it.
	Recover(ctx context.Context, target any) error
	// Held says who holds an environment's target, nil where nobody does.
	Held(ctx context.Context, name string, target any) (*op.Held, error)
	// Unfinished gives the runs on an environment's target that have not ended.
	Unfinished(ctx context.Context, target any) ([]op.Dead, error)
	// Lease takes the lease of an environment's target, and gives the dead runs that were taken back; force is why a hold
	// on it does not count, "" where it does.
	Lease(ctx context.Context, name string, target any, force, at string) ([]op.Dead, error)
	Commit(ctx context.Context, message, at, branch string) error
	// OnUndo has o performed last when the run is taken back.
	OnUndo(ctx context.Context, o op.Bound) error
	// Attempt calls fn; caught is what attempt returns to the script, err what it must not catch.
	Attempt(ctx context.Context, branch string, fn func(ctx context.Context) error) (caught, err error)
	// Parallel calls fn once for each name, at most limit at a time (0: all at once).
	Parallel(ctx context.Context, at, branch string, names []string, limit int,
		fn func(ctx context.Context, i int, branch string) error) error
	Confirm(ctx context.Context, question, at string) error
}

// Info is what scripts see as `run`, and the moment that `time.now()` gives.
type Info struct {
	ID   string
	Now  time.Time
	Args []string // as given on the command line
}

// Options say how scripts are opened.
type Options struct {
	Families []builtin.Family
	Limits   Limits
	Plan     bool // a decision on what the plan cannot know ends main with *builtin.UnknownUsed
	Info     Info
	Clock    Clock  // the real one, also where ops are given another; without one nothing is abandoned
	Cover    *Cover // counts the lines that ran; nil not to
	// Abandon is called when the interpreter does not stop within 5 s of being told to. It must end the process.
	Abandon func(reason string)
}

// Clock lets the watchdog wait.
type Clock interface {
	Sleep(ctx context.Context, d time.Duration) error
}

// Script is an opened script: loaded with everything that it loads, its main not yet called.
type Script struct {
	Name         string // as positions show it: deploy.star, @std/verify.star
	Signature    Signature
	Environments []string // what environments.star exports

	project *Project
	options Options
	loader  *loader
	main    *starlark.Function
	budget  *budget

	cancel       context.CancelCauseFunc // ends what is running
	interpreting atomic.Int32            // threads that are in the interpreter now
}

// Open loads the script, by a path seen from dir, or by the name of a standard script, and environments.star. Every
// error is a mistake in the scripts, for Diagnose.
func Open(ctx context.Context, p *Project, name string, o Options) (*Script, error) {
	name, err := p.canonical(name)
	if err != nil {
		return nil, err
	}
	s := &Script{Name: name, project: p, options: o, budget: newBudget(o.Limits)}
	s.loader = newLoader(p, s)
	if err := s.load(ctx); err != nil {
		return nil, s.sourced(err)
	}
	return s, nil
}

func (s *Script) load(ctx context.Context) error {
	return s.watched(ctx, func(ctx context.Context) error {
		t, stop := s.thread(&flow{ctx: ctx, script: s}, "load")
		defer stop()
		environments, err := s.loader.load(t, environmentsFile)
		if err != nil {
			return err
		}
		s.Environments = environmentNames(environments)
		globals, err := s.loader.load(t, s.Name)
		if err != nil {
			return err
		}
		main, ok := globals["main"].(*starlark.Function)
		if !ok {
			return s.noMain(globals)
		}
		s.main = main
		s.Signature, err = signature(main)
		return err
	})
}

func (s *Script) noMain(globals starlark.StringDict) error {
	return &sourceError{at: place{s.Name, 1, 1}, error: op.Hint(
		fmt.Errorf("%s has no main%s", s.Name, builtin.DidYouMean("main", globals.Keys())),
		"a script that is run defines main: def main(environment):")}
}

// Files lists every file that was loaded, and its source.
func (s *Script) Files() []File { return s.loader.files() }

// Steps is how many steps the interpreter has taken.
func (s *Script) Steps() uint64 { return s.budget.taken() }

// Main calls the script's main. Its error is for Diagnose; IsMistake tells a mistake in the script from an op's error
// and from fail().
func (s *Script) Main(ctx context.Context, run Run, call Call) error {
	err := s.watched(ctx, func(ctx context.Context) error {
		t, stop := s.thread(&flow{ctx: ctx, script: s, run: run}, "main")
		defer stop()
		_, err := call1(t, s.main, nil, s.arguments(call))
		return err
	})
	return s.sourced(err)
}

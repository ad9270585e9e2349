//go:build !windows

package main

import (
	"context"
	"embed"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"slices"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/erlmcp/runner/builtins/project"
	"github.com/erlmcp/runner/runtime/event"
	"github.com/erlmcp/runner/runtime/host"
	"github.com/erlmcp/runner/runtime/journal"
	"github.com/erlmcp/runner/runtime/op"
	"github.com/erlmcp/runner/runtime/script"
	"github.com/erlmcp/runner/scripts"
	"github.com/erlmcp/runner/stdlib"
)

// targetOf is the target of an environment's value.
func targetOf(env any) (any, error) {
	e, ok := env.(project.Environment)
	if !ok {
		return nil, fmt.Errorf("cannot use %T as an environment", env)
	}
	return e.Target, nil
}

// history opens the project's journals.
func (p *program) history(f flags) (*surroundings, error) {
	proj, err := script.FindProject(p.dir, scripts.FS, stdlib.FS)
	if err != nil {
		return nil, err
	}
	defer proj.Close()
	return p.surround(proj.Dir, f.State)
}

// listRuns is "runner runs [ENVIRONMENT]": without an environment the runs of this machine, with one those that took
// its lease, from whatever machine.
func (p *program) listRuns(f flags, args []string) (int, error) {
	states, err := p.runStates(f, args)
	if err != nil {
		return 0, err
	}
	if f.Output == "json" {
		for _, s := range states {
			b, err := json.Marshal(p.summarise(s))
			if err != nil {
				return 0, err
			}
			fmt.Fprintf(p.stdout, "%s\n", b)
		}
		return 0, nil
	}
	w := tabwriter.NewWriter(p.stdout, 0, 8, 2, ' ', 0)
	for _, s := range states {
		r := p.summarise(s)
		fmt.Fprintf(w, "%s\t%s\t%s\t%s\t%s\n", r.Run, r.Since.Format(time.RFC3339), r.Script, r.Environment, r.State)
	}
	return 0, w.Flush()
}

func (p *program) runStates(f flags, args []string) ([]journal.State, error) {
	if len(args) > 1 {
		return nil, &usage{"runs wants at most one environment", "usage: runner runs [ENVIRONMENT]"}
	}
	if len(args) == 0 {
		s, err := p.history(f)
		if err != nil {
			return nil, err
		}
		runs, err := s.journals().Runs()
		return foldAll(runs, s.journals().Read, err)
	}
	s, target, err := p.environment(f, args[0])
	if err != nil {
		return nil, err
	}
	_, home, err := s.home(target)
	if err != nil {
		return nil, err
	}
	ctx := context.Background()
	runs, err := home.Logs(ctx)
	if errors.Is(err, fs.ErrPermission) {
		return nil, op.Hint(fmt.Errorf("cannot list the runs of %s: %w", args[0], err), "its records are their owner's: ask as root, or as the user who deploys")
	}
	states, err := foldAll(runs, func(run string) ([]event.Record, error) { return home.Read(ctx, run) }, err)
	slices.SortStableFunc(states, func(a, b journal.State) int { return int(a.Turn - b.Turn) })
	return states, err
}

// foldAll reads the states of runs. In journals, unlike in undo logs, that a run was recovered stands in a later one's.
func foldAll(runs []string, read func(string) ([]event.Record, error), err error) ([]journal.State, error) {
	var out []journal.State
	recovered := map[string]bool{}
	for _, run := range runs {
		records, readErr := read(run)
		err = errors.Join(err, readErr)
		s := journal.Fold(records)
		s.Run = run
		out = append(out, s)
		for _, r := range records {
			if f, ok := r.Fact.(event.RecoveryFinished); ok && f.Complete {
				recovered[f.Dead] = true
			}
		}
	}
	for i := range out {
		out[i].Recovered = out[i].Recovered || recovered[out[i].Run]
	}
	return out, err
}

// run is a line of "runner runs".
type run struct {
	Run         string    `json:"run"`
	Since       time.Time `json:"since"`
	Script      string    `json:"script"`
	Environment string    `json:"environment"`
	State       string    `json:"state"`
}

func (p *program) summarise(s journal.State) run {
	r := run{Run: s.Run, Since: s.Since, State: "never started"}
	if s.Started == nil {
		return r
	}
	r.Script, r.Environment = s.Started.Script, s.Started.Environment
	switch {
	case s.Finished != nil && s.Finished.Unfinished:
		r.State = fmt.Sprintf("unfinished, exit %d: the next run takes it back", s.Finished.Exit)
	case s.Recovered:
		r.State = "recovered by a later run"
	case s.Finished != nil:
		r.State = fmt.Sprintf("exit %d", s.Finished.Exit)
	case s.Started.Host != p.owner("").Host || !host.Gone(s.Started.PID):
		r.State = "unfinished: still running, or killed"
	case len(s.Open()) == 0:
		r.State = "killed, with nothing to take back"
	default:
		r.State = "unfinished, killed: the next run takes it back"
	}
	return r
}

// showLog is "runner log RUN": the journal through the renderer that showed the run, byte for byte.
func (p *program) showLog(f flags, args []string) (int, error) {
	if len(args) != 1 {
		return 0, &usage{"log wants one run", "runner runs lists them"}
	}
	s, err := p.history(f)
	if err != nil {
		return 0, err
	}
	records, err := s.journals().Read(args[0])
	if errors.Is(err, fs.ErrNotExist) {
		runs, _ := s.journals().Runs()
		return 0, op.Hint(fmt.Errorf("this machine has no journal of run %s%s", args[0], suggest(args[0], runs)), "runner runs lists them")
	}
	if err != nil {
		return 0, err
	}
	sink := p.renderer(f, p.stdout)
	for _, r := range records {
		if err := sink.Emit(r); err != nil {
			return 0, err
		}
	}
	return 0, nil
}

// showVersion is "runner version [--changes]".
func (p *program) showVersion(_ flags, args []string) (int, error) {
	if slices.Equal(args, []string{"--changes"}) {
		return 0, p.showChanges()
	}
	if len(args) > 0 {
		return 0, &usage{"version takes no " + strings.Join(args, " "), "usage: runner version [--changes]"}
	}
	_, err := fmt.Fprintf(p.stdout, "runner %s\n", version)
	return 0, err
}

// changes are the notes of what users notice, a file each, numbered.
//
//go:embed changes/0*.md
var changes embed.FS

// showChanges prints them, the newest first.
func (p *program) showChanges() error {
	names, err := fs.Glob(changes, "changes/*.md")
	if err != nil {
		return err
	}
	for _, name := range slices.Backward(names) {
		b, err := changes.ReadFile(name)
		if err != nil {
			return err
		}
		fmt.Fprintf(p.stdout, "%s\n", b)
	}
	return nil
}

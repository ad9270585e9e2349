//go:build !windows

package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os/signal"
	"path/filepath"
	"strings"
	"syscall"

	"github.com/erlmcp/runner/builtins/cluster"
	"github.com/erlmcp/runner/builtins/project"
	"github.com/erlmcp/runner/builtins/provision"
	"github.com/erlmcp/runner/runtime/engine"
	"github.com/erlmcp/runner/runtime/host"
	"github.com/erlmcp/runner/runtime/op"
)

// setupTarget is "runner setup ENVIRONMENT [--group NAME]": what a deployment without root needs, made once, by root.
func (p *program) setupTarget(f flags, args []string) (int, error) {
	name, group, err := setupArgs(args)
	if err != nil {
		return 0, err
	}
	s, value, err := p.environmentValue(f, name)
	if err != nil {
		return 0, err
	}
	env, ok := value.(project.Environment)
	if c, is := env.Target.(cluster.Cluster); ok && is {
		return 0, p.setupCluster(f, s.host, name, group, c)
	}
	want, err := p.wanted(s, name, group, env)
	if err != nil {
		return 0, err
	}
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGINT, syscall.SIGTERM, syscall.SIGHUP)
	defer stop()
	if !want.Applies(s.host.Project) {
		_, err := fmt.Fprintf(p.stdout, "nothing to do: %s lies in the project, and whoever owns that deploys\n", name)
		return 0, err
	}
	work, err := planned(ctx, s.host, want)
	if err != nil {
		return 0, err
	}
	if err := p.showWork(f, want.Environment, "on this machine", work); err != nil {
		return 0, err
	}
	switch {
	case len(work.Differences) > 0:
		return 0, op.Hint(fmt.Errorf("cannot set up %s: nothing is changed while something is in the way", name), "settle that, and say it again")
	case len(work.Steps) == 0:
		return 0, nil
	case host.Me() != 0:
		return 0, op.Hint(fmt.Errorf("cannot set up %s: only root can, once", name), "sudo runner setup %s", strings.Join(args, " "))
	}
	return p.setUp(ctx, f, s.host, want, work)
}

// setupArgs reads the environment and the group.
func setupArgs(args []string) (name, group string, err error) {
	var words []string
	for i := 0; i < len(args); i++ {
		value, joined := strings.CutPrefix(args[i], "--group=")
		switch {
		case joined:
			group = value
		case args[i] == "--group" && i+1 < len(args):
			i++
			group = args[i]
		case strings.HasPrefix(args[i], "-"):
			return "", "", &usage{"setup takes no " + args[i], "usage: runner setup ENVIRONMENT [--group NAME]"}
		default:
			words = append(words, args[i])
			continue
		}
		if group == "" {
			return "", "", noGroup(group)
		}
	}
	if len(words) != 1 {
		return "", "", &usage{"setup wants one environment", "usage: runner setup ENVIRONMENT [--group NAME]"}
	}
	return words[0], group, nil
}

func noGroup(group string) error {
	return &usage{fmt.Sprintf("--group: want the name of a group, got %q", group), ""}
}

// wanted is what an environment on a host needs.
func (p *program) wanted(s *surroundings, name, group string, env project.Environment) (provision.Want, error) {
	target, here := env.Target.(project.Host)
	switch {
	case !here:
		return provision.Want{}, &usage{fmt.Sprintf("cannot set up %s: its target is a Compose project, which needs the engine alone", name), "setup makes what a deployment to a host(...) needs without root, and says what one to a cluster(...) needs"}
	case group != "" && !provision.IsGroup(group):
		return provision.Want{}, noGroup(group)
	}
	if group == "" {
		group = provision.GroupOf(env.App)
	}
	who := p.owner("setup").User
	if sudo, ok := p.getenv("SUDO_USER"); ok && host.Me() == 0 {
		who = sudo
	}
	if strings.Contains(who, " ") { // a number that nobody has a name for
		who = ""
	}
	return provision.Want{Environment: name, Root: s.host.Abs(target.Root), Group: group, User: target.User, Deployer: who, Service: target.Service}, nil
}

func planned(ctx context.Context, h *host.Host, want provision.Want) (provision.Work, error) {
	now, err := provision.Observe(ctx, h, want)
	if err != nil {
		return provision.Work{}, fmt.Errorf("cannot look at what %s has: %w", want.Environment, err)
	}
	return provision.Plan(want, now), nil
}

// showWork prints the commands as a shell takes them, before any of them is called.
func (p *program) showWork(f flags, name, where string, work provision.Work) error {
	if f.Output == "json" {
		b, err := json.Marshal(struct {
			Environment string `json:"environment"`
			provision.Work
		}{name, work})
		if err != nil {
			return err
		}
		_, err = fmt.Fprintf(p.stdout, "%s\n", b)
		return err
	}
	var b strings.Builder
	if len(work.Steps) > 0 {
		fmt.Fprintf(&b, "# what %s needs %s\n", name, where)
	}
	for _, step := range work.Steps {
		b.WriteString(inShell(step))
	}
	if len(work.Steps)+len(work.Differences) == 0 {
		fmt.Fprintf(&b, "nothing to do: %s is set up\n", name)
	}
	if _, err := fmt.Fprint(p.stdout, b.String()); err != nil {
		return err
	}
	for _, d := range work.Differences {
		fmt.Fprintf(p.stderr, "in the way: %s\n", d)
	}
	for _, n := range work.Notes {
		fmt.Fprintf(p.stderr, "note: %s\n", n)
	}
	return nil
}

// inShell is a step as one types it.
func inShell(step provision.Step) string {
	words := make([]string, len(step.Argv))
	for i, w := range step.Argv {
		words[i] = quoted(w)
	}
	line := strings.Join(words, " ") + "\n"
	if step.In != "" {
		line = strings.TrimSuffix(line, "\n") + " <<'END'\n" + step.In + "END\n"
	}
	if step.Why != "" {
		line = "\n# " + step.Why + "\n" + line
	}
	return line
}

// setUp calls the commands, and looks again whether all is in place.
func (p *program) setUp(ctx context.Context, f flags, h *host.Host, want provision.Want, work provision.Work) (int, error) {
	question := fmt.Sprintf("Call %s as root?", several(len(work.Steps), "command"))
	switch yes, err := p.ask(f.Yes)(ctx, question); {
	case err != nil:
		return 0, op.Hint(&op.Refused{Why: question + " " + err.Error()}, "runner setup %s --yes calls them", want.Environment)
	case !yes:
		return 0, &op.Refused{Why: question + " was answered no"}
	}
	for i, step := range work.Steps {
		cmd := host.Cmd{Argv: step.Argv, Dir: "/", Env: provision.Environ(h), Stdout: p.stderr, Stderr: p.stderr}
		if step.In != "" {
			cmd.Stdin = strings.NewReader(step.In)
		}
		exit, err := h.Procs.Run(ctx, cmd, nil)
		if err == nil && exit != (host.Exit{}) {
			err = errors.New(exit.String())
		}
		if err != nil {
			code := p.reject(f, op.Hint(fmt.Errorf("cannot set up %s: %s: %w", want.Environment, quoted(filepath.Base(step.Argv[0])), err),
				"%d of %s done; said again, setup goes on from there", i, several(len(work.Steps), "command")))
			if i > 0 {
				code = engine.ExitDiffers
			}
			return code, nil
		}
	}
	left, err := planned(ctx, h, want)
	if err == nil && len(left.Steps)+len(left.Differences) > 0 {
		err = op.Hint(fmt.Errorf("every command is done, and %s is not set up", want.Environment), "runner setup %s says what is missing", want.Environment)
	}
	if err != nil {
		p.reject(f, err)
		return engine.ExitDiffers, nil
	}
	_, err = fmt.Fprintf(p.stderr, "%s is set up\n", want.Environment)
	return 0, err
}

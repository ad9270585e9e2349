// Package git reads a project's repository by the git program: which commit it stands on, whether its tree is clean, what
// has changed since. It writes nothing there, not even git's own index, asks nobody for anything, and talks to no server.
package git

import (
	"context"
	"errors"
	"fmt"
	"regexp"
	"slices"
	"strings"
	"time"

	"github.com/erlmcp/runner/builtins/command"
	"github.com/erlmcp/runner/builtins/patient"
	"github.com/erlmcp/runner/runtime/builtin"
	"github.com/erlmcp/runner/runtime/host"
	"github.com/erlmcp/runner/runtime/op"
	"github.com/erlmcp/runner/runtime/secret"
)

// Family is what scripts see as git.
func Family(h *host.Host) builtin.Family {
	return builtin.NewFamily("git", "Reads the project's git repository.",
		op.Ask(h, Head{}),
		op.Ask(h, Status{Limit: 100}),
		op.Ask(h, Changelog{Until: "HEAD", Limit: 50}),
	)
}

const (
	patience = 30 * time.Second // for one question to git
	keep     = 16 << 20         // bytes of an answer
)

var (
	errNone   = errors.New("it is in no git repository")
	errUnborn = errors.New("it has no commit yet")
)

// ask runs git in the project and gives its whole answer; cut says that the beginning is missing.
func ask(ctx context.Context, h *host.Host, args ...string) (answer string, cut bool, err error) {
	clean := *h
	clean.Env = slices.DeleteFunc(slices.Clone(h.Env), foreign)
	defer patient.Announce(ctx, h, "git "+args[0], patience)()
	ran, err := command.Run(ctx, &clean, command.Cmd{
		Argv:    slices.Concat([]string{"git", "--no-pager", "--literal-pathspecs"}, settings(), args),
		Env:     environment(),
		Timeout: patience,
		Keep:    keep,
		Quiet:   true,
	})
	switch {
	case ctx.Err() != nil:
		return "", false, context.Cause(ctx)
	case err != nil && !ran.Started && strings.Contains(err.Error(), "not in PATH"):
		return "", false, op.Hint(err, "install git")
	case err != nil:
		return "", false, ran.Failure("ask git "+args[0], err, nil)
	case ran.Exit != host.Exit{}:
		return "", false, meaning(h, ran)
	}
	return ran.Stdout, ran.Truncated, nil
}

// foreign are the variables by which git, running a hook, tells its children where they are.
func foreign(kv string) bool {
	name, _, _ := strings.Cut(kv, "=")
	return strings.HasPrefix(name, "GIT_") && name != "GIT_CONFIG_GLOBAL" && name != "GIT_CONFIG_SYSTEM" && name != "GIT_CEILING_DIRECTORIES"
}

func environment() map[string]secret.Text {
	env := map[string]secret.Text{}
	for _, kv := range []string{"GIT_OPTIONAL_LOCKS=0", "GIT_TERMINAL_PROMPT=0", "GIT_NO_LAZY_FETCH=1", "LC_ALL=C"} {
		name, value, _ := strings.Cut(kv, "=")
		env[name] = secret.Plain(value)
	}
	return env
}

// settings are in place of those that a person may have, and that would change answers or start programs.
func settings() []string {
	return []string{"-c", "log.showSignature=false", "-c", "log.follow=false", "-c", "i18n.logOutputEncoding=UTF-8", "-c", "core.fsmonitor=false"}
}

// meaning is what git's failure means.
func meaning(h *host.Host, ran command.Ran) error {
	said := strings.Join(ran.Last, "\n")
	switch {
	case strings.Contains(said, "not a git repository"):
		return errNone
	case strings.Contains(said, "does not have any commits yet"):
		return errUnborn
	case strings.Contains(said, "dubious ownership"):
		return distrust(h)
	}
	if m := badRevision.FindStringSubmatch(said); m != nil {
		return &unknownRevision{m[1]}
	}
	line := ran.Exit.String()
	if len(ran.Last) > 0 {
		line = "git says " + strings.TrimPrefix(ran.Last[0], "fatal: ")
	}
	return &answered{line}
}

var badRevision = regexp.MustCompile(`bad (?:revision|object) '?\^?([^'\n]*)`)

// unknownRevision is a name of no commit.
type unknownRevision struct{ name string }

func (u *unknownRevision) Error() string { return "there is no commit " + u.name }

// answered is a failure in git's own words.
type answered struct{ line string }

func (a *answered) Error() string { return a.line }

// distrust explains that git obeys no configuration in another user's tree: it can name programs to run.
func distrust(h *host.Host) error {
	owner, user := "another user", host.UserName(host.Me())
	if info, err := h.Files.Stat(h.Project); err == nil {
		uid, _ := host.Ownership(info)
		owner = host.UserName(uid)
	}
	err := fmt.Errorf("git does not trust %s: it belongs to %s, and runner runs as %s", h.Project, owner, user)
	if owner == user {
		err = fmt.Errorf("git does not trust %s: the folder or its .git belongs to another user than %s", h.Project, user)
	}
	return op.Hint(err, "run runner as the owner: a repository can name programs that git runs; who trusts this one says git config --global --add safe.directory %s",
		h.Project)
}

package git

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"unicode"

	"github.com/erlmcp/runner/runtime/host"
	"github.com/erlmcp/runner/runtime/op"
)

// Changelog lists commits.
type Changelog struct {
	_     op.Doc `doc:"Lists the commits that came after another, newest first. An empty list in a repository without a commit."`
	Since string `json:"since,omitempty" doc:"The commit or tag after which they came; the last tag before until when left out, and the beginning where there is none."`
	Until string `json:"until" doc:"The last of them: a commit, a tag or a branch."`
	Limit int    `json:"limit" doc:"How many commits there are at most."`
}

// Commit is one commit of a changelog.
type Commit struct {
	_       op.Doc `doc:"One commit."`
	Commit  string `json:"commit" doc:"Its full id."`
	Subject string `json:"subject" doc:"The first line of its message."`
	Author  string `json:"author" doc:"Who wrote it."`
}

var (
	_ op.Op[*host.Host, []Commit] = Changelog{}
	_ op.Checked                  = Changelog{}
)

// Summary implements op.Op.
func (c Changelog) Summary() string {
	if c.Since == "" {
		return "list the commits up to " + c.Until
	}
	return fmt.Sprintf("list the commits from %s to %s", c.Since, c.Until)
}

// Check implements op.Checked.
func (c Changelog) Check() error {
	switch {
	case c.Since != "" && !revision(c.Since):
		return fmt.Errorf("since: want a commit, a tag or a branch, got %q", c.Since)
	case !revision(c.Until):
		return fmt.Errorf("until: want a commit, a tag or a branch, got %q", c.Until)
	case c.Limit < 1 || c.Limit > 10000:
		return fmt.Errorf("limit: want 1 to 10000, got %d", c.Limit)
	}
	return nil
}

// revision reports whether git would take the text for one commit, and not for an option or a range.
func revision(s string) bool {
	strange := func(r rune) bool { return unicode.IsSpace(r) || unicode.IsControl(r) }
	return s != "" && s[0] != '-' && s[0] != '^' && !strings.Contains(s, "..") && !strings.ContainsFunc(s, strange)
}

// Do implements op.Op.
func (c Changelog) Do(ctx context.Context, h *host.Host) ([]Commit, error) {
	commits, err := c.list(ctx, h)
	if unknown := (*unknownRevision)(nil); errors.As(err, &unknown) {
		err = op.Hint(err, "git fetch --tags gets what a clone lacks, git fetch --unshallow what a shallow one does")
	}
	if err != nil {
		return nil, fmt.Errorf("cannot list the commits of %s: %w", h.Project, err)
	}
	return commits, nil
}

func (c Changelog) list(ctx context.Context, h *host.Host) ([]Commit, error) {
	since := c.Since
	if since == "" {
		var err error
		if since, err = lastTag(ctx, h, c.Until); err != nil {
			return nil, err
		}
	}
	args := []string{"log", "-z", fmt.Sprintf("--max-count=%d", c.Limit), "--format=%H%x00%s%x00%an", "--end-of-options", c.Until}
	if since != "" {
		args = append(args, "^"+since)
	}
	out, cut, err := ask(ctx, h, append(args, "--")...)
	unknown := (*unknownRevision)(nil)
	switch {
	case errors.As(err, &unknown) && unknown.name == "HEAD":
		return []Commit{}, nil
	case err != nil:
		return nil, err
	case cut:
		return nil, op.Hint(fmt.Errorf("they are more than %s of text", op.Size(keep)), "say a lower limit")
	}
	return commits(out)
}

// lastTag is the last tag before a commit, "" where there is none. A tag of the commit itself is what the list leads up to.
func lastTag(ctx context.Context, h *host.Host, until string) (string, error) {
	out, _, err := ask(ctx, h, "describe", "--tags", "--abbrev=0", until+"^")
	var said *answered
	if errors.As(err, &said) {
		return "", nil // no tag, or nothing before it; what is no commit at all is said by the list
	}
	return strings.TrimSuffix(out, "\n"), err
}

func commits(answer string) ([]Commit, error) {
	out := []Commit{}
	if answer == "" {
		return out, nil
	}
	f := strings.Split(strings.TrimSuffix(answer, "\x00"), "\x00")
	if len(f)%3 != 0 {
		return nil, fmt.Errorf("git gives %d fields of them", len(f))
	}
	for ; len(f) > 0; f = f[3:] {
		out = append(out, Commit{Commit: f[0], Subject: f[1], Author: f[2]})
	}
	return out, nil
}

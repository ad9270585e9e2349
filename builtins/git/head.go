package git

import (
	"context"
	"errors"
	"fmt"
	"regexp"
	"strings"
	"time"

	"github.com/erlmcp/runner/runtime/host"
	"github.com/erlmcp/runner/runtime/op"
)

// Head reads the commit that the project stands on.
type Head struct {
	_ op.Doc `doc:"Reads the commit that the project stands on. None outside a repository, and in one without a commit."`
}

// Position is the commit that a project stands on.
type Position struct {
	_       op.Doc    `doc:"The commit that a project stands on."`
	Commit  string    `json:"commit" doc:"Its full id."`
	Short   string    `json:"short" doc:"Its id, as short as can be."`
	Branch  string    `json:"branch" doc:"The branch that is checked out, empty where none is."`
	Tag     string    `json:"tag" doc:"A tag of this very commit, empty where it has none; one that looks like a version comes before others."`
	Subject string    `json:"subject" doc:"The first line of its message."`
	Author  string    `json:"author" doc:"Who wrote it."`
	Time    time.Time `json:"time" doc:"When it was committed."`
}

var _ op.Op[*host.Host, *Position] = Head{}

// Summary implements op.Op.
func (Head) Summary() string { return "read the commit that the project stands on" }

// Do implements op.Op.
func (Head) Do(ctx context.Context, h *host.Host) (*Position, error) {
	out, _, err := ask(ctx, h, "log", "-z", "--max-count=1", "--decorate=full", "--no-color", "--format=%H%x00%h%x00%D%x00%s%x00%an%x00%cI", "--")
	if errors.Is(err, errNone) || errors.Is(err, errUnborn) {
		return nil, nil
	}
	var p Position
	if err == nil {
		p, err = position(out)
	}
	if err != nil {
		return nil, fmt.Errorf("cannot read the commit of %s: %w", h.Project, err)
	}
	return &p, nil
}

func position(answer string) (Position, error) {
	f := strings.Split(strings.TrimSuffix(answer, "\x00"), "\x00")
	if len(f) != 6 {
		return Position{}, fmt.Errorf("git gives %d fields of it", len(f))
	}
	t, err := time.Parse(time.RFC3339, f[5])
	if err != nil {
		return Position{}, fmt.Errorf("git gives %q as its time", f[5])
	}
	p := Position{Commit: f[0], Short: f[1], Subject: f[3], Author: f[4], Time: t.UTC()}
	p.Branch, p.Tag = refs(f[2])
	return p, nil
}

var versionTag = regexp.MustCompile(`[0-9]+\.[0-9]+`)

// refs finds branch and tag in "HEAD -> refs/heads/main, tag: refs/tags/v1.0". No name of a ref holds a space.
func refs(decoration string) (branch, tag string) {
	for _, ref := range strings.Split(decoration, ", ") {
		if b, ok := strings.CutPrefix(ref, "HEAD -> refs/heads/"); ok {
			branch = b
		}
		if t, ok := strings.CutPrefix(ref, "tag: refs/tags/"); ok && (tag == "" || versionTag.MatchString(t) && !versionTag.MatchString(tag)) {
			tag = t
		}
	}
	return branch, tag
}

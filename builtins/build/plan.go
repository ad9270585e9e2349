package build

import (
	"context"
	"errors"
	"fmt"

	"github.com/erlmcp/runner/builtins/artifact"
	"github.com/erlmcp/runner/runtime/host"
	"github.com/erlmcp/runner/runtime/op"
)

// plan is a build that is known by its input, before it is made.
type plan struct {
	what     string // "./cmd/mcpd"
	key      op.Key
	input    string // the digest of all that goes into it
	argv     []string
	artifact artifact.Artifact // what is known of it: name, version, perhaps platform
	stamp    func(*host.Host) (string, error)

	dir   string       // where no two builds may work at once
	alone func() error // waits for that; nil where they may
	hold  host.File    // while it is so
}

// perform finds the artifact of the plan's input again, or has fill make it and say what it turned out to be.
func (p *plan) perform(ctx context.Context, h *host.Host, fill func(dir string, a *artifact.Artifact) error) (artifact.Artifact, error) {
	out := op.Output(ctx)
	defer out.Close()
	before, _ := p.stamp(h)
	s := open(h)
	a, found := s.find(p.input)
	if !found && p.alone != nil {
		if err := p.alone(); err != nil {
			return artifact.Artifact{}, err
		}
		defer host.Unlock(p.hold)
		a, found = s.find(p.input)
	}
	if found {
		fmt.Fprintf(out, "build of %s is unchanged; found again by digest %s\n", p.what, p.input[:12])
	} else {
		made, err := s.make(ctx, p.input, p.key, p.artifact, fill)
		if err != nil {
			return artifact.Artifact{}, err
		}
		a = made
	}
	if err := errors.Join(p.mark(h, s, before), s.use(p.input)); err != nil {
		fmt.Fprintf(out, "the marks of old builds are not kept: %v\n", err)
	}
	return a, nil
}

// mark keeps the stamp for plans to come, unless the source changed while it was built.
func (p *plan) mark(h *host.Host, s store, before string) error {
	after, err := p.stamp(h)
	if err != nil || after != before { // a source that no plan can know
		return nil
	}
	return s.put(s.path(p.input, stamped), after)
}

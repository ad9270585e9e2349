package build

import (
	"context"
	"fmt"
	"path/filepath"
	"runtime"
	"strings"

	"github.com/erlmcp/runner/builtins/artifact"
	"github.com/erlmcp/runner/builtins/command"
	"github.com/erlmcp/runner/runtime/host"
	"github.com/erlmcp/runner/runtime/op"
	"github.com/erlmcp/runner/runtime/secret"
)

// tree is a build by a program that works in the folder of its source, where two at once would meet.
type tree struct {
	params  any    // the op, without its key
	what    string // "dist/app"; the artifact has its last element for a name
	argv    []string
	output  string // what it makes there, seen from dir: no source
	version string
	dir     string
	env     map[string]secret.Text
	timeout op.Duration
	key     op.Key
	more    func(*input) error // what else goes into it
	missing string             // what to do where there is no such program
}

// machine is where a build runs.
const machine = runtime.GOOS + "/" + runtime.GOARCH

func (t tree) stamp(h *host.Host) (string, error) {
	return stampOf(h, t.params, t.dir, t.output, t.version)
}

func (t tree) preview(h *host.Host) (artifact.Artifact, error) {
	stamp, err := t.stamp(h)
	return preview(h, stamp, err)
}

// perform finds the artifact again, or has fill make it in a folder, under its name.
func (t tree) perform(ctx context.Context, h *host.Host, fill func(p *plan, dir string, a *artifact.Artifact) error) (artifact.Artifact, error) {
	op.Waiting(ctx, "git to list the source of "+t.what, h.Clock.Now().Add(t.timeout.D()))
	p, err := t.plan(ctx, h)
	if err != nil {
		return artifact.Artifact{}, err
	}
	p.alone = func() error { return t.alone(ctx, h, p) }
	return p.perform(ctx, h, func(dir string, a *artifact.Artifact) error { return fill(p, dir, a) })
}

// alone waits until no other run builds in the folder. The source may have changed meanwhile.
func (t tree) alone(ctx context.Context, h *host.Host, p *plan) error {
	waited, err := open(h).alone(ctx, p, t.timeout.D())
	if err != nil || !waited {
		return err
	}
	now, err := t.plan(ctx, h)
	if err == nil {
		p.input, p.argv, p.artifact = now.input, now.argv, now.artifact
	}
	return err
}

func (t tree) run(ctx context.Context, h *host.Host, argv ...string) error {
	ran, err := command.Run(ctx, h, command.Cmd{Argv: argv, Dir: t.dir, Env: t.env, Timeout: t.timeout.D(), Key: t.key})
	if err == nil {
		err = ran.Succeeded()
	}
	return t.failure(ran, err)
}

func (t tree) failure(ran command.Ran, err error) error {
	if err != nil && !ran.Started && t.missing != "" {
		return op.Hint(err, "%s", t.missing)
	}
	return ran.Failure("build "+t.what, err, ran.Last)
}

func (t tree) plan(ctx context.Context, h *host.Host) (*plan, error) {
	if err := command.CheckDir(h, t.dir); err != nil {
		return nil, err
	}
	in := &input{}
	in.env(t.env)
	in.add("argv", t.argv...)
	in.add("output", t.output)
	in.add("platform", machine)
	if t.more != nil {
		if err := t.more(in); err != nil {
			return nil, err
		}
	}
	if err := t.sources(ctx, h, in); err != nil {
		return nil, fmt.Errorf("cannot build %s: %w", t.what, err)
	}
	p := &plan{what: t.what, key: t.key, stamp: t.stamp, dir: t.dir, artifact: artifact.Artifact{Name: filepath.Base(t.what)}}
	v, err := version(ctx, h, wanted{asked: t.version, dir: t.dir, app: p.artifact.Name, input: in.digest(), key: t.key})
	if err != nil {
		return nil, err
	}
	in.add("version", v)
	p.artifact.Version, p.input = v, in.digest()
	for _, word := range t.argv {
		p.argv = append(p.argv, strings.ReplaceAll(word, "{version}", v))
	}
	return p, nil
}

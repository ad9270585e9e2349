package build

import (
	"context"
	"fmt"
	"path/filepath"

	"github.com/erlmcp/runner/builtins/artifact"
	"github.com/erlmcp/runner/builtins/command"
	"github.com/erlmcp/runner/runtime/host"
	"github.com/erlmcp/runner/runtime/op"
	"github.com/erlmcp/runner/runtime/secret"
)

// Command builds with a command of the source's own.
type Command struct {
	_       op.Doc                 `doc:"Builds with a command and takes what it makes. The input is every file below dir but those that git ignores; unchanged, its artifact is found again by digest."`
	Argv    []string               `json:"argv" doc:"The program and its arguments; {version} in them becomes the version."`
	Output  string                 `json:"output" doc:"The file or folder that it makes, seen from dir."`
	Version string                 `json:"version,omitempty" doc:"The version; from a *.app.src, the file VERSION, git, or the digest of the source when left out."`
	Env     map[string]secret.Text `json:"env,omitempty" doc:"Variables beside the environment that runner was started with."`
	Dir     string                 `json:"dir,omitempty" doc:"The folder with the source, where the command runs, the project when left out."`
	Timeout op.Duration            `json:"timeout" doc:"How long the build may take."`
	Key     op.Key                 `json:"key,omitempty"`
}

var (
	_ op.Previewer[*host.Host, artifact.Artifact] = Command{}
	_ op.Checked                                  = Command{}
)

// Summary implements op.Op.
func (c Command) Summary() string { return "build " + c.Output + " by " + command.Line(c.Argv) }

// Check implements op.Checked.
func (c Command) Check() error {
	if err := command.CheckArgv("argv", c.Argv); err != nil {
		return err
	}
	return c.checkOutput()
}

func (c Command) checkOutput() error {
	if !filepath.IsLocal(c.Output) || filepath.Clean(c.Output) == "." {
		return fmt.Errorf("output: want a file or folder below dir, got %q", c.Output)
	}
	if err := checkName("output", filepath.Base(c.Output)); err != nil {
		return err
	}
	return checkCommon(c.Version, c.Env, c.Timeout)
}

// Preview implements op.Previewer.
func (c Command) Preview(_ context.Context, h *host.Host) (artifact.Artifact, error) {
	return c.tree().preview(h)
}

func (c Command) tree() tree {
	t := tree{what: c.Output, argv: c.Argv, output: filepath.Clean(c.Output), version: c.Version, dir: c.Dir, env: c.Env, timeout: c.Timeout, key: c.Key}
	c.Key = ""
	t.params = c
	return t
}

// Do implements op.Op.
func (c Command) Do(ctx context.Context, h *host.Host) (artifact.Artifact, error) {
	return c.tree().take(ctx, h)
}

// take performs a build whose output is copied from its source's folder.
func (t tree) take(ctx context.Context, h *host.Host) (artifact.Artifact, error) {
	return t.perform(ctx, h, func(p *plan, dir string, a *artifact.Artifact) error {
		if err := t.run(ctx, h, p.argv...); err != nil {
			return err
		}
		to := filepath.Join(dir, a.Name)
		if err := artifact.Copy(ctx, h.Files, filepath.Join(h.Abs(t.dir), t.output), to); err != nil {
			return fmt.Errorf("cannot take %s, which %s should have made: %w", t.what, command.Line(p.argv), artifact.Plainly(err))
		}
		return judge(h.Files, to, a)
	})
}

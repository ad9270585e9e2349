package build

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/erlmcp/runner/builtins/artifact"
	"github.com/erlmcp/runner/runtime/host"
	"github.com/erlmcp/runner/runtime/op"
	"github.com/erlmcp/runner/runtime/secret"
)

// Make builds with make.
type Make struct {
	_       op.Doc                 `doc:"Builds with make and takes what it makes. The input is every file below dir but those that git ignores; unchanged, its artifact is found again by digest."`
	Targets []string               `json:"targets,omitempty" doc:"What to make, and variables such as \"V={version}\"; {version} in them becomes the version."`
	Output  string                 `json:"output" doc:"The file or folder that it makes, seen from dir."`
	Version string                 `json:"version,omitempty" doc:"The version; from a *.app.src, the file VERSION, git, or the digest of the source when left out."`
	Env     map[string]secret.Text `json:"env,omitempty" doc:"Variables beside the environment that runner was started with."`
	Dir     string                 `json:"dir,omitempty" doc:"The folder with the Makefile, the project when left out."`
	Timeout op.Duration            `json:"timeout" doc:"How long the build may take."`
	Key     op.Key                 `json:"key,omitempty"`
}

var (
	_ op.Previewer[*host.Host, artifact.Artifact] = Make{}
	_ op.Checked                                  = Make{}
)

// Summary implements op.Op.
func (m Make) Summary() string { return m.command().Summary() }

// apart is the environment of a make that is nobody's part: where runner was started by a make, its flags are not for this one.
func (m Make) apart() map[string]secret.Text {
	env := map[string]secret.Text{"MAKEFLAGS": {}, "MFLAGS": {}, "MAKELEVEL": {}}
	maps.Copy(env, m.Env)
	return env
}

func (m Make) command() Command {
	return Command{Argv: append([]string{"make"}, m.Targets...), Output: m.Output, Version: m.Version, Env: m.apart(), Dir: m.Dir, Timeout: m.Timeout, Key: m.Key}
}

// Check implements op.Checked.
func (m Make) Check() error {
	bad := func(s string) bool { return s == "" || s[0] == '-' || strings.ContainsAny(s, "\x00\n") }
	if i := slices.IndexFunc(m.Targets, bad); i >= 0 {
		return fmt.Errorf("targets: want names and variables, got %q", m.Targets[i])
	}
	return m.command().checkOutput()
}

// Preview implements op.Previewer.
func (m Make) Preview(_ context.Context, h *host.Host) (artifact.Artifact, error) {
	return m.tree().preview(h)
}

func (m Make) tree() tree {
	t := m.command().tree()
	t.missing = "install make, such as by apt-get install make"
	return t
}

// Do implements op.Op.
func (m Make) Do(ctx context.Context, h *host.Host) (artifact.Artifact, error) {
	return m.tree().take(ctx, h)
}

// MakeSource is the value that environments name a build by make by.
type MakeSource struct {
	_       op.Doc                 `doc:"How an environment's program is built: with make."`
	Targets []string               `json:"targets,omitempty" doc:"What to make, and variables such as \"V={version}\"; {version} in them becomes the version."`
	Output  string                 `json:"output" doc:"The file or folder that it makes, seen from dir."`
	Version string                 `json:"version,omitempty" doc:"The version; from a *.app.src, the file VERSION or git when left out."`
	Env     map[string]secret.Text `json:"env,omitempty" doc:"Variables beside the environment that runner was started with."`
	Dir     string                 `json:"dir,omitempty" doc:"The folder with the Makefile, the project when left out."`
	Tests   []string               `json:"tests,omitempty" doc:"The program and arguments that test the source, such as [\"make\", \"test\"]; none when left out."`
}

// Check implements op.Checked.
func (m MakeSource) Check() error {
	if err := checkTests(m.Tests); err != nil {
		return err
	}
	return Make{Targets: m.Targets, Output: m.Output, Version: m.Version, Env: m.Env, Timeout: defaultTimeout}.Check()
}

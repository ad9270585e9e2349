package build

import (
	"context"
	"fmt"
	"io/fs"
	"path/filepath"
	"runtime"
	"slices"
	"strings"

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
	Version string                 `json:"version,omitempty" doc:"The version; from the file VERSION, from git, or from the digest of the source when left out."`
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
	stamp, err := c.stamp(h)
	return preview(h, stamp, err)
}

func (c Command) stamp(h *host.Host) (string, error) {
	c.Key = ""
	return stampOf(h, c, c.Dir, filepath.Clean(c.Output), c.Version)
}

// Do implements op.Op.
func (c Command) Do(ctx context.Context, h *host.Host) (artifact.Artifact, error) {
	op.Waiting(ctx, "git to list the source of "+c.Output, h.Clock.Now().Add(c.Timeout.D()))
	p, err := c.plan(ctx, h)
	if err != nil {
		return artifact.Artifact{}, err
	}
	return p.perform(ctx, h, func(dir string) error {
		ran, err := command.Run(ctx, h, command.Cmd{Argv: p.argv, Dir: c.Dir, Env: c.Env, Timeout: c.Timeout.D(), Key: c.Key})
		if err == nil {
			err = ran.Succeeded()
		}
		if err := ran.Failure("build "+c.Output, err, ran.Last); err != nil {
			return err
		}
		made := filepath.Join(h.Abs(c.Dir), c.Output)
		if err := artifact.Copy(ctx, h.Files, made, filepath.Join(dir, p.artifact.Name)); err != nil {
			return fmt.Errorf("cannot take %s, which %s should have made: %w", c.Output, command.Line(p.argv), artifact.Plainly(err))
		}
		return nil
	})
}

func (c Command) plan(ctx context.Context, h *host.Host) (*plan, error) {
	if err := command.CheckDir(h, c.Dir); err != nil {
		return nil, err
	}
	in := &input{}
	in.env(c.Env)
	in.add("argv", c.Argv...)
	in.add("output", filepath.Clean(c.Output))
	in.add("platform", platform)
	if err := c.sources(ctx, h, in); err != nil {
		return nil, fmt.Errorf("cannot build %s: %w", c.Output, err)
	}
	v, err := version(ctx, h, c.Version, c.Dir, in.digest(), c.Key)
	if err != nil {
		return nil, err
	}
	in.add("version", v)
	p := &plan{what: c.Output, key: c.Key, stamp: c.stamp, input: in.digest()}
	p.artifact = artifact.Artifact{Name: filepath.Base(c.Output), Version: v, Platform: platform}
	for _, word := range c.Argv {
		p.argv = append(p.argv, strings.ReplaceAll(word, "{version}", v))
	}
	return p, nil
}

const platform = runtime.GOOS + "/" + runtime.GOARCH

// sources adds every file below dir, but for the output, what runner and git keep, and what git ignores.
func (c Command) sources(ctx context.Context, h *host.Host, in *input) error {
	dir := h.Abs(c.Dir)
	names, err := c.list(ctx, h, dir)
	if err != nil {
		return err
	}
	for _, name := range names {
		if ctx.Err() != nil {
			return context.Cause(ctx)
		}
		if err := c.source(h, dir, name, in); err != nil {
			return fmt.Errorf("%s: %w", name, artifact.Plainly(err))
		}
	}
	return nil
}

func (c Command) source(h *host.Host, dir, name string, in *input) error {
	if rel, err := filepath.Rel(filepath.Clean(c.Output), name); err == nil && filepath.IsLocal(rel) {
		return nil
	}
	full := filepath.Join(dir, name)
	info, err := h.Files.Lstat(full)
	switch {
	case err == nil && info.Mode().Type() == fs.ModeSymlink:
		target, err := h.Files.Readlink(full)
		in.add("link", name, target)
		return err
	case err == nil && info.IsDir(): // another repository within this one
		names, err := walk(h.Files, dir, name)
		for _, n := range names {
			if err == nil {
				err = c.source(h, dir, n, in)
			}
		}
		return err
	case err == nil && !info.Mode().IsRegular(): // a socket
		return nil
	}
	return in.file(h.Files, name, full)
}

// list asks git for the files that it has or would take, and looks itself where git does not answer.
func (c Command) list(ctx context.Context, h *host.Host, dir string) ([]string, error) {
	argv := []string{"git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"}
	ran, err := ask(ctx, h, command.Cmd{Argv: argv, Dir: c.Dir, Key: c.Key})
	if ctx.Err() != nil {
		return nil, context.Cause(ctx)
	}
	names := strings.Split(strings.TrimSuffix(ran.Stdout, "\x00"), "\x00")
	if err != nil || names[0] == "" {
		names, err = walk(h.Files, dir, "")
	}
	roots := map[string]bool{}
	names = slices.DeleteFunc(names, func(n string) bool { return strings.HasPrefix(n, ".runner/") || underRoot(h.Files, dir, n, roots) })
	slices.Sort(names)
	return slices.Compact(names), err
}

// isRoot reports whether a folder is what a deployment changes: a host root that lies in the project is no source of it.
func isRoot(f host.FS, dir string) bool {
	_, err := f.Lstat(filepath.Join(dir, ".runner"))
	return err == nil
}

// underRoot reports whether a file lies in a root below dir; known remembers what was looked at.
func underRoot(f host.FS, dir, name string, known map[string]bool) bool {
	folder := filepath.Dir(name)
	if folder == "." {
		return false
	}
	is, seen := known[folder]
	if !seen {
		is = isRoot(f, filepath.Join(dir, folder)) || underRoot(f, dir, folder, known)
		known[folder] = is
	}
	return is
}

func walk(f host.FS, root, dir string) ([]string, error) {
	entries, err := f.ReadDir(filepath.Join(root, dir))
	if err != nil {
		return nil, artifact.Plainly(err)
	}
	var out []string
	for _, e := range entries {
		name := filepath.Join(dir, e.Name())
		switch {
		case e.Name() == ".git" || name == ".runner" || e.IsDir() && isRoot(f, filepath.Join(root, name)):
		case e.IsDir():
			below, err := walk(f, root, name)
			if err != nil {
				return nil, fmt.Errorf("%s: %w", name, err)
			}
			out = append(out, below...)
		default:
			out = append(out, name)
		}
	}
	return out, nil
}

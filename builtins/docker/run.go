package docker

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"maps"
	"path"
	"slices"
	"strings"

	"github.com/erlmcp/runner/builtins/command"
	"github.com/erlmcp/runner/builtins/docker/once"
	"github.com/erlmcp/runner/runtime/op"
	"github.com/erlmcp/runner/runtime/secret"
	"github.com/moby/moby/api/types/container"
)

// Run is docker.run.
type Run struct {
	_        op.Doc                 `doc:"Runs a container to its end, shows what it prints, and removes it. It cannot be taken back, unless leaves says that there is nothing to."`
	Image    string                 `json:"image" doc:"The image, by name or ID; the engine must have it."`
	Argv     []string               `json:"argv,omitempty" doc:"Arguments for its program, in place of its own."`
	Program  []string               `json:"program,omitempty" doc:"The program, in place of the image's entrypoint."`
	Env      map[string]secret.Text `json:"env,omitempty" doc:"Variables. Secrets may be given here; while the container is there, whoever may ask the engine can read them."`
	Mounts   []string               `json:"mounts,omitempty" doc:"What of outside it sees: SOURCE:PATH or SOURCE:PATH:ro, the source a volume, or a folder or file of the project when it begins with . or /."`
	Network  string                 `json:"network,omitempty" doc:"The network that it is in, such as none or that of a project; the engine's default when left out."`
	User     string                 `json:"user,omitempty" doc:"As whom it runs, in place of the image's own."`
	Dir      string                 `json:"dir,omitempty" doc:"Where it runs, in place of the image's own."`
	ReadOnly bool                   `json:"read_only,omitempty" doc:"Whether it may write only to mounts."`
	Memory   op.Size                `json:"memory,omitempty" doc:"How much memory it may have; any when left out."`
	Labels   map[string]string      `json:"labels,omitempty" doc:"Labels for it, beside those of runner."`
	Timeout  op.Duration            `json:"timeout" doc:"How long it may run before it is ended."`
	OK       []int                  `json:"ok" doc:"The exit codes that count as success."`
	Leaves   string                 `json:"leaves,omitempty" doc:"\"nothing\" says that it changes nothing that serves, so that there is nothing to take back."`
	Engine   string                 `json:"engine,omitempty" doc:"The engine's address; what DOCKER_HOST or the Docker context says when left out."`
	Key      op.Key                 `json:"key,omitempty"`
}

// Ran is how a container ended.
type Ran struct {
	_         op.Doc `doc:"How a container ended, and what it printed."`
	Code      int    `json:"code" doc:"Its exit code."`
	Stdout    string `json:"stdout" doc:"The end of its standard output, 64 KiB at most."`
	Truncated bool   `json:"truncated" doc:"Whether stdout lacks the beginning."`
	Path      string `json:"path" doc:"The file with every line of both outputs, kept until the run's scratch folder goes."`
}

var (
	_ op.Graded  = Run{}
	_ op.Checked = Run{}
)

// Summary implements op.Op.
func (r Run) Summary() string {
	return strings.TrimSpace("run a container of " + r.Image + " " + command.Line(slices.Concat(r.Program, r.Argv)))
}

// Grade implements op.Graded.
func (r Run) Grade() op.Class {
	if r.Leaves == "nothing" {
		return op.ClassMake
	}
	return op.ClassFinal
}

// Check implements op.Checked.
func (r Run) Check() error {
	for _, m := range r.Mounts {
		if parts := strings.Split(m, ":"); len(parts) < 2 || len(parts) > 3 || parts[0] == "" || !path.IsAbs(parts[1]) || len(parts) == 3 && parts[2] != "ro" {
			return fmt.Errorf(`mounts: want SOURCE:PATH or SOURCE:PATH:ro, the path an absolute one, got %q`, m)
		}
	}
	switch {
	case r.Leaves != "" && r.Leaves != "nothing":
		return fmt.Errorf(`leaves: want "nothing" or no such parameter, got %q`, r.Leaves)
	case slices.ContainsFunc(r.OK, func(code int) bool { return code < 0 || code > 255 }):
		return errors.New("ok: want exit codes between 0 and 255")
	case r.Memory != 0 && r.Memory < 6<<20:
		return fmt.Errorf("memory: want 6MiB or more, got %s", r.Memory)
	}
	return cmp.Or(checkImage("image", r.Image), command.CheckEnv(r.Env), checkTimeout(r.Timeout))
}

// Do implements op.Op.
func (r Run) Do(ctx context.Context, d *Docker) (Ran, error) {
	e, err := d.engine(ctx, r.Engine)
	if err != nil {
		return Ran{}, err
	}
	c, err := r.container(ctx, d)
	if err != nil {
		return Ran{}, err
	}
	said, err := command.Listen(ctx, d.Host, command.Cmd{Key: r.Key})
	if err != nil {
		return Ran{}, fmt.Errorf("cannot keep the output of %s: %w", r.Image, err)
	}
	op.Waiting(ctx, "the container", d.Host.Clock.Now().Add(r.Timeout.D()))
	ended, err := once.Run(ctx, d.Host, e.Client, c, said.Stdout(), said.Stderr())
	ran := said.Close()
	if err == nil && (ended.OOM || !slices.Contains(r.OK, ended.Code)) {
		err = errors.New(ended.String())
	}
	ran.Started = true
	out := Ran{Code: ended.Code, Stdout: ran.Stdout, Truncated: ran.Truncated, Path: ran.Path}
	return out, ran.Failure(r.Summary(), err, ran.Last)
}

// container is the container as the engine takes it.
func (r Run) container(ctx context.Context, d *Docker) (once.Container, error) {
	config := &container.Config{Image: r.Image, Cmd: r.Argv, Entrypoint: r.Program, User: r.User, WorkingDir: r.Dir, Labels: r.Labels}
	for _, name := range slices.Sorted(maps.Keys(r.Env)) {
		value, err := d.Host.Secrets.RevealIn(ctx, r.Env[name])
		if err != nil {
			return once.Container{}, err
		}
		config.Env = append(config.Env, name+"="+value)
	}
	hosted := &container.HostConfig{NetworkMode: container.NetworkMode(r.Network), ReadonlyRootfs: r.ReadOnly}
	if r.Memory > 0 {
		hosted.Memory, hosted.MemorySwap = int64(r.Memory), int64(r.Memory)
	}
	for _, m := range r.Mounts {
		if strings.HasPrefix(m, ".") {
			source, rest, _ := strings.Cut(m, ":")
			m = d.Host.Abs(source) + ":" + rest
		}
		hosted.Binds = append(hosted.Binds, m)
	}
	return once.Container{Config: config, Host: hosted, Key: r.Key, Within: r.Timeout.D()}, nil
}

package compose

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/erlmcp/runner/builtins/command"
	"github.com/erlmcp/runner/builtins/compose/reconcile"
	"github.com/erlmcp/runner/builtins/compose/shape"
	"github.com/erlmcp/runner/builtins/docker/once"
	"github.com/erlmcp/runner/builtins/stack"
	"github.com/erlmcp/runner/runtime/builtin"
	"github.com/erlmcp/runner/runtime/op"
	"github.com/erlmcp/runner/runtime/secret"
)

// Run is compose.run.
type Run struct {
	_        op.Doc                 `doc:"Runs a container of a service to its end, beside those that serve and in their networks, shows what it prints, and removes it: a migration, a question. It publishes no port and starts nothing that the service needs."`
	Project  stack.Project          `json:"project" doc:"The project, such as environment.target."`
	Service  string                 `json:"service" doc:"The service whose image, variables, mounts and networks it has."`
	Argv     []string               `json:"argv,omitempty" doc:"Arguments for its program, in place of the service's command."`
	Program  []string               `json:"program,omitempty" doc:"The program, in place of the service's entrypoint."`
	Env      map[string]secret.Text `json:"env,omitempty" doc:"Variables beside those of the service."`
	User     string                 `json:"user,omitempty" doc:"As whom it runs, in place of the service's own."`
	Images   map[string]string      `json:"images,omitempty" doc:"Images by service, as for compose.up."`
	Migrated bool                   `json:"migrated,omitempty" doc:"Whether it changes data in a way that the version before may not read. A run that fails behind it does what after_migration in compose_project(...) says."`
	Leaves   string                 `json:"leaves,omitempty" doc:"\"nothing\" says that it changes nothing that serves, so that there is nothing to take back."`
	Timeout  op.Duration            `json:"timeout" doc:"How long it may run before it is ended."`
	OK       []int                  `json:"ok" doc:"The exit codes that count as success."`
	Key      op.Key                 `json:"key,omitempty"`
}

// Ran is how a one-off container ended.
type Ran struct {
	_         op.Doc `doc:"How a one-off container ended, and what it printed."`
	Code      int    `json:"code" doc:"Its exit code."`
	Stdout    string `json:"stdout" doc:"The end of its standard output, 64 KiB at most."`
	Truncated bool   `json:"truncated" doc:"Whether stdout lacks the beginning."`
	Path      string `json:"path" doc:"The file with every line of both outputs, kept until the run's scratch folder goes."`
}

var (
	_ op.Graded            = Run{}
	_ op.Staying           = Run{}
	_ op.Checked           = Run{}
	_ op.Targeted[*Docker] = Run{}
)

// Summary implements op.Op.
func (r Run) Summary() string {
	return strings.TrimSpace("run a container of " + r.Project.Name + " " + r.Service + " " + command.Line(slices.Concat(r.Program, r.Argv)))
}

// Target implements op.Targeted.
func (r Run) Target(*Docker) string { return r.Project.Target() }

// Grade implements op.Graded.
func (r Run) Grade() op.Class {
	if r.Leaves == "nothing" {
		return op.ClassMake
	}
	return op.ClassFinal
}

// Stays implements op.Staying.
func (r Run) Stays() string {
	if r.Migrated && r.Project.AfterMigration != "undo" {
		return r.Service + " has migrated data"
	}
	return ""
}

// Check implements op.Checked.
func (r Run) Check() error {
	switch {
	case r.Leaves != "" && r.Leaves != "nothing":
		return fmt.Errorf(`leaves: want "nothing" or no such parameter, got %q`, r.Leaves)
	case r.Migrated && r.Leaves == "nothing":
		return errors.New("migrated: what migrates data leaves something")
	case r.Migrated && r.Project.AfterMigration == "":
		return op.Hint(errors.New("migrated: the environment does not say what becomes of a run that fails behind it"),
			`say compose_project(..., after_migration = "stay") to keep the new version then, or "undo" where the version before can read the data`)
	case slices.ContainsFunc(r.OK, func(code int) bool { return code < 0 || code > 255 }):
		return errors.New("ok: want exit codes between 0 and 255")
	case r.Timeout <= 0:
		return errors.New("timeout: want more than 0s")
	}
	return command.CheckEnv(r.Env)
}

// Do implements op.Op.
func (r Run) Do(ctx context.Context, d *Docker) (Ran, error) {
	at, seen, err := d.observe(ctx, r.Project)
	if err != nil {
		return Ran{}, err
	}
	c, err := r.container(ctx, d, at, seen)
	if err != nil {
		return Ran{}, fmt.Errorf("cannot %s: %w", r.Summary(), err)
	}
	said, err := command.Listen(ctx, d.Host, command.Cmd{Key: r.Key})
	if err != nil {
		return Ran{}, fmt.Errorf("cannot keep the output of %s: %w", r.Service, err)
	}
	op.Waiting(ctx, "the container", d.Host.Clock.Now().Add(r.Timeout.D()))
	ended, err := once.Run(ctx, d.Host, at.Engine.Client, c, said.Stdout(), said.Stderr())
	ran := said.Close()
	if err == nil && (ended.OOM || !slices.Contains(r.OK, ended.Code)) {
		err = errors.New(ended.String())
	}
	ran.Started = true
	out := Ran{Code: ended.Code, Stdout: ran.Stdout, Truncated: ran.Truncated, Path: ran.Path}
	return out, ran.Failure(r.Summary(), err, ran.Last)
}

// container is the service's first container, changed into one that runs once.
func (r Run) container(ctx context.Context, d *Docker, at place, seen *reconcile.Seen) (once.Container, error) {
	want, err := wanted(ctx, d, at.Engine, r.Project, r.Images, seen)
	if err != nil && !r.has(missing(err)) {
		return once.Container{}, err
	}
	set := want.set
	i := slices.IndexFunc(set.Containers, func(c shape.Container) bool { return c.Service == r.Service })
	if i < 0 {
		var names []string
		for _, s := range set.Services {
			names = append(names, s.Name)
		}
		return once.Container{}, fmt.Errorf("service: there is no service %s%s", r.Service, builtin.DidYouMean(r.Service, names))
	}
	c := set.Containers[i]
	config := *c.Config
	if r.Argv != nil {
		config.Cmd = r.Argv
	}
	if r.Program != nil {
		config.Entrypoint, config.Cmd = r.Program, r.Argv
	}
	config.User = cmp.Or(r.User, config.User)
	config.Env = slices.Clone(config.Env)
	for _, name := range slices.Sorted(maps.Keys(r.Env)) {
		value, err := d.Host.Secrets.RevealIn(ctx, r.Env[name])
		if err != nil {
			return once.Container{}, err
		}
		config.Env = slices.DeleteFunc(config.Env, func(kv string) bool { return strings.HasPrefix(kv, name+"=") })
		config.Env = append(config.Env, name+"="+value)
	}
	c.Config = &config
	o, before, err := at.OneOff(ctx, c, seen, r.Key)
	return once.Container{Config: o.Config, Host: o.HostConfig, Networks: o.NetworkingConfig, Key: r.Key, Within: r.Timeout.D(), Before: before}, err
}

// has reports whether what is missing is the matter of other services only.
func (r Run) has(notes []string) bool {
	return len(notes) > 0 && !slices.ContainsFunc(notes, func(n string) bool { return strings.Contains(n, " for "+r.Service+" yet") })
}

package compose

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"github.com/erlmcp/runner/builtins/compose/model"
	"github.com/erlmcp/runner/builtins/compose/reconcile"
	"github.com/erlmcp/runner/builtins/compose/shape"
	"github.com/erlmcp/runner/builtins/stack"
	"github.com/erlmcp/runner/runtime/builtin"
	"github.com/erlmcp/runner/runtime/op"
)

// Ps is compose.ps.
type Ps struct {
	_       op.Doc        `doc:"Reads the containers of a project, as its engine has them."`
	Project stack.Project `json:"project" doc:"The project, such as environment.target."`
}

// Standing is one container as it stands.
type Standing struct {
	_       op.Doc   `doc:"One container of a project as it stands."`
	Service string   `json:"service" doc:"Its service."`
	Number  int      `json:"number" doc:"Which of the service's replicas it is, from 1."`
	Name    string   `json:"name" doc:"Its name on the engine."`
	Image   string   `json:"image" doc:"What its image is called."`
	Status  string   `json:"status" doc:"How it is: created, running, paused, restarting, removing, exited or dead."`
	Health  string   `json:"health" doc:"Starting, healthy or unhealthy; empty where it has no health check."`
	Code    int      `json:"code" doc:"The exit code of one that has ended."`
	Ports   []string `json:"ports" doc:"What of it can be reached from outside, each ADDRESS->PORT."`
	Problem string   `json:"problem" doc:"What is wrong with it; empty where nothing is."`
}

// Summary implements op.Op.
func (p Ps) Summary() string { return "read the containers of " + p.Project.Name }

// Do implements op.Op.
func (p Ps) Do(ctx context.Context, d *Docker) ([]Standing, error) {
	_, seen, err := d.observe(ctx, p.Project)
	if err != nil {
		return nil, err
	}
	out := []Standing{}
	for _, c := range seen.Containers {
		s := seen.States[c.ID]
		out = append(out, Standing{Service: c.Service, Number: c.Number, Name: c.Name, Image: c.Image, Status: s.Status,
			Health: s.Health, Code: s.Exit, Ports: published(s), Problem: problem(s)})
	}
	return out, nil
}

// problem is what is wrong with a container. One that starts has none yet.
func problem(s reconcile.State) string {
	if s.Status == "running" && s.Health == "starting" && s.Restarts == 0 {
		return ""
	}
	return reconcile.Ailing(s)
}

func published(s reconcile.State) []string {
	out := []string{}
	for port, bound := range s.Ports {
		for _, b := range bound {
			address := b.HostIP.String()
			if !b.HostIP.IsValid() || b.HostIP.IsUnspecified() {
				address = "*"
			}
			out = append(out, fmt.Sprintf("%s:%s->%s", address, b.HostPort, port))
		}
	}
	slices.Sort(out)
	return slices.Compact(out)
}

func (d *Docker) observe(ctx context.Context, p stack.Project) (place, *reconcile.Seen, error) {
	at, err := d.at(ctx, p)
	if err != nil {
		return at, nil, err
	}
	seen, err := reconcile.Observe(ctx, at.Engine, p.Name)
	return at, seen, err
}

// Logs is compose.logs.
type Logs struct {
	_       op.Doc        `doc:"Reads what the containers of a project have written last, each line behind the name of its container where there are several."`
	Project stack.Project `json:"project" doc:"The project, such as environment.target."`
	Service string        `json:"service,omitempty" doc:"Only those of one service."`
	Lines   int           `json:"lines" doc:"How many lines of each container."`
	Since   string        `json:"since,omitempty" doc:"Only what is younger, such as \"10m\", or than a time such as 2026-01-26T12:00:00Z."`
}

// Summary implements op.Op.
func (l Logs) Summary() string {
	return strings.TrimSpace("read the logs of " + strings.TrimSpace(l.Project.Name+" "+l.Service))
}

// Check implements op.Checked.
func (l Logs) Check() error {
	if l.Lines < 1 || l.Lines > 10000 {
		return fmt.Errorf("lines: want 1 to 10000, got %d", l.Lines)
	}
	return nil
}

// Do implements op.Op.
func (l Logs) Do(ctx context.Context, d *Docker) (string, error) {
	at, seen, err := d.observe(ctx, l.Project)
	if err != nil {
		return "", err
	}
	of := slices.Clone(seen.Containers)
	if l.Service != "" {
		of = slices.DeleteFunc(of, func(c shape.Container) bool { return c.Service != l.Service })
	}
	if len(of) == 0 && l.Service != "" {
		return "", noService(l.Project.Name, l.Service, seen)
	}
	var out strings.Builder
	for _, c := range of {
		text, err := reconcile.Logs(ctx, at.Engine, c, l.Lines, l.Since)
		if err != nil {
			return "", fmt.Errorf("cannot read the log of %s: %w", c.Name, err)
		}
		for line := range strings.Lines(text) {
			if len(of) > 1 {
				fmt.Fprintf(&out, "%s:%d  ", c.Service, c.Number)
			}
			out.WriteString(strings.TrimRight(line, "\n") + "\n")
		}
	}
	return strings.TrimRight(out.String(), "\n"), nil
}

func noService(project, service string, seen *reconcile.Seen) error {
	var names []string
	for _, s := range seen.Services {
		names = append(names, s.Name)
	}
	return fmt.Errorf("%s has no container of a service %s%s", project, service, builtin.DidYouMean(service, names))
}

// Check is compose.check.
type Check struct {
	_       op.Doc        `doc:"Looks for everything that stands in the way of bringing a project up: its files, its engine, the networks, volumes and ports that it needs. Images are not looked for: those that are missing are built or fetched."`
	Project stack.Project `json:"project" doc:"The project, such as environment.target."`
}

// Summary implements op.Op.
func (c Check) Summary() string { return "check the Compose project " + c.Project.Name }

// Do implements op.Op.
func (c Check) Do(ctx context.Context, d *Docker) ([]string, error) {
	out := []string{}
	m, err := model.Load(ctx, d.Host, c.Project)
	out = append(out, problems(err)...)
	at, seen, reached := d.observe(ctx, c.Project)
	out = append(out, problems(reached)...)
	if err != nil || reached != nil {
		return out, context.Cause(ctx)
	}
	m.API = at.Engine.API
	want, err := m.Set(nil)
	if err == nil {
		err = reconcile.Outside(ctx, at.Engine, &want, seen)
	}
	out = append(out, problems(err)...)
	if err == nil {
		_, err = reconcile.NewPlan(want, seen, reconcile.Options{})
		out = append(out, problems(err)...)
	}
	return out, context.Cause(ctx)
}

// problems are the lines that say an error, each of several, with what to do.
func problems(err error) (out []string) {
	if err == nil {
		return nil
	}
	for _, e := range each(err) {
		out = append(out, op.OneLine(e))
	}
	return out
}

// Changes is compose.changes.
type Changes struct {
	_       op.Doc            `doc:"Compares a project on its engine with what its files ask for: what compose.up would do."`
	Project stack.Project     `json:"project" doc:"The project, such as environment.target."`
	Images  map[string]string `json:"images,omitempty" doc:"Images by service, as for compose.up."`
}

// Difference is what an Up would do.
type Difference struct {
	_     op.Doc   `doc:"What compose.up would do."`
	Acts  int      `json:"acts" doc:"How many acts it would take; 0 where all is as asked."`
	Lines []string `json:"lines" doc:"Each act with its cause, as a plan shows it."`
}

// Summary implements op.Op.
func (c Changes) Summary() string {
	return "compare the Compose project " + c.Project.Name + " with its files"
}

// Do implements op.Op.
func (c Changes) Do(ctx context.Context, d *Docker) (Difference, error) {
	u := Up{Project: c.Project, Images: c.Images, RemoveOrphans: true}
	_, _, p, err := u.aim().plan(ctx, d, never)
	if err != nil {
		return Difference{}, err
	}
	return Difference{Acts: len(p.Acts), Lines: append([]string{}, p.Lines()...)}, nil
}

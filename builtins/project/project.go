// Package project is the vocabulary of environments.star: where an application runs, and everything that differs
// between its environments. It holds data and checks it; it does nothing with it.
package project

import (
	"errors"
	"fmt"

	"github.com/erlmcp/runner/builtins/driver"
	"github.com/erlmcp/runner/runtime/builtin"
	"github.com/erlmcp/runner/runtime/op"
)

// Family is the values of environments.star.
func Family() builtin.Family {
	return builtin.NewFamily("project",
		"What environments.star is made of: environments and their targets.",
		builtin.Global(Environment{Keep: 5}),
		builtin.Global(Host{}),
	)
}

// Target is what a deployment changes.
type Target interface {
	target()
}

// Host is a root on the machine that runs.
type Host struct {
	_       op.Doc         `doc:"A target on this machine: a root that holds releases, and how the live one is run."`
	Root    string         `json:"root" doc:"The folder that holds releases, shared files and the link current."`
	Service driver.Service `json:"service,omitempty" doc:"How the release that is live is run; left out, only the link is switched."`
	Shared  []string       `json:"shared,omitempty" doc:"Folders of the application that outlive releases: they lie in ROOT/shared."`
}

func (Host) target() {}

// Check implements op.Checked.
func (h Host) Check() error {
	if h.Root == "" || h.Root == "/" {
		return fmt.Errorf("root: want a folder of its own for the application, got %q", h.Root)
	}
	return nil
}

// base is where the service of the target answers on this machine, "" where that is not known.
func (h Host) base() string {
	if p, ok := h.Service.(driver.Process); ok && p.Port > 0 {
		return fmt.Sprintf("http://127.0.0.1:%d", p.Port)
	}
	return ""
}

// Recipe is how an application is built.
type Recipe interface {
	Recipe()
}

// Probe is how its health is asked for.
type Probe interface {
	// WithBase is the same probe, its path seen from base.
	WithBase(base string) any
}

// Environment is one place where the application runs.
type Environment struct {
	_         op.Doc `doc:"One place where the application runs, and everything in which it differs from the others. Its name is the variable's."`
	Name      string `json:"name" script:"-"`
	App       string `json:"app" doc:"The application's name."`
	Target    Target `json:"target" doc:"What a deployment changes."`
	Build     Recipe `json:"build,omitempty" doc:"How the application is built."`
	Health    Probe  `json:"health,omitempty" doc:"How its health is asked for; a path is the target's."`
	Protected bool   `json:"protected,omitempty" doc:"Ask before going back, refuse to leave tests out, and refuse a service that nothing supervises."`
	Keep      int    `json:"keep,omitempty" doc:"How many good releases stay."`
}

// Check implements op.Checked.
func (e Environment) Check() error {
	if e.App == "" {
		return errors.New("app: want the application's name, got none")
	}
	if e.Keep < 1 {
		return fmt.Errorf("keep: want 1 or more, got %d", e.Keep)
	}
	host, _ := e.Target.(Host)
	if p, ok := host.Service.(driver.Process); ok && e.Protected && !p.Unsupervised {
		return op.Hint(errors.New("target: a protected environment wants a service that is started again after a crash or a boot, and process(...) is not"),
			"say process(..., unsupervised = True) to accept that")
	}
	return nil
}

// Make implements builtin.Maker: the probe learns where the target answers.
func (e Environment) Make() (any, error) {
	host, ok := e.Target.(Host)
	if !ok || e.Health == nil {
		return e, nil
	}
	probe, ok := e.Health.WithBase(host.base()).(Probe)
	if !ok {
		return e, errors.New("health: the probe does not stay one")
	}
	e.Health = probe
	return e, nil
}

// WithName is the environment under its variable's name.
func (e Environment) WithName(name string) any {
	e.Name = name
	return e
}

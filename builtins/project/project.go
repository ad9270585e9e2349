// Package project is the vocabulary of environments.star: where an application runs, and everything that differs
// between its environments. It holds data and checks it; it does nothing with it.
package project

import (
	"cmp"
	"errors"
	"fmt"
	"regexp"

	"github.com/erlmcp/runner/builtins/cluster"
	"github.com/erlmcp/runner/builtins/driver"
	"github.com/erlmcp/runner/builtins/stack"
	"github.com/erlmcp/runner/runtime/builtin"
	"github.com/erlmcp/runner/runtime/op"
	"github.com/erlmcp/runner/runtime/secret"
)

// Family is the values of environments.star.
func Family() builtin.Family {
	return builtin.NewFamily("project",
		"What environments.star is made of: environments and their targets.",
		builtin.Global(Environment{Backup: true}),
		builtin.Global(Host{}),
		builtin.ValueSpec{Name: "compose_project", Global: true, Proto: stack.Project{}},
		builtin.Global(cluster.Cluster{}),
	)
}

// Target is what a deployment changes.
type Target interface {
	IsTarget()
}

// Host is a root on the machine that runs.
type Host struct {
	_       op.Doc         `doc:"A target on this machine: a root that holds releases, and how the live one is run."`
	Root    string         `json:"root" doc:"The folder that holds releases, shared files and the link current."`
	Service driver.Service `json:"service,omitempty" doc:"How the release that is live is run; left out, only the link is switched."`
	Shared  []string       `json:"shared,omitempty" doc:"Folders of the application that outlive releases: they lie in ROOT/shared."`
	User    string         `json:"user,omitempty" doc:"The user that the service runs as and that ROOT/shared belongs to; whoever deploys when left out."`
}

// IsTarget implements Target.
func (Host) IsTarget() {}

var userName = regexp.MustCompile(`^[a-z_][a-z0-9_-]*$`)

// Check implements op.Checked.
func (h Host) Check() error {
	if h.User != "" && !userName.MatchString(h.User) {
		return fmt.Errorf("user: want the name of a user, got %q", h.User)
	}
	if h.Root == "" || h.Root == "/" {
		return fmt.Errorf("root: want a folder of its own for the application, got %q", h.Root)
	}
	return nil
}

// base is where the service of the target answers on this machine, "" where that is not known.
func (h Host) base() string {
	if h.Service != nil && h.Service.Listens() > 0 {
		return fmt.Sprintf("http://127.0.0.1:%d", h.Service.Listens())
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

// Smoke is a test of what is deployed.
type Smoke interface {
	Smoke()
}

// Notice is somebody who is told what becomes of a run.
type Notice interface {
	Notice()
}

// Environment is one place where the application runs.
type Environment struct {
	_            op.Doc                 `doc:"One place where the application runs, and everything in which it differs from the others. Its name is the variable's."`
	Name         string                 `json:"name" script:"-"`
	App          string                 `json:"app" doc:"The application's name."`
	Target       Target                 `json:"target" doc:"What a deployment changes."`
	Build        Recipe                 `json:"build,omitempty" doc:"How the application is built."`
	Config       string                 `json:"config,omitempty" doc:"A file of the project that is installed with each release, as its configuration."`
	Health       Probe                  `json:"health,omitempty" doc:"How its health is asked for; a path is the target's."`
	Smoke        []Smoke                `json:"smoke,omitempty" doc:"The tests of what is deployed; their paths are the target's."`
	Rehearse     bool                   `json:"rehearse,omitempty" doc:"Start each build on a free port, and test it there, before anything is replaced."`
	Secrets      map[string]secret.Text `json:"secrets,omitempty" doc:"Variables that the service gets beside those of its own."`
	Base         string                 `json:"base,omitempty" doc:"Where the smoke tests find it, such as https://erlmcp.example.com; its port on this machine when left out."`
	Tools        map[string]string      `json:"tools,omitempty" doc:"Programs that a deployment needs, with their lowest versions; \"\" for any."`
	Certificates []string               `json:"certificates,omitempty" doc:"TLS certificates that must not be about to expire: files, or addresses such as \"erlmcp.example.com:443\"."`
	Needs        []string               `json:"needs,omitempty" doc:"Addresses that must accept connections before a deployment, such as \"db.internal:5432\"."`
	Logs         string                 `json:"logs,omitempty" doc:"The application's own log, for runner doctor; the service's output when left out."`
	Notify       []Notice               `json:"notify,omitempty" doc:"Who is told what becomes of a run."`
	Backup       bool                   `json:"backup,omitempty" doc:"Keep a full copy of what serves before it is replaced."`
	Protected    bool                   `json:"protected,omitempty" doc:"Want a clean tree and tests, ask before going back, and refuse a service that nothing supervises."`
	Keep         *int                   `json:"keep,omitempty" doc:"How many good releases and backups stay: 5 when left out, and 10 deployments of a cluster, whose history is small."`
}

// Check implements op.Checked.
func (e Environment) Check() error {
	if e.App == "" {
		return errors.New("app: want the application's name, got none")
	}
	if e.Keep != nil && *e.Keep < 1 {
		return fmt.Errorf("keep: want 1 or more, got %d", *e.Keep)
	}
	host, _ := e.Target.(Host)
	if host.Service == nil || !e.Protected || host.Service.Supervised() {
		return nil
	}
	kind := host.Service.Kind()
	return op.Hint(fmt.Errorf("target: a protected environment wants a service that is started again after a crash or a boot, and %s(...) is not", kind),
		"say %s(..., unsupervised = True) to accept that, or use systemd(...)", kind)
}

// kept and keptOfCluster are how many good versions stay where nothing else is said.
const (
	kept          = 5
	keptOfCluster = 10
)

// Make implements builtin.Maker: the probe learns where the target answers, the service its secrets and its user.
func (e Environment) Make() (any, error) {
	base, keep := "", kept
	switch t := e.Target.(type) {
	case Host:
		base = t.base()
		if len(e.Secrets) > 0 && t.Service == nil {
			return e, errors.New("secrets: the target has no service that could get them")
		}
		if t.Service != nil {
			t.Service = t.Service.With(e.Secrets, t.User)
			e.Target = t
		}
	case stack.Project:
		if err := e.composed(); err != nil {
			return e, err
		}
		e.Target = t.With(e.Secrets)
	case cluster.Cluster:
		if err := e.clustered(t); err != nil {
			return e, err
		}
		e.Target, keep = t.With(e.Secrets), keptOfCluster
	}
	if e.Keep == nil {
		e.Keep = &keep
	}
	e.Base = cmp.Or(e.Base, base)
	if e.Health == nil {
		return e, nil
	}
	probe, ok := e.Health.WithBase(cmp.Or(base, e.Base)).(Probe)
	if !ok {
		return e, errors.New("health: the probe does not stay one")
	}
	e.Health = probe
	return e, nil
}

// composed refuses what an environment cannot say of a Compose project, whose ports and files are its own files' matter.
func (e Environment) composed() error {
	switch {
	case e.Config != "":
		return op.Hint(errors.New("config: a Compose project is given none"), "name the file in its own files: under configs, or as a volume")
	case e.Rehearse:
		return op.Hint(errors.New("rehearse: a Compose project cannot be started beside itself"), "its health checks are waited for before anything is committed")
	case !e.placed():
		return op.Hint(errors.New("health: nothing says where a Compose project answers"),
			`say environment(..., base = "http://127.0.0.1:8080"), with the host and the port that its files publish`)
	}
	return nil
}

// clustered refuses what an environment cannot say of a cluster, whose configuration is its manifests' matter.
func (e Environment) clustered(c cluster.Cluster) error {
	switch {
	case e.Config != "":
		return op.Hint(errors.New("config: a cluster is given none"), "name the file in the manifests: as a ConfigMap, which kustomize can make of a file")
	case e.Rehearse:
		return op.Hint(errors.New("rehearse: a cluster starts new pods beside the old ones by itself"), "its probes are waited for before anything is committed")
	case c.Serves == "" && !e.placed():
		return op.Hint(errors.New("health: nothing says where the application answers"),
			`say cluster(..., serves = "deployment/%s:8080") to ask its new pods, or environment(..., base = "https://...")`, e.App)
	}
	return nil
}

// placed reports whether the health can be asked for at the environment's base.
func (e Environment) placed() bool {
	if e.Health == nil {
		return true
	}
	p, ok := e.Health.WithBase(e.Base).(interface{ Placed() error })
	return !ok || p.Placed() == nil
}

// Notices are who is told what becomes of a run.
func (e Environment) Notices() []any {
	var out []any
	for _, n := range e.Notify {
		out = append(out, n)
	}
	return out
}

// WithName is the environment under its variable's name.
func (e Environment) WithName(name string) any {
	e.Name = name
	return e
}

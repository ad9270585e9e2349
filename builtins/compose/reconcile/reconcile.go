// Package reconcile brings a Compose project on an engine from what is there to a Set: Observe reads, Resolve looks at
// what the Set needs beside the project, NewPlan compares and decides, Act does what the plan says and waits until all
// is ready, and Restore goes back to what was there before. Only Observe, Resolve and Act ask the engine. The package
// reads no file, and a container that it replaces is put aside, not removed.
package reconcile

import (
	"regexp"
	"strings"
	"time"

	"github.com/erlmcp/runner/builtins/compose/shape"
	"github.com/erlmcp/runner/runtime/op"
	"github.com/moby/moby/api/types/container"
	"github.com/moby/moby/api/types/network"
	"github.com/moby/moby/client"
	"github.com/moby/moby/client/pkg/versions"
)

// Labels of Compose.
const (
	labelProject = "com.docker.compose.project"
	labelService = "com.docker.compose.service"
	labelNumber  = "com.docker.compose.container-number"
	labelHash    = "com.docker.compose.config-hash"
	labelOneOff  = "com.docker.compose.oneoff"
	labelImage   = "com.docker.compose.image"
	labelNeeds   = "com.docker.compose.depends_on"
	labelNetwork = "com.docker.compose.network"
	labelVolume  = "com.docker.compose.volume"
)

// Conditions of a shape.Need.
const (
	started   = "service_started"
	healthy   = "service_healthy"
	completed = "service_completed_successfully"
)

// Engine is a connection to a Docker engine, and the API that it speaks.
type Engine struct {
	*client.Client
	API string
}

// AtLeast reports whether the engine speaks an API, such as "1.44".
func (e *Engine) AtLeast(api string) bool { return versions.GreaterThanOrEqualTo(e.API, api) }

// Seen is a project as its engine has it.
type Seen struct {
	shape.Set                    // what bears a name of its own
	Aside     []Aside            // containers that runs have put aside, or have half made
	States    map[string]State   // of every container, by ID
	Images    map[string]Image   // by ID and by every name that was asked for
	Foreign   map[string]Foreign // by name: networks that are there and are not of the project
	Ports     []Port             // that running containers of others hold
}

// Aside is a container beside those that count: one that a run has replaced, or has not finished.
type Aside struct {
	shape.Container
	Of  string // the name that it bore, or was to bear
	Run string // the run that put it aside, or makes it
	New bool   // it was to bear the name
}

// State is how a container is.
type State struct {
	Status   string // created, running, paused, restarting, removing, exited or dead
	Exit     int
	OOM      bool
	Error    string // of the engine, when it could not be started
	Health   string // "" without a check, else starting, healthy or unhealthy
	Output   string // of the last check
	Failed   int    // how often its check has failed, one after the other
	Memory   int64  // that it may have, in bytes; 0 is no limit
	Restarts int
	Policy   string // when it is started again: "", no, always, on-failure, unless-stopped
	Tries    int    // at most, of on-failure; 0 is no limit
	Started  time.Time
	Check    *container.HealthConfig
	Shell    []string
	Ports    network.PortMap
}

// running reports whether a process is there, or will be at once.
func (s State) running() bool {
	return s.Status == "running" || s.Status == "paused" || s.Status == "restarting"
}

// Image is what the engine knows of an image.
type Image struct {
	ID      string
	Env     []string
	Volumes []string // where containers get an anonymous volume
}

// Foreign is a network that the project needs, or whose name it wants, and that is not of the project.
type Foreign struct {
	ID      string
	Project string // whose it is, "" where no label says so
}

// Port is one that a running container of others holds on the host.
type Port struct {
	Number          uint16
	Proto, IP       string
	Holder, Project string
}

// asideName is a name that ends in a run's id and a position.
var asideName = regexp.MustCompile(`^(.+)\.(\d{8}t\d{6}-[a-z0-9]+)((?:\.[A-Za-z0-9_-]+?)*?)(\.new)?$`)

// suffix is what is added to a name under a key.
func suffix(key op.Key) string { return "." + strings.ReplaceAll(string(key), "/", ".") }

// parkedName is what a container is called that the op of a key has put aside.
func parkedName(name string, key op.Key) string { return name + suffix(key) }

// newName is what a container is called until it takes the place of another.
func newName(name string, key op.Key) string { return name + suffix(key) + ".new" }

// ours reports whether a container, a network or a volume was made by the op of a key.
func ours(labels map[string]string, key op.Key) bool {
	return key != "" && labels[shape.LabelKey] == string(key)
}

// title is how a container is called in plans and output: "web:1".
func title(c shape.Container) string { return shortName(c.Service, c.Number) }

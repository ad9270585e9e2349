// Package shape is a Compose project as an engine holds it, as data: every container, network and volume, resolved. What
// a project's files ask for, what an engine has, and what a run goes back to are all a Set; package model makes the
// first, package reconcile reads the second and turns one into another. The package asks no engine and reads no file.
package shape

import (
	"encoding/json"
	"time"

	"github.com/moby/moby/api/types/container"
	"github.com/moby/moby/api/types/network"
	"github.com/moby/moby/api/types/volume"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
)

// Set is a project: what it consists of, each part sorted by its name.
type Set struct {
	Project    string      `json:"project"`
	Networks   []Network   `json:"networks,omitempty"`
	Volumes    []Volume    `json:"volumes,omitempty"`
	Services   []Service   `json:"services,omitempty"`
	Containers []Container `json:"containers,omitempty"` // by service, then by number
}

// Network is one that the project's containers are in.
type Network struct {
	Key      string                `json:"key"`                // what its files call it
	External bool                  `json:"external,omitempty"` // must be there; never made, changed or removed
	Create   network.CreateRequest `json:"create"`             // Create.Name is what the engine calls it
	ID       string                `json:"id,omitempty"`       // of the one that was observed
}

// Volume is one that the project's containers mount. A volume is never removed unasked.
type Volume struct {
	Key      string               `json:"key"`
	External bool                 `json:"external,omitempty"`
	Create   volume.CreateRequest `json:"create"`
}

// Service is what containers of one kind have in common.
type Service struct {
	Name       string          `json:"name"`
	Needs      []Need          `json:"needs,omitempty"`
	StartFirst bool            `json:"start_first,omitempty"` // a new container is ready before the old one stops
	Order      string          `json:"order,omitempty"`       // why that, or why not: "publishes port 8080", shown in the plan
	Grace      time.Duration   `json:"grace,omitempty"`       // between the stop signal and the kill; 0 is the engine's default, 10 s
	Source     json.RawMessage `json:"source,omitempty"`      // the service in the resolved model: for telling what changed
}

// Need is another service that must have come so far before this one starts.
type Need struct {
	Service   string `json:"service"`
	Condition string `json:"condition"`          // "service_started", "service_healthy" or "service_completed_successfully"
	Optional  bool   `json:"optional,omitempty"` // its absence or failure is only noted
	Restart   bool   `json:"restart,omitempty"`  // this one is started again when the other is replaced
}

// Container is one container. Config.Labels holds the labels of Compose, and ours.
type Container struct {
	Service  string                               `json:"service"`
	Number   int                                  `json:"number"` // 1 and up
	Name     string                               `json:"name"`
	Hash     string                               `json:"hash"`               // of the service, as Compose counts it: com.docker.compose.config-hash
	Image    string                               `json:"image"`              // what the files call it
	ImageID  string                               `json:"image_id,omitempty"` // the image itself; "" until it is known
	Config   *container.Config                    `json:"config"`
	Host     *container.HostConfig                `json:"host"`
	Networks map[string]*network.EndpointSettings `json:"networks,omitempty"` // by the network's name on the engine
	Platform *ocispec.Platform                    `json:"platform,omitempty"`
	Files    []File                               `json:"files,omitempty"` // laid into it before it starts

	ID        string            `json:"id,omitempty"`        // of the one that was observed
	Stopped   bool              `json:"stopped,omitempty"`   // it was observed, and did not run
	Anonymous map[string]string `json:"anonymous,omitempty"` // of the one that was observed: volumes without a name of their own, by where they are mounted
}

// File is what a secret or a config without a file of its own becomes in a container.
type File struct {
	Path string `json:"path"`
	Data []byte `json:"data"`
	Mode uint32 `json:"mode"`
	UID  int    `json:"uid"`
	GID  int    `json:"gid"`
}

// Labels of ours. Those of Compose stand beside them, so that its own commands see the project as theirs.
const (
	LabelRun = "org.erlmcp.runner.run" // the run that made it
	LabelKey = "org.erlmcp.runner.key" // the op of that run
	LabelSet = "org.erlmcp.runner.set" // the digest of the Set that it belongs to

	LabelFiles = "org.erlmcp.runner.files" // the paths of the files that were laid into it, as JSON
)

// Package docker is what scripts say to a Docker engine: images are built, named, fetched and stored, and containers run
// once. What belongs together and stays is a Compose project, which is another family's. It starts no docker program.
package docker

import (
	"context"
	"fmt"
	"time"

	"github.com/distribution/reference"
	"github.com/erlmcp/runner/builtins/command"
	"github.com/erlmcp/runner/builtins/docker/daemon"
	"github.com/erlmcp/runner/builtins/docker/registry"
	"github.com/erlmcp/runner/runtime/builtin"
	"github.com/erlmcp/runner/runtime/host"
	"github.com/erlmcp/runner/runtime/op"
	"github.com/erlmcp/runner/runtime/secret"
)

// Docker is what the ops work with.
type Docker struct {
	Pool *daemon.Pool
	Host *host.Host
}

const (
	buildTimeout = op.Duration(30 * time.Minute)
	moveTimeout  = op.Duration(15 * time.Minute)
	runTimeout   = op.Duration(10 * time.Minute)
)

// Family is what scripts see as docker.
func Family(h *host.Host, pool *daemon.Pool) builtin.Family {
	d := &Docker{Pool: pool, Host: h}
	return builtin.NewFamily("docker", "Builds and moves images, and runs containers once, on a Docker engine.",
		op.Make(d, Build{Context: ".", Dockerfile: "Dockerfile", Cache: true, Timeout: buildTimeout}),
		op.Make(d, Tag{}),
		op.Make(d, Push{Timeout: moveTimeout}),
		op.Make(d, Pull{Timeout: moveTimeout}),
		op.Read(d, Images{}),
		op.Read(d, Inspect{}),
		op.Read(d, Logs{Lines: 100}),
		op.Final(d, Run{Timeout: runTimeout, OK: []int{0}}, "runner cannot know what a container changed"),
	)
}

func (d *Docker) login(username string, password secret.Text) registry.Client {
	return registry.Client{Host: d.Host, Config: d.Pool.Config(), Ask: command.Credentials(d.Host), Username: username, Password: password}
}

// checkImage refuses what is no name of an image; an ID, or the beginning of one, is a name too.
func checkImage(name, image string) error {
	if _, err := reference.ParseAnyReference(image); err != nil || image == "" {
		return fmt.Errorf("%s: want the name of an image such as \"registry.example.org/app:1.2\", got %q", name, image)
	}
	return nil
}

// checkTag refuses what no image can be named.
func checkTag(name, tag string) error {
	named, err := reference.ParseNormalizedNamed(tag)
	if err == nil {
		if _, digested := named.(reference.Digested); !digested {
			return nil
		}
	}
	return fmt.Errorf("%s: want a name and a tag such as \"registry.example.org/app:1.2\", got %q", name, tag)
}

// checkLogin refuses a password without a name, and the reverse.
func checkLogin(username string, password secret.Text) error {
	if (username == "") != (password.String() == "") {
		return fmt.Errorf("username: want both of username and password, or none")
	}
	return nil
}

func checkTimeout(timeout op.Duration) error {
	if timeout <= 0 {
		return fmt.Errorf("timeout: want more than 0s")
	}
	return nil
}

// engine opens an engine, by its address.
func (d *Docker) engine(ctx context.Context, address string) (*daemon.Engine, error) {
	return d.Pool.Open(ctx, address)
}

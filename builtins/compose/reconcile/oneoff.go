package reconcile

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"

	"github.com/containerd/errdefs"
	"github.com/erlmcp/runner/builtins/compose/shape"
	"github.com/erlmcp/runner/runtime/op"
	"github.com/moby/moby/api/types/container"
	"github.com/moby/moby/api/types/network"
	"github.com/moby/moby/client"
)

// OneOff is what makes a container of a service that runs once, beside those that serve: it has no port, and no name of
// theirs. Before is to be called with its ID before it starts.
func (s Site) OneOff(ctx context.Context, c shape.Container, seen *Seen, key op.Key) (o client.ContainerCreateOptions, before func(context.Context, string) error, err error) {
	d := &doing{Site: s, plan: &Plan{Project: seen.Project, Key: key, containers: seen.Containers}, ids: map[string]string{}, going: true}
	for _, h := range seen.Containers {
		d.ids[h.Name] = h.ID
	}
	config, hosted := *c.Config, *c.Host
	config.Labels = maps.Clone(config.Labels)
	config.Labels[labelOneOff] = "True"
	config.Healthcheck = nil
	hosted.PortBindings, hosted.RestartPolicy = nil, container.RestartPolicy{}
	c.Config, c.Host = &config, &hosted
	for _, name := range slices.Sorted(maps.Keys(c.Networks)) {
		if !slices.ContainsFunc(seen.Networks, func(n shape.Network) bool { return n.Create.Name == name }) {
			if _, err := s.Engine.NetworkInspect(ctx, name, client.NetworkInspectOptions{}); errdefs.IsNotFound(err) {
				return o, nil, op.Hint(fmt.Errorf("its network %s is not there", name), "compose.up makes it; what must run before that can be a service of the files that others wait for to complete")
			}
		}
		c.Networks[name] = alone(c.Networks[name])
	}
	o, rest, err := d.request(ctx, c)
	if err != nil {
		return o, nil, err
	}
	return o, func(ctx context.Context, id string) error {
		var bad error
		for _, n := range slices.Sorted(maps.Keys(rest)) {
			if _, err := s.Engine.NetworkConnect(ctx, n, client.NetworkConnectOptions{Container: id, EndpointConfig: rest[n]}); err != nil {
				bad = errors.Join(bad, fmt.Errorf("cannot connect it to the network %s: %w", n, err))
			}
		}
		return errors.Join(bad, d.layIn(ctx, id, c))
	}, nil
}

// alone is a place in a network without the names and addresses of the service: its requests are for those that serve.
func alone(e *network.EndpointSettings) *network.EndpointSettings {
	if e == nil {
		return nil
	}
	return &network.EndpointSettings{DriverOpts: e.DriverOpts, GwPriority: e.GwPriority}
}

package reconcile

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/containerd/errdefs"
	"github.com/erlmcp/runner/builtins/compose/shape"
	"github.com/moby/moby/api/types/network"
	"github.com/moby/moby/api/types/volume"
	"github.com/moby/moby/client"
	"golang.org/x/sync/errgroup"
)

// atOnce is how many requests are sent to an engine side by side.
const atOnce = 8

// Observe reads a project: its containers, networks and volumes. Containers of one-off commands are no part of it.
func Observe(ctx context.Context, e *Engine, project string) (*Seen, error) {
	s := &Seen{Set: shape.Set{Project: project}, States: map[string]State{}, Images: map[string]Image{}, Foreign: map[string]Foreign{}}
	of := make(client.Filters).Add("label", labelProject+"="+project)
	g, in := errgroup.WithContext(ctx)
	g.Go(func() error { return s.containers(in, e, of) })
	g.Go(func() error { return s.networks(in, e, of) })
	g.Go(func() error { return s.volumes(in, e, of) })
	if err := g.Wait(); err != nil {
		return nil, fmt.Errorf("cannot read the project %s: %w", project, plain(err))
	}
	s.order()
	return s, nil
}

func (s *Seen) containers(ctx context.Context, e *Engine, of client.Filters) error {
	list, err := e.ContainerList(ctx, client.ContainerListOptions{All: true, Filters: of})
	if err != nil {
		return err
	}
	var mu sync.Mutex
	g, in := errgroup.WithContext(ctx)
	g.SetLimit(atOnce)
	for _, c := range list.Items {
		if strings.EqualFold(c.Labels[labelOneOff], "true") {
			continue
		}
		g.Go(func() error {
			got, err := e.ContainerInspect(in, c.ID, client.ContainerInspectOptions{})
			if errdefs.IsNotFound(err) {
				return nil // removed since it was listed
			}
			if err != nil {
				return err
			}
			mu.Lock()
			defer mu.Unlock()
			s.add(got)
			return nil
		})
	}
	return g.Wait()
}

func (s *Seen) add(got client.ContainerInspectResult) {
	c := fromInspect(got)
	s.States[c.ID] = stateOf(got.Container)
	if m := asideName.FindStringSubmatch(c.Name); m != nil {
		s.Aside = append(s.Aside, Aside{Container: c, Of: m[1], Run: m[2], New: m[4] != ""})
		return
	}
	s.Containers = append(s.Containers, c)
}

func (s *Seen) networks(ctx context.Context, e *Engine, of client.Filters) error {
	list, err := e.NetworkList(ctx, client.NetworkListOptions{Filters: of})
	if err != nil {
		return err
	}
	for _, n := range list.Items {
		s.Networks = append(s.Networks, shape.Network{Key: n.Labels[labelNetwork], ID: n.ID, Create: networkRequest(n.Network)})
	}
	return nil
}

// networkRequest is what makes a network again.
func networkRequest(n network.Network) network.CreateRequest {
	r := network.CreateRequest{
		Name: n.Name, Driver: n.Driver, Internal: n.Internal, Attachable: n.Attachable,
		ConfigOnly: n.ConfigOnly, Options: n.Options, Labels: n.Labels,
	}
	if n.EnableIPv6 {
		r.EnableIPv6 = &n.EnableIPv6
	}
	if len(n.IPAM.Config) > 0 || n.IPAM.Driver != "" {
		r.IPAM = &n.IPAM
	}
	if n.ConfigFrom.Network != "" {
		r.ConfigFrom = &n.ConfigFrom
	}
	return r
}

func (s *Seen) volumes(ctx context.Context, e *Engine, of client.Filters) error {
	list, err := e.VolumeList(ctx, client.VolumeListOptions{Filters: of})
	if err != nil {
		return err
	}
	for _, v := range list.Items {
		if v.Labels[labelVolume] == "" {
			continue // made for something else than a mount
		}
		s.Volumes = append(s.Volumes, shape.Volume{Key: v.Labels[labelVolume],
			Create: volume.CreateRequest{Name: v.Name, Driver: v.Driver, DriverOpts: v.Options, Labels: v.Labels}})
	}
	return nil
}

// order sorts each part, and makes the services of what their containers say.
func (s *Seen) order() {
	slices.SortFunc(s.Networks, func(a, b shape.Network) int { return strings.Compare(a.Create.Name, b.Create.Name) })
	slices.SortFunc(s.Volumes, func(a, b shape.Volume) int { return strings.Compare(a.Create.Name, b.Create.Name) })
	byPlace := func(a, b shape.Container) int {
		if c := strings.Compare(a.Service, b.Service); c != 0 {
			return c
		}
		if a.Number != b.Number {
			return a.Number - b.Number
		}
		return strings.Compare(a.Name, b.Name)
	}
	slices.SortFunc(s.Containers, byPlace)
	slices.SortFunc(s.Aside, func(a, b Aside) int { return strings.Compare(a.Name, b.Name) })
	services := map[string]shape.Service{}
	for _, c := range s.Containers {
		v := shape.Service{Name: c.Service, Needs: needsOf(c.Config.Labels[labelNeeds])}
		if t := c.Config.StopTimeout; t != nil {
			v.Grace = time.Duration(*t) * time.Second
		}
		services[c.Service] = v
	}
	for _, name := range slices.Sorted(maps.Keys(services)) {
		s.Services = append(s.Services, services[name])
	}
}

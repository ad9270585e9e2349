package reconcile

import (
	"archive/tar"
	"bytes"
	"cmp"
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/containerd/errdefs"
	"github.com/erlmcp/runner/builtins/compose/shape"
	"github.com/erlmcp/runner/runtime/op"
	"github.com/moby/moby/api/types/container"
	"github.com/moby/moby/api/types/network"
	"github.com/moby/moby/client"
)

// perform does one act.
func (d *doing) perform(ctx context.Context, a *Act) error {
	switch a.Kind {
	case MakeNetwork:
		return d.makeNetwork(ctx, *a.Network)
	case RemoveNetwork:
		return d.removeNetwork(ctx, *a.Network)
	case MakeVolume:
		return d.makeVolume(ctx, *a.Volume)
	case Create:
		return d.create(ctx, a)
	case Replace:
		if a.StartFirst {
			return d.replaceStartFirst(ctx, a)
		}
		return d.replaceStopFirst(ctx, a)
	case Start:
		return d.start(ctx, a.title(), a.Want.Name, a.Have.ID)
	case Restart:
		return d.restart(ctx, a)
	case Stop:
		return d.stopInPlace(ctx, a)
	case Park:
		return d.park(ctx, a)
	case Discard:
		return d.discard(ctx, a)
	case Back:
		return d.back(ctx, a)
	}
	return fmt.Errorf("an act of an unknown kind %q", a.Kind)
}

// makeNetwork makes a network. Engines before API 1.44 would make a second one of its name.
func (d *doing) makeNetwork(ctx context.Context, n shape.Network) error {
	there, err := d.Engine.NetworkList(ctx, client.NetworkListOptions{Filters: make(client.Filters).Add("name", n.Create.Name)})
	if err != nil {
		return fmt.Errorf("cannot read the engine's networks: %w", err)
	}
	for _, t := range there.Items {
		if t.Name == n.Create.Name && d.going {
			return nil // what comes back is connected to it
		}
		if t.Name == n.Create.Name {
			return op.Hint(fmt.Errorf("cannot make the network %s: one of that name is there since, and is %s", t.Name, whose(t.Labels[labelProject])), "remove it: docker network rm %s", t.Name)
		}
	}
	o := client.NetworkCreateOptions{
		Driver: n.Create.Driver, Scope: n.Create.Scope, EnableIPv4: n.Create.EnableIPv4, EnableIPv6: n.Create.EnableIPv6,
		IPAM: n.Create.IPAM, Internal: n.Create.Internal, Attachable: n.Create.Attachable, Ingress: n.Create.Ingress,
		ConfigOnly: n.Create.ConfigOnly, Options: n.Create.Options, Labels: d.labels(n.Create.Labels),
	}
	if n.Create.ConfigFrom != nil {
		o.ConfigFrom = n.Create.ConfigFrom.Network
	}
	create := func(ctx context.Context) error {
		_, err := d.Engine.NetworkCreate(ctx, n.Create.Name, o)
		return err
	}
	err = d.send(ctx, create)
	if err != nil && d.going && o.IPAM != nil && strings.Contains(err.Error(), "overlaps") && !d.addressed(n.Create.Name) {
		d.say(ctx, "network %s: another network has its addresses now, and the engine chooses others", n.Create.Name)
		o.IPAM = nil
		err = d.send(ctx, create)
	}
	if err != nil {
		return fmt.Errorf("cannot make the network %s: %w", n.Create.Name, plain(err))
	}
	d.say(ctx, "network %s: made", n.Create.Name)
	return d.half(ctx, "network %s made", n.Create.Name)
}

// addressed reports whether a container has an address of its own in a network.
func (d *doing) addressed(name string) bool {
	return slices.ContainsFunc(d.plan.containers, func(c shape.Container) bool {
		e := c.Networks[name]
		return e != nil && e.IPAMConfig != nil && (e.IPAMConfig.IPv4Address.IsValid() || e.IPAMConfig.IPv6Address.IsValid())
	})
}

// removeNetwork removes a network. Containers that were put aside hold on to it in some engines: they are let go, and
// connected again where they are brought back.
func (d *doing) removeNetwork(ctx context.Context, n shape.Network) error {
	err := d.send(ctx, func(ctx context.Context) error {
		_, err := d.Engine.NetworkRemove(ctx, n.ID, client.NetworkRemoveOptions{})
		return err
	})
	if errdefs.IsNotFound(err) {
		err = nil
	}
	if err != nil {
		return d.inUse(ctx, n, err)
	}
	return d.half(ctx, "network %s removed", n.Create.Name)
}

// inUse says who holds a network.
func (d *doing) inUse(ctx context.Context, n shape.Network, err error) error {
	got, e := d.Engine.NetworkInspect(ctx, n.ID, client.NetworkInspectOptions{})
	if e != nil || len(got.Network.Containers) == 0 {
		return fmt.Errorf("cannot remove the network %s: %w", n.Create.Name, plain(err))
	}
	var names []string
	ours := false
	for id, c := range got.Network.Containers {
		names = append(names, c.Name)
		ours = ours || slices.ContainsFunc(d.plan.Acts, func(a Act) bool { return a.Have != nil && a.Have.ID == id })
	}
	slices.Sort(names)
	if d.going && !ours {
		return &op.Conflict{What: "the network " + n.Create.Name, Wanted: "the one before", Found: "in use by " + strings.Join(names, ", ")}
	}
	return op.Hint(fmt.Errorf("cannot make the network %s anew: it is in use by %s", n.Create.Name, strings.Join(names, ", ")),
		"take them off it: docker network disconnect %s %s", n.Create.Name, names[0])
}

func (d *doing) makeVolume(ctx context.Context, v shape.Volume) error {
	err := d.send(ctx, func(ctx context.Context) error {
		_, err := d.Engine.VolumeCreate(ctx, client.VolumeCreateOptions{Name: v.Create.Name, Driver: v.Create.Driver, DriverOpts: v.Create.DriverOpts, Labels: d.labels(v.Create.Labels)})
		return err
	})
	if err != nil {
		return fmt.Errorf("cannot make the volume %s: %w", v.Create.Name, plain(err))
	}
	d.say(ctx, "volume %s: made", v.Create.Name)
	return d.half(ctx, "volume %s made", v.Create.Name)
}

// labels adds to what is made which op of which run makes it.
func (d *doing) labels(l map[string]string) map[string]string {
	if d.going {
		return l
	}
	out := maps.Clone(l)
	if out == nil {
		out = map[string]string{}
	}
	run, _, _ := strings.Cut(string(d.plan.Key), "/")
	out[shape.LabelRun], out[shape.LabelKey], out[shape.LabelSet] = run, string(d.plan.Key), d.plan.Digest
	return out
}

// create makes a container under its own name and starts it.
func (d *doing) create(ctx context.Context, a *Act) error {
	id, err := d.make(ctx, *a.Want, a.Want.Name)
	if err != nil || a.Want.Stopped {
		return err
	}
	return d.start(ctx, a.title(), a.Want.Name, id)
}

// make makes a container, connects it and lays its files in. It bears its name, or a temporary one.
func (d *doing) make(ctx context.Context, c shape.Container, name string) (id string, err error) {
	o, rest, err := d.request(ctx, c)
	if err != nil {
		return "", err
	}
	o.Name = name
	err = d.send(ctx, func(ctx context.Context) error {
		made, err := d.Engine.ContainerCreate(ctx, o)
		if err != nil {
			return d.notMade(ctx, c, name, err)
		}
		id = made.ID
		for _, n := range slices.Sorted(maps.Keys(rest)) {
			if _, err := d.Engine.NetworkConnect(ctx, n, client.NetworkConnectOptions{Container: id, EndpointConfig: rest[n]}); err != nil {
				return fmt.Errorf("cannot connect %s to the network %s: %w", title(c), n, plain(err))
			}
		}
		return d.layIn(ctx, id, c)
	})
	if err != nil {
		return "", err
	}
	d.watch.follow(ctx, id, true)
	return id, d.half(ctx, "%s created", title(c))
}

// request is what makes a container. Engines before API 1.44 take one network there, the rest is connected after.
func (d *doing) request(ctx context.Context, c shape.Container) (client.ContainerCreateOptions, map[string]*network.EndpointSettings, error) {
	config, hostConfig := *c.Config, container.HostConfig{}
	if c.Host != nil {
		hostConfig = *c.Host
	}
	config.Labels = d.labels(config.Labels)
	if len(c.Files) > 0 && !d.going {
		config.Labels[shape.LabelFiles] = paths(c.Files)
	}
	config.Image = d.image(ctx, c)
	for at, name := range c.Anonymous { // of one that is made again as it was
		if !slices.ContainsFunc(hostConfig.Mounts, func(m mountOf) bool { return m.Target == at }) {
			hostConfig.Mounts = append(slices.Clone(hostConfig.Mounts), mountOf{Type: volumeMount, Source: name, Target: at})
		}
	}
	if err := d.share(c, &config, &hostConfig); err != nil {
		return client.ContainerCreateOptions{}, nil, err
	}
	first, rest := map[string]*network.EndpointSettings{}, maps.Clone(c.Networks)
	if d.Engine.AtLeast("1.44") {
		first, rest = rest, nil
	} else if main := string(hostConfig.NetworkMode); rest[main] != nil {
		first[main] = rest[main]
		delete(rest, main)
	}
	return client.ContainerCreateOptions{Config: &config, HostConfig: &hostConfig, Platform: c.Platform,
		NetworkingConfig: &network.NetworkingConfig{EndpointsConfig: first}}, rest, nil
}

// image is what a container's image is asked for by: the name that people know where it still means the same image.
func (d *doing) image(ctx context.Context, c shape.Container) string {
	if c.ImageID == "" {
		return c.Image
	}
	if got, err := d.Engine.ImageInspect(ctx, c.Image); err == nil && got.ID == c.ImageID {
		return c.Image
	}
	return c.ImageID
}

// share names the containers whose namespaces or volumes a service has for its own. Compose's hash of the service counts
// their IDs in.
func (d *doing) share(c shape.Container, config *container.Config, h *container.HostConfig) (err error) {
	ids := d.first()
	one := func(mode string) string {
		of, ok := strings.CutPrefix(mode, "service:")
		if !ok {
			return mode
		}
		if ids[of] == "" {
			err = errors.Join(err, fmt.Errorf("cannot make %s: the service %s, of which it shares a part, has no container", title(c), of))
		}
		return "container:" + ids[of]
	}
	for _, was := range d.plan.containers { // it may have been made again, and have another ID
		if now := d.id(was.Name); was.ID != "" && now != "" {
			for _, mode := range []*string{(*string)(&h.NetworkMode), (*string)(&h.IpcMode), (*string)(&h.PidMode)} {
				if *mode == "container:"+was.ID {
					*mode = "container:" + now
				}
			}
		}
	}
	h.NetworkMode, h.IpcMode, h.PidMode = container.NetworkMode(one(string(h.NetworkMode))), container.IpcMode(one(string(h.IpcMode))), container.PidMode(one(string(h.PidMode)))
	h.VolumesFrom = slices.Clone(h.VolumesFrom)
	for i, f := range h.VolumesFrom {
		for _, was := range d.plan.containers {
			if rest, is := strings.CutPrefix(f, was.ID); is && was.ID != "" {
				f = cmp.Or(d.id(was.Name), was.ID) + rest
				h.VolumesFrom[i] = f
			}
		}
		if of, mode, _ := strings.Cut(f, ":"); ids[of] != "" {
			h.VolumesFrom[i] = ids[of] + strings.TrimSuffix(":"+mode, ":")
		}
	}
	for _, s := range d.plan.services {
		if s.Name == c.Service && len(s.Shares()) > 0 && !d.going {
			config.Labels[labelHash], err = s.HashWith(ids)
		}
	}
	return err
}

// first are the first containers of the services, by service.
func (d *doing) first() map[string]string {
	out := map[string]string{}
	for _, c := range d.plan.containers {
		if out[c.Service] == "" {
			out[c.Service] = d.id(c.Name)
		}
	}
	return out
}

// layIn puts files into a container that has not started.
func (d *doing) layIn(ctx context.Context, id string, c shape.Container) error {
	if len(c.Files) == 0 {
		return nil
	}
	var b bytes.Buffer
	w := tar.NewWriter(&b)
	for _, f := range c.Files {
		head := &tar.Header{Name: strings.TrimPrefix(f.Path, "/"), Mode: int64(f.Mode), Uid: f.UID, Gid: f.GID, Size: int64(len(f.Data)), ModTime: time.Unix(0, 0)}
		if err := errors.Join(w.WriteHeader(head), second(w.Write(f.Data))); err != nil {
			return err
		}
	}
	if err := w.Close(); err != nil {
		return err
	}
	// CopyUIDGID would give them to the container's user, whom the engine looks for among those of its own machine.
	_, err := d.Engine.CopyToContainer(ctx, id, client.CopyToContainerOptions{DestinationPath: "/", Content: &b})
	if err != nil {
		return fmt.Errorf("cannot put the files of %s in place: %w", title(c), plain(err))
	}
	return nil
}

func second(_ int, err error) error { return err }

// start starts a container that bears a name, or is to.
func (d *doing) start(ctx context.Context, title, name, id string) error {
	d.watch.follow(ctx, id, true)
	d.is(name, id)
	err := d.send(ctx, func(ctx context.Context) error {
		_, err := d.Engine.ContainerStart(ctx, id, client.ContainerStartOptions{})
		return err
	})
	if err != nil {
		return d.notStarted(ctx, title, id, err)
	}
	d.watch.look(ctx, id)
	return d.half(ctx, "%s started", title)
}

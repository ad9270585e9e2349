package reconcile

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"sync"

	"github.com/containerd/errdefs"
	"github.com/erlmcp/runner/builtins/compose/shape"
	"github.com/erlmcp/runner/runtime/op"
	"github.com/moby/moby/client"
	"golang.org/x/sync/errgroup"
)

// Resolve looks at what a Set needs beside the project: it sets the image IDs of the Set's containers, and adds to what
// was seen the images, the networks that are not the project's, and the ports that others hold. What is missing and must
// be there is an error that names all of it.
func Resolve(ctx context.Context, e *Engine, want *shape.Set, seen *Seen) error {
	var missing, absent error
	g, in := errgroup.WithContext(ctx)
	g.Go(func() (err error) { missing, err = resolveImages(in, e, want, seen); return unreadable(want, err) })
	g.Go(func() error { absent = Outside(in, e, want, seen); return nil })
	if err := g.Wait(); err != nil {
		return err
	}
	return errors.Join(missing, absent)
}

func unreadable(want *shape.Set, err error) error {
	if err != nil {
		return fmt.Errorf("cannot read what the project %s needs: %w", want.Project, plain(err))
	}
	return nil
}

// Outside looks at what a Set needs beside the project and its images: networks, volumes, ports.
func Outside(ctx context.Context, e *Engine, want *shape.Set, seen *Seen) error {
	var absent error
	g, in := errgroup.WithContext(ctx)
	g.Go(func() (err error) { absent, err = resolveOutside(in, e, want, seen); return err })
	g.Go(func() error { return portsOfOthers(in, e, seen) })
	if err := g.Wait(); err != nil {
		return unreadable(want, err)
	}
	return absent
}

// resolveImages looks at every image that is wanted, or that a container has that may be replaced.
func resolveImages(ctx context.Context, e *Engine, want *shape.Set, seen *Seen) (missing, err error) {
	refs := map[string]string{} // the image, and the service that names it first
	for _, c := range seen.Containers {
		refs[c.ImageID] = ""
	}
	for _, c := range want.Containers {
		if refs[imageRef(c)] == "" {
			refs[imageRef(c)] = c.Service
		}
	}
	var mu sync.Mutex
	g, in := errgroup.WithContext(ctx)
	g.SetLimit(atOnce)
	for ref := range refs {
		g.Go(func() error {
			got, err := e.ImageInspect(in, ref)
			if err != nil && !errdefs.IsNotFound(err) {
				return fmt.Errorf("cannot read the image %s: %w", ref, err)
			}
			if err == nil {
				i := Image{ID: got.ID}
				if got.Config != nil {
					i.Env, i.Volumes = got.Config.Env, slices.Sorted(maps.Keys(got.Config.Volumes))
				}
				mu.Lock()
				defer mu.Unlock()
				seen.Images[ref], seen.Images[got.ID] = i, i
			}
			return nil
		})
	}
	if err := g.Wait(); err != nil {
		return nil, err
	}
	want.Containers = slices.Clone(want.Containers)
	for i, c := range want.Containers {
		want.Containers[i].ImageID = seen.Images[imageRef(c)].ID
	}
	for _, ref := range slices.Sorted(maps.Keys(refs)) {
		if refs[ref] != "" && seen.Images[ref].ID == "" {
			missing = errors.Join(missing, missingImage(ref, refs[ref]))
		}
	}
	return missing, nil
}

// NoImage is the error of an image that the engine does not have.
type NoImage struct{ Image, Service string }

func (n *NoImage) Error() string {
	return fmt.Sprintf("cannot make a container of %s: the engine has no image %s", n.Service, n.Image)
}

func missingImage(ref, service string) error {
	return op.Hint(&NoImage{ref, service}, "compose.build builds it, compose.pull fetches it, before compose.up")
}

// imageRef is what a container's image is asked for by: the ID where one is given.
func imageRef(c shape.Container) string {
	if c.ImageID != "" {
		return c.ImageID
	}
	return c.Image
}

// resolveOutside looks for external networks and volumes, and for networks of others that bear a name of the project's.
func resolveOutside(ctx context.Context, e *Engine, want *shape.Set, seen *Seen) (absent, err error) {
	all, err := e.NetworkList(ctx, client.NetworkListOptions{})
	if err != nil {
		return nil, err
	}
	known := map[string]bool{}
	for _, n := range seen.Networks {
		known[n.Create.Name] = true
	}
	for _, n := range all.Items {
		if !known[n.Name] {
			seen.Foreign[n.Name] = Foreign{ID: n.ID, Project: n.Labels[labelProject]}
		}
	}
	for _, n := range want.Networks {
		f, foreign := seen.Foreign[n.Create.Name]
		switch {
		case n.External && !foreign && !known[n.Create.Name]:
			absent = errors.Join(absent, op.Hint(fmt.Errorf("the network %s is external and is not there", n.Create.Name), "make it: docker network create %s", n.Create.Name))
		case !n.External && foreign:
			absent = errors.Join(absent, op.Hint(fmt.Errorf("cannot make the network %s: one of that name is there, and is %s", n.Create.Name, whose(f.Project)),
				"say external: true in the project's files to use it, or give the project's network another name"))
		}
	}
	for _, v := range want.Volumes {
		if !v.External {
			continue
		}
		if _, err := e.VolumeInspect(ctx, v.Create.Name, client.VolumeInspectOptions{}); errdefs.IsNotFound(err) {
			absent = errors.Join(absent, op.Hint(fmt.Errorf("the volume %s is external and is not there", v.Create.Name), "make it: docker volume create %s", v.Create.Name))
		} else if err != nil {
			return nil, err
		}
	}
	return absent, nil
}

func whose(project string) string {
	if project == "" {
		return "of no project"
	}
	return "of the project " + project
}

// portsOfOthers reads which ports running containers beside the project hold on the host.
func portsOfOthers(ctx context.Context, e *Engine, seen *Seen) error {
	list, err := e.ContainerList(ctx, client.ContainerListOptions{})
	if err != nil {
		return err
	}
	for _, c := range list.Items {
		if c.Labels[labelProject] == seen.Project || len(c.Names) == 0 {
			continue
		}
		for _, p := range c.Ports {
			if p.PublicPort == 0 {
				continue
			}
			at := Port{Number: p.PublicPort, Proto: p.Type, Holder: c.Names[0][1:], Project: c.Labels[labelProject]}
			if p.IP.IsValid() && !p.IP.IsUnspecified() {
				at.IP = p.IP.String()
			}
			seen.Ports = append(seen.Ports, at)
		}
	}
	return nil
}

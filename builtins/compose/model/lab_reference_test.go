//go:build labs

package model

import (
	"archive/tar"
	"bytes"
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/moby/moby/api/types/network"
	"github.com/moby/moby/client"

	"github.com/erlmcp/runner/builtins/compose/shape"
	"github.com/erlmcp/runner/builtins/docker/dockertest"
)

// TestLabReference makes every project of the corpus as Compose does and as its Set says, and compares what the engine
// then has, field by field.
func TestLabReference(t *testing.T) {
	compose := dockertest.Compose(t)
	w := dockertest.New(t)
	image := w.Name + ":latest"
	imported(t, w, image)
	dir, names := corpus(t)
	for _, name := range names {
		t.Run(name, func(t *testing.T) {
			project := w.Name + "-" + name
			t.Cleanup(func() { remove(t, w, project) })
			run := exec.Command(compose, "-f", name+".yaml", "-p", project, "create", "--pull", "never", "--no-build")
			run.Dir, run.Env = dir, append(os.Environ(), "IMAGE="+image, "NAME=there")
			if text, err := run.CombinedOutput(); err != nil {
				t.Fatalf("%v: %s", err, text)
			}
			theirs := state(t, w, project)
			remove(t, w, project)
			desired := set(t, w, dir, name, project, image)
			made(t, w, desired)
			ours := state(t, w, project)
			for _, key := range slices.Compact(slices.Sorted(keysOf(theirs, ours))) {
				if strings.HasSuffix(key, labelHash) && sharing(desired, key) {
					continue // IDs are in it: that Compose makes nothing anew, below, is the proof
				}
				if theirs[key] != ours[key] {
					t.Errorf("%s\n  compose: %s\n  runner:  %s", key, theirs[key], ours[key])
				}
			}
			if len(ours) < 20 {
				t.Errorf("only %d things were compared", len(ours))
			}
			run = exec.Command(compose, "-f", name+".yaml", "-p", project, "create", "--pull", "never", "--no-build", "--progress", "plain")
			run.Dir, run.Env = dir, append(os.Environ(), "IMAGE="+image, "NAME=there", "COMPOSE_PROGRESS=plain")
			run.Args = slices.Concat(run.Args[:1], []string{"--progress", "plain"}, slices.DeleteFunc(run.Args[1:], func(a string) bool { return a == "--progress" || a == "plain" }))
			text, err := run.CombinedOutput()
			if again := state(t, w, project); err != nil || regexp.MustCompile(`(?i)creat|remov`).Match(text) || fmt.Sprint(again) != fmt.Sprint(ours) {
				t.Errorf("compose makes something anew: %v\n%s", err, text)
			}
		})
	}
}

// sharing reports whether a field is that of a container which uses another's as its own.
func sharing(s shape.Set, key string) bool {
	return slices.ContainsFunc(s.Services, func(x shape.Service) bool {
		return len(x.Shares()) > 0 && strings.HasPrefix(key, "/"+s.Project+"-"+x.Name+"-")
	})
}

// imported is an image of nothing.
func imported(t testing.TB, w dockertest.World, image string) {
	t.Helper()
	var empty bytes.Buffer
	check(t, tar.NewWriter(&empty).Close())
	got, err := w.Engine.ImageImport(t.Context(), client.ImageImportSource{Source: &empty, SourceName: "-"}, image,
		client.ImageImportOptions{Changes: []string{"LABEL " + dockertest.Label + "=" + w.Name, `CMD ["/prog"]`}})
	check(t, err)
	_, err = io.Copy(io.Discard, got)
	check(t, errors.Join(err, got.Close()))
}

func keysOf(maps ...map[string]string) func(func(string) bool) {
	return func(yield func(string) bool) {
		for _, m := range maps {
			for k := range m {
				if !yield(k) {
					return
				}
			}
		}
	}
}

func set(t testing.TB, w dockertest.World, dir, name, project, image string) shape.Set {
	t.Helper()
	h := at(dir, map[string]string{"IMAGE": image, "NAME": "there"})
	h.Env = append(slices.DeleteFunc(os.Environ(), func(kv string) bool { return strings.HasPrefix(kv, "NAME=") }), h.Env...)
	p := projectOf(project, name+".yaml")
	m, err := Load(t.Context(), h, p)
	if err != nil {
		t.Fatal(err)
	}
	m.API = w.Engine.API
	got, err := w.Engine.ImageInspect(t.Context(), image)
	if err != nil {
		t.Fatal(err)
	}
	s, err := m.Set(map[string]string{image: got.ID})
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// made makes what a Set says.
func made(t testing.TB, w dockertest.World, s shape.Set) {
	t.Helper()
	ctx, ids := t.Context(), map[string]string{}
	for _, n := range s.Networks {
		c := n.Create
		if _, err := w.Engine.NetworkCreate(ctx, c.Name, client.NetworkCreateOptions{Driver: c.Driver, EnableIPv4: c.EnableIPv4, EnableIPv6: c.EnableIPv6, IPAM: c.IPAM,
			Internal: c.Internal, Attachable: c.Attachable, Options: c.Options, Labels: c.Labels}); err != nil {
			t.Fatal(err)
		}
	}
	for _, v := range s.Volumes {
		if _, err := w.Engine.VolumeCreate(ctx, client.VolumeCreateOptions{Name: v.Create.Name, Driver: v.Create.Driver, DriverOpts: v.Create.DriverOpts, Labels: v.Create.Labels}); err != nil {
			t.Fatal(err)
		}
	}
	left := slices.Clone(s.Containers)
	for len(left) > 0 {
		c := left[0]
		left = left[1:]
		service := s.Services[slices.IndexFunc(s.Services, func(x shape.Service) bool { return x.Name == c.Service })]
		if slices.ContainsFunc(service.Shares(), func(of string) bool { return ids[of] == "" }) || linked(c, left) {
			left = append(left, c)
			continue
		}
		hash, err := service.HashWith(ids)
		if err != nil {
			t.Fatal(err)
		}
		c.Config.Labels[labelHash] = hash
		for i, name := range c.Host.VolumesFrom {
			c.Host.VolumesFrom[i] = cmp.Or(ids[strings.TrimSuffix(strings.TrimPrefix(name, s.Project+"-"), "-1")], name)
		}
		for _, mode := range []*string{(*string)(&c.Host.NetworkMode), (*string)(&c.Host.PidMode), (*string)(&c.Host.IpcMode)} {
			if of, ok := strings.CutPrefix(*mode, "service:"); ok {
				*mode = "container:" + ids[of]
			}
		}
		ids[c.Service] = create(t, w, c)
	}
}

// linked reports whether a container links to one that is still to be made.
func linked(c shape.Container, left []shape.Container) bool {
	return slices.ContainsFunc(c.Host.Links, func(l string) bool {
		return slices.ContainsFunc(left, func(o shape.Container) bool { return strings.HasPrefix(l, o.Name+":") })
	})
}

func create(t testing.TB, w dockertest.World, c shape.Container) string {
	t.Helper()
	first, rest := map[string]*network.EndpointSettings{}, map[string]*network.EndpointSettings{}
	for name, e := range c.Networks {
		if name == string(c.Host.NetworkMode) {
			first[name] = e
		} else {
			rest[name] = e
		}
	}
	got, err := w.Engine.ContainerCreate(t.Context(), client.ContainerCreateOptions{Name: c.Name, Platform: c.Platform, Config: c.Config, HostConfig: c.Host,
		NetworkingConfig: &network.NetworkingConfig{EndpointsConfig: first}})
	if err != nil {
		t.Fatalf("%s: %v", c.Name, err)
	}
	for name, e := range rest {
		if _, err := w.Engine.NetworkConnect(t.Context(), name, client.NetworkConnectOptions{Container: got.ID, EndpointConfig: e}); err != nil {
			t.Fatal(err)
		}
	}
	return got.ID
}

// state is what an engine has of a project, a line for each field.
func state(t testing.TB, w dockertest.World, project string) map[string]string {
	t.Helper()
	ctx, out, ids := t.Context(), map[string]string{}, map[string]string{}
	mine := client.Filters{}.Add("label", labelProject+"="+project)
	containers, err := w.Engine.ContainerList(ctx, client.ContainerListOptions{All: true, Filters: mine})
	check(t, err)
	for _, c := range containers.Items {
		ids[c.ID] = "‹" + c.Names[0] + "›"
	}
	for _, c := range containers.Items {
		in, err := w.Engine.ContainerInspect(ctx, c.ID, client.ContainerInspectOptions{})
		check(t, err)
		flatten(out, in.Container.Name+".config", plain(t, in.Container.Config))
		flatten(out, in.Container.Name+".host", plain(t, in.Container.HostConfig))
		for name, e := range in.Container.NetworkSettings.Networks {
			for i, a := range e.Aliases {
				if len(a) == 12 && strings.HasPrefix(c.ID, a) {
					e.Aliases[i] = "‹own ID›"
				}
			}
			flatten(out, in.Container.Name+".networks."+name, plain(t, map[string]any{"aliases": e.Aliases, "ipam": e.IPAMConfig, "links": e.Links, "mac": e.MacAddress, "opts": e.DriverOpts}))
		}
	}
	networks, err := w.Engine.NetworkList(ctx, client.NetworkListOptions{Filters: mine})
	check(t, err)
	for _, n := range networks.Items {
		n.ID, n.Created = "", networks.Items[0].Created
		flatten(out, "network "+n.Name, plain(t, map[string]any{"driver": n.Driver, "ipam": n.IPAM, "internal": n.Internal, "attachable": n.Attachable, "options": n.Options, "labels": n.Labels, "v6": n.EnableIPv6}))
	}
	volumes, err := w.Engine.VolumeList(ctx, client.VolumeListOptions{Filters: mine})
	check(t, err)
	for _, v := range volumes.Items {
		flatten(out, "volume "+v.Name, plain(t, map[string]any{"driver": v.Driver, "options": v.Options, "labels": v.Labels}))
	}
	for k, v := range out {
		for id, name := range ids {
			v = strings.ReplaceAll(v, id, name)
			v = strings.ReplaceAll(v, id[:12], name)
		}
		if strings.HasSuffix(k, ".ipam.Config") { // the engine chooses from its own pools
			v = regexp.MustCompile(`(172\.\d+|192\.168)\.\d+\.\d+(/\d+)?`).ReplaceAllString(v, "‹pool›")
		}
		out[k] = v
	}
	return out
}

func plain(t testing.TB, v any) any {
	t.Helper()
	b, err := json.Marshal(v)
	check(t, err)
	var out any
	check(t, json.Unmarshal(b, &out))
	return out
}

// flatten writes a value's leaves under their paths. Lists whose order means nothing are sorted.
func flatten(out map[string]string, path string, v any) {
	switch v := v.(type) {
	case map[string]any:
		for k, item := range v {
			flatten(out, path+"."+k, item)
		}
	case []any:
		texts := make([]string, len(v))
		for i, item := range v {
			b, _ := json.Marshal(item)
			texts[i] = string(b)
		}
		if !strings.HasSuffix(path, ".Cmd") && !strings.HasSuffix(path, ".Entrypoint") {
			slices.Sort(texts)
		}
		out[path] = strings.Join(texts, " ")
	case string:
		if strings.HasSuffix(path, labelNeeds) { // Compose writes them as its map has them
			parts := strings.Split(v, ",")
			slices.Sort(parts)
			v = strings.Join(parts, ",")
		}
		out[path] = v
	default:
		out[path] = fmt.Sprint(v)
	}
}

func remove(t testing.TB, w dockertest.World, project string) {
	t.Helper()
	ctx := context.WithoutCancel(t.Context())
	mine := client.Filters{}.Add("label", labelProject+"="+project)
	containers, err := w.Engine.ContainerList(ctx, client.ContainerListOptions{All: true, Filters: mine})
	check(t, err)
	for _, c := range containers.Items {
		_, err := w.Engine.ContainerRemove(ctx, c.ID, client.ContainerRemoveOptions{Force: true, RemoveVolumes: true})
		check(t, err)
	}
	networks, err := w.Engine.NetworkList(ctx, client.NetworkListOptions{Filters: mine})
	check(t, err)
	for _, n := range networks.Items {
		_, err := w.Engine.NetworkRemove(ctx, n.ID, client.NetworkRemoveOptions{})
		check(t, err)
	}
	volumes, err := w.Engine.VolumeList(ctx, client.VolumeListOptions{Filters: mine})
	check(t, err)
	for _, v := range volumes.Items {
		_, err := w.Engine.VolumeRemove(ctx, v.Name, client.VolumeRemoveOptions{})
		check(t, err)
	}
}

func check(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

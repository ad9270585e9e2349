//go:build labs

package main

import (
	"context"
	"fmt"
	"os/exec"
	"slices"
	"strings"

	"github.com/erlmcp/runner/builtins/compose/reconcile"
	"github.com/erlmcp/runner/builtins/docker/dockertest"
	"github.com/moby/moby/client"
)

// What the engine has of a project.

func (s *composeSite) seen() *reconcile.Seen {
	s.t.Helper()
	seen, err := reconcile.Observe(context.Background(), s.engine, s.name)
	if err != nil {
		s.t.Fatal(err)
	}
	return seen
}

// state is what the engine has of the project: each container's name, configuration, image and whether it runs.
func (s *composeSite) state() string {
	s.t.Helper()
	seen := s.seen()
	var lines []string
	for _, c := range seen.Containers {
		lines = append(lines, fmt.Sprint(c.Name, " ", c.Hash, " ", c.ImageID, " ", seen.States[c.ID].Status))
	}
	for _, n := range seen.Networks {
		lines = append(lines, "network "+n.Create.Name)
	}
	for _, a := range seen.Aside {
		if a.New {
			lines = append(lines, "half made: "+a.Name)
		}
	}
	for _, service := range []string{"web", "worker"} {
		if i, err := s.engine.ImageInspect(context.Background(), s.name+"-"+service); err == nil {
			lines = append(lines, service+" is called "+i.ID)
		}
	}
	slices.Sort(lines)
	return strings.Join(lines, "\n")
}

// asReference wants Docker Compose itself to find nothing to do.
func (s *composeSite) asReference() {
	s.t.Helper()
	before, held := s.ids(), s.described()
	up := exec.Command(dockertest.Compose(s.t), "--progress", "plain", "-p", s.name, "up", "-d", "--no-build", "--pull", "never")
	up.Dir, up.Env = s.dir, append(s.env(), fmt.Sprint("PORT=", s.port), "VERSION=")
	text, err := up.CombinedOutput()
	if after := s.ids(); err != nil || after != before {
		s.t.Fatalf("docker compose up makes something anew: %v\n%s\nbefore\n%s\nafter\n%s", err, text, held, s.described())
	}
}

// described are the project's containers with their labels and images.
func (s *composeSite) described() string {
	var out []string
	for _, c := range s.seen().Containers {
		out = append(out, fmt.Sprint(c.Name, " ", c.ImageID, " ", c.Config.Labels))
	}
	return strings.Join(out, "\n")
}

// ids are the containers of the project, with those that were put aside.
func (s *composeSite) ids() string {
	s.t.Helper()
	var out []string
	seen := s.seen()
	for _, c := range seen.Containers {
		out = append(out, c.Name+" "+c.ID)
	}
	for _, a := range seen.Aside {
		out = append(out, a.Name+" "+a.ID)
	}
	return strings.Join(out, "\n")
}

// wipe removes everything of the project from the engine.
func (s *composeSite) wipe() {
	ctx := context.Background()
	for _, a := range s.seen().Aside {
		s.engine.ContainerRemove(ctx, a.ID, client.ContainerRemoveOptions{Force: true, RemoveVolumes: true})
	}
	for _, c := range s.seen().Containers {
		s.engine.ContainerRemove(ctx, c.ID, client.ContainerRemoveOptions{Force: true, RemoveVolumes: true})
	}
	for _, n := range s.seen().Networks {
		s.engine.NetworkRemove(ctx, n.ID, client.NetworkRemoveOptions{})
	}
	volumes, _ := s.engine.VolumeList(ctx, client.VolumeListOptions{})
	for _, v := range volumes.Items {
		if strings.HasPrefix(v.Name, s.name+"_") {
			s.engine.VolumeRemove(ctx, v.Name, client.VolumeRemoveOptions{Force: true})
		}
	}
	kept, _ := s.engine.ImageList(ctx, client.ImageListOptions{Filters: client.Filters{}.Add("reference", "runner-kept:"+s.name+".*")})
	for _, i := range kept.Items {
		for _, name := range i.RepoTags {
			if strings.HasPrefix(name, "runner-kept:"+s.name+".") {
				s.engine.ImageRemove(ctx, name, client.ImageRemoveOptions{})
			}
		}
	}
	images, _ := s.engine.ImageList(ctx, client.ImageListOptions{All: true, Filters: client.Filters{}.Add("label", dockertest.Label+"="+s.name)})
	for _, i := range images.Items {
		s.engine.ImageRemove(ctx, i.ID, client.ImageRemoveOptions{Force: true, PruneChildren: true})
	}
}

//go:build !windows

package main

import (
	"fmt"
	"path/filepath"
	"slices"
	"strings"

	"github.com/erlmcp/runner/builtins/cluster"
	"github.com/erlmcp/runner/builtins/kube/rights"
	"github.com/erlmcp/runner/builtins/provision"
	"github.com/erlmcp/runner/runtime/host"
)

// somebody stands for who deploys, where environments.star does not say it.
const somebody = "USER"

// maxSetup is the size of a file for setup that is read at most.
const maxSetup = 1 << 20

// setupCluster is "runner setup" for a cluster: the commands by which who may give rights there makes what deployments
// need. It calls none of them, and asks no cluster.
func (p *program) setupCluster(f flags, h *host.Host, name, group string, c cluster.Cluster) error {
	role, err := setupFile(h, "role.yaml")
	if err != nil {
		return fmt.Errorf("cannot read the rights that a deployment needs: %w", err)
	}
	roles, err := rights.Roles(role)
	if err != nil {
		return fmt.Errorf("k8s/role.yaml: %w", err)
	}
	spaces, err := namespaces(h, c)
	if err != nil {
		return err
	}
	work := provision.Work{Differences: []string{}, Notes: []string{}}
	who, kind := c.AsUser, "User"
	switch {
	case group != "":
		who, kind = group, "Group"
	case who == "":
		who = somebody
		work.Notes = append(work.Notes, somebody+" stands for who deploys, as the cluster calls them: kubectl auth whoami says it; --group NAME gives the rights to a group")
	}
	work.Notes = append(work.Notes, "nothing was called: who may make namespaces and give rights calls these, once")
	return p.showWork(f, name, "on its cluster", clusterWork(c, spaces, string(role), roles, kind, who, work))
}

// setupFile is a file of the folder k8s: the project's, or the one that comes with runner.
func setupFile(h *host.Host, name string) ([]byte, error) {
	over := host.Over{FS: h.Files, Dir: h.Project, Under: h.Standard}
	return host.ReadFile(over, filepath.Join(h.Project, "k8s", name), maxSetup)
}

// space is a namespace, the manifest that makes it, and why that one.
type space struct{ name, text, why string }

// namespaces are those of a target: as k8s/namespace.yaml has them, where that is the one, since a manifest without the
// labels in it would take them away.
func namespaces(h *host.Host, c cluster.Cluster) (out []space, err error) {
	file, err := setupFile(h, "namespace.yaml")
	if err != nil {
		return nil, fmt.Errorf("cannot read how the namespace is made: %w", err)
	}
	for _, name := range slices.Compact([]string{c.Namespace, c.State()}) {
		s := space{name: name, why: "the namespace " + name + ", as k8s/namespace.yaml has it"}
		if s.text, err = rights.Namespace(file, name); err != nil {
			return nil, fmt.Errorf("k8s/namespace.yaml: %w", err)
		}
		if s.text == "" {
			s.text, s.why = fmt.Sprintf("{apiVersion: v1, kind: Namespace, metadata: {name: %s}}\n", name), "the namespace "+name
		}
		out = append(out, s)
	}
	return out, nil
}

// clusterWork adds the commands, by what a target says.
func clusterWork(c cluster.Cluster, spaces []space, role string, roles []rights.Role, kind, who string, work provision.Work) provision.Work {
	kubectl := []string{"kubectl"}
	if c.Kubeconfig != "" {
		kubectl = append(kubectl, "--kubeconfig", c.Kubeconfig)
	}
	if c.Context != "" {
		kubectl = append(kubectl, "--context", c.Context)
	}
	step := func(why, in string, more ...string) {
		work.Steps = append(work.Steps, provision.Step{Why: why, Argv: slices.Concat(kubectl, []string{"apply"}, more, []string{"-f", "-"}), In: in})
	}
	for _, s := range spaces {
		step(s.why, s.text)
	}
	for i, s := range spaces {
		ns := s.name
		step("the rights in "+ns+", as k8s/role.yaml has them", strings.TrimSuffix(role, "\n")+"\n", "-n", ns)
		var all []string
		for _, r := range roles {
			if !r.Everywhere() || i == 0 {
				all = append(all, r.Binding(ns, kind, who))
			}
		}
		step("who has them", strings.Join(all, "---\n"))
	}
	return work
}

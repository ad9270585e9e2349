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

// maxRole is the size of a file with rights that is read at most.
const maxRole = 1 << 20

// setupCluster is "runner setup" for a cluster: the commands by which who may give rights there makes what deployments
// need. It calls none of them, and asks no cluster.
func (p *program) setupCluster(f flags, h *host.Host, name, group string, c cluster.Cluster) error {
	over := host.Over{FS: h.Files, Dir: h.Project, Under: h.Standard}
	role, err := host.ReadFile(over, filepath.Join(h.Project, "k8s", "role.yaml"), maxRole)
	if err != nil {
		return fmt.Errorf("cannot read the rights that a deployment needs: %w", err)
	}
	roles, err := rights.Roles(role)
	if err != nil {
		return fmt.Errorf("k8s/role.yaml: %w", err)
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
	return p.showWork(f, name, "on its cluster", clusterWork(c, string(role), roles, kind, who, work))
}

// clusterWork adds the commands, by what a target says.
func clusterWork(c cluster.Cluster, role string, roles []rights.Role, kind, who string, work provision.Work) provision.Work {
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
	spaces := slices.Compact([]string{c.Namespace, c.State()})
	for _, ns := range spaces {
		step("the namespace "+ns, fmt.Sprintf("{apiVersion: v1, kind: Namespace, metadata: {name: %s}}\n", ns))
	}
	for i, ns := range spaces {
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

package connect

import (
	"errors"
	"fmt"
	"maps"
	"net/url"
	"path/filepath"
	"slices"
	"strings"

	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/clientcmd"
	kubeconfig "k8s.io/client-go/tools/clientcmd/api"

	"github.com/erlmcp/runner/builtins/cluster"
	"github.com/erlmcp/runner/runtime/builtin"
	"github.com/erlmcp/runner/runtime/op"
)

// config is the way to a target's cluster. It reads files, and asks nobody.
func (p *Pool) config(c cluster.Cluster) (*rest.Config, error) {
	config, err := p.found(c)
	if err != nil {
		return nil, err
	}
	if config.Insecure && c.CA == "" {
		return nil, op.Hint(errors.New("the kubeconfig says insecure-skip-tls-verify, so anybody could answer"), "name the authority that the server is known by: cluster(..., ca = \"ca.crt\")")
	}
	if c.CA != "" {
		config.CAFile, config.CAData, config.Insecure = p.Host.Abs(c.CA), nil, false
		if _, err := p.Host.Files.Stat(config.CAFile); err != nil {
			return nil, fmt.Errorf("ca: %w", err)
		}
	}
	if config.ExecProvider != nil {
		config.ExecProvider.StdinUnavailable = true
	}
	config.Impersonate = rest.ImpersonationConfig{UserName: c.AsUser, Groups: c.AsGroups}
	config.UserAgent = "runner"
	return config, nil
}

func (p *Pool) found(c cluster.Cluster) (*rest.Config, error) {
	if c.InCluster {
		config, err := rest.InClusterConfig()
		if err != nil {
			return nil, op.Hint(fmt.Errorf("in_cluster: %w", err), "runner does not run in a pod here; say cluster(..., context = ...)")
		}
		return config, nil
	}
	all, files, err := p.kubeconfig(c)
	if err != nil {
		return nil, err
	}
	name := c.Context
	if name == "" {
		if name, err = leading(all, c.Server, files); err != nil {
			return nil, err
		}
	}
	at, ok := all.Contexts[name]
	if !ok {
		return nil, op.Hint(fmt.Errorf("context: %s has no context %s%s", files, name, builtin.DidYouMean(name, slices.Collect(maps.Keys(all.Contexts)))), "it has %s", strings.Join(slices.Sorted(maps.Keys(all.Contexts)), ", "))
	}
	if there := all.Clusters[at.Cluster]; c.Server != "" && there != nil && !sameServer(there.Server, c.Server) {
		return nil, op.Hint(fmt.Errorf("context: %s leads to %s, and server is %s", name, there.Server, c.Server), "nothing was sent; one of the two is another cluster's")
	}
	config, err := clientcmd.NewNonInteractiveClientConfig(*all, name, &clientcmd.ConfigOverrides{}, nil).ClientConfig()
	if err != nil {
		return nil, fmt.Errorf("context: %s of %s cannot be used: %w", name, files, err)
	}
	return config, nil
}

// kubeconfig reads the files that a target, KUBECONFIG, or else custom, names.
func (p *Pool) kubeconfig(c cluster.Cluster) (*kubeconfig.Config, string, error) {
	paths := filepath.SplitList(p.env("KUBECONFIG"))
	switch {
	case c.Kubeconfig != "":
		paths = []string{p.Host.Abs(c.Kubeconfig)}
	case len(paths) == 0:
		paths = []string{filepath.Join(p.env("HOME"), ".kube", "config")}
	}
	files := strings.Join(paths, ", ")
	all, err := (&clientcmd.ClientConfigLoadingRules{Precedence: paths}).Load()
	if err != nil {
		return nil, files, fmt.Errorf("kubeconfig: %w", err)
	}
	if len(all.Contexts) == 0 {
		return nil, files, op.Hint(fmt.Errorf("kubeconfig: there is none at %s", files), "KUBECONFIG, or kubeconfig = in environments.star, says where it is")
	}
	return all, files, nil
}

// leading is the one context that leads to a server.
func leading(all *kubeconfig.Config, server, files string) (string, error) {
	var found []string
	for _, name := range slices.Sorted(maps.Keys(all.Contexts)) {
		if there := all.Clusters[all.Contexts[name].Cluster]; there != nil && sameServer(there.Server, server) {
			found = append(found, name)
		}
	}
	switch len(found) {
	case 0:
		return "", fmt.Errorf("server: no context of %s leads to %s", files, server)
	case 1:
		return found[0], nil
	}
	return "", op.Hint(fmt.Errorf("server: several contexts of %s lead to %s", files, server), "say which: context = one of %s", strings.Join(found, ", "))
}

// sameServer reports whether two addresses are one server's.
func sameServer(a, b string) bool {
	form := func(s string) string {
		u, err := url.Parse(s)
		if err != nil {
			return s
		}
		port := u.Port()
		if port == "" && u.Scheme == "https" {
			port = "443"
		}
		return u.Scheme + "://" + strings.ToLower(u.Hostname()) + ":" + port + strings.TrimRight(u.Path, "/")
	}
	return form(a) == form(b)
}

func (p *Pool) env(name string) string {
	for i := len(p.Host.Env) - 1; i >= 0; i-- {
		if v, ok := strings.CutPrefix(p.Host.Env[i], name+"="); ok {
			return v
		}
	}
	return ""
}

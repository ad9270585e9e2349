// Package builtins is the one list of the families that this runner has.
package builtins

import (
	"github.com/erlmcp/runner/builtins/backups"
	"github.com/erlmcp/runner/builtins/build"
	"github.com/erlmcp/runner/builtins/compose"
	"github.com/erlmcp/runner/builtins/docker"
	"github.com/erlmcp/runner/builtins/docker/daemon"
	"github.com/erlmcp/runner/builtins/files"
	"github.com/erlmcp/runner/builtins/git"
	"github.com/erlmcp/runner/builtins/health"
	"github.com/erlmcp/runner/builtins/http"
	"github.com/erlmcp/runner/builtins/kube"
	"github.com/erlmcp/runner/builtins/kube/connect"
	"github.com/erlmcp/runner/builtins/machine"
	"github.com/erlmcp/runner/builtins/notify"
	"github.com/erlmcp/runner/builtins/project"
	"github.com/erlmcp/runner/builtins/releases"
	"github.com/erlmcp/runner/builtins/secret"
	"github.com/erlmcp/runner/builtins/service"
	"github.com/erlmcp/runner/builtins/shell"
	"github.com/erlmcp/runner/builtins/smoke"
	"github.com/erlmcp/runner/runtime/builtin"
	"github.com/erlmcp/runner/runtime/host"
	"github.com/erlmcp/runner/runtime/op"
)

// Families lists every family, working on one host, with the engines and clusters of pools.
func Families(h *host.Host, engines *daemon.Pool, clusters *connect.Pool) []builtin.Family {
	return []builtin.Family{
		backups.Family(h),
		build.Family(h),
		compose.Family(h, engines),
		docker.Family(h, engines),
		files.Family(h),
		git.Family(h),
		health.Family(h),
		http.Family(h),
		notify.Family(),
		kube.Family(h, clusters),
		machine.Family(h),
		project.Family(),
		releases.Family(h),
		secret.Family(h),
		service.Family(h),
		shell.Family(h),
		smoke.Family(h),
	}
}

// Registry knows every op and every value of the families.
func Registry(families []builtin.Family) (*op.Registry, error) {
	specs, values := map[string][]*op.Spec{}, map[string]any{}
	for _, f := range families {
		specs[f.Name] = f.Ops
		for _, v := range f.Values {
			kind := v.Name
			if !v.Global {
				kind = f.Name + "." + v.Name
			}
			values[kind] = v.Proto
		}
	}
	return op.NewRegistry(specs, values)
}

package model

import (
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/compose-spec/compose-go/v2/loader"
	"github.com/compose-spec/compose-go/v2/tree"
	"github.com/compose-spec/compose-go/v2/types"
	"github.com/distribution/reference"

	"github.com/erlmcp/runner/builtins/stack"
	"github.com/erlmcp/runner/runtime/host"
)

// reasons are what files may say, what Swarm alone would honour, and why nothing comes of it here. Compose leaves most
// of them out in silence.
func reasons() map[string]string {
	swarm := "only Swarm does that"
	return map[string]string{
		"services.*.deploy.mode":                                     "only Swarm has modes: scale says how many containers there are",
		"services.*.deploy.labels":                                   "only Swarm labels services; labels says those of containers",
		"services.*.deploy.endpoint_mode":                            swarm,
		"services.*.deploy.placement":                                "only Swarm places containers",
		"services.*.deploy.rollback_config":                          "a deployment that fails is taken back by the run itself",
		"services.*.deploy.restart_policy.delay":                     "an engine alone chooses the time between restarts itself",
		"services.*.deploy.restart_policy.window":                    swarm,
		"services.*.deploy.resources.reservations.cpus":              "an engine alone reserves memory and devices, no CPUs",
		"services.*.deploy.resources.reservations.pids":              "an engine alone limits processes, and reserves none",
		"services.*.deploy.resources.reservations.generic_resources": swarm,
		"services.*.deploy.resources.limits.generic_resources":       swarm,
		"services.*.credential_spec":                                 "only Windows containers have one",
		"services.*.umask":                                           "no engine takes it",
		"configs.*.labels":                                           "only Swarm labels configs",
		"secrets.*.labels":                                           "only Swarm labels secrets",
		"secrets.*.driver_opts":                                      "only Swarm has drivers of secrets",
	}
}

const updates = tree.Path("services.*.deploy.update_config")

// unheeded are the patterns of reasons, and of values that no engine without Swarm honours.
func unheeded() []loader.UnsupportedAttributePattern {
	var out []loader.UnsupportedAttributePattern
	for path := range reasons() {
		out = append(out, loader.UnsupportedAttributePattern{Path: tree.Path(path)})
	}
	hostMode := func(v any) bool {
		port, _ := v.(map[string]any)
		return port["mode"] == "host"
	}
	beyondOrder := func(v any) bool {
		keys, _ := v.(map[string]any)
		_, order := keys["order"]
		return len(keys) > 1 || !order
	}
	return append(out, loader.UnsupportedAttributePattern{Path: "services.*.ports.[]", Detect: hostMode},
		loader.UnsupportedAttributePattern{Path: updates, Detect: beyondOrder})
}

// ignored are the parts of the files that nothing comes of.
func (s *sources) ignored(found []loader.UnsupportedAttribute) (out []Note) {
	all := reasons()
	for _, f := range found {
		n := Note{Path: string(f.Path), At: s.near(f.Path.Parts()...), Why: "only Swarm has modes of ports; it is published as always"}
		if f.Path.Matches(updates) {
			n.Why = "only its order is honoured: containers are replaced one after another, and what fails is taken back by the run itself"
		}
		for pattern, why := range all {
			if f.Path.Matches(tree.Path(pattern)) {
				n.Why = why
			}
		}
		if port, ok := f.Value.(map[string]any); ok && strings.HasSuffix(n.Path, ".ports.[]") {
			n.Path = fmt.Sprintf("%s.%v.mode", strings.TrimSuffix(n.Path, ".[]"), port["target"])
		}
		out = append(out, n)
	}
	return out
}

// refused is what the files ask for and this runner does not do.
type refused struct {
	path []string
	why  string
}

// refusals are all that the files ask for and would silently lack.
func (m *Model) refusals(h *host.Host, p stack.Project, vars *variables, project *types.Project) error {
	var all []refused
	for _, name := range slices.Sorted(maps.Keys(project.Services)) {
		for key, has := range hooks(project.Services[name]) {
			if has {
				all = append(all, refused{[]string{"services", name, key}, "it is not supported"})
			}
		}
		all = append(all, ownedFiles(project, project.Services[name])...)
		image := project.Services[name].Image
		if _, err := reference.ParseAnyReference(image); image != "" && err != nil {
			all = append(all, refused{[]string{"services", name, "image"}, fmt.Sprintf("want the name of an image such as registry.example.com/app:1.4, got %q", image)})
		}
	}
	if len(project.Models) > 0 {
		all = append(all, refused{[]string{"models"}, "it is not supported"})
	}
	local := here(p, vars)
	for name, c := range project.Secrets {
		all = append(all, objection(h, vars, []string{"secrets", name}, types.FileObjectConfig(c), local)...)
	}
	for name, c := range project.Configs {
		all = append(all, objection(h, vars, []string{"configs", name}, types.FileObjectConfig(c), local)...)
	}
	if len(all) == 0 {
		return nil
	}
	lines := make([]string, len(all))
	for i, r := range all {
		lines[i] = fmt.Sprintf("%s: %s: %s", m.sources.near(r.path...), strings.Join(r.path, "."), r.why)
	}
	slices.Sort(lines)
	if len(lines) == 1 {
		return fmt.Errorf("%s", lines[0])
	}
	return fmt.Errorf("%d things cannot be had:\n    %s", len(lines), strings.Join(lines, "\n    "))
}

// hooks are the keys of a service that Compose alone honours.
func hooks(s types.ServiceConfig) map[string]bool {
	return map[string]bool{
		"provider": s.Provider != nil, "models": len(s.Models) > 0, "use_api_socket": s.UseAPISocket,
		"pre_start": len(s.PreStart) > 0, "post_start": len(s.PostStart) > 0, "pre_stop": len(s.PreStop) > 0,
	}
}

// ownedFiles are secrets and configs of a file that ask for an owner or a mode: a mounted file has its own.
func ownedFiles(project *types.Project, s types.ServiceConfig) (out []refused) {
	check := func(section string, r types.FileReferenceConfig, file string) {
		if file != "" && (r.UID != "" || r.GID != "" || r.Mode != nil) {
			out = append(out, refused{[]string{"services", s.Name, section, r.Source}, "uid, gid and mode are those of the mounted file itself: chown and chmod " + file})
		}
	}
	for _, r := range s.Secrets {
		check("secrets", types.FileReferenceConfig(r), project.Secrets[r.Source].File)
	}
	for _, r := range s.Configs {
		check("configs", types.FileReferenceConfig(r), project.Configs[r.Source].File)
	}
	return out
}

// objection is why a secret or a config cannot be had.
func objection(h *host.Host, vars *variables, path []string, c types.FileObjectConfig, local bool) []refused {
	no := func(key, why string) []refused { return []refused{{append(path, key), why}} }
	switch {
	case bool(c.External):
		return no("external", "only Swarm keeps secrets and configs")
	case c.Driver != "":
		return no("driver", "only Swarm has drivers of secrets")
	case c.TemplateDriver != "":
		return no("template_driver", "only Swarm fills in templates")
	case c.Environment != "":
		if vars.values[c.Environment] == "" {
			return no("environment", "the variable "+c.Environment+" has no value: secrets = in environments.star gives it one, or a file of env_files =, or the environment of runner")
		}
	case c.File != "" && local:
		if _, err := h.Files.Stat(c.File); absent(err) {
			return no("file", "there is no file "+short(h, c.File))
		}
	}
	return nil
}

// here reports whether the engine sees the files of this machine.
func here(p stack.Project, vars *variables) bool {
	for _, address := range []string{p.Engine, vars.values["DOCKER_HOST"]} {
		if address != "" {
			return strings.HasPrefix(address, "unix://")
		}
	}
	return true
}

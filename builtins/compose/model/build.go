package model

import (
	"errors"
	"fmt"
	"maps"
	"path/filepath"
	"slices"

	"github.com/compose-spec/compose-go/v2/types"
	"github.com/erlmcp/runner/runtime/secret"
)

// Build is how the image of a service is built.
type Build struct {
	Service    string
	Image      string   // what it is called then
	Tags       []string // its other names
	Context    string   // a folder of this machine
	Dockerfile string   // its path
	Target     string
	Platform   string
	Network    string
	Args       map[string]string
	Labels     map[string]string
	Secrets    map[string]secret.Text
	CacheFrom  []string
	NoCache    bool
}

// Builds are the images that the project's files say how to build, by service. What runner's builds cannot honour is an
// error that names all of it.
func (m *Model) Builds() ([]Build, error) {
	var out []Build
	var bad []error
	for _, name := range slices.Sorted(maps.Keys(m.Project.Services)) {
		s := m.Project.Services[name]
		if s.Build == nil {
			continue
		}
		for _, key := range slices.Sorted(maps.Keys(unbuildable(s.Build))) {
			if unbuildable(s.Build)[key] {
				bad = append(bad, m.misfit(errors.New("runner does not build with it"), "services", name, "build", key))
			}
		}
		b, err := m.build(s)
		if err != nil {
			bad = append(bad, m.misfit(err, "services", name, "build"))
		}
		out = append(out, b)
	}
	return out, errors.Join(bad...)
}

// unbuildable are the keys of a build that only other builders honour.
func unbuildable(b *types.BuildConfig) map[string]bool {
	return map[string]bool{
		"dockerfile_inline": b.DockerfileInline != "", "entitlements": len(b.Entitlements) > 0, "provenance": b.Provenance != "",
		"sbom": b.SBOM != "", "ssh": len(b.SSH) > 0, "no_cache_filter": len(b.NoCacheFilter) > 0, "additional_contexts": len(b.AdditionalContexts) > 0,
		"extra_hosts": len(b.ExtraHosts) > 0, "isolation": b.Isolation != "", "shm_size": b.ShmSize != 0, "ulimits": len(b.Ulimits) > 0,
		"privileged": b.Privileged, "platforms": len(b.Platforms) > 1,
	}
}

func (m *Model) build(s types.ServiceConfig) (Build, error) {
	b := s.Build
	out := Build{Service: s.Name, Image: m.image(s), Tags: b.Tags, Context: b.Context, Dockerfile: b.Dockerfile, Target: b.Target,
		Network: b.Network, Labels: b.Labels, CacheFrom: b.CacheFrom, NoCache: b.NoCache, Platform: s.Platform, Args: map[string]string{}, Secrets: map[string]secret.Text{}}
	if !filepath.IsAbs(out.Context) {
		return out, fmt.Errorf("context: want a folder of this machine, got %q", out.Context)
	}
	if out.Dockerfile == "" {
		out.Dockerfile = "Dockerfile"
	}
	if !filepath.IsAbs(out.Dockerfile) {
		out.Dockerfile = filepath.Join(out.Context, out.Dockerfile)
	}
	if len(b.Platforms) == 1 {
		out.Platform = b.Platforms[0]
	}
	for name, value := range b.Args {
		if value == nil {
			if given, ok := m.Project.Environment[name]; ok {
				value = &given
			}
		}
		if value != nil {
			out.Args[name] = *value
		}
	}
	for _, ref := range b.Secrets {
		id := ref.Target
		if id == "" {
			id = ref.Source
		}
		switch def := m.Project.Secrets[ref.Source]; {
		case def.Environment != "":
			out.Secrets[id] = m.variable(def.Environment)
		case def.File != "":
			out.Secrets[id] = secret.File(def.File)
		default:
			return out, fmt.Errorf("secrets: %s has neither a file nor a variable", ref.Source)
		}
	}
	return out, nil
}

// variable is a variable of the project as a secret: it stays one where the environment says so.
func (m *Model) variable(name string) secret.Text {
	if text, given := m.env[name]; given {
		return text
	}
	return secret.Env(name)
}

// Pulls are the images that are fetched, by service, and when: "missing", "always" or "never". Those that are built are
// none of them.
func (m *Model) Pulls() (map[string]string, error) {
	out := map[string]string{}
	for name, s := range m.Project.Services {
		if s.Build != nil {
			continue
		}
		policy, _, err := s.GetPullPolicy()
		if err != nil {
			return nil, m.misfit(err, "services", name, "pull_policy")
		}
		switch policy {
		case types.PullPolicyAlways, types.PullPolicyNever:
			out[name] = policy
		case types.PullPolicyRefresh, types.PullPolicyBuild:
			return nil, m.misfit(fmt.Errorf("want always, missing or never, got %q", s.PullPolicy), "services", name, "pull_policy")
		default:
			out[name] = types.PullPolicyMissing
		}
	}
	return out, nil
}

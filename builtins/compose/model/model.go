// Package model reads the files of a Compose project and says what they ask for: the project as Compose itself
// resolves it, and every container, network and volume of it as data. What it does not understand it refuses, and what
// an engine without Swarm cannot honour it names. It asks no engine, fetches nothing, and writes nothing.
package model

import (
	"cmp"
	"context"
	"fmt"
	"maps"
	"path/filepath"
	"slices"
	"strings"

	"github.com/compose-spec/compose-go/v2/loader"
	"github.com/compose-spec/compose-go/v2/types"
	"github.com/sirupsen/logrus"

	"github.com/erlmcp/runner/builtins/stack"
	"github.com/erlmcp/runner/runtime/builtin"
	"github.com/erlmcp/runner/runtime/host"
	"github.com/erlmcp/runner/runtime/op"
	"github.com/erlmcp/runner/runtime/secret"
)

// Model is a project as its files describe it.
type Model struct {
	Project *types.Project // as Compose resolves it; services of profiles that are off are in DisabledServices
	Files   []string       // the files that were named, in their order
	Origins []Origin       // of every variable that the files use, by name
	Ignored []Note         // what the files say and no engine without Swarm honours

	// API is what the engine speaks that the project is for, such as "1.41"; "" is the newest.
	API string

	sources  *sources
	envFiles []string               // those that were named
	env      map[string]secret.Text // variables that the environment gives
}

// Origin is where the value of a variable comes from.
type Origin struct {
	Name   string `json:"name"`
	From   string `json:"source"` // "secrets", "the environment", ".env:3", or "default" where the file's own was taken
	Secret bool   `json:"secret,omitempty"`
}

// Note is a part of a file, and what there is to say about it.
type Note struct {
	At   string `json:"at"`   // compose.yaml:12:7
	Path string `json:"path"` // services.web.deploy.placement
	Why  string `json:"why"`
}

// String is the note as people read it.
func (n Note) String() string { return fmt.Sprintf("%s: %s: %s", n.At, n.Path, n.Why) }

// Load reads a project. Every variable that has no value is named at once.
func Load(ctx context.Context, h *host.Host, p stack.Project) (*Model, error) {
	m, err := load(ctx, h, p)
	if err == nil {
		return m, nil
	}
	out := fmt.Errorf("cannot use the Compose project %s: %w", p.Name, err)
	if hint := op.HintOf(err); hint != "" {
		out = op.Hint(out, "%s", hint)
	}
	return nil, out
}

func load(ctx context.Context, h *host.Host, p stack.Project) (*Model, error) {
	h = Over(h, p)
	vars, err := shell(ctx, h, p)
	if err != nil {
		return nil, err
	}
	files, dir, err := find(h, p, vars)
	if err != nil {
		return nil, err
	}
	src, err := read(h, files)
	if err != nil {
		return nil, err
	}
	m := &Model{Files: files, sources: src, env: p.Env}
	for _, f := range p.EnvFiles {
		m.envFiles = append(m.envFiles, h.Abs(f))
	}
	details := types.ConfigDetails{WorkingDir: dir, Environment: vars.values}
	for _, f := range src.files {
		details.ConfigFiles = append(details.ConfigFiles, types.ConfigFile{Filename: f.path, Content: f.data})
	}
	logrus.SetLevel(logrus.PanicLevel) // the loader's only way of saying that a file is old-fashioned
	x := &expander{}
	project, err := loader.LoadWithContext(ctx, details, m.options(h, p, vars, x))
	if problem := x.report(src, vars, enabled(project)); problem != nil {
		return nil, problem
	}
	if err != nil {
		return nil, src.mistake(err)
	}
	if m.Project, err = m.settle(h, p, vars, project); err != nil {
		return nil, err
	}
	m.Origins = x.origins(src, vars)
	return m, nil
}

// options are how the files are read: as the reference does, but for variables, whose absence is a mistake.
func (m *Model) options(h *host.Host, p stack.Project, vars *variables, x *expander) func(*loader.Options) {
	return func(o *loader.Options) {
		o.SetProjectName(p.Name, true)
		o.Profiles = p.Profiles
		if len(o.Profiles) == 0 && vars.values["COMPOSE_PROFILES"] != "" {
			for _, profile := range strings.Split(vars.values["COMPOSE_PROFILES"], ",") {
				o.Profiles = append(o.Profiles, strings.TrimSpace(profile))
			}
		}
		o.SkipResolveEnvironment = true // done later, and files of variables dropped: they are in no hash
		o.Interpolate.Substitute = x.expand
		o.ResourceLoaders = []loader.ResourceLoader{remote{}}
		o.Listeners = []loader.Listener{func(event string, about map[string]any) { m.sources.more(h, event, about) }}
		loader.WithUnsupportedAttributesCheck(unheeded(), func(found []loader.UnsupportedAttribute) { m.Ignored = m.sources.ignored(found) })(o)
	}
}

// settle turns what was read into what is deployed, as the reference does before it compares anything.
func (m *Model) settle(h *host.Host, p stack.Project, vars *variables, project *types.Project) (*types.Project, error) {
	for name, image := range p.Images {
		s, known := project.Services[name]
		if !known {
			return nil, fmt.Errorf("images: there is no service %s%s", name, builtin.DidYouMean(name, slices.Collect(maps.Keys(project.Services))))
		}
		s.Image = image
		project.Services[name] = s
	}
	project, err := project.WithServicesEnvironmentResolved(true)
	if err != nil {
		return nil, m.sources.mistake(err)
	}
	if len(project.Services) == 0 {
		return nil, nothing(m.sources, project)
	}
	if err := project.CheckContainerNameUnicity(); err != nil {
		return nil, m.sources.sharedName(project)
	}
	project.ComposeFiles = m.Files
	project = project.WithoutUnnecessaryResources().WithoutUnresolvedOptionalDependencies()
	return project, m.refusals(h, p, vars, project)
}

// enabled are the services that are on; nil where the files could not be read.
func enabled(project *types.Project) map[string]bool {
	if project == nil {
		return nil
	}
	on := map[string]bool{}
	for name := range project.Services {
		on[name] = true
	}
	return on
}

func nothing(src *sources, project *types.Project) error {
	err := fmt.Errorf("%s: it has no services", cmp.Or(src.at("services"), src.name(0)))
	if off := slices.Sorted(maps.Keys(project.DisabledServices)); len(off) > 0 {
		var names []string
		for _, s := range project.DisabledServices {
			names = append(names, s.Profiles...)
		}
		slices.Sort(names)
		err = op.Hint(fmt.Errorf("none of its services is on: %s", strings.Join(off, ", ")), "profiles = in compose_project says which are on: %s", strings.Join(slices.Compact(names), ", "))
	}
	return err
}

// remote stands in the way of what files name elsewhere.
type remote struct{}

// Accept implements loader.ResourceLoader.
func (remote) Accept(path string) bool {
	for _, prefix := range []string{"oci://", "docker-image://", "https://", "http://", "git://", "ssh://", "git@", "github.com/"} {
		if strings.HasPrefix(path, prefix) {
			return true
		}
	}
	return false
}

// Load implements loader.ResourceLoader.
func (remote) Load(_ context.Context, path string) (string, error) {
	return "", op.Hint(fmt.Errorf("cannot include %s: files are read from this machine alone", path), "copy it into the project, and include the copy")
}

// Dir implements loader.ResourceLoader.
func (remote) Dir(path string) string { return filepath.Dir(path) }

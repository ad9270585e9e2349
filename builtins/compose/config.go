package compose

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/erlmcp/runner/builtins/compose/model"
	"github.com/erlmcp/runner/builtins/compose/shape"
	"github.com/erlmcp/runner/builtins/stack"
	"github.com/erlmcp/runner/runtime/op"
	"github.com/erlmcp/runner/runtime/secret"
)

// Config reads a project's files.
type Config struct {
	_       op.Doc        `doc:"Reads a Compose project's files and says what they ask for, with every variable filled in. It asks no engine."`
	Project stack.Project `json:"project" doc:"The project, such as environment.target."`
}

// Resolved is what a project's files ask for.
type Resolved struct {
	_         op.Doc             `doc:"What a project's files ask for."`
	Name      string             `json:"name" doc:"The project's name."`
	Digest    string             `json:"digest" doc:"A digest of all that is deployed: another one is another project."`
	Files     []string           `json:"files" doc:"Its files, later ones over earlier ones."`
	Services  map[string]Service `json:"services" doc:"Its services that are on, by name."`
	Networks  map[string]string  `json:"networks" doc:"Its networks as the engine calls them, by what the files call them."`
	Volumes   map[string]string  `json:"volumes" doc:"Its volumes, likewise."`
	Variables []model.Origin     `json:"variables" doc:"Where every variable of the files has its value from: \"secrets\", \"the environment\", a file and a line, or \"default\"."`
	Ignored   []model.Note       `json:"ignored" doc:"What the files say and no engine without Swarm honours: where, what and why."`
}

// Service is one service of a project.
type Service struct {
	_          op.Doc          `doc:"One service of a project."`
	Image      string          `json:"image" doc:"What its image is called."`
	Build      bool            `json:"build" doc:"Whether its files say how the image is built."`
	Replicas   int             `json:"replicas" doc:"How many containers it has."`
	Needs      []string        `json:"needs" doc:"The services that come before it."`
	StartFirst bool            `json:"start_first" doc:"Whether a new container is ready before the old one stops."`
	Order      string          `json:"order" doc:"Why that, or why not."`
	Hash       string          `json:"hash" doc:"Its hash, as Docker Compose counts it."`
	Config     json.RawMessage `json:"config" doc:"The service as the files have it, with secrets masked."`
}

var _ op.Op[*Docker, Resolved] = Config{}

// Summary implements op.Op.
func (c Config) Summary() string { return "read the Compose project " + c.Project.Name }

// Do implements op.Op.
func (c Config) Do(ctx context.Context, d *Docker) (Resolved, error) {
	m, err := model.Load(ctx, d.Host, c.Project)
	if err != nil {
		return Resolved{}, err
	}
	set, err := m.Set(nil)
	if err != nil {
		return Resolved{}, err
	}
	for _, n := range m.Ignored {
		fmt.Fprintf(op.Output(ctx), "ignored: %s\n", n)
	}
	mask, err := masks(ctx, d, c.Project)
	if err != nil {
		return Resolved{}, err
	}
	return resolved(m, set, mask)
}

func resolved(m *model.Model, set shape.Set, mask *strings.Replacer) (Resolved, error) {
	whole, err := json.Marshal(set)
	if err != nil {
		return Resolved{}, err
	}
	sum := sha256.Sum256(whole)
	out := Resolved{Name: set.Project, Digest: "sha256:" + hex.EncodeToString(sum[:]), Files: m.Files, Variables: m.Origins, Ignored: m.Ignored,
		Services: map[string]Service{}, Networks: map[string]string{}, Volumes: map[string]string{}}
	for _, n := range set.Networks {
		out.Networks[n.Key] = n.Create.Name
	}
	for _, v := range set.Volumes {
		out.Volumes[v.Key] = v.Create.Name
	}
	for _, s := range set.Services {
		files := m.Project.Services[s.Name]
		config, err := masked(s.Source, mask)
		if err != nil {
			return Resolved{}, fmt.Errorf("cannot show the service %s: %w", s.Name, err)
		}
		one := Service{Image: m.Image(s.Name), Build: files.Build != nil, Replicas: files.GetScale(), StartFirst: s.StartFirst, Order: s.Order, Hash: shape.Hash(s.Source), Config: config}
		for _, n := range s.Needs {
			one.Needs = append(one.Needs, n.Service)
		}
		out.Services[s.Name] = one
	}
	return out, nil
}

// masks turns the values of a project's secrets into their names, the longest first.
func masks(ctx context.Context, d *Docker, p stack.Project) (*strings.Replacer, error) {
	names := map[string]string{}
	for _, name := range slices.Sorted(maps.Keys(p.Env)) {
		if !p.Env[name].IsSecret() {
			continue
		}
		value, err := d.Host.Secrets.RevealIn(ctx, p.Env[name])
		if err != nil {
			return nil, err
		}
		if value != "" {
			names[value] = secret.Mask(p.Env[name].Name())
		}
	}
	values := slices.SortedFunc(maps.Keys(names), func(a, b string) int { return len(b) - len(a) })
	var pairs []string
	for _, v := range values {
		pairs = append(pairs, v, names[v])
	}
	return strings.NewReplacer(pairs...), nil
}

// masked is a service's source with its secrets masked: what is known to be one, and the values of variables that are
// named like one.
func masked(source []byte, mask *strings.Replacer) (json.RawMessage, error) {
	var v any
	if err := json.Unmarshal(source, &v); err != nil {
		return nil, err
	}
	return json.Marshal(cover(v, mask))
}

func cover(v any, mask *strings.Replacer) any {
	switch v := v.(type) {
	case string:
		return mask.Replace(v)
	case []any:
		for i := range v {
			v[i] = cover(v[i], mask)
		}
	case map[string]any:
		for k := range v {
			if env, ok := v[k].(map[string]any); ok && k == "environment" {
				coverNames(env)
			}
			v[k] = cover(v[k], mask)
		}
	}
	return v
}

func coverNames(env map[string]any) {
	for name, value := range env {
		if text, ok := value.(string); ok && text != "" && shape.Hidden(name) {
			env[name] = secret.Mask(name)
		}
	}
}

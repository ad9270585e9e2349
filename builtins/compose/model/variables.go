package model

import (
	"bufio"
	"bytes"
	"context"
	"fmt"
	"maps"
	"regexp"
	"slices"
	"strings"

	"github.com/compose-spec/compose-go/v2/dotenv"

	"github.com/erlmcp/runner/builtins/stack"
	"github.com/erlmcp/runner/runtime/host"
	"github.com/erlmcp/runner/runtime/op"
)

// variables are what the files may use, and where each has its value from.
type variables struct {
	values map[string]string
	from   map[string]string // "secrets", "the environment", or the file
	secret map[string]bool
	lines  func(file, name string) int
}

// shell gathers the variables that stand before those of any file: the project's own, then the environment of runner.
func shell(ctx context.Context, h *host.Host, p stack.Project) (*variables, error) {
	v := &variables{values: map[string]string{}, from: map[string]string{}, secret: map[string]bool{}}
	v.lines = func(file, name string) int { return lineOf(h, file, name) }
	for _, name := range slices.Sorted(maps.Keys(p.Env)) {
		value := p.Env[name].String()
		if p.Env[name].IsSecret() {
			var err error
			if value, err = h.Secrets.RevealIn(ctx, p.Env[name]); err != nil {
				return nil, fmt.Errorf("variable %s: %w", name, err)
			}
		}
		v.values[name], v.from[name], v.secret[name] = value, "secrets", p.Env[name].IsSecret()
	}
	own := maps.Clone(v.values)
	for _, kv := range h.Env {
		name, value, _ := strings.Cut(kv, "=")
		if _, set := own[name]; !set && name != "" {
			v.values[name], v.from[name] = value, "the environment"
		}
	}
	if _, set := v.values["PWD"]; !set {
		v.values["PWD"], v.from["PWD"] = h.Project, "the environment"
	}
	return v, nil
}

// load adds the variables of files, where nothing before them has set one; later files go over earlier ones.
func (v *variables) load(h *host.Host, named []string, dir string) error {
	before := maps.Clone(v.values)
	for _, file := range envFiles(h, named, dir, v.values["COMPOSE_DISABLE_ENV_FILE"]) {
		found, err := dotenv.GetEnvFromFile(v.values, []string{file})
		if _, there := h.Files.Stat(file); absent(there) {
			return op.Hint(fmt.Errorf("there is no file %s", short(h, file)), "env_files = in compose_project names it")
		}
		if err != nil {
			return fmt.Errorf("cannot read %s: %s", short(h, file), strings.TrimPrefix(err.Error(), "failed to read "+file+": "))
		}
		for name, value := range found {
			if _, set := before[name]; !set {
				v.values[name], v.from[name] = value, file
			}
		}
	}
	return nil
}

// lineOf is the line of a file of variables that sets one; 0 where none is found.
func lineOf(h *host.Host, file, name string) int {
	b, err := host.ReadFile(h.Files, file, maxFile)
	if err != nil {
		return 0
	}
	sets := regexp.MustCompile(`^\s*(export\s+)?` + regexp.QuoteMeta(name) + `\s*[=:]`)
	lines, found := bufio.NewScanner(bytes.NewReader(b)), 0
	for n := 1; lines.Scan(); n++ {
		if sets.Match(lines.Bytes()) {
			found = n
		}
	}
	return found
}

// origin is where a variable has its value from.
func (v *variables) origin(src *sources, name string) Origin {
	o := Origin{Name: name, From: v.from[name], Secret: v.secret[name]}
	switch o.From {
	case "secrets", "the environment":
	case "":
		o.From = "default"
	default:
		if line := v.lines(o.From, name); line > 0 {
			o.From = fmt.Sprintf("%s:%d", src.short(o.From), line)
		}
	}
	return o
}

// origins are those of the variables that were asked for.
func (x *expander) origins(src *sources, v *variables) []Origin {
	var out []Origin
	for _, name := range slices.Sorted(maps.Keys(x.used)) {
		out = append(out, v.origin(src, name))
	}
	return out
}

package model

import (
	"errors"
	"fmt"
	"maps"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"github.com/compose-spec/compose-go/v2/schema"
	"github.com/compose-spec/compose-go/v2/types"

	"github.com/erlmcp/runner/runtime/builtin"
	"github.com/erlmcp/runner/runtime/op"
)

// reading is one way in which compose-go words a mistake, and how to put it.
type reading struct {
	pattern string
	put     func(s *sources, m []string) error
}

// readings are the wordings of compose-go; the first that matches counts.
func readings() []reading {
	return []reading{
		{`^(?s)validating .*?: (\S+)\.([^.\s]+) false schema`, func(s *sources, m []string) error { return s.unknown(keys(m[1]), m[2]) }},
		{`^(?s)validating .*?: (\S*) ?additional properties '([^']+)'`, func(s *sources, m []string) error { return s.unknown(keys(m[1]), m[2]) }},
		{`^(?s)validating .*?: (\S+) value must be one of (.*)$`, func(s *sources, m []string) error {
			return s.misfit(keys(m[1]), "want one of "+strings.ReplaceAll(m[2], "'", `"`))
		}},
		{`^(?s)validating .*?: (\S+) must be an? (.*)$`, func(s *sources, m []string) error { return s.misfit(keys(m[1]), "want "+kinds(m[2])) }},
		{`^(?s)validating .*?: (\S+) (.*)$`, func(s *sources, m []string) error { return s.misfit(keys(m[1]), m[2]) }},
		{`^services must be a mapping`, func(s *sources, _ []string) error {
			return s.misfit([]string{"services"}, "want a mapping of services")
		}},
		{`^error while interpolating (\S+): failed to cast to expected type: .*parsing ("[^"]*"): `, func(s *sources, m []string) error {
			return s.misfit(keys(m[1]), "want a number, got "+m[2])
		}},
		{`^error while interpolating (\S+): (?:failed to cast to expected type: )?(.*)$`, func(s *sources, m []string) error { return s.misfit(keys(m[1]), m[2]) }},
		{`(?s)^decoding failed due to the following error\(s\):\s+'([^']+)' (.*)$`, func(s *sources, m []string) error { return s.misfit(keys(m[1]), m[2]) }},
		{`^service "([^"]+)" refers to undefined (build secret|\w+) ([^:]+)`, (*sources).undefined},
		{`^service "([^"]+)" depends on undefined service "([^"]+)"`, func(s *sources, m []string) error { return s.undefined([]string{"", m[1], "service", m[2]}) }},
		{`^dependency cycle detected: (.*)$`, (*sources).cycle},
		{`^service "([^"]+)" has neither an image nor a build`, func(s *sources, m []string) error {
			return s.misfit([]string{"services", m[1]}, "it has neither an image nor a build")
		}},
		{`^service "?([^" ]+)"? declares mutually exclusive .network_mode. and .networks.`, func(s *sources, m []string) error {
			return s.misfit([]string{"services", m[1], "network_mode"}, "want network_mode or networks, got both")
		}},
		{`^services\.(scale|deploy\.replicas): can't set container_name and (\S+) as`, func(s *sources, m []string) error { // the two are swapped there
			return s.misfit(append([]string{"services", m[2]}, keys(m[1])...), "want 1 beside a container_name, which one container can have")
		}},
		{`^healthcheck\.test must start`, func(s *sources, _ []string) error {
			return s.where(s.under("healthcheck"), `healthcheck.test: want a text, or a list that begins with "CMD", "CMD-SHELL" or "NONE"`)
		}},
		{`^(env file|label file) (.*) not found`, func(s *sources, m []string) error { return s.noFile(m[2]) }},
		{`^(?:open|stat) (.*): no such file or directory$`, func(s *sources, m []string) error { return s.noFile(m[1]) }},
		{`^cannot extend service "([^"]+)" in .*: service "([^"]+)" not found`, func(s *sources, m []string) error {
			return s.undefined([]string{"", m[1], "service", m[2]})
		}},
		{`^invalid (hostPort|containerPort|IP address|proto)[^:]*: (.*)$`, (*sources).port},
		{`^(invalid ranges specified for container and host Ports): (\S+) and \S+$`, (*sources).port},
		{`^((?:services|secrets|configs|volumes|networks)\.[^:\s]+): (.*)$`, func(s *sources, m []string) error { return s.misfit(keys(m[1]), m[2]) }},
	}
}

// mistake puts an error of compose-go into words that say where.
func (s *sources) mistake(err error) error {
	text := strings.TrimSuffix(err.Error(), ": invalid compose project")
	for _, r := range readings() {
		if m := regexp.MustCompile(r.pattern).FindStringSubmatch(text); m != nil {
			return r.put(s, m)
		}
	}
	for i, f := range s.files {
		if rest, ok := strings.CutPrefix(text, "failed to parse "+f.path+": "); ok {
			return s.unreadable(s.files[i].path, errors.New(rest))
		}
		text = strings.ReplaceAll(text, f.path, s.name(i))
	}
	if op.HintOf(err) != "" {
		return op.Hint(errors.New(text), "%s", op.HintOf(err))
	}
	if m := regexp.MustCompile(`service "([^"]+)"`).FindStringSubmatch(text); m != nil {
		return s.misfit([]string{"services", m[1]}, text)
	}
	return fmt.Errorf("%s: %s", s.name(0), text)
}

// keys are the parts of a path as compose-go writes it: services.web.ports.0, services[web].ports[0].
func keys(path string) []string {
	return strings.FieldsFunc(path, func(r rune) bool { return strings.ContainsRune(".[]", r) })
}

// kinds are what a value must be, in the words of YAML.
func kinds(text string) string {
	for from, to := range map[string]string{"array": "list", "object": "mapping"} {
		text = regexp.MustCompile(`\b`+from+`\b`).ReplaceAllString(text, to)
	}
	return "a " + text
}

// misfit is a value that cannot be so.
func (s *sources) misfit(path []string, why string) error {
	return fmt.Errorf("%s: %s: %s", s.near(path...), strings.Join(path, "."), strings.TrimSpace(why))
}

// unknown is a key that there is not.
func (s *sources) unknown(path []string, key string) error {
	var known []string
	for _, p := range schema.AttributePaths() {
		parts := p.Parts()
		if len(parts) == len(path)+1 && matches(parts, path) && parts[len(path)] != "*" && parts[len(path)] != "[]" {
			known = append(known, parts[len(path)])
		}
	}
	at := s.near(append(slices.Clone(path), key)...)
	if len(path) == 1 && len(known) == 0 {
		return fmt.Errorf("%s: %s: want a name of letters, digits, ., - and _, got %q", at, path[0], key)
	}
	in := ""
	if len(path) > 0 {
		in = " in " + strings.Join(path, ".")
	}
	err := fmt.Errorf("%s: there is no key %s%s%s", at, key, in, builtin.DidYouMean(key, known))
	if len(known) > 0 && len(known) <= 20 {
		return op.Hint(err, "it takes %s", strings.Join(known, ", "))
	}
	return err
}

// matches reports whether a path begins as a pattern does.
func matches(pattern, path []string) bool {
	for i, key := range path {
		if pattern[i] != "*" && pattern[i] != "[]" && pattern[i] != key {
			return false
		}
	}
	return true
}

// undefined is a name that the project gives nothing.
func (s *sources) undefined(m []string) error {
	kind := strings.TrimPrefix(m[2], "build ")
	section := kind + "s"
	places := s.holding(func(text string) bool {
		name, _, _ := strings.Cut(text, ":")
		return name == m[3] || text == "service:"+m[3]
	})
	at := s.near("services", m[1])
	for _, field := range []string{section, "depends_on", "extends"} {
		if exact := s.at("services", m[1], field, m[3]); exact != "" {
			at, places = exact, nil
		}
	}
	for _, p := range places {
		if len(p.path) > 1 && p.path[0] == "services" && p.path[1] == m[1] {
			at = s.text(p)
			break
		}
	}
	err := fmt.Errorf("%s: services.%s: there is no %s %s%s", at, m[1], kind, m[3], builtin.DidYouMean(m[3], s.names(section)))
	if section == "services" {
		return err
	}
	return op.Hint(err, "define it below %s:, on the left margin", section)
}

// names are the keys of a section in all files.
func (s *sources) names(section string) (out []string) {
	for _, f := range s.files {
		for _, doc := range f.docs {
			if _, value := child(content(doc), section); content(value) != nil {
				for i := 0; i+1 < len(content(value).Content); i += 2 {
					out = append(out, content(value).Content[i].Value)
				}
			}
		}
	}
	return out
}

// cycle is a chain of services that wait for one another, begun with the first by name.
func (s *sources) cycle(m []string) error {
	chain := strings.Split(m[1], " -> ")
	chain = chain[:len(chain)-1]
	first := slices.Index(chain, slices.Min(chain))
	chain = slices.Concat(chain[first:], chain[:first], chain[first:first+1])
	err := fmt.Errorf("%s: services wait for one another: %s", s.near("services", chain[0], "depends_on", chain[1]), strings.Join(chain, " -> "))
	return op.Hint(err, "take out one depends_on of the chain; a link, network_mode or volumes_from of a service counts as one")
}

// noFile is a file that is named and not there.
func (s *sources) noFile(path string) error {
	short := s.short(path)
	places := s.holding(func(text string) bool {
		return text != "" && (strings.TrimPrefix(text, "./") == short || strings.HasSuffix(path, "/"+strings.TrimPrefix(text, "./")))
	})
	return s.where(places, "there is no file %s", short)
}

// port is one that cannot be read.
func (s *sources) port(m []string) error {
	var places []place
	for _, p := range s.holding(func(text string) bool { return strings.Contains(text, m[2]) }) {
		if slices.Contains(p.path, "ports") {
			places = append(places, p)
		}
	}
	why := map[string]string{"hostPort": "the host's port", "containerPort": "the container's port", "IP address": "an IP address", "proto": "tcp or udp"}[m[1]]
	if why == "" {
		return s.where(places, "ports: want as many ports of the host as of the container, got %q", m[2])
	}
	return op.Hint(s.where(places, "ports: want %s, got %q", why, m[2]), `write "HOST:CONTAINER" or "IP:HOST:CONTAINER", such as "127.0.0.1:8080:80"; ports are 1 to 65535`)
}

// sharedName names two services that want one name for their containers.
func (s *sources) sharedName(project *types.Project) error {
	first := map[string]string{}
	for _, name := range slices.Sorted(maps.Keys(project.Services)) {
		wanted := project.Services[name].ContainerName
		if other := first[wanted]; wanted != "" && other != "" {
			return fmt.Errorf("%s: services.%s.container_name: %s has the name %s already", s.near("services", name, "container_name"), name, other, wanted)
		}
		first[wanted] = name
	}
	return errors.New("two services want one name for their containers")
}

// unreadable is a file that is no YAML. The parser's own errors count lines from 0, those of its scanner from 1.
func (s *sources) unreadable(path string, err error) error {
	text := err.Error()
	m := regexp.MustCompile(`(?s)^(.*)line (\d+)(?:, column (\d+))?: (.*)$`).FindStringSubmatch(text)
	if m == nil {
		return fmt.Errorf("%s: %s", s.short(path), strings.TrimPrefix(text, "yaml: "))
	}
	line, _ := strconv.Atoi(m[2])
	if strings.Contains(m[1], "while parsing") {
		line++
	}
	at := fmt.Sprintf("%s:%d", s.short(path), line)
	if m[3] != "" {
		at += ":" + m[3]
	}
	out := fmt.Errorf("%s: this is no YAML: %s", at, strings.TrimSpace(m[4]))
	if strings.Contains(text, "tab character") {
		return op.Hint(out, "indent with spaces")
	}
	return out
}

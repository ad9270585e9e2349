package model

import (
	"fmt"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"github.com/compose-spec/compose-go/v2/types"
	"go.yaml.in/yaml/v4"

	"github.com/erlmcp/runner/runtime/host"
)

// maxFile is the size of a file that is read at most.
const maxFile = 8 << 20

// sources are the files as they are written: where each part of the model stands.
type sources struct {
	h     *host.Host
	files []source
}

type source struct {
	path string
	data []byte
	docs []*yaml.Node
}

// place is a text in a file, and the keys that lead there.
type place struct {
	file, line, column int
	path               []string
}

// read reads the files that were named.
func read(h *host.Host, files []string) (*sources, error) {
	s := &sources{h: h}
	for _, path := range files {
		if err := s.read(path); err != nil {
			return nil, err
		}
	}
	return s, nil
}

func (s *sources) read(path string) error {
	data, err := host.ReadFile(s.h.Files, path, maxFile)
	if absent(err) {
		return fmt.Errorf("there is no file %s", s.short(path))
	}
	if err != nil {
		return fmt.Errorf("cannot read %s: %w", s.short(path), host.Plainly(err))
	}
	f := source{path: path, data: data}
	for d := yaml.NewDecoder(strings.NewReader(string(data))); ; {
		var doc yaml.Node
		if err := d.Decode(&doc); err != nil {
			if err.Error() != "EOF" {
				return s.unreadable(path, err)
			}
			break
		}
		f.docs = append(f.docs, &doc)
	}
	s.files = append(s.files, f)
	return nil
}

// more reads a file that another one includes or extends, for what stands in it. Compose itself says when it cannot be
// read.
func (s *sources) more(h *host.Host, event string, about map[string]any) {
	var paths []string
	dir := filepath.Dir(s.files[0].path)
	switch event {
	case "include":
		paths, _ = about["path"].(types.StringList)
		dir, _ = about["workingdir"].(string)
	case "extends":
		if file, ok := about["file"].(string); ok {
			paths = []string{file}
		}
	}
	for _, path := range paths {
		if !filepath.IsAbs(path) {
			path = filepath.Join(dir, path)
		}
		if !slices.ContainsFunc(s.files, func(f source) bool { return f.path == path }) {
			_ = s.read(path)
		}
	}
}

func (s *sources) short(path string) string { return short(s.h, path) }

func (s *sources) name(file int) string { return s.short(s.files[file].path) }

func (s *sources) text(p place) string {
	return fmt.Sprintf("%s:%d:%d", s.name(p.file), p.line, p.column)
}

// at is where a part of the model stands, "" where no file has it: that of the last file that does, as it goes over
// the others.
func (s *sources) at(path ...string) string {
	if p, depth := s.find(path); depth == len(path) && depth > 0 {
		return s.text(p)
	}
	return ""
}

// near is where a part of the model stands, or else the nearest that encloses it.
func (s *sources) near(path ...string) string {
	if p, depth := s.find(path); depth > 0 {
		return s.text(p)
	}
	return s.name(0)
}

func (s *sources) find(path []string) (best place, deepest int) {
	for i, f := range s.files {
		for _, doc := range f.docs {
			node, depth := descend(doc, path)
			if node != nil && depth >= deepest && depth > 0 {
				best, deepest = place{file: i, line: node.Line, column: node.Column}, depth
			}
		}
	}
	return best, deepest
}

// descend follows keys as far as they lead, to the key or the item itself.
func descend(doc *yaml.Node, path []string) (at *yaml.Node, depth int) {
	node := content(doc)
	for _, key := range path {
		name, value := child(node, key)
		if name == nil {
			return at, depth
		}
		at, node, depth = name, content(value), depth+1
	}
	return at, depth
}

// content is what a document or an alias stands for.
func content(n *yaml.Node) *yaml.Node {
	switch {
	case n == nil:
		return nil
	case n.Kind == yaml.DocumentNode && len(n.Content) > 0:
		return content(n.Content[0])
	case n.Kind == yaml.AliasNode:
		return content(n.Alias)
	}
	return n
}

// child is an entry of a mapping or a list, or of a mapping that is merged into it.
func child(n *yaml.Node, key string) (name, value *yaml.Node) {
	if n == nil {
		return nil, nil
	}
	if n.Kind == yaml.SequenceNode {
		if i, err := strconv.Atoi(key); err == nil && i >= 0 && i < len(n.Content) {
			return n.Content[i], n.Content[i]
		}
		for _, item := range n.Content { // a list of KEY=VALUE, of names, or of mappings that have one
			text, _, _ := strings.Cut(item.Value, "=")
			if _, source := child(content(item), "source"); item.Kind == yaml.ScalarNode && text == key || source != nil && source.Value == key {
				return item, item
			}
		}
		return nil, nil
	}
	if n.Kind != yaml.MappingNode {
		return nil, nil
	}
	for i := 0; i+1 < len(n.Content); i += 2 {
		if n.Content[i].Value == key {
			return n.Content[i], n.Content[i+1]
		}
	}
	for i := 0; i+1 < len(n.Content); i += 2 {
		if n.Content[i].Tag == "!!merge" {
			if name, value = child(content(n.Content[i+1]), key); name != nil {
				return name, value
			}
		}
	}
	return nil, nil
}

// holding are the places of the texts that are so.
func (s *sources) holding(is func(text string) bool) (out []place) {
	for i, f := range s.files {
		for _, doc := range f.docs {
			scalars(content(doc), nil, func(n *yaml.Node, path []string) {
				if is(n.Value) {
					out = append(out, place{file: i, line: n.Line, column: n.Column, path: slices.Clone(path)})
				}
			})
		}
	}
	return out
}

func scalars(n *yaml.Node, path []string, visit func(*yaml.Node, []string)) {
	switch {
	case n == nil:
	case n.Kind == yaml.ScalarNode:
		visit(n, path)
	case n.Kind == yaml.SequenceNode:
		for i, item := range n.Content {
			scalars(item, append(path, strconv.Itoa(i)), visit)
		}
	case n.Kind == yaml.MappingNode:
		for i := 0; i+1 < len(n.Content); i += 2 {
			scalars(n.Content[i+1], append(path, n.Content[i].Value), visit)
		}
	}
}

// off reports whether all places lie in services that are not on.
func (s *sources) off(places []place, on map[string]bool) bool {
	return len(places) > 0 && !slices.ContainsFunc(places, func(p place) bool {
		return len(p.path) < 2 || p.path[0] != "services" || on[p.path[1]]
	})
}

// under are the places of lists of tests that say not how they are run.
func (s *sources) under(key string) (out []place) {
	for _, p := range s.holding(func(text string) bool { return text != "CMD" && text != "CMD-SHELL" && text != "NONE" }) {
		if n := len(p.path); n > 3 && p.path[n-3] == key && p.path[n-2] == "test" && p.path[n-1] == "0" {
			out = append(out, p)
		}
	}
	return out
}

// list is the first places, and how many more there are.
func (s *sources) list(places []place) string {
	const most = 3
	var out []string
	for _, p := range places[:min(len(places), most)] {
		out = append(out, s.text(p))
	}
	if more := len(places) - most; more > 0 {
		out = append(out, fmt.Sprintf("%d more", more))
	}
	return strings.Join(out, ", ")
}

// where is an error with its place, where one is known.
func (s *sources) where(places []place, format string, args ...any) error {
	err := fmt.Errorf(format, args...)
	if len(places) > 0 {
		return fmt.Errorf("%s: %w", s.text(places[len(places)-1]), err)
	}
	return err
}

package manifest

import (
	"regexp"
	"strconv"
	"strings"

	"go.yaml.in/yaml/v4"
)

// source is where an object is written: its mapping in a file.
type source struct {
	node *yaml.Node
}

// documents are the documents of a YAML or JSON text that hold something, and what is wrong with it.
func documents(file, text string) (out []*yaml.Node, wrong *Mistake) {
	d := yaml.NewDecoder(strings.NewReader(text))
	for {
		var doc yaml.Node
		if err := d.Decode(&doc); err != nil {
			if err.Error() != "EOF" {
				wrong = unreadable(file, text, err)
			}
			return out, wrong
		}
		if n := content(&doc); n != nil && n.Tag != "!!null" {
			out = append(out, n)
		}
	}
}

// positions are how the parser words a place; it counts lines from 0 in what it parses, from 1 in what it scans.
var positions = regexp.MustCompile(`(?s)^yaml: (.*?)(?: at (?:line \d+(?:, column \d+)?|<unknown position>))?(?:: )?((?:line (\d+)(?:, column (\d+))?|<unknown position>): )?([^:]*(?:':'[^:]*)?)$`)

var startOf = regexp.MustCompile(`at line (\d+)(?:, column (\d+))?:`)

// unreadable is a text that is no YAML, where, and why.
func unreadable(file, text string, err error) *Mistake {
	m := &Mistake{File: file, Line: 1, Column: 1}
	said := err.Error()
	if found := positions.FindStringSubmatch(said); found != nil {
		m.Text = found[5]
		if found[3] != "" {
			m.Line, _ = strconv.Atoi(found[3])
			m.Column, _ = strconv.Atoi(found[4])
		}
		if strings.Contains(said, "while parsing") || strings.Contains(said, "document start") {
			if found[3] != "" {
				m.Line++
			}
		}
		m.Column = max(m.Column, 1)
	} else {
		m.Text = strings.TrimPrefix(said, "yaml: ")
	}
	if start := startOf.FindStringSubmatch(said); start != nil && (strings.Contains(said, "quoted scalar") || strings.Contains(said, "next token")) {
		m.Line, _ = strconv.Atoi(start[1])
		m.Column, _ = strconv.Atoi(start[2])
		m.Column = max(m.Column, 1)
	}
	for i, line := range strings.Split(text, "\n") {
		if at := strings.Index(line, "{{"); at >= 0 && strings.Contains(line[at:], "}}") && !strings.ContainsAny(line[:at], "\"'#") {
			return &Mistake{File: file, Line: i + 1, Column: at + 1, Text: template, Hint: templateHint}
		}
	}
	m.reword(said, lineOf(text, m.Line))
	m.Text = "this is no YAML: " + oneLine(m.Text)
	return m
}

// reword puts a mistake of YAML into words that say what to do.
func (m *Mistake) reword(said, line string) {
	switch {
	case strings.Contains(said, "tab character") || strings.Contains(said, "start any token") && strings.HasPrefix(strings.TrimLeft(line, " "), "\t"):
		m.Text, m.Hint = "a tab indents this line", "indent with spaces"
		m.Column = strings.IndexByte(line, '\t') + 1
	case strings.Contains(said, "start any token"):
		m.Text, m.Hint = "no value begins so", "write it in quotes"
	case strings.Contains(said, "mapping values are not allowed"):
		m.Text, m.Hint = "there is a second \": \" on the line", "write a text that holds \": \" in quotes, and indent keys alike"
	case strings.Contains(said, "quoted scalar"):
		m.Text = "a quote is opened here and not closed"
	case strings.Contains(said, "unknown anchor"):
		name := regexp.MustCompile(`anchor '(.*)'`).FindStringSubmatch(said)
		m.Text = "*" + name[1] + " stands for nothing before it"
		m.Column = max(strings.Index(line, "*"+name[1])+1, 1)
		m.Hint = "write a text that begins with * in quotes"
	case strings.Contains(said, "did not find expected key"), strings.Contains(said, "document start"):
		m.Text, m.Hint = "this does not go on as the lines before it begin", "indent the keys of a mapping, and the items of a list, alike"
	case strings.Contains(said, "did not find expected ',' or"):
		m.Text = "a " + said[len(said)-2:len(said)-1] + " or a , is missing before this"
	case strings.Contains(said, "could not find expected ':'"):
		m.Text, m.Hint = "the line before this one is no key with a value", "write KEY: VALUE, and a space behind the - of an item"
	}
}

func lineOf(text string, n int) string {
	lines := strings.Split(text, "\n")
	if n < 1 || n > len(lines) {
		return ""
	}
	return lines[n-1]
}

// content is what a document or an alias stands for.
func content(n *yaml.Node) *yaml.Node {
	switch {
	case n == nil:
		return nil
	case n.Kind == yaml.DocumentNode:
		if len(n.Content) == 0 {
			return nil
		}
		return content(n.Content[0])
	case n.Kind == yaml.AliasNode:
		return content(n.Alias)
	}
	return n
}

// near is where a part of the object is written, or else the nearest that encloses it: the key of a mapping, the item of
// a list.
func (s *source) near(path []string) (line, column int) {
	at, node := s.node, s.node
	for _, key := range path {
		name, value := child(node, key)
		if name == nil {
			break
		}
		at, node = name, content(value)
	}
	return at.Line, at.Column
}

// value is the text that stands at a path, nil where there is none.
func (s *source) value(path []string) *yaml.Node {
	node := s.node
	for _, key := range path {
		if _, node = child(node, key); node == nil {
			return nil
		}
		node = content(node)
	}
	return node
}

// child is an entry of a mapping or a list, or of a mapping that is merged into it.
func child(n *yaml.Node, key string) (name, value *yaml.Node) {
	switch {
	case n == nil:
		return nil, nil
	case n.Kind == yaml.SequenceNode:
		if i, err := strconv.Atoi(key); err == nil && i >= 0 && i < len(n.Content) {
			return n.Content[i], n.Content[i]
		}
		return nil, nil
	case n.Kind != yaml.MappingNode:
		return nil, nil
	}
	for i := 0; i+1 < len(n.Content); i += 2 {
		if n.Content[i].Value == key && n.Content[i].Tag != "!!merge" {
			return n.Content[i], n.Content[i+1]
		}
	}
	for _, m := range merged(n) {
		if name, value = child(m, key); name != nil {
			return name, value
		}
	}
	return nil, nil
}

// merged are the mappings that "<<" brings into one, the first before the others.
func merged(n *yaml.Node) (out []*yaml.Node) {
	for i := 0; i+1 < len(n.Content); i += 2 {
		if n.Content[i].Tag != "!!merge" {
			continue
		}
		from := content(n.Content[i+1])
		switch from.Kind {
		case yaml.MappingNode:
			out = append(out, from)
		case yaml.SequenceNode:
			for _, item := range from.Content {
				out = append(out, content(item))
			}
		}
	}
	return out
}

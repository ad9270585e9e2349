//go:build !windows

package main

import (
	"bytes"
	"encoding/json"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"github.com/erlmcp/runner/runtime/op"
	"github.com/erlmcp/runner/runtime/secret"
)

// showConfig is "runner config ENVIRONMENT": the value of environments.star as scripts get it, with what its builtins
// have filled in.
func (p *program) showConfig(f flags, args []string) (int, error) {
	if len(args) != 1 {
		return 0, &usage{"config wants one environment", "usage: runner config ENVIRONMENT [--output json]"}
	}
	s, env, err := p.environmentValue(f, args[0])
	if err != nil {
		return 0, err
	}
	wire, err := s.registry.EncodeValue(env)
	if err != nil {
		return 0, fmt.Errorf("cannot show %s: %w", args[0], err)
	}
	if f.Output == "json" {
		_, err = fmt.Fprintf(p.stdout, "%s\n", wire)
		return 0, err
	}
	v, err := readDatum(wire)
	if err != nil {
		return 0, fmt.Errorf("cannot show %s: %w", args[0], err)
	}
	v.open, v.shut, v.sep = "environment(", ")", " = "
	v.items = slices.DeleteFunc(v.items, func(d datum) bool { return d.name == "name" })
	_, err = fmt.Fprintf(p.stdout, "%s = %s\n", args[0], v.lines("", 0))
	return 0, err
}

// datum is a value on the wire, as a script would write it: a text alone, or items between brackets.
type datum struct {
	name       string // in its parent, "" in a list
	text       string
	open, shut string
	sep        string // behind an item's name
	items      []datum
}

// maxWidth is how long a line of a call or a list may be.
const maxWidth = 100

// lines writes the datum behind used columns of a line; what is too long for one stands in several.
func (d datum) lines(indent string, used int) string {
	if d.open == "" {
		return d.text
	}
	flat := make([]string, len(d.items))
	for i, item := range d.items {
		flat[i] = d.label(item) + item.lines("", 0)
	}
	if line := d.open + strings.Join(flat, ", ") + d.shut; len(indent)+used+len(line) <= maxWidth && !strings.Contains(line, "\n") {
		return line
	}
	var b strings.Builder
	b.WriteString(d.open + "\n")
	for _, item := range d.items {
		label := d.label(item)
		fmt.Fprintf(&b, "%s    %s%s,\n", indent, label, item.lines(indent+"    ", len(label)+1))
	}
	return b.String() + indent + d.shut
}

func (d datum) label(item datum) string {
	switch d.sep {
	case "":
		return ""
	case ": ":
		return strconv.Quote(item.name) + d.sep
	}
	return item.name + d.sep
}

// readDatum reads a value from the wire: what has a kind is a call, what is a secret its mask, a function its name.
func readDatum(wire []byte) (datum, error) {
	switch wire[0] {
	case '[':
		var elems []json.RawMessage
		if err := json.Unmarshal(wire, &elems); err != nil {
			return datum{}, err
		}
		list := datum{open: "[", shut: "]"}
		for _, e := range elems {
			item, err := readDatum(e)
			if err != nil {
				return datum{}, err
			}
			list.items = append(list.items, item)
		}
		return list, nil
	case '{':
		return readObject(wire)
	case '"':
		var s string
		err := json.Unmarshal(wire, &s)
		return datum{text: strconv.Quote(s)}, err
	}
	text := string(wire)
	if word, ok := map[string]string{"true": "True", "false": "False", "null": "None"}[text]; ok {
		text = word
	}
	return datum{text: text}, nil
}

func readObject(wire []byte) (datum, error) {
	var masked secret.Text
	if bytes.HasPrefix(wire, []byte(`{"secret":{`)) && json.Unmarshal(wire, &masked) == nil {
		return datum{text: masked.String()}, nil
	}
	in := json.NewDecoder(bytes.NewReader(wire))
	if _, err := in.Token(); err != nil {
		return datum{}, err
	}
	d := datum{open: "{", shut: "}", sep: ": "}
	for in.More() {
		name, err := in.Token()
		if err != nil {
			return datum{}, err
		}
		var value json.RawMessage
		if err := in.Decode(&value); err != nil {
			return datum{}, err
		}
		item, err := readDatum(value)
		if err != nil {
			return datum{}, err
		}
		if item.name = name.(string); item.open != "{" || len(item.items) > 0 {
			d.items = append(d.items, item)
		}
	}
	if len(d.items) > 0 && d.items[0].name == "kind" {
		var kind struct{ Kind string }
		if err := json.Unmarshal(wire, &kind); err != nil {
			return datum{}, err
		}
		d.open, d.shut, d.sep, d.items = kind.Kind+"(", ")", " = ", d.items[1:]
		return d, nil
	}
	if f := new(op.Func); bytes.HasPrefix(wire, []byte(`{"module":`)) && json.Unmarshal(wire, f) == nil && f.Digest != "" {
		return datum{text: f.Name}, nil
	}
	return d, nil
}

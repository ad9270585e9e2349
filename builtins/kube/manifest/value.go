package manifest

import (
	"encoding/base64"
	"fmt"
	"math"
	"strconv"
	"strings"

	"go.yaml.in/yaml/v4"
)

// maxValues and maxDepth bound what aliases of a document may multiply to.
const (
	maxValues = 200_000
	maxDepth  = 100
)

// reader turns what is written into values as JSON has them. It reads YAML as kubectl does: yes, no, on and off are
// true and false there.
type reader struct {
	file   string
	values int
	broken bool // what was read is no object, whatever it looks like
	wrong  []Mistake
}

// What is said of a text that another program is to fill in.
const (
	template     = "this looks like a template"
	templateHint = "give the manifests that helm template prints; a text that begins with {{ is written in quotes"
)

// mistake notes what is wrong with a node.
func (r *reader) mistake(n *yaml.Node, hint, format string, args ...any) {
	r.wrong = append(r.wrong, Mistake{File: r.file, Line: n.Line, Column: n.Column, Text: fmt.Sprintf(format, args...), Hint: hint})
}

func (r *reader) value(n *yaml.Node, depth int) any {
	r.values++
	if r.values > maxValues || depth > maxDepth {
		if !r.broken {
			r.mistake(n, "", "the document is larger than any object of a cluster: aliases multiply what is written")
		}
		r.broken = true
		return nil
	}
	n = content(n)
	switch n.Kind {
	case yaml.MappingNode:
		return r.mapping(n, depth)
	case yaml.SequenceNode:
		out := []any{}
		for _, item := range n.Content {
			out = append(out, r.value(item, depth+1))
		}
		return out
	case yaml.ScalarNode:
		return r.scalar(n)
	}
	return nil
}

func (r *reader) mapping(n *yaml.Node, depth int) any {
	out, seen := map[string]any{}, map[string]*yaml.Node{}
	for _, m := range merged(n) {
		if r.broken {
			break
		}
		under, _ := r.value(m, depth+1).(map[string]any)
		for k, v := range under {
			if _, has := out[k]; !has {
				out[k] = v
			}
		}
	}
	for i := 0; i+1 < len(n.Content); i += 2 {
		key, value := n.Content[i], n.Content[i+1]
		if key.Tag == "!!merge" {
			continue
		}
		if content(key).Kind != yaml.ScalarNode {
			if r.broken = true; n.Style&yaml.FlowStyle != 0 {
				r.mistake(n, templateHint, "%s", template)
			} else {
				r.mistake(key, "", "a key is a text, not a mapping or a list")
			}
			continue
		}
		name := content(key).Value
		if first := seen[name]; first != nil {
			r.mistake(key, "", "%s is there twice: first on line %d", name, first.Line)
			continue
		}
		seen[name] = key
		out[name] = r.value(value, depth+1)
	}
	return out
}

func (r *reader) scalar(n *yaml.Node) any {
	text := n.Value
	plain := n.Style&(yaml.SingleQuotedStyle|yaml.DoubleQuotedStyle|yaml.LiteralStyle|yaml.FoldedStyle) == 0
	switch n.ShortTag() {
	case "!!null":
		return nil
	case "!!bool":
		var b bool
		if n.Decode(&b) == nil {
			return b
		}
	case "!!int":
		var i int64
		if n.Decode(&i) == nil {
			return i
		}
		var f float64
		if n.Decode(&f) == nil {
			return f
		}
	case "!!float":
		var f float64
		if strings.HasPrefix(text, "0") && strings.Trim(text, "0123456789") == "" {
			return text // 0809 is a number to nobody else
		}
		if n.Decode(&f) == nil && !math.IsNaN(f) && !math.IsInf(f, 0) {
			return f
		}
	case "!!binary":
		if b, err := base64.StdEncoding.DecodeString(strings.Join(strings.Fields(text), "")); err == nil {
			return string(b)
		}
	case "!!str":
		if plain && n.Style&yaml.TaggedStyle == 0 {
			if b, is := oldBool(text); is {
				return b
			}
		}
	}
	return text
}

// oldBool are the words that mean true and false in YAML 1.1, which kubectl reads.
func oldBool(text string) (value, is bool) {
	switch text {
	case "y", "Y", "yes", "Yes", "YES", "on", "On", "ON":
		return true, true
	case "n", "N", "no", "No", "NO", "off", "Off", "OFF":
		return false, true
	}
	return false, false
}

// kindOf is what a value is, in the words of YAML.
func kindOf(v any) string {
	switch v := v.(type) {
	case nil:
		return "nothing"
	case bool:
		return strconv.FormatBool(v)
	case int64:
		return strconv.FormatInt(v, 10)
	case float64:
		return strconv.FormatFloat(v, 'g', -1, 64)
	case string:
		if r := []rune(v); len(r) > 40 {
			return strconv.Quote(string(r[:40])) + "..."
		}
		return strconv.Quote(v)
	case []any:
		return "a list"
	}
	return "a mapping"
}

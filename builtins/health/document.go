package health

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"slices"
	"strconv"
	"strings"
	"unicode/utf8"

	"github.com/erlmcp/runner/runtime/op"
)

// maxDepth is how deep a body's JSON may nest: a health document needs four.
const maxDepth = 64

// maxEntries is how many checks, metrics and pieces of system information are kept of a document.
const maxEntries = 200

// Subsystem is one check within a health document.
type Subsystem struct {
	_       op.Doc `doc:"One check within a health document."`
	Name    string `json:"name" doc:"Its name: database."`
	Status  string `json:"status" doc:"What it says of itself."`
	Message string `json:"message,omitempty" doc:"Why, where it says so."`
}

func (s Subsystem) String() string {
	if s.Message == "" {
		return s.Name + ": " + s.Status
	}
	return s.Name + ": " + s.Message
}

// Document is what a health document says. What it says in another shape than expected is left out.
type Document struct {
	Status  string
	Version string
	Checks  []Subsystem // by name
	Metrics map[string]float64
	System  map[string]string
}

// decode reads a whole body as one JSON value. Numbers stay text: a huge one is no reason to fail.
func decode(body []byte) (any, error) {
	if err := shallow(body); err != nil {
		return nil, err
	}
	d := json.NewDecoder(bytes.NewReader(body))
	d.UseNumber()
	var v any
	if err := d.Decode(&v); err != nil {
		return nil, errors.New("no JSON")
	}
	if _, err := d.Token(); err != io.EOF {
		return nil, errors.New("more than one JSON value")
	}
	return v, nil
}

// shallow refuses deep nesting before a decoder has to follow it.
func shallow(body []byte) error {
	depth, quoted := 0, false
	for i := 0; i < len(body); i++ {
		switch c := body[i]; {
		case quoted && c == '\\':
			i++
		case c == '"':
			quoted = !quoted
		case quoted:
		case c == '[' || c == '{':
			if depth++; depth > maxDepth {
				return fmt.Errorf("nested deeper than %d", maxDepth)
			}
		case c == ']' || c == '}':
			depth--
		}
	}
	return nil
}

// document reads what it can of a health document.
func document(v any) Document {
	o, _ := v.(map[string]any)
	d := Document{Status: text(o["status"]), Version: text(o["version"])}
	checks, _ := o["checks"].(map[string]any)
	for _, name := range firstKeys(checks) {
		d.Checks = append(d.Checks, subsystem(name, checks[name]))
	}
	metrics, _ := o["metrics"].(map[string]any)
	for _, k := range firstKeys(metrics) {
		if f, ok := number(metrics[k]); ok {
			put(&d.Metrics, k, f)
		}
	}
	system, _ := o["system"].(map[string]any)
	for _, k := range firstKeys(system) {
		if s := text(system[k]); s != "" {
			put(&d.System, k, s)
		}
	}
	return d
}

func put[V any](m *map[string]V, k string, v V) {
	if *m == nil {
		*m = map[string]V{}
	}
	(*m)[printable(k, 100)] = v
}

func firstKeys(m map[string]any) []string {
	keys := slices.Sorted(maps.Keys(m))
	return keys[:min(len(keys), maxEntries)]
}

// subsystem reads {"status": "unhealthy", "message": "..."} or a bare "unhealthy".
func subsystem(name string, v any) Subsystem {
	s := Subsystem{Name: printable(name, 60), Status: text(v)}
	o, ok := v.(map[string]any)
	if !ok {
		return s
	}
	s.Status = text(o["status"])
	for _, k := range []string{"message", "error", "reason"} {
		if s.Message = text(o[k]); s.Message != "" {
			break
		}
	}
	return s
}

// Failing is every subsystem that says something else than that it is well.
func (d Document) Failing() []Subsystem {
	return slices.DeleteFunc(slices.Clone(d.Checks), func(s Subsystem) bool {
		return s.Status == healthy || s.Status == "ok" || s.Status == ""
	})
}

// text is a string or a number as a short printable text, "" for anything else.
func text(v any) string {
	switch v := v.(type) {
	case string:
		return printable(v, 160)
	case json.Number:
		return printable(v.String(), 40)
	}
	return ""
}

func number(v any) (float64, bool) {
	n, ok := v.(json.Number)
	if !ok {
		return 0, false
	}
	f, err := n.Float64()
	return f, err == nil
}

// at finds a value by its path: names and indexes, joined by dots.
func at(v any, path string) (any, bool) {
	for step := range strings.SplitSeq(path, ".") {
		switch node := v.(type) {
		case map[string]any:
			next, ok := node[step]
			if !ok {
				return nil, false
			}
			v = next
		case []any:
			i, err := strconv.Atoi(step)
			if err != nil || i < 0 || i >= len(node) {
				return nil, false
			}
			v = node[i]
		default:
			return nil, false
		}
	}
	return v, true
}

// same compares a decoded value with one that a script wrote, by their JSON; numbers by their value.
func same(got, want any) bool {
	g, gerr := json.Marshal(got)
	w, werr := json.Marshal(want)
	if gerr != nil || werr != nil {
		return false
	}
	if bytes.Equal(g, w) {
		return true
	}
	if !bytes.ContainsAny(g, ".eE") && !bytes.ContainsAny(w, ".eE") {
		return false // integers, of which a float does not tell the large ones apart
	}
	x, xerr := strconv.ParseFloat(string(g), 64)
	y, yerr := strconv.ParseFloat(string(w), 64)
	return xerr == nil && yerr == nil && x == y
}

// printable is the start of a text, n characters at most, those escaped that do not print.
func printable(s string, n int) string {
	var b strings.Builder
	for _, r := range s {
		shown := string(r)
		if !strconv.IsPrint(r) {
			shown = strings.Trim(strconv.QuoteRune(r), "'")
		}
		if n -= utf8.RuneCountInString(shown); n < 0 {
			return b.String() + "…"
		}
		b.WriteString(shown)
	}
	return b.String()
}

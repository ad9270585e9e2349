package probe

import (
	"encoding/json"
	"maps"
	"slices"

	"github.com/erlmcp/runner/builtins/body"
	"github.com/erlmcp/runner/runtime/op"
)

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
	(*m)[body.Printable(k, 100)] = v
}

func firstKeys(m map[string]any) []string {
	keys := slices.Sorted(maps.Keys(m))
	return keys[:min(len(keys), maxEntries)]
}

// subsystem reads {"status": "unhealthy", "message": "..."} or a bare "unhealthy".
func subsystem(name string, v any) Subsystem {
	s := Subsystem{Name: body.Printable(name, 60), Status: text(v)}
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
		return body.Printable(v, 160)
	case json.Number:
		return body.Printable(v.String(), 40)
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

package files

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"maps"
	"math"
	"regexp"
	"slices"
	"text/template"

	"github.com/erlmcp/runner/runtime/builtin"
	"github.com/erlmcp/runner/runtime/host"
	"github.com/erlmcp/runner/runtime/op"
	"github.com/erlmcp/runner/runtime/secret"
)

// maxFilled bounds a template and what comes of it.
const maxFilled = 1 << 20

// Template fills values into a text.
type Template struct {
	_      op.Doc         `doc:"Fills values into a text written as a Go text/template, such as \"port = {{.port}}\". A value that is missing is an error."`
	Path   string         `json:"path,omitempty" doc:"The file that holds the text, 1 MiB at most."`
	Text   string         `json:"text,omitempty" doc:"The text itself, instead of path."`
	Values map[string]any `json:"values,omitempty" doc:"What the text calls by name: strings, numbers, True and False, lists and dicts of them; no secrets."`
}

// Summary implements op.Op.
func (t Template) Summary() string { return "fill in " + t.name() }

func (t Template) name() string {
	if t.Path != "" {
		return t.Path
	}
	return "text"
}

// Check implements op.Checked.
func (t Template) Check() error {
	if (t.Path == "") == (t.Text == "") {
		return errors.New("path: give either path or text")
	}
	for _, name := range slices.Sorted(maps.Keys(t.Values)) {
		if _, err := plain(t.Values[name]); err != nil {
			return fmt.Errorf("values[%q]: %w", name, err)
		}
	}
	return nil
}

// plain is a value as templates get it. A whole number that came as a float, as numbers do from JSON, prints as one.
func plain(v any) (any, error) {
	switch v := v.(type) {
	case nil, bool, string, int64, int:
		return v, nil
	case float64:
		if v == math.Trunc(v) && math.Abs(v) < 1<<53 {
			return int64(v), nil
		}
		return v, nil
	case []any:
		out := make([]any, len(v))
		for i, e := range v {
			p, err := plain(e)
			if err != nil {
				return nil, fmt.Errorf("[%d]: %w", i, err)
			}
			out[i] = p
		}
		return out, nil
	case map[string]any:
		out := map[string]any{}
		for k, e := range v {
			p, err := plain(e)
			if err != nil {
				return nil, fmt.Errorf("[%q]: %w", k, err)
			}
			out[k] = p
		}
		return out, nil
	case secret.Text:
		return nil, op.Hint(errors.New("a secret cannot go into a text"), "give it to the program by env or stdin, or in a file of its own")
	}
	return nil, fmt.Errorf("want strings, numbers, True, False, lists and dicts, got %T", v)
}

// Do implements op.Op.
func (t Template) Do(_ context.Context, h *host.Host) (string, error) {
	text := t.Text
	if t.Path != "" {
		b, err := read(h, t.Path, maxFilled)
		if err != nil {
			return "", err
		}
		text = string(b)
	}
	values, err := plain(t.Values)
	if err != nil {
		return "", err
	}
	tmpl, err := template.New(t.name()).Option("missingkey=error").Parse(text)
	if err != nil {
		return "", t.wrong(err)
	}
	out := &filled{}
	if err := tmpl.Execute(out, values); err != nil {
		return "", t.wrong(err)
	}
	return out.String(), nil
}

// filled refuses to grow for ever.
type filled struct{ bytes.Buffer }

func (f *filled) Write(p []byte) (int, error) {
	if f.Len()+len(p) > maxFilled {
		return 0, fmt.Errorf("it comes to more than %s", op.Size(maxFilled))
	}
	return f.Buffer.Write(p)
}

var (
	missing = regexp.MustCompile(`map has no entry for key "(.*)"$`)
	doing   = regexp.MustCompile(`^:(\d+)(?::\d+)?: (?:executing ".*?" at <.*?>: )?`)
)

// wrong puts text/template's errors into one form: "cannot fill in web.conf:3: there is no value "port"".
func (t Template) wrong(err error) error {
	text := regexp.MustCompile(`^template: `+regexp.QuoteMeta(t.name())).ReplaceAllString(err.Error(), "")
	m := doing.FindStringSubmatch(text)
	if m == nil {
		return fmt.Errorf("cannot fill in %s: %w", t.name(), err)
	}
	where, what := t.name()+":"+m[1], text[len(m[0]):]
	key := missing.FindStringSubmatch(what)
	if key == nil {
		return fmt.Errorf("cannot fill in %s: %s", where, what)
	}
	out := fmt.Errorf("cannot fill in %s: there is no value %q", where, key[1])
	if near := builtin.Nearest(key[1], names(t.Values)); near != "" {
		return op.Hint(out, "did you mean %s?", near)
	}
	return out
}

// names are the keys of a dict and of the dicts in it.
func names(v any) []string {
	dict, _ := v.(map[string]any)
	out := slices.Collect(maps.Keys(dict))
	for _, e := range dict {
		out = append(out, names(e)...)
	}
	return out
}

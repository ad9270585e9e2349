// Package body reads what came over the network from someone who may mean no good: JSON of a bounded depth, values in it by
// their path, and text that is fit to print.
package body

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
)

// maxDepth is how deep a body's JSON may nest.
const maxDepth = 64

// Decode reads a whole body as one JSON value. Numbers stay text: a huge one is no reason to fail.
func Decode(body []byte) (any, error) {
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

// At finds a value by its path: names and indexes, joined by dots.
func At(v any, path string) (any, bool) {
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

// Same compares a decoded value with one that a script wrote, by their JSON; numbers by their value.
func Same(got, want any) bool {
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

// head is how much of a body is looked at for an error, in bytes.
const head = 1000

// Head is the start of a body, with an ellipsis where there is more.
func Head(b []byte) string {
	if len(b) > head {
		return string(b[:head]) + "…"
	}
	return string(b)
}

// Printable is the start of a text, n characters at most, those escaped that do not print.
func Printable(s string, n int) string {
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

// Mismatch is the path of the first value that is not as wanted, and what is there instead; "" where all are.
func Mismatch(v any, want map[string]any) (path, got string) {
	for _, path := range slices.Sorted(maps.Keys(want)) {
		got, ok := At(v, path)
		switch {
		case !ok:
			return path, "missing"
		case !Same(got, want[path]):
			return path, Short(got)
		}
	}
	return "", ""
}

// CheckPaths refuses paths that lead nowhere; name is the parameter that they are the keys of.
func CheckPaths(name string, want map[string]any) error {
	for path := range want {
		if slices.Contains(strings.Split(path, "."), "") {
			return fmt.Errorf(`%s: want paths such as "checks.vm.status", got %q`, name, path)
		}
	}
	return nil
}

// Short is the start of a value's JSON.
func Short(v any) string {
	b, err := json.Marshal(v)
	if err != nil {
		return "?"
	}
	return Printable(string(b), 60)
}

// NoAnswer says in a line why there was no answer.
func NoAnswer(err error) string {
	switch {
	case strings.HasSuffix(err.Error(), "connection refused"):
		return "connection refused"
	case errors.Is(err, io.EOF), errors.Is(err, io.ErrUnexpectedEOF):
		return "the connection ends before the answer does"
	}
	return Printable(err.Error(), 160)
}

// SameVersion reports whether a program names the version that was deployed: tags have a v before it, and programs often
// have none.
func SameVersion(named any, version string) bool {
	text, ok := named.(string)
	return ok && strings.TrimPrefix(text, "v") == strings.TrimPrefix(version, "v")
}

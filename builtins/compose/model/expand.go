package model

import (
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/compose-spec/compose-go/v2/template"

	"github.com/erlmcp/runner/runtime/op"
)

// expander puts the values of variables into texts. It does so as the reference does, and remembers what that forgets:
// which variables were asked for, and which have no value.
type expander struct {
	used    map[string]bool
	missing map[string]string // by name, why it is wanted: what ${NAME:?why} says
	wanted  map[string]bool   // those that ${NAME:?} or ${NAME?} wants
	broken  []string          // texts that are no template
}

// expand implements interpolation's Substitute. It never fails: report says what was wrong, all of it at once.
func (x *expander) expand(text string, look template.Mapping) (string, error) {
	var b strings.Builder
	for rest := text; ; {
		before, after, found := strings.Cut(rest, "$")
		b.WriteString(before)
		if !found {
			return b.String(), nil
		}
		name := leading(after)
		switch {
		case strings.HasPrefix(after, "$"):
			b.WriteByte('$')
			rest = after[1:]
		case strings.HasPrefix(after, "{"):
			end := closing(after)
			if end < 0 || !x.braced(&b, after[1:end], look) {
				x.broken = append(x.broken, text)
				return "", nil
			}
			rest = after[end+1:]
		case name == "":
			b.WriteByte('$')
			rest = after
		default:
			b.WriteString(x.plain(name, look))
			rest = after[len(name):]
		}
	}
}

// braced writes the value of what stands between braces: a name, or a name, an operator and a text. False says that it
// is neither.
func (x *expander) braced(b *strings.Builder, inner string, look template.Mapping) bool {
	name := leading(inner)
	operator, text := inner[len(name):], ""
	if name == "" {
		return false
	}
	if operator == "" {
		b.WriteString(x.plain(name, look))
		return true
	}
	length := 1
	if operator[0] == ':' && len(operator) > 1 {
		length = 2
	}
	operator, text = operator[:length], operator[length:]
	value, has := x.ask(name, look)
	has = has && (length == 1 || value != "")
	switch operator[length-1] {
	case '-':
		if !has {
			value, _ = x.expand(text, look)
		}
	case '+':
		if value = ""; has {
			value, _ = x.expand(text, look)
		}
	case '?':
		if !has {
			why, _ := x.expand(text, look)
			x.miss(name, why, true)
		}
	default:
		return false
	}
	b.WriteString(value)
	return true
}

func (x *expander) plain(name string, look template.Mapping) string {
	value, has := x.ask(name, look)
	if !has {
		x.miss(name, "", false)
	}
	return value
}

func (x *expander) ask(name string, look template.Mapping) (string, bool) {
	if x.used == nil {
		x.used = map[string]bool{}
	}
	x.used[name] = true
	return look(name)
}

func (x *expander) miss(name, why string, wanted bool) {
	if x.missing == nil {
		x.missing, x.wanted = map[string]string{}, map[string]bool{}
	}
	x.wanted[name] = x.wanted[name] || wanted
	if x.missing[name] == "" {
		x.missing[name] = why
	}
}

// leading is the variable's name that a text begins with.
func leading(text string) string {
	n := 0
	for n < len(text) && (text[n] == '_' || 'a' <= text[n]|0x20 && text[n]|0x20 <= 'z' || n > 0 && '0' <= text[n] && text[n] <= '9') {
		n++
	}
	return text[:n]
}

// closing is where the brace closes that a text begins with.
func closing(text string) int {
	open := 0
	for i := 0; i < len(text); i++ {
		switch text[i] {
		case '{':
			open++
		case '}':
			if open--; open == 0 {
				return i
			}
		}
	}
	return -1
}

// report is the mistake that the texts hold, nil without one. A variable that only services use that are off is not
// missed, unless the files insist; on is nil where it is not known which are.
func (x *expander) report(src *sources, v *variables, on map[string]bool) error {
	if len(x.broken) > 0 {
		slices.Sort(x.broken)
		at := src.holding(func(text string) bool { return text == x.broken[0] })
		return op.Hint(src.where(at, "%q is no text with variables: a name and } must follow ${", x.broken[0]), "a $ that stands for itself is written $$")
	}
	var lines []string
	for _, name := range slices.Sorted(maps.Keys(x.missing)) {
		places := src.holding(func(text string) bool { return mentions(text, name) })
		if !x.wanted[name] && on != nil && src.off(places, on) {
			continue
		}
		line := name
		if why := x.missing[name]; why != "" {
			line += ": " + why
		}
		if at := src.list(places); at != "" {
			line += " (" + at + ")"
		}
		lines = append(lines, line)
	}
	hint := "give them a value by secrets = in environments.star, in .env or a file of env_files =, or in the environment of runner"
	switch len(lines) {
	case 0:
		return nil
	case 1:
		return op.Hint(fmt.Errorf("a variable has no value: %s", lines[0]), "%s", strings.Replace(hint, "them", "it", 1))
	}
	return op.Hint(fmt.Errorf("%d variables have no value:\n    %s", len(lines), strings.Join(lines, "\n    ")), "%s", hint)
}

// mentions reports whether a text asks for a variable.
func mentions(text, name string) bool {
	x := expander{}
	look := func(string) (string, bool) { return "", false }
	for _, has := range []bool{false, true} {
		if has {
			look = func(string) (string, bool) { return "1", true }
		}
		if _, _ = x.expand(text, look); x.used[name] {
			return true
		}
	}
	return false
}

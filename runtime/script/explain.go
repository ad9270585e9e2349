package script

import (
	"fmt"
	"regexp"
	"strings"

	"go.starlark.net/starlark"
	"go.starlark.net/syntax"

	"github.com/erlmcp/runner/runtime/builtin"
)

// saying is what starlark-go says, and what to do about it.
type saying struct {
	says *regexp.Regexp
	// text replaces the message, with $1 for groups; "" keeps it.
	text, hint string
}

func sayings() []saying {
	re := regexp.MustCompile
	return []saying{
		{re(`^unknown binary op: (string) \+ (int|float|bool|NoneType)$`), "cannot add string and $2", `write "%s" % x, or str(x)`},
		{re(`^unknown binary op: (int|float|bool|NoneType) \+ (string)$`), "cannot add $1 and string", `write "%s" % x, or str(x); int(text) makes a number`},
		{re(`^unknown binary op: (\w+) (\S+) (\w+)$`), "cannot apply $2 to $1 and $3", ""},
		{re(`^invalid call of non-function \(string\)$`), "a string cannot be called", "take the parentheses away"},
		{re(`^invalid call of non-function \(module\)$`), "a family cannot be called", "call one of its ops: family.op(...)"},
		{re(`^invalid call of non-function \((\w+)\)$`), "a value of type $1 cannot be called", "take the parentheses away"},
		{re(`^(?:local|global) variable (\w+) referenced before assignment$`), "$1 is used before it is set", "set it first, on every way that leads here"},
		{re(`^NoneType has no \.(\w+) field or method`), "there is no value to take $1 from: it is None", "what gave it found nothing; ask first: if x:"},
		{re(`^(\w+) has no \.(\w+) field or method(.*)$`), "$1 has no $2$3", ""},
		{re(`frozen (list|dict|hash table)`), "", "what a file defines is fixed once it is loaded: make a copy, such as list(x) or dict(x)"},
		{re(`^key (.*) not in dict$`), "the dict has no key $1", "d.get(key) gives None where there is none"},
		{re(`^function (\w+) called recursively$`), "$1 calls itself, which the language does not have", "write a for loop"},
		{re(`^(\w+) value is not iterable$`), "cannot go through a value of type $1", "for i in range(n) counts"},
		{re(`^unhashable type: (list|dict|set)$`), "a $1 cannot be a key", "tuple(x) makes a key of a list"},
		{re(`^unhashable(?: type)?: (\w+)$`), "a value of type $1 cannot be a key", ""},
		{re(`^can't assign to \.(\w+) field of (\w+)$`), "$1 cannot be set: the fields of this $2 are fixed", "what is made stays as it is; make another"},
		{re(`^(?:division|floored division|integer division|integer modulo) by zero`), "division by zero", ""},
		{re(`^not (enough|all) arguments`), "", "a text needs one value for each %s: \"%s %s\" % (a, b)"},
		{re(`^not all arguments converted during string formatting$`), "", "a text needs one %s for each value"},
		{re(`^function (\w+) missing (\d+) arguments? \((.*)\)$`), "$1 needs $3", ""},
		{re(`^cannot load (\S+): files load each other`), "", "move what both need into a third file"},
	}
}

// explainRun says in words what starlark-go says, with what to do about it.
func (l *loader) explainRun(msg string, pos syntax.Position) (text, hint string) {
	if m := notInModule.FindStringSubmatch(msg); m != nil {
		return l.notExported(m[1], m[2], pos)
	}
	if m := unset.FindStringSubmatch(msg); m != nil && l.universe[m[1]] != nil {
		return m[1] + " is a variable here, not the " + m[1] + " that is built in",
			"setting it anywhere in a function makes it one everywhere in it: take another name"
	}
	if m := unexpected.FindStringSubmatch(msg); m != nil {
		return l.unexpectedArgument(m[1], m[2])
	}
	for _, s := range sayings() {
		m := s.says.FindStringSubmatchIndex(msg)
		if m == nil {
			continue
		}
		text := msg
		if s.text != "" {
			text = string(s.says.ExpandString(nil, s.text, msg, m))
		}
		return text, s.hint
	}
	return msg, ""
}

var (
	notInModule = regexp.MustCompile(`^load: name (\S+) not found in module (\S+)`)
	unset       = regexp.MustCompile(`^(?:local|global) variable (\w+) referenced before assignment$`)
	unexpected  = regexp.MustCompile(`^function (\w+) got an unexpected keyword argument "(\w+)"`)
)

func (l *loader) notExported(name, loaded string, pos syntax.Position) (text, hint string) {
	to, err := l.follow(pos.Filename(), loaded)
	m := l.modules[to]
	if err != nil || m == nil {
		return fmt.Sprintf("%s has no %s", loaded, name), ""
	}
	var names []string
	for _, n := range m.globals.Keys() {
		if !strings.HasPrefix(n, "_") {
			names = append(names, n)
		}
	}
	return fmt.Sprintf("%s has no %s%s", loaded, name, builtin.DidYouMean(name, names)), "it has " + strings.Join(names, ", ")
}

func (l *loader) unexpectedArgument(fn, name string) (text, hint string) {
	text = fmt.Sprintf("%s has no parameter %s", fn, name)
	for _, m := range l.modules {
		if f, ok := m.globals[fn].(*starlark.Function); ok {
			var names []string
			for i := range f.NumParams() {
				n, _ := f.Param(i)
				names = append(names, n)
			}
			return text + builtin.DidYouMean(name, names), "it takes " + strings.Join(names, ", ")
		}
	}
	return text, ""
}

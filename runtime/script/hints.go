package script

import (
	"errors"
	"fmt"
	"regexp"
	"slices"
	"strings"
	"unicode"

	"github.com/erlmcp/runner/runtime/builtin"
	"github.com/erlmcp/runner/runtime/op"
)

// habit is something from another language that people write on their first day.
type habit struct {
	line *regexp.Regexp // the source line that does not parse
	text string
	hint string
}

// habits lists them, the most telling first. The match, or its group, is where the caret goes.
func habits() []habit {
	re := regexp.MustCompile
	return []habit{
		{re(`^\s*(try|except|finally)\b`), "the language has no %s", "a failure ends the run and takes back what it changed; attempt(fn, ...) goes on after one"},
		{re(`^\s*(import)\b`), "the language has no %s", `load("@std/verify.star", "verify") takes names from a file; families such as files are there already`},
		{re(`^\s*(from)\s+\S+\s+import\b`), "the language has no %s … import", `load("@std/verify.star", "verify") takes names from a file; families such as files are there already`},
		{re(`^\s*(raise)\b`), "the language has no %s", `fail("why") ends the run as failed`},
		{re(`^\s*(assert)\b`), "the language has no %s", `write: if not ok: fail("why")`},
		{re(`^\s*(with)\b`), "the language has no %s", "nothing needs closing: call the op, it ends what it opened"},
		{re(`^\s*(class)\b`), "the language has no %s", `struct(name = "web", port = 80) holds values together`},
		{re(`^\s*(global|nonlocal)\b`), "the language has no %s", "a function cannot change what is outside it: return the new value"},
		{re(`^\s*(async|await|yield)\b`), "the language has no %s", "calls end before the next begins; parallel([f, g]) runs functions side by side"},
		{re(`^\s*(del)\b`), "the language has no %s", "d.pop(key) takes a key out of a dict"},
		{re(`^\s*(print)\s+["'\w]`), "%s is a function", `write print("text")`},
		{re(`^\s*(else\s+if)\b`), "the language has no %s", "write elif"},
		{re(`^\s*(switch|match|case)\s+.*:\s*$`), "the language has no %s", "write if, elif, else"},
		{re(`(?:^|[\s(=,\[])([fF])["']`), "the language has no f-strings", `write "%s" % name, or "{} {}".format(a, b)`},
		{re(`(&&)`), "the language has no %s", "write and"},
		{re(`(\|\|)`), "the language has no %s", "write or"},
		{re(`(?:^|\s|\()(!)[^=]`), "the language has no %s", "write not"},
		{re(`\s(is)\s`), "the language has no %s", "write ==, or == None"},
		{re(`(\+\+|--)\s*$`), "the language has no %s", "write n += 1, or n -= 1"},
		{re(`(===|!==)`), "the language has no %s", "write == or !="},
		{re(`^\s*(//|/\*)`), "a comment begins with #", "write # in place of //"},
		{re(`^\s*def\s.*\)\s*(->)`), "the language has no type annotations", "leave the type out: say it in the docstring"},
		{re(`^\s*def\s+\w+\([^)]*\w(:)`), "the language has no type annotations", "leave the type out: say it in the docstring"},
		{re(`^\s*\w+(:)\s*[\w\[\]]+\s*=`), "the language has no type annotations", "leave the type out"},
		{re(`^\s*(?:if|elif)\b[^=!<>]*[^=!<>](=)[^=]`), "= sets a name and cannot be asked", "write == to compare"},
		{re(`([“”‘’])`), "%s is not a quote that programs know", `write " or '`},
		{re("(`)"), "%s is not a quote that programs know", `write " or '`},
		{re(`\S(\s\?\s)\S.*:`), "the language has no ? :", "write a if condition else b"},
		{re(`(\$\{?\w+)`), "the language has no %s", `write "%s" % name`},
		{re(`^\s*(?:if|elif|else|for|def|while)\b[^#]*[^:\s#](\s*)(?:#.*)?$`), "the line lacks a colon at its end", "write : at the end of if, else, for and def lines"},
	}
}

// explainSyntax says what is wrong with a line that does not parse.
func explainSyntax(at place, msg, src string) (place, error) {
	lines := strings.Split(src, "\n")
	// What is missing at the end of a line is noticed at the start of the next.
	for _, n := range []int{at.line, at.line - 1} {
		if n < 1 || n > len(lines) || n < at.line && !strings.Contains(msg, "got newline") && !strings.Contains(msg, "indent") {
			continue
		}
		line := outsideStrings(lines[n-1])
		for _, h := range habits() {
			m := h.line.FindStringSubmatchIndex(line)
			if m == nil {
				continue
			}
			text := h.text
			if strings.Contains(text, "%s") {
				text = fmt.Sprintf(text, strings.Join(strings.Fields(line[m[2]:m[3]]), " "))
			}
			return place{at.file, n, m[2] + 1}, op.Hint(errors.New(text), "%s", h.hint)
		}
	}
	open, bracket, closed, ok := openAt(src, at.line)
	switch {
	case ok && !closed:
		return place{at.file, open.line, open.col}, fmt.Errorf("this %s is not closed", bracket)
	case ok && missingComma.MatchString(msg), anotherValue.MatchString(msg):
		return wordBefore(lines, at), errors.New("a comma is missing before this")
	case strings.Contains(msg, "want indent"):
		return place{at.file, at.line, 1}, op.Hint(errors.New("the line is not indented"), "what belongs to the line above is indented by four spaces")
	}
	return at, explainToken(msg)
}

// wordBefore is the beginning of the word or the text that ends at a place: the parser names its end.
func wordBefore(lines []string, at place) place {
	if at.line < 1 || at.line > len(lines) {
		return at
	}
	before := []rune(lines[at.line-1])
	before = before[:min(max(at.col-1, 0), len(before))]
	n := len(before)
	switch {
	case n == 0:
		return at
	case before[n-1] == '"' || before[n-1] == '\'':
		for n--; n > 0 && before[n-1] != before[len(before)-1]; n-- {
		}
		n--
	default:
		for ; n > 0 && (before[n-1] == '_' || before[n-1] == '.' && n < len(before) || unicode.IsLetter(before[n-1]) || unicode.IsDigit(before[n-1])); n-- {
		}
	}
	if n < 0 || n == len(before) {
		return at
	}
	return place{at.file, at.line, n + 1}
}

// outsideStrings blanks what stands in quotes and in comments, so that no habit is seen there. The quotes stay.
func outsideStrings(line string) string {
	out := []byte(line)
	blank(out, "")
	return strings.TrimRight(string(out), " ")
}

// explainToken says in words what the parser says in tokens.
func explainToken(msg string) error {
	for _, w := range [][3]string{
		{"got end of file", "the file ends in the middle of something", "a bracket or a quote is not closed"},
		{"got outdent", "the line is indented less than what it belongs to", "a block is what is indented under its if, for or def; a bracket above may be open"},
		{"got indent", "the line is indented more than the one above", "begin it below the first letter of the line above"},
		{"unindent does not match", "the line is indented like none above it", "indent by four spaces for each level"},
		{"unexpected newline in string", "the text has no closing quote", `write """ around a text of several lines`},
		{"unexpected EOF in string", "the text has no closing quote", ""},
		{"excessive nesting", "too many brackets are open", "name the inner parts"},
	} {
		if strings.Contains(msg, w[0]) {
			err := errors.New(w[1])
			if w[2] != "" {
				err = op.Hint(err, "%s", w[2])
			}
			return err
		}
	}
	if m := gotWant.FindStringSubmatch(msg); m != nil {
		return fmt.Errorf("want %s here, got %s", strings.Replace(m[2], "primary expression", "a value", 1), m[1])
	}
	return errors.New(msg)
}

var missingComma = regexp.MustCompile(`want ('[,)\]}]'|',)`)

// anotherValue is a value right behind a value, between the brackets of one line.
var anotherValue = regexp.MustCompile(`^got (identifier|(?:string|int|float) literal), want '[,\])}]'`)

var gotWant = regexp.MustCompile(`^got (.*), want (.*)$`)

var undefined = regexp.MustCompile(`^undefined: (\w+)`)

// elsewhere are names of other languages, and what to write.
func elsewhere() map[string]string {
	none := "write None"
	return map[string]string{
		"true": "write True", "false": "write False", "null": none, "nil": none, "none": none, "undefined": none,
		"self": "there are no classes: a function takes what it needs as a parameter", "this": "there are no classes",
		"os": "files and shell are there: files.read(path), shell.run([...])", "sys": "run holds the script's name and arguments",
		"subprocess": `shell.run(["make", "build"]) runs a program`, "open": "files.read(path) reads a file",
		"exit": `return ends main; fail("why") ends the run as failed`, "quit": `return ends main; fail("why") ends the run as failed`,
		"isinstance": `write type(x) == "string"`, "input": "confirm(question) asks; main's parameters come from the command line",
		"sum": "add in a for loop", "map": "write [f(x) for x in xs]", "filter": "write [x for x in xs if f(x)]",
		"round": "write int(x + 0.5)", "sleep": "nothing sleeps: health.wait waits for what you need", "format": `write "{}".format(x)`,
		"Exception": `fail("why") ends the run as failed`, "datetime": "time.now() is the start of the run",
		"env": "environments.star holds what differs; secret.env(name) reads a secret", "list_dir": "files.glob(pattern) lists files",
	}
}

// explainName says what is wrong with a name that the resolver refuses.
func (l *loader) explainName(msg string, names []string) error {
	if m := undefined.FindStringSubmatch(msg); m != nil {
		err := fmt.Errorf("there is no %s", m[1])
		if hint, ok := elsewhere()[m[1]]; ok {
			return op.Hint(err, "%s", hint)
		}
		if e := l.modules[environmentsFile]; e != nil && slices.Contains(environmentNames(e.globals), m[1]) {
			return op.Hint(err, `main(environment) is given it, or load("environments.star", %q)`, m[1])
		}
		return fmt.Errorf("%w%s", err, builtin.DidYouMean(m[1], names))
	}
	for _, w := range [][2]string{
		{"cannot reassign", "a name at the left edge is set once: use another one, or do it in a function"},
		{"not within a function", "at the left edge stand only load, def and name = value: put it into main"},
		{"support while loops", "write for i in range(100):, and break; health.wait waits for what you need"},
		{"load statement within", "load stands at the left edge"},
		{"may not follow named", "put it before those with a name"},
		{"required parameter may not follow optional", "put the parameters without a default first"},
		{"leading underscores", "a name that begins with _ belongs to its file"},
	} {
		if strings.Contains(msg, w[0]) {
			msg = strings.Replace(msg, "this Starlark dialect does not support", "the language has no", 1)
			return op.Hint(errors.New(msg), "%s", w[1])
		}
	}
	return errors.New(msg)
}

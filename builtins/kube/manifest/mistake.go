package manifest

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
)

// Mistake is something wrong at a place.
type Mistake struct {
	File   string
	Line   int // 0 where the whole file is meant, or where there is no file
	Column int
	Text   string
	Hint   string // "" for none
}

// Error says what is wrong, and where.
func (m Mistake) Error() string {
	if at := m.at(); at != "" {
		return at + ": " + m.Text
	}
	return m.Text
}

func (m Mistake) at() string {
	switch {
	case m.Line == 0:
		return m.File
	case m.Column == 0:
		return fmt.Sprintf("%s:%d", m.File, m.Line)
	}
	return fmt.Sprintf("%s:%d:%d", m.File, m.Line, m.Column)
}

// line is the mistake with what to do about it, on one line.
func (m Mistake) line() string {
	if m.Hint == "" {
		return m.Error()
	}
	return m.Error() + "; " + m.Hint
}

// Invalid says that the manifests of a set hold mistakes.
type Invalid struct {
	Name     string
	Mistakes []Mistake // by place
}

// maxTold is how many mistakes an error lists: one screen.
const maxTold = 20

// Error names the mistakes.
func (e *Invalid) Error() string {
	var b strings.Builder
	fmt.Fprintf(&b, "the manifests of %s have %d mistakes:", e.Name, len(e.Mistakes))
	for _, m := range e.Mistakes[:min(len(e.Mistakes), maxTold)] {
		b.WriteString("\n    " + m.line())
	}
	if more := len(e.Mistakes) - maxTold; more > 0 {
		fmt.Fprintf(&b, "\n    and %d more", more)
	}
	return b.String()
}

// Unwrap gives the mistakes.
func (e *Invalid) Unwrap() (out []error) {
	for _, m := range e.Mistakes {
		out = append(out, m)
	}
	return out
}

// Lines are the mistakes, each on a line with what to do.
func (e *Invalid) Lines() (out []string) {
	for _, m := range e.Mistakes {
		out = append(out, m.line())
	}
	return out
}

// one is an Invalid with a single mistake, which needs no list.
type one struct {
	*Invalid
}

// Error says the mistake.
func (e one) Error() string {
	return fmt.Sprintf("cannot use the manifests of %s: %s", e.Name, e.Mistakes[0].Error())
}

// Unwrap gives the list.
func (e one) Unwrap() error { return e.Invalid }

func (l *loading) invalid() error {
	l.order(l.mistakes)
	e := &Invalid{Name: l.c.Name, Mistakes: slices.Compact(l.mistakes)}
	if len(e.Mistakes) == 1 {
		return hinted(one{e}, e.Mistakes[0].Hint)
	}
	return e
}

// order brings mistakes into the order of their places.
func (l *loading) order(all []Mistake) {
	files := slices.Concat(l.files, l.scripted)
	rank := func(m Mistake) int { return slices.Index(files, m.File) }
	slices.SortStableFunc(all, func(a, b Mistake) int {
		return cmp.Or(cmp.Compare(rank(a), rank(b)), cmp.Compare(a.Line, b.Line), cmp.Compare(a.Column, b.Column), cmp.Compare(a.Text, b.Text))
	})
}

// wrong notes a mistake in a file.
func (l *loading) wrong(m Mistake) { l.mistakes = append(l.mistakes, m) }

// mistaken notes a mistake at a part of an object.
func (l *loading) mistaken(o *Object, path []string, format string, args ...any) *Mistake {
	l.mistakes = append(l.mistakes, o.place(path, fmt.Sprintf(format, args...)))
	return &l.mistakes[len(l.mistakes)-1]
}

// warned notes a warning at a part of an object.
func (l *loading) warned(o *Object, path []string, format string, args ...any) *Mistake {
	l.warnings = append(l.warnings, o.place(path, fmt.Sprintf(format, args...)))
	return &l.warnings[len(l.warnings)-1]
}

// place is a mistake at the nearest part of an object that its file has.
func (o *Object) place(path []string, text string) Mistake {
	m := Mistake{File: o.File, Line: o.Line, Text: text}
	if o.src != nil {
		m.Line, m.Column = o.src.near(path)
	}
	return m
}

// hint says what to do about a mistake.
func (m *Mistake) hint(format string, args ...any) { m.Hint = fmt.Sprintf(format, args...) }

// at is a path below another; numbers are items of lists.
func at(path []string, more ...any) []string {
	out := slices.Clip(slices.Clone(path))
	for _, m := range more {
		out = append(out, fmt.Sprint(m))
	}
	return out
}

// spelled is a path as people write it: spec.ports[0].name.
func spelled(path []string) string {
	var b strings.Builder
	for _, p := range path {
		switch {
		case p != "" && strings.Trim(p, "0123456789") == "":
			b.WriteString("[" + p + "]")
		case strings.ContainsAny(p, "./"):
			b.WriteString(`["` + p + `"]`)
		default:
			if b.Len() > 0 {
				b.WriteByte('.')
			}
			b.WriteString(p)
		}
	}
	return b.String()
}

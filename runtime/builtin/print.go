package builtin

import (
	"strings"

	"go.starlark.net/starlark"
	"go.starlark.net/syntax"
)

// Limits of a printed value, so that no print can take the run's time, memory or stack.
const (
	maxPrintDepth = 32
	maxPrinted    = 64 << 10
)

// Print is a value as print shows it: a text as it is, anything else as Repr.
func Print(v starlark.Value) string {
	if s, ok := v.(starlark.String); ok {
		return string(s)
	}
	return Repr(v)
}

// Repr is a value as Starlark writes it. What holds itself, lies deeper than 32 levels or comes after 64 KiB is "...".
func Repr(v starlark.Value) string {
	p := &printer{open: map[any]bool{}}
	p.value(v)
	return p.out.String()
}

type printer struct {
	out   strings.Builder
	open  map[any]bool // what is being printed
	depth int
	full  bool
}

func (p *printer) text(s string) {
	if p.full {
		return
	}
	if p.out.Len()+len(s) > maxPrinted {
		s = strings.ToValidUTF8(s[:maxPrinted-p.out.Len()], "") + "..."
		p.full = true
	}
	p.out.WriteString(s)
}

// enter prints what stands between two brackets, unless that would never end.
func (p *printer) enter(identity any, opening, closing string, inside func()) {
	p.text(opening)
	if p.depth >= maxPrintDepth || identity != nil && p.open[identity] {
		p.text("...")
	} else {
		p.depth++
		if identity != nil {
			p.open[identity] = true
			defer delete(p.open, identity)
		}
		inside()
		p.depth--
	}
	p.text(closing)
}

func (p *printer) value(v starlark.Value) {
	if p.full {
		return
	}
	switch v := v.(type) {
	case starlark.String:
		p.text(syntax.Quote(string(v[:min(len(v), maxPrinted)]), false))
	case *starlark.List:
		p.enter(v, "[", "]", func() { p.all(v.Len(), v.Index) })
	case starlark.Tuple:
		closing := ")"
		if len(v) == 1 {
			closing = ",)"
		}
		p.enter(nil, "(", closing, func() { p.all(len(v), v.Index) })
	case *starlark.Dict:
		p.enter(v, "{", "}", func() { p.dict(v) })
	case *starlark.Set:
		p.enter(v, "set([", "])", func() {
			elems := children(v)
			p.all(len(elems), func(i int) starlark.Value { return elems[i] })
		})
	case *Struct:
		p.enter(v, "struct(", ")", func() { p.fields(v.names, func(n string) starlark.Value { return v.attr(n) }) })
	case *Data:
		p.enter(nil, v.Type()+"(", ")", func() { p.fields(v.AttrNames(), v.attr) })
	default:
		p.text(v.String())
	}
}

func (p *printer) all(n int, at func(int) starlark.Value) {
	for i := 0; i < n && !p.full; i++ {
		if i > 0 {
			p.text(", ")
		}
		p.value(at(i))
	}
}

func (p *printer) dict(d *starlark.Dict) {
	for i, kv := range d.Items() {
		if p.full {
			return
		}
		if i > 0 {
			p.text(", ")
		}
		p.value(kv[0])
		p.text(": ")
		p.value(kv[1])
	}
}

func (p *printer) fields(names []string, attr func(string) starlark.Value) {
	for i, n := range names {
		if p.full {
			return
		}
		if i > 0 {
			p.text(", ")
		}
		p.text(n + " = ")
		p.value(attr(n))
	}
}

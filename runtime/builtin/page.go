package builtin

import (
	"fmt"
	"reflect"
	"strings"
	"text/tabwriter"

	"github.com/erlmcp/runner/runtime/op"
)

// Reference is what scripts can call, as pages to read. A page is Markdown that reads well as it is.
type Reference struct {
	families []Family
	kinds    *Kinds
}

// NewReference is the reference of the families.
func NewReference(families []Family) *Reference {
	return &Reference{families, NewKinds(families)}
}

// README is every page, under one heading.
func (r *Reference) README() string {
	var b strings.Builder
	b.WriteString("# What scripts can call\n\nMade from the tags of the Go structs; `runner doc NAME` prints a page.\n\n")
	b.WriteString(r.Index())
	for _, f := range r.families {
		b.WriteString("\n" + r.family(f))
	}
	return b.String()
}

// Index is a line for each family.
func (r *Reference) Index() string {
	return table(func(w *tabwriter.Writer) {
		for _, f := range r.families {
			first, _, _ := strings.Cut(f.Doc, ". ")
			fmt.Fprintf(w, "    %s\t%s\n", f.Name, strings.TrimSuffix(first, ".")+".")
		}
	})
}

// Lookup is the page of a family, an op or a value, by the name that scripts use. The error suggests the right name.
func (r *Reference) Lookup(name string) (string, error) {
	var names []string
	for _, f := range r.families {
		names = append(names, f.Name)
		if f.Name == name {
			return r.family(f), nil
		}
		for _, v := range f.Values {
			names = append(names, f.Call(v))
			if f.Call(v) == name {
				return r.value(f, v), nil
			}
		}
		for _, s := range f.Ops {
			if s.Class == op.ClassUndo {
				continue
			}
			names = append(names, s.FullName())
			if s.FullName() == name {
				return r.op(s), nil
			}
		}
	}
	err := fmt.Errorf("there is no %s%s", name, DidYouMean(name, names))
	return "", op.Hint(err, "runner doc lists the families")
}

func (r *Reference) family(f Family) string {
	var b strings.Builder
	fmt.Fprintf(&b, "## %s\n\n%s\n", f.Name, f.Doc)
	for _, v := range f.Values {
		b.WriteString("\n" + r.value(f, v))
	}
	for _, s := range f.Ops {
		if s.Class != op.ClassUndo {
			b.WriteString("\n" + r.op(s))
		}
	}
	return b.String()
}

func (r *Reference) value(f Family, v ValueSpec) string {
	page := r.entry(f.Call(v), v.Proto, "")
	if v.Gives != nil {
		page += r.result(reflect.TypeOf(v.Gives))
	}
	return page
}

func (r *Reference) op(s *op.Spec) string {
	return r.entry(s.FullName(), s.Proto, class(s)) + r.result(s.Result)
}

// class says what an op may do to the world.
func class(s *op.Spec) string {
	switch {
	case s.Class == op.ClassRead && s.Sends:
		return "Looks, by sending or by waiting: a plan leaves it out."
	case s.Class == op.ClassRead:
		return "Looks; changes nothing."
	case s.Class == op.ClassMake:
		return "Makes what serves nobody yet; left on undo."
	case s.Class == op.ClassChange:
		return "Changes; undone by its inverse."
	}
	return "Changes; cannot be taken back: " + strings.TrimSuffix(s.Why, ".") + "."
}

// entry is the part that ops and values share: name, signature, doc, what it may do, parameters.
func (r *Reference) entry(name string, proto any, class string) string {
	var b strings.Builder
	f := newForm(proto)
	fmt.Fprintf(&b, "### %s\n\n    %s\n", name, r.signature(name, f))
	text := strings.TrimSpace(op.DocOf(reflect.TypeOf(proto)) + " " + class)
	if text != "" {
		fmt.Fprintf(&b, "\n%s\n", text)
	}
	if len(f.fields) > 0 {
		b.WriteString("\n" + r.fields(f.fields))
	}
	return b.String()
}

// signature is how the call is written: required parameters, then the others with their defaults.
func (r *Reference) signature(name string, f *form) string {
	var required, optional []string
	for _, p := range f.fields {
		if !f.optional(p) {
			required = append(required, p.Name)
			continue
		}
		optional = append(optional, p.Name+" = "+r.absent(f.proto.FieldByIndex(p.Index)))
	}
	return name + "(" + strings.Join(append(required, optional...), ", ") + ")"
}

// absent is what a parameter is when it is not given.
func (r *Reference) absent(v reflect.Value) string {
	if v.IsZero() && (v.Type() == durationType || v.Type() == sizeType || v.Type() == textType) {
		return "None"
	}
	if v.Kind() == reflect.Struct && v.IsZero() {
		return "None"
	}
	return Repr(r.kinds.value(v))
}

func (r *Reference) fields(fields []op.Field) string {
	return table(func(w *tabwriter.Writer) {
		for _, p := range fields {
			fmt.Fprintf(w, "    %s\t%s\t%s\n", p.Name, r.kinds.words(p.Type), p.Doc)
		}
	})
}

// result says what an op gives, with its fields.
func (r *Reference) result(t reflect.Type) string {
	elem, form := t, "%s"
	for elem.Kind() == reflect.Pointer {
		elem, form = elem.Elem(), "%s or None"
	}
	if elem.Kind() == reflect.Slice && elem != bytesType {
		elem, form = elem.Elem(), "a list, each %s"
	}
	if elem.Kind() != reflect.Struct || marshalsText(elem) {
		return fmt.Sprintf("\nGives "+form+".\n", r.kinds.words(elem))
	}
	fields := readable(elem)
	if len(fields) == 0 {
		return "\nGives None.\n"
	}
	return fmt.Sprintf("\nGives "+form+":\n\n", r.kinds.words(elem)) + r.fields(fields)
}

func marshalsText(t reflect.Type) bool { return reflect.PointerTo(t).Implements(unmarshaler) }

func table(rows func(*tabwriter.Writer)) string {
	var b strings.Builder
	w := tabwriter.NewWriter(&b, 0, 8, 2, ' ', 0)
	rows(w)
	w.Flush()
	lines := strings.Split(b.String(), "\n")
	for i, l := range lines {
		lines[i] = strings.TrimRight(l, " ")
	}
	return strings.Join(lines, "\n")
}

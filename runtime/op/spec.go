package op

import (
	"context"
	"errors"
	"fmt"
	"reflect"
	"strings"
	"unicode"
)

// Spec is an op as registered: its class, its defaults, and its methods bound to what it depends on.
type Spec struct {
	Family  string // set by the registry: "releases"
	Name    string // "activate"
	Class   Class
	Why     string       // of a Final: why it cannot be taken back
	Sends   bool         // a Read that waits or sends, which a plan leaves out
	Serving bool         // a Read of nothing but what serves, which no Make can have changed
	Proto   any          // the defaults
	Result  reflect.Type // what Do gives

	do         func(context.Context, any) (any, error)
	ready      func(context.Context, any) error
	inverse    func(context.Context, any) (any, error)
	preview    func(context.Context, any) (any, error)
	difference func(context.Context, any) ([]string, error)
	evidence   func(context.Context, any) ([]Evidence, error)
	target     func(any) string
}

// FullName is the name that scripts and records use: "releases.activate".
func (s *Spec) FullName() string { return s.Family + "." + s.Name }

// Previews reports whether a plan can foresee the op's result.
func (s *Spec) Previews() bool { return s.preview != nil }

// Read registers an op that looks. A plan performs it.
func Read[D, R any, O Op[D, R]](d D, proto O) *Spec {
	return spec[D, R](ClassRead, d, proto)
}

// Watch registers an op that looks at nothing but what serves. A plan performs it behind any number of Makes, which
// cannot have changed that.
func Watch[D, R any, O Op[D, R]](d D, proto O) *Spec {
	s := spec[D, R](ClassRead, d, proto)
	s.Serving = true
	return s
}

// Ask registers an op that looks by sending something or by waiting. A plan leaves it out.
func Ask[D, R any, O Op[D, R]](d D, proto O) *Spec {
	s := spec[D, R](ClassRead, d, proto)
	s.Sends = true
	return s
}

// Make registers an op that makes what serves nobody yet. Undo leaves what it made, to be found again by Key or digest
// and pruned later.
func Make[D, R any, O Op[D, R]](d D, proto O) *Spec {
	return spec[D, R](ClassMake, d, proto)
}

// Change registers an op that changes what serves. The compiler demands its inverse.
func Change[D, R any, O interface {
	Op[D, R]
	Reversible[D]
	Targeted[D]
}](d D, proto O) *Spec {
	return spec[D, R](ClassChange, d, proto)
}

// Final registers an op that changes and cannot be taken back; why says it to people.
func Final[D, R any, O Op[D, R]](d D, proto O, why string) *Spec {
	s := spec[D, R](ClassFinal, d, proto)
	s.Why = why
	return s
}

// Undo registers what an Inverse returns. Scripts do not see it.
func Undo[D any, O Op[D, Restored]](d D, proto O) *Spec {
	return spec[D, Restored](ClassUndo, d, proto)
}

func spec[D, R any, O Op[D, R]](class Class, d D, proto O) *Spec {
	s := &Spec{Name: Snake(reflect.TypeOf(proto).Name()), Class: class, Proto: proto, Result: reflect.TypeFor[R]()}
	s.do = func(ctx context.Context, p any) (any, error) { return p.(O).Do(ctx, d) }
	if _, ok := any(proto).(Ready[D]); ok {
		s.ready = func(ctx context.Context, p any) error { return p.(Ready[D]).Ready(ctx, d) }
	}
	if _, ok := any(proto).(Reversible[D]); ok {
		s.inverse = func(ctx context.Context, p any) (any, error) { return p.(Reversible[D]).Inverse(ctx, d) }
	}
	if _, ok := any(proto).(Previewer[D, R]); ok {
		s.preview = func(ctx context.Context, p any) (any, error) { return p.(Previewer[D, R]).Preview(ctx, d) }
	}
	if _, ok := any(proto).(Differ[D]); ok {
		s.difference = func(ctx context.Context, p any) ([]string, error) { return p.(Differ[D]).Difference(ctx, d) }
	}
	if _, ok := any(proto).(Witness[D]); ok {
		s.evidence = func(ctx context.Context, p any) ([]Evidence, error) { return p.(Witness[D]).Evidence(ctx, d) }
	}
	if _, ok := any(proto).(Targeted[D]); ok {
		s.target = func(p any) string { return p.(Targeted[D]).Target(d) }
	}
	return s
}

// Bound is an op ready to be performed: parameters, and where in the script and in the run it stands.
type Bound struct {
	*Spec
	Params  any               // the op's struct, of Proto's type
	At      string            // deploy.star:31:5
	Branch  string            // "7/web/" inside a branch of parallel, else ""
	Path    string            // position, set by the engine: "7", "7/web/2"
	Unknown map[string]string // parameters that a plan does not know yet, with their stand-ins
}

// Class is the class that the parameters give the op.
func (b Bound) Class() Class {
	if g, ok := b.Params.(Graded); ok {
		return g.Grade()
	}
	return b.Spec.Class
}

// Summary is the op's line. Where a plan lacks a parameter that is no text, it is the call itself.
func (b Bound) Summary() string {
	if len(b.Unknown) == 0 {
		return b.Params.(interface{ Summary() string }).Summary()
	}
	var args []string
	for _, f := range Fields(reflect.TypeOf(b.Params)) {
		if stand, ok := b.Unknown[f.Name]; ok {
			args = append(args, f.Name+" = "+stand)
		} else if v := reflect.ValueOf(b.Params).FieldByIndex(f.Index); !f.Hidden && v.Kind() == reflect.String && v.String() != "" {
			args = append(args, fmt.Sprintf("%s = %q", f.Name, v.String()))
		}
	}
	return fmt.Sprintf("%s(%s)", b.FullName(), strings.Join(args, ", "))
}

// Do performs the op, without any record of it.
func (b Bound) Do(ctx context.Context) (any, error) { return b.do(ctx, b.Params) }

// Ready is an error where the op knows that it cannot begin.
func (b Bound) Ready(ctx context.Context) error {
	if b.ready == nil {
		return nil
	}
	return b.ready(ctx, b.Params)
}

// Inverse reads what would put the op back; nil, nil where nothing would, or where the op has none.
func (b Bound) Inverse(ctx context.Context) (any, error) {
	if b.inverse == nil || b.Class() != ClassChange {
		return nil, nil
	}
	return b.inverse(ctx, b.Params)
}

// ErrUnknown is a Preview's answer where the world does not show the result yet: a build that was never made.
var ErrUnknown = errors.New("the result is not known yet")

// Preview foresees the result: Unknown where the op cannot.
func (b Bound) Preview(ctx context.Context) (any, error) {
	if b.preview == nil || len(b.Unknown) > 0 {
		return Unknown{After: b.FullName()}, nil
	}
	r, err := b.preview(ctx, b.Params)
	if errors.Is(err, ErrUnknown) {
		return Unknown{After: b.FullName()}, nil
	}
	return r, err
}

// Difference is what would change, in lines; nil where the op cannot say.
func (b Bound) Difference(ctx context.Context) ([]string, error) {
	if b.difference == nil || len(b.Unknown) > 0 {
		return nil, nil
	}
	return b.difference(ctx, b.Params)
}

// Evidence gathers what the op knows about a failure after it.
func (b Bound) Evidence(ctx context.Context) ([]Evidence, error) {
	if b.evidence == nil {
		return nil, nil
	}
	return b.evidence(ctx, b.Params)
}

// Target is the id of what the op changes, "" where it has none.
func (b Bound) Target() string {
	if b.target == nil {
		return ""
	}
	return b.target(b.Params)
}

// WithKey is the op with its fields of type Key set.
func (b Bound) WithKey(k Key) Bound {
	v := reflect.New(reflect.TypeOf(b.Params)).Elem()
	v.Set(reflect.ValueOf(b.Params))
	for i := range v.NumField() {
		if v.Type().Field(i).Type == reflect.TypeFor[Key]() {
			v.Field(i).SetString(string(k))
		}
	}
	b.Params = v.Interface()
	return b
}

// Snake turns a Go name into the scripts' spelling: "WaitFor" into "wait_for", "HTTP" into "http".
func Snake(name string) string {
	var b strings.Builder
	rs := []rune(name)
	for i, r := range rs {
		if unicode.IsUpper(r) && i > 0 && (unicode.IsLower(rs[i-1]) || i+1 < len(rs) && unicode.IsLower(rs[i+1])) {
			b.WriteByte('_')
		}
		b.WriteRune(unicode.ToLower(r))
	}
	return b.String()
}

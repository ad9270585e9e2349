package op

import (
	"bytes"
	"encoding"
	"encoding/json"
	"fmt"
	"reflect"
	"slices"
	"strings"
)

// Field is one parameter of an op or of a value, as its struct field's tags describe it.
type Field struct {
	Name     string // in scripts and on the wire
	Doc      string // one sentence
	Optional bool   // tagged omitempty or omitzero; a default in the prototype makes one optional too
	Hidden   bool   // set by the engine or by Go code, never by a script: type Key, or tagged script:"-"
	Type     reflect.Type
	Index    []int
}

// Fields lists a struct's wire fields in their order.
func Fields(t reflect.Type) []Field {
	var out []Field
	for i := range t.NumField() {
		f := t.Field(i)
		name, opts, _ := strings.Cut(f.Tag.Get("json"), ",")
		if !f.IsExported() || name == "-" {
			continue
		}
		if name == "" {
			name = Snake(f.Name)
		}
		out = append(out, Field{
			Name: name, Doc: f.Tag.Get("doc"), Type: f.Type, Index: f.Index,
			Optional: strings.Contains(opts, "omitempty") || strings.Contains(opts, "omitzero"),
			Hidden:   f.Type == reflect.TypeFor[Key]() || f.Tag.Get("script") == "-",
		})
	}
	return out
}

// Registry is every op and every value that this runner knows, by name.
type Registry struct {
	// Function finds a function of the scripts that are loaded by its name on the wire; the same without Call where they do
	// not have it. Nil where no script is loaded.
	Function func(Func) Func

	specs  map[string]*Spec
	values map[string]reflect.Type // by kind
}

// NewRegistry makes a registry of families' specs and of values' prototypes by kind. Two of one name are a mistake in
// the program, and an error.
func NewRegistry(families map[string][]*Spec, values map[string]any) (*Registry, error) {
	r := &Registry{specs: map[string]*Spec{}, values: map[string]reflect.Type{}}
	for family, specs := range families {
		for _, s := range specs {
			s.Family = family
			if r.specs[s.FullName()] != nil {
				return nil, fmt.Errorf("two ops are named %s", s.FullName())
			}
			r.specs[s.FullName()] = s
		}
	}
	for kind, proto := range values {
		r.values[kind] = reflect.TypeOf(proto)
	}
	return r, nil
}

// Specs lists every op by name.
func (r *Registry) Specs() []*Spec {
	var out []*Spec
	for _, s := range r.specs {
		out = append(out, s)
	}
	slices.SortFunc(out, func(a, b *Spec) int { return strings.Compare(a.FullName(), b.FullName()) })
	return out
}

// KindOf is the name under which a value's type is registered, "" where it is not.
func (r *Registry) KindOf(t reflect.Type) string {
	for kind, vt := range r.values {
		if vt == t {
			return kind
		}
	}
	return ""
}

// specOf finds the op of a struct.
func (r *Registry) specOf(params any) *Spec {
	for _, s := range r.specs {
		if reflect.TypeOf(s.Proto) == reflect.TypeOf(params) {
			return s
		}
	}
	return nil
}

type wireOp struct {
	Op     string          `json:"op"`
	Params json.RawMessage `json:"params"`
}

// Encode writes an op for the wire: {"op": "releases.activate", "params": {...}}.
func (r *Registry) Encode(params any) (json.RawMessage, error) {
	s := r.specOf(params)
	if s == nil {
		return nil, fmt.Errorf("%T is not registered as an op", params)
	}
	body, err := r.EncodeValue(params)
	if err != nil {
		return nil, fmt.Errorf("cannot write %s: %w", s.FullName(), err)
	}
	return json.Marshal(wireOp{s.FullName(), body})
}

// Decode reads an op from the wire. What the wire leaves out has its zero value: the writer's defaults are in it.
func (r *Registry) Decode(data []byte) (Bound, error) {
	var w wireOp
	if err := json.Unmarshal(data, &w); err != nil {
		return Bound{}, fmt.Errorf("cannot read an op: %w", err)
	}
	s := r.specs[w.Op]
	if s == nil {
		return Bound{}, fmt.Errorf("cannot read the op %q: this runner does not know it", clip([]byte(w.Op)))
	}
	p := reflect.New(reflect.TypeOf(s.Proto)).Elem()
	if err := r.decode(w.Params, p); err != nil {
		return Bound{}, fmt.Errorf("cannot read %s: %w", w.Op, err)
	}
	return Bound{Spec: s, Params: p.Interface()}, nil
}

// EncodeValue writes plain data, values and secrets by reference. A field whose type is a closed interface gets its
// value's name as "kind".
func (r *Registry) EncodeValue(v any) (json.RawMessage, error) {
	var b bytes.Buffer
	if err := r.encode(&b, reflect.ValueOf(v), ""); err != nil {
		return nil, err
	}
	return b.Bytes(), nil
}

func plain(b *bytes.Buffer, v any) error {
	e := json.NewEncoder(b)
	e.SetEscapeHTML(false)
	err := e.Encode(v)
	b.Truncate(len(bytes.TrimRight(b.Bytes(), "\n")))
	return err
}

func marshalsItself(t reflect.Type) bool {
	return t.Implements(reflect.TypeFor[json.Marshaler]()) || t.Implements(reflect.TypeFor[encoding.TextMarshaler]())
}

func (r *Registry) encode(b *bytes.Buffer, v reflect.Value, kind string) error {
	if !v.IsValid() {
		return plain(b, nil)
	}
	if marshalsItself(v.Type()) {
		return plain(b, v.Interface())
	}
	switch v.Kind() {
	case reflect.Interface:
		if v.IsNil() {
			return plain(b, nil)
		}
		if k := r.KindOf(v.Elem().Type()); k != "" {
			return r.encode(b, v.Elem(), k)
		}
		if v.NumMethod() > 0 {
			return fmt.Errorf("%s is not registered as a value", v.Elem().Type())
		}
		return r.encode(b, v.Elem(), "")
	case reflect.Pointer:
		if v.IsNil() {
			return plain(b, nil)
		}
		return r.encode(b, v.Elem(), kind)
	case reflect.Struct:
		return r.encodeStruct(b, v, kind)
	case reflect.Slice:
		return r.encodeList(b, v)
	case reflect.Map:
		return r.encodeMap(b, v)
	}
	return plain(b, v.Interface())
}

func (r *Registry) encodeStruct(b *bytes.Buffer, v reflect.Value, kind string) error {
	b.WriteByte('{')
	sep := ""
	if kind != "" {
		fmt.Fprintf(b, `"kind":%q`, kind)
		sep = ","
	}
	for _, f := range Fields(v.Type()) {
		fv := v.FieldByIndex(f.Index)
		if f.Optional && fv.IsZero() {
			continue
		}
		fmt.Fprintf(b, "%s%q:", sep, f.Name)
		sep = ","
		if err := r.encode(b, fv, ""); err != nil {
			return fmt.Errorf("%s: %w", f.Name, err)
		}
	}
	b.WriteByte('}')
	return nil
}

func (r *Registry) encodeList(b *bytes.Buffer, v reflect.Value) error {
	if v.Type().Elem().Kind() == reflect.Uint8 {
		return plain(b, v.Interface())
	}
	b.WriteByte('[')
	for i := range v.Len() {
		if i > 0 {
			b.WriteByte(',')
		}
		if err := r.encode(b, v.Index(i), ""); err != nil {
			return err
		}
	}
	b.WriteByte(']')
	return nil
}

func (r *Registry) encodeMap(b *bytes.Buffer, v reflect.Value) error {
	keys := v.MapKeys()
	slices.SortFunc(keys, func(x, y reflect.Value) int { return strings.Compare(x.String(), y.String()) })
	b.WriteByte('{')
	for i, k := range keys {
		if i > 0 {
			b.WriteByte(',')
		}
		if err := plain(b, k.String()); err != nil {
			return err
		}
		b.WriteByte(':')
		if err := r.encode(b, v.MapIndex(k), ""); err != nil {
			return fmt.Errorf("%s: %w", k, err)
		}
	}
	b.WriteByte('}')
	return nil
}

// DecodeValue reads what EncodeValue wrote into the value that p points to.
func (r *Registry) DecodeValue(data []byte, p any) error {
	return r.decode(data, reflect.ValueOf(p).Elem())
}

func (r *Registry) decode(data json.RawMessage, v reflect.Value) error {
	if len(data) == 0 || string(data) == "null" {
		return nil
	}
	p := reflect.PointerTo(v.Type())
	if p.Implements(reflect.TypeFor[json.Unmarshaler]()) || p.Implements(reflect.TypeFor[encoding.TextUnmarshaler]()) {
		return json.Unmarshal(data, v.Addr().Interface())
	}
	switch v.Kind() {
	case reflect.Interface:
		return r.decodeInterface(data, v)
	case reflect.Pointer:
		v.Set(reflect.New(v.Type().Elem()))
		return r.decode(data, v.Elem())
	case reflect.Struct:
		err := r.decodeStruct(data, v)
		if f, is := v.Addr().Interface().(*Func); is && r.Function != nil {
			*f = r.Function(*f)
		}
		return err
	case reflect.Slice:
		return r.decodeList(data, v)
	case reflect.Map:
		return r.decodeMap(data, v)
	}
	return json.Unmarshal(data, v.Addr().Interface())
}

func (r *Registry) decodeInterface(data json.RawMessage, v reflect.Value) error {
	if v.NumMethod() == 0 {
		return json.Unmarshal(data, v.Addr().Interface())
	}
	var k struct {
		Kind string `json:"kind"`
	}
	if err := json.Unmarshal(data, &k); err != nil {
		return err
	}
	t := r.values[k.Kind]
	if t == nil || !t.Implements(v.Type()) {
		return fmt.Errorf("unknown kind %q", clip([]byte(k.Kind)))
	}
	e := reflect.New(t).Elem()
	if err := r.decode(data, e); err != nil {
		return err
	}
	v.Set(e)
	return nil
}

func (r *Registry) decodeStruct(data json.RawMessage, v reflect.Value) error {
	var o jsonObject
	if err := json.Unmarshal(data, &o); err != nil {
		return err
	}
	for _, f := range Fields(v.Type()) {
		if err := r.decode(o[f.Name], v.FieldByIndex(f.Index)); err != nil {
			return fmt.Errorf("%s: %w", f.Name, err)
		}
	}
	return nil
}

func (r *Registry) decodeList(data json.RawMessage, v reflect.Value) error {
	if v.Type().Elem().Kind() == reflect.Uint8 {
		return json.Unmarshal(data, v.Addr().Interface())
	}
	var l []json.RawMessage
	if err := json.Unmarshal(data, &l); err != nil {
		return err
	}
	s := reflect.MakeSlice(v.Type(), len(l), len(l))
	for i, d := range l {
		if err := r.decode(d, s.Index(i)); err != nil {
			return err
		}
	}
	v.Set(s)
	return nil
}

func (r *Registry) decodeMap(data json.RawMessage, v reflect.Value) error {
	var o jsonObject
	if err := json.Unmarshal(data, &o); err != nil {
		return err
	}
	m := reflect.MakeMap(v.Type())
	for k, d := range o {
		e := reflect.New(v.Type().Elem()).Elem()
		if err := r.decode(d, e); err != nil {
			return fmt.Errorf("%s: %w", k, err)
		}
		m.SetMapIndex(reflect.ValueOf(k).Convert(v.Type().Key()), e)
	}
	v.Set(m)
	return nil
}

// Doc is the type of an op's or a value's blank field that carries, in its doc tag, what the whole is for.
type Doc struct{}

// DocOf is the doc tag of a struct's blank field, "" where it has none.
func DocOf(t reflect.Type) string {
	for i := range t.NumField() {
		if f := t.Field(i); f.Name == "_" && f.Type == reflect.TypeFor[Doc]() {
			return f.Tag.Get("doc")
		}
	}
	return ""
}

package manifest

import (
	"encoding/base64"
	"encoding/json"
	"fmt"
	"math"
	"reflect"
	"slices"
	"strconv"
	"strings"

	"go.yaml.in/yaml/v4"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/util/intstr"

	"github.com/erlmcp/runner/runtime/builtin"
)

// check finds objects that are none, kinds that no cluster serves, and fields that a kind does not have.
func (l *loading) check() {
	l.objects = slices.DeleteFunc(l.objects, func(o *Object) bool { return !l.identified(o) })
	l.partial = len(l.mistakes) > 0
	for _, o := range l.objects {
		if t := l.kinds.types[o.GroupVersionKind()]; t != nil {
			s := shape{l: l, o: o, secret: o.GetKind() == "Secret"}
			s.mapping(o.Object.Object, t, nil)
		} else {
			s := shape{l: l, o: o}
			if meta := o.Object.Object["metadata"]; meta != nil {
				s.value(meta, reflect.TypeFor[metav1.ObjectMeta](), []string{"metadata"})
			}
		}
	}
}

// identified reports whether an object says what it is; one that does not is a mistake.
func (l *loading) identified(o *Object) bool {
	fine := true
	for _, field := range []string{"apiVersion", "kind"} {
		v, has := o.Object.Object[field]
		if s, is := v.(string); is && s != "" {
			continue
		}
		fine = false
		if has && v != nil {
			l.mistaken(o, []string{field}, "%s: want a text, got %s", field, kindOf(v))
			continue
		}
		l.unsaid(o, field)
	}
	if !fine {
		return false
	}
	if _, mapping := o.Object.Object["metadata"].(map[string]any); !mapping && o.Object.Object["metadata"] != nil {
		l.mistaken(o, []string{"metadata"}, "metadata: want a mapping, got %s", kindOf(o.Object.Object["metadata"]))
		return false
	}
	if wrong, hint := l.kinds.unknown(o.GroupVersionKind()); wrong != "" {
		path := []string{"kind"}
		if strings.HasPrefix(hint, "write apiVersion") {
			path = []string{"apiVersion"}
		}
		l.mistaken(o, path, "%s", wrong).Hint = hint
		return false
	}
	if name := dig(o.Object.Object, "metadata", "name"); name == nil || name == "" {
		m := l.mistaken(o, []string{"metadata"}, "the %s has no metadata.name", o.GetKind())
		if text(o, "metadata", "generateName") != "" {
			m.hint("generateName makes another object each time: a set names its own")
		}
		return false
	} else if _, is := name.(string); !is {
		l.mistaken(o, []string{"metadata", "name"}, "metadata.name: want a text, got %s", o.got(name, []string{"metadata", "name"})).hint("write it in quotes")
		return false
	}
	return true
}

// unsaid is an object without one of the fields that say what it is.
func (l *loading) unsaid(o *Object, field string) {
	m := l.mistaken(o, nil, "the object has no %s", field)
	for key := range o.Object.Object {
		if strings.EqualFold(key, field) {
			m.hint("write %s for %s", field, key)
			return
		}
	}
	if served := l.kinds.served(text(o, "kind")); len(served) > 0 && field == "apiVersion" {
		m.hint("write apiVersion: %s", served[0])
	}
}

// got is a value as an error says it: as it is written, where YAML takes it for another.
func (o *Object) got(v any, path []string) string {
	said := kindOf(v)
	if o.src == nil {
		return said
	}
	n := o.src.value(path)
	if n == nil || n.Kind != yaml.ScalarNode {
		return said
	}
	switch v.(type) {
	case bool:
		if n.Value != said {
			return n.Value + ", which is " + said + " in YAML"
		}
	case int64, float64:
		return n.Value
	}
	return said
}

// shape compares an object with the Go type of its kind.
type shape struct {
	l      *loading
	o      *Object
	secret bool // what it holds is not to be told

	above []level // the mappings around, the outermost first
}

// level is a mapping of an object, and the type that it has.
type level struct {
	t    reflect.Type
	path []string
}

func (s shape) misfit(v any, path []string, want string) *Mistake {
	said := s.o.got(v, path)
	if s.secret && len(path) > 0 && (path[0] == "data" || path[0] == "stringData") {
		said = "something else"
	}
	return s.l.mistaken(s.o, path, "%s: want %s, got %s", spelled(path), want, said)
}

func (s shape) value(v any, t reflect.Type, path []string) {
	for t.Kind() == reflect.Pointer {
		t = t.Elem()
	}
	if v == nil {
		return // as if it were not there
	}
	if s.special(v, t, path) {
		return
	}
	switch t.Kind() {
	case reflect.Struct:
		s.mapping(v, t, path)
	case reflect.Map:
		m, ok := v.(map[string]any)
		if !ok {
			s.misfit(v, path, "a mapping")
			return
		}
		for k, item := range m {
			s.item(item, t.Elem(), at(path, k))
		}
	case reflect.Slice:
		list, ok := v.([]any)
		if !ok {
			s.misfit(v, path, "a list").hint("begin each item with -")
			return
		}
		for i, item := range list {
			s.item(item, t.Elem(), at(path, i))
		}
	default:
		s.scalar(v, t, path)
	}
}

// item is what a list or a mapping holds: not nothing.
func (s shape) item(v any, t reflect.Type, path []string) {
	if v == nil && t.Kind() == reflect.Struct {
		s.l.mistaken(s.o, path, "%s: want a mapping, got nothing", spelled(path))
		return
	}
	s.value(v, t, path)
}

func (s shape) scalar(v any, t reflect.Type, path []string) {
	switch t.Kind() {
	case reflect.String:
		text, ok := v.(string)
		if !ok {
			m := s.misfit(v, path, "a text")
			switch v.(type) {
			case bool, int64, float64:
				m.hint("write it in quotes")
			}
			return
		}
		if words := wordsOf(t); len(words) > 0 && text != "" && !slices.Contains(words, text) {
			s.misfit(v, path, "one of "+strings.Join(words, ", ")).Text += builtin.DidYouMean(text, words)
		}
	case reflect.Bool:
		if _, ok := v.(bool); !ok {
			m := s.misfit(v, path, "true or false")
			if text, is := v.(string); is && (text == "true" || text == "false") {
				m.hint("write it without quotes")
			}
		}
	case reflect.Int32, reflect.Int64, reflect.Int, reflect.Int16, reflect.Uint32:
		s.number(v, t, path)
	case reflect.Float64, reflect.Float32:
		switch v.(type) {
		case int64, float64:
		default:
			s.misfit(v, path, "a number")
		}
	}
}

func (s shape) number(v any, t reflect.Type, path []string) {
	n, ok := v.(int64)
	if f, float := v.(float64); float && f == math.Trunc(f) && math.Abs(f) < 1<<53 {
		n, ok = int64(f), true
	}
	if !ok {
		want := "a whole number"
		if float, is := v.(float64); is && float == math.Trunc(float) {
			want = fmt.Sprintf("a number up to %d", math.MaxInt64)
		}
		m := s.misfit(v, path, want)
		if text, is := v.(string); is {
			if _, err := strconv.Atoi(text); err == nil {
				m.hint("write it without quotes")
			}
		}
		return
	}
	if t.Kind() == reflect.Int32 && int64(int32(n)) != n {
		s.misfit(v, path, fmt.Sprintf("a number up to %d", math.MaxInt32))
	}
}

// mapping compares a mapping with a struct: every key must be a field.
func (s shape) mapping(v any, t reflect.Type, path []string) {
	m, ok := v.(map[string]any)
	if !ok {
		s.misfit(v, path, "a mapping")
		return
	}
	known := fieldsOf(t)
	s.above = append(slices.Clip(s.above), level{t, path})
	for key, value := range m {
		if field, ok := known[key]; ok {
			s.value(value, field, at(path, key))
			continue
		}
		s.unknown(key, known, m, path)
	}
}

func (s shape) unknown(key string, known map[string]reflect.Type, beside map[string]any, path []string) {
	var names []string
	for name := range known {
		if _, has := beside[name]; !has {
			names = append(names, name)
		}
	}
	in := s.o.GetKind()
	if len(path) > 0 {
		in = spelled(path)
	}
	m := s.l.mistaken(s.o, at(path, key), "there is no field %s in %s%s", key, in, builtin.DidYouMean(key, names))
	if strings.Contains(m.Text, "did you mean") {
		return
	}
	slices.Sort(names)
	if home := s.home(key, known, path); home != nil {
		m.hint("it belongs into %s", spelled(home))
	} else if len(names) <= 20 && len(names) > 0 {
		m.hint("it takes %s", strings.Join(names, ", "))
	}
}

// home finds the mapping that a field belongs into: one below, or one of those around, as of what is indented wrongly.
func (s shape) home(key string, known map[string]reflect.Type, path []string) []string {
	for _, name := range []string{"spec", "template", "metadata", "containers", "ports", "securityContext", "http", "service", "resources", "selector", "strategy", "rollingUpdate"} {
		t, has := known[name]
		for has && (t.Kind() == reflect.Pointer || t.Kind() == reflect.Slice) {
			t = t.Elem()
		}
		if has && t.Kind() == reflect.Struct && fieldsOf(t)[key] != nil {
			return at(path, name)
		}
	}
	for _, around := range slices.Backward(s.above[:len(s.above)-1]) {
		if fieldsOf(around.t)[key] != nil && len(around.path) > 0 {
			return around.path
		}
	}
	return nil
}

// fieldsOf are the fields of a struct as JSON has them, those of the structs in it that have no name of their own too.
func fieldsOf(t reflect.Type) map[string]reflect.Type {
	out := map[string]reflect.Type{}
	for i := range t.NumField() {
		f := t.Field(i)
		name, _, _ := strings.Cut(f.Tag.Get("json"), ",")
		ft := f.Type
		if ft.Kind() == reflect.Pointer && f.Anonymous {
			ft = ft.Elem()
		}
		switch {
		case name == "-":
		case name == "" && f.Anonymous && ft.Kind() == reflect.Struct:
			for k, v := range fieldsOf(ft) {
				out[k] = v
			}
		case name != "":
			out[name] = f.Type
		}
	}
	return out
}

// special are the types that JSON has a form of their own for; true where t is one.
func (s shape) special(v any, t reflect.Type, path []string) bool {
	switch t {
	case reflect.TypeFor[resource.Quantity]():
		s.quantity(v, path)
	case reflect.TypeFor[intstr.IntOrString]():
		switch v.(type) {
		case int64, string:
		default:
			s.misfit(v, path, "a number, or a text such as \"25%\" or a port's name")
		}
	case reflect.TypeFor[runtime.RawExtension](), reflect.TypeFor[metav1.FieldsV1]():
	case reflect.TypeFor[[]byte]():
		text, ok := v.(string)
		if _, err := base64.StdEncoding.DecodeString(text); err != nil || !ok {
			m := s.l.mistaken(s.o, path, "%s: want a text in base64", spelled(path))
			if s.secret {
				m.hint("stringData takes texts as they are")
			}
		}
	default:
		if !reflect.PointerTo(t).Implements(reflect.TypeFor[json.Unmarshaler]()) {
			return false
		}
		data, err := json.Marshal(v)
		if err == nil {
			err = json.Unmarshal(data, reflect.New(t).Interface())
		}
		if err != nil {
			want := map[string]string{"Time": "a time such as 2026-01-26T12:00:00Z", "MicroTime": "a time such as 2026-01-26T12:00:00.000000Z", "Duration": "a duration such as 90s"}[t.Name()]
			if want == "" {
				want = "a " + t.Name()
			}
			s.misfit(v, path, want)
		}
	}
	return true
}

func (s shape) quantity(v any, path []string) {
	var written string
	switch v := v.(type) {
	case string:
		written = v
	case int64, float64:
		written = fmt.Sprint(v)
	default:
		s.misfit(v, path, `a quantity such as "500m" or "1Gi"`)
		return
	}
	if _, err := resource.ParseQuantity(written); err == nil {
		return
	}
	m := s.misfit(v, path, `a quantity such as "500m" or "1Gi"`)
	short := strings.TrimSuffix(strings.ReplaceAll(written, " ", ""), "B")
	for _, try := range []string{short, strings.ToUpper(short), strings.TrimSuffix(short, "i") + "i"} {
		if _, err := resource.ParseQuantity(try); err == nil && try != "" {
			m.hint("write %q", try)
			return
		}
	}
}

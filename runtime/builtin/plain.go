package builtin

import (
	"encoding/json"
	"fmt"
	"reflect"
	"strings"
	"time"

	"go.starlark.net/starlark"
)

// Plain is a Starlark value as Go data: nil, bool, int64, float64, string, []any, map[string]any, a secret.Text, or the
// struct that an op gave or a value is. Anything else, such as a function, is an error.
func (k *Kinds) Plain(v starlark.Value) (any, error) {
	c := &conversion{kinds: k}
	return c.plain(v)
}

func (c *conversion) plain(v starlark.Value) (any, error) {
	if c.depth++; c.depth > maxNested {
		return nil, errNested
	}
	defer func() { c.depth-- }()
	switch v := v.(type) {
	case starlark.NoneType:
		return nil, nil
	case starlark.Bool:
		return bool(v), nil
	case starlark.Int:
		if n, ok := v.Int64(); ok {
			return n, nil
		}
		return nil, fmt.Errorf("%s is out of range", Repr(v))
	case starlark.Float:
		return float64(v), nil
	case starlark.String:
		return string(v), nil
	case Secret:
		return v.Text, nil
	case Unknown:
		return v.Unknown, nil
	case *Data:
		return v.Go(), nil
	case *starlark.Dict:
		return c.plainFields(v.Items())
	case *Struct:
		var items []starlark.Tuple
		for i, n := range v.names {
			items = append(items, starlark.Tuple{starlark.String(n), v.values[i]})
		}
		return c.plainFields(items)
	case starlark.Iterable:
		if n := starlark.Len(v); n > maxVisited {
			return nil, fmt.Errorf("want at most %d elements, got %d", maxVisited, n)
		}
		out := []any{}
		for x := range starlark.Elements(v) {
			p, err := c.plain(x)
			if err != nil {
				return nil, within(err, fmt.Sprintf("[%d]", len(out)))
			}
			out = append(out, p)
		}
		return out, nil
	}
	return nil, fmt.Errorf("want plain data, got %s", v.Type())
}

func (c *conversion) plainFields(items []starlark.Tuple) (any, error) {
	out := map[string]any{}
	for _, kv := range items {
		key, ok := kv[0].(starlark.String)
		if !ok {
			return nil, fmt.Errorf("want names as keys, got %s", Repr(kv[0]))
		}
		p, err := c.plain(kv[1])
		if err != nil {
			return nil, within(err, "["+Repr(key)+"]")
		}
		out[string(key)] = p
	}
	return out, nil
}

// words names what a field takes, with its article: "a string", "a list of ints", `a duration such as "90s"`.
func (k *Kinds) words(t reflect.Type) string {
	switch t {
	case durationType, reflect.TypeFor[time.Duration]():
		return `a duration such as "90s"`
	case sizeType:
		return `a size such as "2GiB"`
	case valueType:
		return "anything"
	case textType:
		return "a string or a secret"
	case funcType:
		return "a function"
	case bytesType, reflect.TypeFor[error]():
		return "a string"
	case reflect.TypeFor[json.RawMessage]():
		return "plain data"
	}
	if reflect.PointerTo(t).Implements(unmarshaler) {
		return "a string"
	}
	switch t.Kind() {
	case reflect.Pointer:
		return k.words(t.Elem())
	case reflect.String:
		return "a string"
	case reflect.Bool:
		return "True or False"
	case reflect.Float32, reflect.Float64:
		return "a number"
	case reflect.Slice:
		return "a list of " + k.several(t.Elem())
	case reflect.Map:
		return "a dict of " + k.several(t.Elem())
	case reflect.Interface, reflect.Struct:
		return k.wordsOfStruct(t)
	}
	return "an int"
}

func (k *Kinds) wordsOfStruct(t reflect.Type) string {
	if t.Kind() == reflect.Interface && t.NumMethod() == 0 {
		return "plain data"
	}
	if kinds := k.fitting(t); len(kinds) > 0 {
		return article(either(kinds))
	}
	return article(snakeWords(t.Name()))
}

func article(name string) string {
	if strings.ContainsRune("aeio", rune(name[0])) {
		return "an " + name
	}
	return "a " + name
}

// several is the plural that stands after "a list of".
func (k *Kinds) several(t reflect.Type) string {
	one := k.words(t)
	switch {
	case one == "a string or a secret":
		return "strings or secrets"
	case strings.HasPrefix(one, "a duration"), strings.HasPrefix(one, "a size"):
		name, rest, _ := strings.Cut(strings.TrimPrefix(one, "a "), " ")
		return name + "s " + rest
	case one == "a string", one == "an int", one == "a number", one == "a function":
		return one[strings.Index(one, " ")+1:] + "s"
	case one == "True or False", one == "plain data":
		return one
	case strings.HasPrefix(one, "a list of "), strings.HasPrefix(one, "a dict of "):
		return one[2:6] + "s" + one[6:]
	}
	_, name, _ := strings.Cut(one, " ")
	return name + " values"
}

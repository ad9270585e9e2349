package builtin

import (
	"encoding"
	"errors"
	"fmt"
	"reflect"
	"strconv"

	startime "go.starlark.net/lib/time"
	"go.starlark.net/starlark"

	"github.com/erlmcp/runner/runtime/op"
	"github.com/erlmcp/runner/runtime/secret"
)

// conversion puts Starlark values into the fields of Go structs. What is wrong is said in the scripts' words.
type conversion struct {
	kinds *Kinds
	fn    func(*starlark.Function) (op.Func, error)
	depth int
	// filling makes structs of dicts, and nothing of None: a test says what an op gives.
	filling bool
}

var (
	textType     = reflect.TypeFor[secret.Text]()
	funcType     = reflect.TypeFor[op.Func]()
	durationType = reflect.TypeFor[op.Duration]()
	sizeType     = reflect.TypeFor[op.Size]()
	bytesType    = reflect.TypeFor[[]byte]()
	unmarshaler  = reflect.TypeFor[encoding.TextUnmarshaler]()
	valueType    = reflect.TypeFor[starlark.Value]() // of a parameter that takes what a script gives, as it is
)

// want is the error for a value of another type.
func (c *conversion) want(t reflect.Type, v starlark.Value) error {
	err := fmt.Errorf("want %s, got %s", c.kinds.words(t), got(v))
	_, isInt := v.(starlark.Int)
	_, isText := v.(starlark.String)
	switch {
	case isInt && t == durationType:
		return op.Hint(err, `a number alone has no unit: write "%ss"`, v.String())
	case isInt && t == sizeType:
		return op.Hint(err, `a number alone has no unit: write "%sMB" or "%sMiB"`, v.String(), v.String())
	case isText && t.Kind() == reflect.Slice:
		return op.Hint(err, "put it into brackets: [%s]", Repr(v))
	case isText && t.Kind() == reflect.Bool:
		return op.Hint(err, "True and False are written without quotes")
	case t.Kind() == reflect.Struct || t.Kind() == reflect.Interface:
		if kinds := c.kinds.fitting(t); len(kinds) > 0 {
			return op.Hint(err, "it is made by a call: %s(...); runner doc %s describes it", kinds[0], kinds[0])
		}
	}
	return err
}

// got names a value's type, and a short text itself.
func got(v starlark.Value) string {
	if s, ok := v.(starlark.String); ok && len(s) <= 40 {
		return Repr(s)
	}
	return v.Type()
}

// set puts v into dst, which is settable.
func (c *conversion) set(dst reflect.Value, v starlark.Value) error {
	if c.depth++; c.depth > maxNested {
		return errNested
	}
	defer func() { c.depth-- }()
	t := dst.Type()
	if t == valueType {
		dst.Set(reflect.ValueOf(v))
		return nil
	}
	if c.filling {
		if v == starlark.None {
			return nil
		}
		if done, err := c.fillSpecial(dst, v); done {
			return err
		}
	}
	switch x := v.(type) {
	case Unknown:
		if t.Kind() == reflect.String {
			dst.SetString(x.Unknown.String())
		}
		return nil
	case starlark.String:
		if _, ok := masked(string(x)); ok && t.Kind() != reflect.String {
			return nil
		}
	case Secret:
		if t != textType && t.Kind() != reflect.Pointer && (t.Kind() != reflect.Interface || t.NumMethod() > 0) {
			return op.Hint(fmt.Errorf("want %s, got a secret, which this parameter would show", c.kinds.words(t)),
				"give secrets to parameters that take them, such as env or headers")
		}
	}
	switch {
	case t == textType:
		return c.setText(dst, v)
	case t == funcType:
		return c.setFunc(dst, v)
	case reflect.PointerTo(t).Implements(unmarshaler):
		return c.setUnmarshaler(dst, v)
	}
	return c.setKind(dst, v)
}

func (c *conversion) setText(dst reflect.Value, v starlark.Value) error {
	switch v := v.(type) {
	case Secret:
		dst.Set(reflect.ValueOf(v.Text))
	case starlark.String:
		dst.Set(reflect.ValueOf(secret.Plain(string(v))))
	default:
		return c.want(dst.Type(), v)
	}
	return nil
}

func (c *conversion) setFunc(dst reflect.Value, v starlark.Value) error {
	if given, ok := v.(Function); ok {
		dst.Set(reflect.ValueOf(given.Func))
		return nil
	}
	f, ok := v.(*starlark.Function)
	switch {
	case !ok:
		return c.want(dst.Type(), v)
	case c.fn == nil:
		return errors.New("a function cannot be given here")
	case f.Name() == "lambda" || f.NumFreeVars() > 0:
		return op.Hint(fmt.Errorf("want a function of a file, got %s", f.Name()),
			"write it as a def at the left edge, using only its parameters and the file's own names")
	}
	fn, err := c.fn(f)
	if err != nil {
		return err
	}
	dst.Set(reflect.ValueOf(fn))
	return nil
}

func (c *conversion) setUnmarshaler(dst reflect.Value, v starlark.Value) error {
	if d, ok := v.(*Data); ok && d.v.Type().AssignableTo(dst.Type()) {
		dst.Set(d.v)
		return nil
	}
	s, ok := v.(starlark.String)
	if d, isDuration := v.(startime.Duration); isDuration && dst.Type() == durationType {
		s, ok = starlark.String(d.String()), true
	}
	if !ok {
		return c.want(dst.Type(), v)
	}
	return dst.Addr().Interface().(encoding.TextUnmarshaler).UnmarshalText([]byte(s))
}

func (c *conversion) setKind(dst reflect.Value, v starlark.Value) error {
	t := dst.Type()
	switch t.Kind() {
	case reflect.Pointer:
		p := reflect.New(t.Elem())
		dst.Set(p)
		return c.set(p.Elem(), v)
	case reflect.Interface:
		return c.setInterface(dst, v)
	case reflect.Struct:
		if d, ok := v.(*Data); ok && d.v.Type().AssignableTo(t) {
			dst.Set(d.v)
			return nil
		}
		if c.filling {
			return c.fill(dst, v)
		}
	case reflect.Slice:
		return c.setSlice(dst, v)
	case reflect.Map:
		return c.setMap(dst, v)
	case reflect.String:
		if s, ok := v.(starlark.String); ok {
			dst.SetString(string(s))
			return nil
		}
	case reflect.Bool:
		if b, ok := v.(starlark.Bool); ok {
			dst.SetBool(bool(b))
			return nil
		}
	case reflect.Float32, reflect.Float64:
		if f, ok := starlark.AsFloat(v); ok {
			dst.SetFloat(f)
			return nil
		}
	default:
		return c.setInt(dst, v)
	}
	return c.want(t, v)
}

func (c *conversion) setInt(dst reflect.Value, v starlark.Value) error {
	i, ok := v.(starlark.Int)
	if !ok {
		return c.want(dst.Type(), v)
	}
	if dst.CanUint() {
		u, ok := i.Uint64()
		if !ok || dst.OverflowUint(u) {
			return fmt.Errorf("%s is out of range: want 0 to %d", Repr(v), uint64(1)<<dst.Type().Bits()-1)
		}
		dst.SetUint(u)
		return nil
	}
	n, ok := i.Int64()
	if !dst.CanInt() || !ok || dst.OverflowInt(n) {
		return fmt.Errorf("%s is out of range", Repr(v))
	}
	dst.SetInt(n)
	return nil
}

func (c *conversion) setInterface(dst reflect.Value, v starlark.Value) error {
	if d, ok := v.(*Data); ok && d.v.Type().AssignableTo(dst.Type()) {
		dst.Set(d.v)
		return nil
	}
	if dst.NumMethod() > 0 {
		return c.want(dst.Type(), v)
	}
	x, err := c.plain(v)
	if err == nil && x != nil {
		dst.Set(reflect.ValueOf(x))
	}
	return err
}

func (c *conversion) setSlice(dst reflect.Value, v starlark.Value) error {
	if s, ok := v.(starlark.String); ok && dst.Type() == bytesType {
		dst.SetBytes([]byte(s))
		return nil
	}
	it, ok := v.(starlark.Iterable)
	if _, isDict := v.(*starlark.Dict); !ok || isDict {
		return c.want(dst.Type(), v)
	}
	if n := starlark.Len(it); n > maxVisited {
		return fmt.Errorf("want at most %d elements, got %d", maxVisited, n)
	}
	iter := it.Iterate()
	defer iter.Done()
	out := reflect.MakeSlice(dst.Type(), 0, 0)
	var x starlark.Value
	for iter.Next(&x) {
		e := reflect.New(dst.Type().Elem()).Elem()
		if err := c.set(e, x); err != nil {
			return within(err, "["+strconv.Itoa(out.Len())+"]")
		}
		out = reflect.Append(out, e)
	}
	dst.Set(out)
	return nil
}

func (c *conversion) setMap(dst reflect.Value, v starlark.Value) error {
	d, ok := v.(*starlark.Dict)
	if !ok {
		return c.want(dst.Type(), v)
	}
	out := reflect.MakeMap(dst.Type())
	for _, kv := range d.Items() {
		key, ok := kv[0].(starlark.String)
		if !ok {
			return fmt.Errorf("want names as keys, got %s", Repr(kv[0]))
		}
		e := reflect.New(dst.Type().Elem()).Elem()
		if err := c.set(e, kv[1]); err != nil {
			return within(err, "["+Repr(key)+"]")
		}
		out.SetMapIndex(reflect.ValueOf(string(key)).Convert(dst.Type().Key()), e)
	}
	dst.Set(out)
	return nil
}

package op

import (
	"bytes"
	"encoding/json"
	"reflect"
)

// MapStrings is a copy of plain data with f applied to every string in it, inside raw JSON too; map keys stay. Types
// that hide their content, such as secret.Text, are left as they are.
func MapStrings(v any, f func(string) string) any {
	if v == nil {
		return nil
	}
	out := reflect.New(reflect.TypeOf(v)).Elem()
	out.Set(reflect.ValueOf(v))
	mapStrings(out, f)
	return out.Interface()
}

func mapStrings(v reflect.Value, f func(string) string) {
	if !v.CanSet() {
		return
	}
	if raw, ok := v.Interface().(json.RawMessage); ok {
		v.SetBytes(mapRaw(raw, f))
		return
	}
	switch v.Kind() {
	case reflect.String:
		v.SetString(f(v.String()))
	case reflect.Struct:
		for i := range v.NumField() {
			mapStrings(v.Field(i), f)
		}
	case reflect.Slice:
		if v.Type().Elem().Kind() == reflect.Uint8 || v.IsNil() {
			return
		}
		fresh := reflect.MakeSlice(v.Type(), v.Len(), v.Len())
		reflect.Copy(fresh, v)
		v.Set(fresh)
		for i := range v.Len() {
			mapStrings(v.Index(i), f)
		}
	case reflect.Map:
		if v.IsNil() {
			return
		}
		fresh := reflect.MakeMapWithSize(v.Type(), v.Len())
		for it := v.MapRange(); it.Next(); {
			e := reflect.New(v.Type().Elem()).Elem()
			e.Set(it.Value())
			mapStrings(e, f)
			fresh.SetMapIndex(it.Key(), e)
		}
		v.Set(fresh)
	case reflect.Pointer, reflect.Interface:
		if v.IsNil() {
			return
		}
		e := reflect.New(v.Elem().Type())
		e.Elem().Set(v.Elem())
		mapStrings(e.Elem(), f)
		if v.Kind() == reflect.Pointer {
			v.Set(e)
		} else {
			v.Set(e.Elem())
		}
	}
}

func mapRaw(raw json.RawMessage, f func(string) string) json.RawMessage {
	d := json.NewDecoder(bytes.NewReader(raw))
	d.UseNumber()
	var v any
	if len(raw) == 0 || d.Decode(&v) != nil {
		return raw
	}
	var b bytes.Buffer
	if plain(&b, MapStrings(v, f)) != nil {
		return raw
	}
	return b.Bytes()
}

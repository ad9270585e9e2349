package op

import (
	"bytes"
	"encoding/json"
	"reflect"
)

// MapStrings is a copy of plain data with f applied to every string in it, keys of maps among them, inside raw JSON too;
// there the keys stay, for they name the fields of ops. Types that hide their content, such as secret.Text, are left as
// they are.
func MapStrings(v any, f func(string) string) any { return mapped(v, f, f) }

func mapped(v any, f, key func(string) string) any {
	if v == nil {
		return nil
	}
	out := reflect.New(reflect.TypeOf(v)).Elem()
	out.Set(reflect.ValueOf(v))
	mapStrings(out, f, key)
	return out.Interface()
}

func mapStrings(v reflect.Value, f, key func(string) string) {
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
			mapStrings(v.Field(i), f, key)
		}
	case reflect.Slice:
		if v.Type().Elem().Kind() == reflect.Uint8 || v.IsNil() {
			return
		}
		fresh := reflect.MakeSlice(v.Type(), v.Len(), v.Len())
		reflect.Copy(fresh, v)
		v.Set(fresh)
		for i := range v.Len() {
			mapStrings(v.Index(i), f, key)
		}
	case reflect.Map:
		if v.IsNil() {
			return
		}
		fresh := reflect.MakeMapWithSize(v.Type(), v.Len())
		for it := v.MapRange(); it.Next(); {
			e := reflect.New(v.Type().Elem()).Elem()
			e.Set(it.Value())
			mapStrings(e, f, key)
			k := it.Key()
			if k.Kind() == reflect.String {
				k = reflect.ValueOf(key(k.String())).Convert(k.Type())
			}
			fresh.SetMapIndex(k, e)
		}
		v.Set(fresh)
	case reflect.Pointer, reflect.Interface:
		if v.IsNil() {
			return
		}
		e := reflect.New(v.Elem().Type())
		e.Elem().Set(v.Elem())
		mapStrings(e.Elem(), f, key)
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
	if plain(&b, mapped(v, f, func(key string) string { return key })) != nil {
		return raw
	}
	return b.Bytes()
}

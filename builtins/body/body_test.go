package body

import (
	"encoding/json"
	"errors"
	"io"
	"strings"
	"testing"
)

func TestDecode(t *testing.T) {
	for text, want := range map[string]string{
		`{"a":[1,{"b":null}]}`: "", " 7 ": "", `"[[["`: "", `"\"[["`: "",
		"": "no JSON", "{": "no JSON", "{} {}": "more than one JSON value", "1 x": "more than one JSON value",
		strings.Repeat("[", 64) + strings.Repeat("]", 64): "", strings.Repeat("[", 65) + strings.Repeat("]", 65): "nested deeper than 64",
	} {
		if _, err := Decode([]byte(text)); (err == nil) != (want == "") || err != nil && err.Error() != want {
			t.Errorf("%.20s: %v, want %q", text, err, want)
		}
	}
	if v, err := Decode([]byte("1e999")); err != nil || v != any(json.Number("1e999")) {
		t.Errorf("a huge number: %v, %v", v, err)
	}
}

func TestMismatch(t *testing.T) {
	v, err := Decode([]byte(`{"a":{"b":[true,"x"]},"n":2.0,"z":null}`))
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		want      map[string]any
		path, got string
	}{
		{nil, "", ""},
		{map[string]any{"a.b.0": true, "a.b.1": "x", "n": int64(2), "z": nil}, "", ""},
		{map[string]any{"a.b.2": true}, "a.b.2", "missing"},
		{map[string]any{"a.b.-1": true}, "a.b.-1", "missing"},
		{map[string]any{"n": 3, "a.b.1": "y"}, "a.b.1", `"x"`},
		{map[string]any{"n.m": 3}, "n.m", "missing"},
		{map[string]any{"a.b": []any{true, "x"}}, "", ""},
	} {
		if path, got := Mismatch(v, c.want); path != c.path || got != c.got {
			t.Errorf("%v: %q is %q", c.want, path, got)
		}
	}
	if err := CheckPaths("json", map[string]any{"a.b": 1, "a..b": 1}); err == nil || err.Error() != `json: want paths such as "checks.vm.status", got "a..b"` {
		t.Error(err)
	}
}

func TestWords(t *testing.T) {
	for want, err := range map[string]error{
		"connection refused":                         errors.New("dial: connection refused"),
		"the connection ends before the answer does": io.ErrUnexpectedEOF,
		`odd\x1b[31m`:                                errors.New("odd\x1b[31m"),
	} {
		if got := NoAnswer(err); got != want {
			t.Errorf("got %q, want %q", got, want)
		}
	}
	if got := Printable("a\n\u202eé"+strings.Repeat("x", 100), 12); got != `a\n\u202eéxx…` {
		t.Errorf("%q", got)
	}
}

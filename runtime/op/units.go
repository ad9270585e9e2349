package op

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"regexp"
	"strconv"
	"strings"
	"time"
)

// Duration is a time.Duration whose text, in scripts and on the wire, is such as "90s" or "5m30s".
type Duration time.Duration

// D is the duration as Go knows it.
func (d Duration) D() time.Duration { return time.Duration(d) }

func (d Duration) String() string {
	s := time.Duration(d).String()
	if strings.HasSuffix(s, "m0s") {
		s = strings.TrimSuffix(s, "0s")
	}
	if strings.HasSuffix(s, "h0m") {
		s = strings.TrimSuffix(s, "0m")
	}
	return s
}

// MarshalText implements encoding.TextMarshaler.
func (d Duration) MarshalText() ([]byte, error) { return []byte(d.String()), nil }

// UnmarshalText implements encoding.TextUnmarshaler: a number with a unit, not negative.
func (d *Duration) UnmarshalText(text []byte) error {
	v, err := time.ParseDuration(string(text))
	if err != nil {
		return fmt.Errorf(`want a duration such as "90s", got %q`, clip(text))
	}
	if v < 0 {
		return fmt.Errorf("want a duration of 0 or more, got %q", clip(text))
	}
	*d = Duration(v)
	return nil
}

// Size is a number of bytes whose text is such as "2GiB" or "500MB".
type Size int64

var sizePattern = regexp.MustCompile(`^([0-9]{1,18}(?:\.[0-9]{1,9})?) ?([kKMGT]i?)?B?$`)

// units are the IEC (powers of 1024) and SI (powers of 1000) prefixes.
var units = []struct {
	name string
	size float64
}{
	{"Ti", 1 << 40}, {"Gi", 1 << 30}, {"Mi", 1 << 20}, {"Ki", 1 << 10},
	{"T", 1e12}, {"G", 1e9}, {"M", 1e6}, {"K", 1e3}, {"", 1},
}

func (s Size) String() string {
	for _, u := range units[:4] {
		if float64(s) >= u.size {
			return strings.TrimSuffix(strconv.FormatFloat(float64(s)/u.size, 'f', 1, 64), ".0") + u.name + "B"
		}
	}
	return strconv.FormatInt(int64(s), 10) + "B"
}

// MarshalText implements encoding.TextMarshaler, without loss.
func (s Size) MarshalText() ([]byte, error) {
	return []byte(strconv.FormatInt(int64(s), 10) + "B"), nil
}

// UnmarshalText implements encoding.TextUnmarshaler.
func (s *Size) UnmarshalText(text []byte) error {
	m := sizePattern.FindSubmatch(text)
	if m == nil {
		return fmt.Errorf(`want a size such as "2GiB", got %q`, clip(text))
	}
	n, err := strconv.ParseFloat(string(m[1]), 64)
	if err != nil {
		return fmt.Errorf(`want a size such as "2GiB", got %q`, clip(text))
	}
	for _, u := range units {
		if strings.EqualFold(u.name, string(m[2])) {
			n *= u.size
			break
		}
	}
	if n > 1<<53 { // beyond it a float is not exact
		return fmt.Errorf("want a size of at most 8 PiB, got %q", clip(text))
	}
	*s = Size(n)
	return nil
}

func clip(text []byte) string {
	if len(text) > 40 {
		return string(text[:40]) + "…"
	}
	return string(text)
}

// Func is a parameter that is a Starlark function: a top-level def without free variables, named on the wire.
type Func struct {
	Module string `json:"module"` // deploy.star
	Name   string `json:"name"`
	Digest string `json:"digest"` // of the module's source

	// The rest is set where the script that defines the function is loaded.
	Call func(ctx context.Context, args ...any) (any, error) `json:"-"`
	At   string                                              `json:"-"` // environments.star:3:1
	Min  int                                                 `json:"-"` // how many arguments it must get
	Max  int                                                 `json:"-"` // and can
}

// Invoke calls the function. One that came from a log can be called where the same script is loaded.
func (f Func) Invoke(ctx context.Context, args ...any) (any, error) {
	if f.Call == nil {
		return nil, fmt.Errorf("cannot call %s of %s: its script is not loaded", f.Name, f.Module)
	}
	return f.Call(ctx, args...)
}

var errNotObject = errors.New("want an object")

var _ json.Unmarshaler = (*jsonObject)(nil)

// jsonObject is an object's fields, refusing anything else.
type jsonObject map[string]json.RawMessage

func (o *jsonObject) UnmarshalJSON(data []byte) error {
	var m map[string]json.RawMessage
	if err := json.Unmarshal(data, &m); err != nil || m == nil {
		return errNotObject
	}
	*o = m
	return nil
}

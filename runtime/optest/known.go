package optest

import (
	"encoding"
	"encoding/json"
	"reflect"
	"time"

	"github.com/erlmcp/runner/runtime/op"
	"github.com/erlmcp/runner/runtime/secret"
)

// known fills the types of the vocabulary, which have a form of their own on the wire. It is true also for others'
// types with such a form: no value of theirs is known here.
func known(v reflect.Value) bool {
	switch p := v.Addr().Interface().(type) {
	case *op.Duration:
		*p = op.Duration(90 * time.Second)
	case *op.Size:
		*p = 2 << 30
	case *secret.Text:
		*p = secret.Env("NAME")
	case *time.Time:
		*p = time.Date(2026, 1, 26, 12, 0, 0, 0, time.UTC)
	case *op.Func:
		*p = op.Func{Module: "deploy.star", Name: "check", Digest: "sha256:00"}
	case *json.RawMessage:
		*p = json.RawMessage(`{"a":1}`)
	case json.Unmarshaler, encoding.TextUnmarshaler:
	default:
		return false
	}
	return true
}

package script

import (
	"fmt"

	starjson "go.starlark.net/lib/json"
	"go.starlark.net/starlark"

	"github.com/erlmcp/runner/runtime/builtin"
	"github.com/erlmcp/runner/runtime/op"
)

// Limits of a JSON document that a script decodes. Scripts decode what servers answer.
const (
	maxJSONDepth = 1000
	maxJSONSize  = op.Size(16 << 20)
)

// jsonModule is starlark-go's json, refusing what would take the process down.
func jsonModule() *builtin.Module {
	members := starlark.StringDict{}
	for name, v := range starjson.Module.Members {
		b := v.(*starlark.Builtin)
		members[name] = starlark.NewBuiltin("json."+name, caught(func(t *starlark.Thread, _ *starlark.Builtin, args starlark.Tuple, kwargs []starlark.Tuple) (starlark.Value, error) {
			for _, v := range args {
				if err := checkJSON(b.Name(), v); err != nil {
					return nil, err
				}
			}
			return b.CallInternal(t, args, kwargs)
		}))
	}
	return builtin.NewModule("json", members)
}

func checkJSON(name string, v starlark.Value) error {
	if name == "json.encode" || name == "json.encode_indent" {
		return builtin.CheckNesting(v)
	}
	if err := builtin.CheckKnown(v); err != nil {
		return err
	}
	s, _ := v.(starlark.String)
	if len(s) > int(maxJSONSize) {
		return fmt.Errorf("the document is larger than %s", maxJSONSize)
	}
	if jsonDepth(string(s)) > maxJSONDepth {
		return fmt.Errorf("the document is nested more than %d deep", maxJSONDepth)
	}
	return nil
}

// jsonDepth is how deep brackets nest, outside strings.
func jsonDepth(doc string) int {
	depth, deepest := 0, 0
	quoted := false
	for i := 0; i < len(doc); i++ {
		switch c := doc[i]; {
		case quoted && c == '\\':
			i++
		case c == '"':
			quoted = !quoted
		case quoted:
		case c == '[' || c == '{':
			depth++
			deepest = max(deepest, depth)
		case c == ']' || c == '}':
			depth--
		}
	}
	return deepest
}

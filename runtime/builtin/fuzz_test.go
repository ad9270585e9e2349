package builtin

import (
	"errors"
	"testing"

	"go.starlark.net/starlark"
	"go.starlark.net/syntax"

	"github.com/erlmcp/runner/runtime/op"
)

// FuzzBind holds that no expression as arguments makes a panic, and that what is bound can be seen, printed and bound
// again.
func FuzzBind(f *testing.F) {
	for _, s := range []string{
		`"/r", "7"`, `"/r", "7", timeout = "5m", size = "1.5GiB", dry = True`, `"/r", "7", argv = ["a"], matrix = [[1], [2, 3]]`,
		`"/r", "7", env = {"A": app.token("T")}, token = app.token("T")`, `"/r", "7", units = {"a": unit("x")}, service = unit("x")`,
		`"/r", "7", body = {"a": [1, {"b": (None, 1.5)}]}`, `"/r", "7", body = struct(a = unknown), at = "2026-01-02T03:04:05Z"`,
		`unknown, "‹known after x›", count = -1, mode = 1 << 16`, `*["/r", "7"], **{"raw": "x", "given": 3}`, `root = "/r", id = "7", unit = None`,
		`"/r", "7", body = {1: 2}`, `"/r", "7", count = 1e400`, `"/r", "7", body = "‹known after "`,
	} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, args string) {
		if len(args) > 1000 {
			t.Skip("large")
		}
		var bound *op.Bound
		kinds := NewKinds(testFamilies())
		calls := &Calls{Kinds: kinds, Perform: func(_ *starlark.Thread, b op.Bound) (any, error) {
			bound = &b
			return b.Params, nil
		}, Func: func(*starlark.Thread, *starlark.Function) (op.Func, error) { return op.Func{}, nil }}
		env := calls.Predeclared(testFamilies())
		env["unknown"] = Unknown{op.Unknown{After: "x"}}
		env["struct"] = starlark.NewBuiltin("struct", MakeStruct)
		thread := &starlark.Thread{}
		thread.SetMaxExecutionSteps(10_000)
		defer func() {
			if err := Caught(recover()); errors.As(err, new(*op.Fault)) {
				t.Error(err)
			}
		}()
		v, err := starlark.EvalOptions(&syntax.FileOptions{Set: true}, thread, "x.star", "app.deploy("+args+")", env)
		if errors.As(err, new(*op.Fault)) {
			t.Fatal(err)
		}
		if err != nil || bound == nil {
			return
		}
		if len(Repr(v)) > maxPrinted+100 {
			t.Error("it prints without end")
		}
		if back, err := kinds.Plain(v); err != nil || back == nil {
			t.Errorf("it does not come back: %v", err)
		}
	})
}

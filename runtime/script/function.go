package script

import (
	"context"
	"fmt"
	"math"

	"go.starlark.net/starlark"

	"github.com/erlmcp/runner/runtime/op"
)

// function makes op.Func of the functions that scripts give to ops. Such a function has no effects of its own.
func (s *Script) function(t *starlark.Thread, f *starlark.Function) (op.Func, error) {
	if f.Globals()[f.Name()] != f {
		return op.Func{}, op.Hint(fmt.Errorf("want a function of a file, got %s", f.Name()), "write it as a def at the left edge")
	}
	return s.given(f, t.CallFrame(0).Name), nil
}

// Function finds a function that a log names, for op.Registry: one that an op was given stays the same one on undo, as
// long as the same script is loaded.
func (s *Script) Function(f op.Func) op.Func {
	m := s.loader.modules[f.Module]
	if m == nil || m.Digest != f.Digest {
		return f
	}
	if fn, ok := m.globals[f.Name].(*starlark.Function); ok {
		return s.given(fn, "an op")
	}
	return f
}

// given is a function as an op has it, to whom it was given.
func (s *Script) given(f *starlark.Function, to string) op.Func {
	kinds := s.loader.kinds
	m := s.loader.modules[f.Position().Filename()]
	call := func(ctx context.Context, args ...any) (any, error) {
		thread, stop := s.thread(&flow{ctx: ctx, script: s, pure: to}, to)
		defer stop()
		tuple := make(starlark.Tuple, len(args))
		for i, a := range args {
			tuple[i] = kinds.Starlark(a)
		}
		v, err := call1(thread, f, tuple, nil)
		if err != nil {
			return nil, err
		}
		return kinds.Plain(v)
	}
	least, most := takes(f)
	return op.Func{Module: m.Name, Name: f.Name(), Digest: m.Digest, Call: call, At: placeOf(f.Position()).String(), Min: least, Max: most}
}

// takes is how many arguments in order a function must get at least, and can get at most.
func takes(f *starlark.Function) (least, most int) {
	most = f.NumParams() - f.NumKwonlyParams()
	for _, more := range []bool{f.HasVarargs(), f.HasKwargs()} {
		if more {
			most--
		}
	}
	for i := range most + f.NumKwonlyParams() {
		if f.ParamDefault(i) == nil {
			least++
		}
	}
	if f.HasVarargs() {
		most = math.MaxInt
	}
	return least, most
}

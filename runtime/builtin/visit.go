package builtin

import (
	"fmt"

	"go.starlark.net/starlark"
)

// maxNested is how deep lists, dicts and the like may nest where the whole is walked: to print, encode or bind it.
const maxNested = 1000

// maxVisited is how many values a search looks at.
const maxVisited = 1 << 20

var errNested = fmt.Errorf("the value is nested more than %d deep", maxNested)

// CheckNesting is an error for a value nested so deeply that walking it could overflow the stack.
func CheckNesting(v starlark.Value) error {
	if !visit(v, maxNested, func(starlark.Value) bool { return true }) {
		return errNested
	}
	return nil
}

// visit walks a value and what is in it until f gives false. It gives false itself where the value is nested deeper
// than depth. A value that holds itself is walked until the depth ends, unless it was met before.
func visit(v starlark.Value, depth int, f func(starlark.Value) bool) bool {
	w := &walk{f: f, left: maxVisited, seen: map[any]bool{}}
	return w.visit(v, depth)
}

type walk struct {
	f    func(starlark.Value) bool
	left int
	done bool
	seen map[any]bool
}

func (w *walk) visit(v starlark.Value, depth int) bool {
	if depth < 0 {
		return false
	}
	if w.done || w.left <= 0 {
		return true
	}
	w.left--
	if !w.f(v) {
		w.done = true
		return true
	}
	switch v.(type) {
	case *starlark.List, *starlark.Dict, *starlark.Set, *Struct:
		if w.seen[v] {
			return true
		}
		w.seen[v] = true
	}
	for _, c := range children(v) {
		if !w.visit(c, depth-1) {
			return false
		}
	}
	return true
}

// children are the values directly inside one that a script can build.
func children(v starlark.Value) []starlark.Value {
	var out []starlark.Value
	switch v := v.(type) {
	case starlark.Tuple:
		return v
	case *starlark.List:
		for i := range v.Len() {
			out = append(out, v.Index(i))
		}
	case *starlark.Dict:
		for _, kv := range v.Items() {
			out = append(out, kv...)
		}
	case *starlark.Set:
		for x := range v.Elements() {
			out = append(out, x)
		}
	case *Struct:
		return v.values
	}
	return out
}

package script

import (
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"

	"go.starlark.net/lib/math"
	startime "go.starlark.net/lib/time"
	"go.starlark.net/starlark"

	"github.com/erlmcp/runner/runtime/builtin"
)

// builtinFunc is the Go body of a builtin.
type builtinFunc = func(*starlark.Thread, *starlark.Builtin, starlark.Tuple, []starlark.Tuple) (starlark.Value, error)

// universe is every name that scripts see without loading it.
func universe(s *Script, kinds *builtin.Kinds) starlark.StringDict {
	calls := &builtin.Calls{Kinds: kinds, Perform: perform, Func: s.function}
	u := guarded()
	maps.Copy(u, calls.Predeclared(s.options.Families))
	core := &core{kinds}
	for name, f := range map[string]builtinFunc{
		"stage": core.stage, "recover": core.recover, "lease": core.lease, "held": core.held, "unfinished": core.unfinished, "commit": core.commit, "confirm": core.confirm,
		"on_undo": core.onUndo, "attempt": core.attempt, "parallel": core.parallel,
		"print": core.print, "fail": fail, "refuse": refuse, "known": isKnown, "struct": builtin.MakeStruct,
		"str": str, "repr": repr, "int": toInt,
		equalName: equal, truthName: truth, memberName: member, textName: text, operandName: operand,
	} {
		u[name] = starlark.NewBuiltin(name, caught(f))
	}
	if c := s.options.Cover; c != nil {
		u[coverName] = starlark.NewBuiltin(coverName, c.count)
	}
	u["math"] = builtin.NewModule("math", math.Module.Members)
	u["time"] = builtin.NewModule("time", startime.Module.Members)
	u["json"] = jsonModule()
	args := make([]starlark.Value, len(s.options.Info.Args))
	for i, a := range s.options.Info.Args {
		args[i] = starlark.String(a)
	}
	u["run"] = builtin.NewStruct(starlark.StringDict{
		"id": starlark.String(s.options.Info.ID), "script": starlark.String(s.Name), "args": starlark.NewList(args),
	})
	u.Freeze()
	return u
}

// caught makes a panic of a builtin its error.
func caught(f builtinFunc) builtinFunc {
	return func(t *starlark.Thread, b *starlark.Builtin, args starlark.Tuple, kwargs []starlark.Tuple) (v starlark.Value, err error) {
		return recovered(t, func() (starlark.Value, error) { return f(t, b, args, kwargs) })
	}
}

// maxElements is the longest sequence that a builtin goes through: what it does in one step cannot be stopped.
const maxElements = 10_000_000

// deciding are the builtins whose result depends on what is in their argument.
const deciding = " all any max min sorted "

// unbounded are the builtins that do not go through their arguments.
const unbounded = " bool dir getattr hasattr len range type "

// guarded are starlark-go's own builtins, refusing what would take all time or memory in one step, and unknowns.
func guarded() starlark.StringDict {
	u := starlark.StringDict{}
	for name, v := range starlark.Universe {
		if b, ok := v.(*starlark.Builtin); ok {
			u[name] = starlark.NewBuiltin(name, caught(guard(b)))
		}
	}
	return u
}

func guard(b *starlark.Builtin) builtinFunc {
	name := " " + b.Name() + " "
	return func(t *starlark.Thread, _ *starlark.Builtin, args starlark.Tuple, kwargs []starlark.Tuple) (starlark.Value, error) {
		for _, v := range args {
			if it, ok := v.(starlark.Iterable); ok && starlark.Len(it) > maxElements && !strings.Contains(unbounded, name) {
				return nil, fmt.Errorf("want at most %d elements, got %d", maxElements, starlark.Len(it))
			}
			if err := known(v, strings.Contains(deciding, name)); err != nil && name != " type " {
				return nil, err
			}
		}
		return b.CallInternal(t, args, kwargs)
	}
}

// known refuses an unknown, and where deep one inside v.
func known(v starlark.Value, deep bool) error {
	switch v.(type) {
	case builtin.Unknown, starlark.String:
		return builtin.CheckKnown(v)
	}
	if deep {
		return builtin.CheckKnown(v)
	}
	return nil
}

func one(b *starlark.Builtin, args starlark.Tuple, kwargs []starlark.Tuple) (starlark.Value, error) {
	if len(args) != 1 || len(kwargs) > 0 {
		return nil, fmt.Errorf("takes one value, got %d", len(args)+len(kwargs))
	}
	return args[0], nil
}

func str(_ *starlark.Thread, b *starlark.Builtin, args starlark.Tuple, kwargs []starlark.Tuple) (starlark.Value, error) {
	v, err := one(b, args, kwargs)
	if err != nil {
		return nil, err
	}
	switch v := v.(type) {
	case starlark.String:
		return v, nil
	case starlark.Bytes:
		return starlark.Call(&starlark.Thread{}, starlark.Universe["str"], args, nil)
	}
	return starlark.String(builtin.Print(v)), nil
}

func repr(_ *starlark.Thread, b *starlark.Builtin, args starlark.Tuple, kwargs []starlark.Tuple) (starlark.Value, error) {
	v, err := one(b, args, kwargs)
	if err != nil {
		return nil, err
	}
	return starlark.String(builtin.Repr(v)), nil
}

// maxDigits is the longest number that int reads: the time it takes grows with the square.
const maxDigits = 10_000

func toInt(t *starlark.Thread, _ *starlark.Builtin, args starlark.Tuple, kwargs []starlark.Tuple) (starlark.Value, error) {
	all := slices.Clone(args)
	for _, kv := range kwargs {
		all = append(all, kv[1])
	}
	for _, v := range all {
		if err := builtin.CheckKnown(v); err != nil {
			return nil, err
		}
		if s, ok := v.(starlark.String); ok && len(s) > maxDigits {
			return nil, fmt.Errorf("want at most %d digits, got %d", maxDigits, len(s))
		}
	}
	return starlark.Universe["int"].(*starlark.Builtin).CallInternal(t, args, kwargs)
}

// joined is what print and fail show.
func joined(args starlark.Tuple, kwargs []starlark.Tuple) (string, error) {
	sep := " "
	for _, kv := range kwargs {
		s, ok := kv[1].(starlark.String)
		if kv[0] != starlark.String("sep") || !ok {
			return "", errors.New("takes values, and sep as a text")
		}
		sep = string(s)
	}
	texts := make([]string, len(args))
	for i, v := range args {
		texts[i] = builtin.Print(v)
	}
	return strings.Join(texts, sep), nil
}

func fail(_ *starlark.Thread, _ *starlark.Builtin, args starlark.Tuple, kwargs []starlark.Tuple) (starlark.Value, error) {
	text, err := joined(args, kwargs)
	if err != nil {
		return nil, err
	}
	return nil, &Failed{text}
}

// Package optest is the suite that every op must pass: what is promised of it on paper (a summary, its documentation,
// its wire format), and what it does in worlds that a family makes for it: looking changes nothing, ending comes at
// once, and what it did, or half of it, is put back. It is for tests alone, and knows no family.
package optest

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/erlmcp/runner/runtime/builtin"
	"github.com/erlmcp/runner/runtime/host"
	"github.com/erlmcp/runner/runtime/op"
)

// World is a situation in which an op is performed, new for each check.
type World struct {
	Host   *host.Host
	Params any // the op's struct

	// Snapshot tells, in a text, the part of the world that the op's undo must restore: what serves and answers, not
	// what lies beside it and serves nobody.
	Snapshot func() string

	// Blind is an op whose inverse cannot see that all is as wanted already, and so does it again: a program that only
	// its author knows.
	Blind bool
}

// Worlds make worlds. A name is that of an op, or begins with it: "activate", "activate: nothing serves yet".
type Worlds map[string]func(t testing.TB) World

// Suite is a family under test.
type Suite struct {
	Family func(*host.Host) builtin.Family
	Others []builtin.Family // those whose values stand in this family's fields
	Worlds Worlds

	// Elsewhere says where the worlds of a family are that needs more than every machine has, such as "the labs".
	Elsewhere string
}

// Run holds every op of a family to every rule. A Change must have a world. The wire format of the family is compared
// with testdata/wire/FAMILY.golden at the root of the module, which is written where it is missing, or where the test's
// own flag -update says so.
func Run(t *testing.T, s Suite) {
	bound, err := s.bind(&host.Host{})
	if err != nil {
		t.Fatal(err)
	}
	t.Run("on paper", func(t *testing.T) {
		for _, spec := range bound.family.Ops {
			bound.paper(t, spec)
		}
		for _, v := range bound.family.Values {
			documented(t, v.Name, v.Proto)
		}
	})
	t.Run("wire", func(t *testing.T) { bound.golden(t) })
	for _, problem := range s.unmatched(bound.family) {
		t.Error(problem)
	}
	for name, world := range s.Worlds {
		t.Run(name, func(t *testing.T) {
			for rule, check := range rules() {
				t.Run(rule, func(t *testing.T) { check(t, s, opOf(name), world) })
			}
		})
	}
}

// opOf is the op that a world is for.
func opOf(world string) string {
	name, _, _ := strings.Cut(world, ":")
	return name
}

// unmatched are worlds without an op, and Changes without a world.
func (s Suite) unmatched(f builtin.Family) (out []string) {
	var names, covered []string
	for _, spec := range f.Ops {
		names = append(names, spec.Name)
	}
	for w := range s.Worlds {
		covered = append(covered, opOf(w))
		if !slices.Contains(names, opOf(w)) {
			out = append(out, fmt.Sprintf("the world %q is for no op of %s", w, f.Name))
		}
	}
	for _, spec := range f.Ops {
		if spec.Class == op.ClassChange && s.Elsewhere == "" && !slices.Contains(covered, spec.Name) {
			out = append(out, fmt.Sprintf("%s changes what serves and has no world", spec.FullName()))
		}
	}
	return out
}

// bound is a family on one host.
type bound struct {
	family builtin.Family
	all    []builtin.Family
	reg    *op.Registry
}

func (s Suite) bind(h *host.Host) (bound, error) {
	f := s.Family(h)
	b := bound{family: f, all: append([]builtin.Family{f}, s.Others...)}
	var err error
	b.reg, err = op.NewRegistry(builtin.Specs(b.all), builtin.Values(b.all))
	return b, err
}

// key is the one that every op under test gets.
const key op.Key = "20260126t120000-test/7"

// op binds parameters to their op, as the engine would: with a key, and through the wire.
func (b bound) op(t testing.TB, params any) op.Bound {
	t.Helper()
	wire, err := b.reg.Encode(params)
	if err != nil {
		t.Fatalf("not writable: %v", err)
	}
	o, err := b.reg.Decode(wire)
	if err != nil {
		t.Fatalf("not readable: %v\n%s", err, wire)
	}
	if again, err := b.reg.Encode(o.Params); err != nil || string(again) != string(wire) {
		t.Errorf("%s comes back from the wire as %s, %v", wire, again, err)
	}
	return o.WithKey(key)
}

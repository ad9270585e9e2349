package compose

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/erlmcp/runner/builtins/compose/reconcile"
	"github.com/erlmcp/runner/builtins/compose/shape"
	"github.com/erlmcp/runner/runtime/op"
)

func TestSame(t *testing.T) {
	c := func(name, hash, image string) shape.Container {
		return shape.Container{Name: name, Service: name, Hash: hash, ImageID: image}
	}
	set := shape.Set{Containers: []shape.Container{c("web", "h", "i"), c("db", "h", "i")}}
	for _, s := range []struct {
		seen    []shape.Container
		same    bool
		differs string
	}{
		{[]shape.Container{c("db", "h", "i"), c("web", "h", "i")}, true, ""},
		{[]shape.Container{c("db", "h", "i"), c("web", "h", "i"), c("more", "h", "i")}, false, ""},
		{[]shape.Container{c("db", "h", "i")}, false, "web"},
		{[]shape.Container{c("db", "other", "i"), c("web", "h", "i")}, false, "db"},
		{[]shape.Container{c("db", "h", "other"), c("web", "h", "i")}, false, "db"},
	} {
		seen := &reconcile.Seen{Set: shape.Set{Containers: s.seen}}
		if same(set, seen) != s.same || differs(set, seen) != s.differs {
			t.Errorf("%v: %v, %q", s.seen, same(set, seen), differs(set, seen))
		}
	}
}

func TestKeptTag(t *testing.T) {
	long := strings.Repeat("service", 30)
	a, b := keptTag("p", long+"a", "20260126t120000-test"), keptTag("p", long+"b", "20260126t120000-test")
	if a == b || len(a) > len(keptName)+1+128 || !strings.HasSuffix(a, ".20260126t120000-test") {
		t.Errorf("%s\n%s", a, b)
	}
}

// TestMissing: images that are not there yet are no reason against a plan; anything beside them is.
func TestMissing(t *testing.T) {
	none := func(service string) error { return &reconcile.NoImage{Image: "app:1", Service: service} }
	for _, c := range []struct {
		err  error
		want int
	}{
		{none("web"), 1},
		{errors.Join(errors.Join(op.Hint(none("web"), "build it"), none("db")), nil), 2},
		{errors.Join(none("web"), errors.New("the network is not there")), 0},
		{errors.New("no"), 0},
	} {
		if got := missing(c.err); len(got) != c.want {
			t.Errorf("%v: %q", c.err, got)
		}
	}
	lines := problems(fmt.Errorf("all: %w", errors.New("a")))
	if !slices.Equal(lines, []string{"all: a"}) {
		t.Errorf("%q", lines)
	}
	if lines := problems(errors.Join(op.Hint(errors.New("a"), "do b"), errors.New("c"))); !slices.Equal(lines, []string{"a; do b", "c"}) {
		t.Errorf("%q", lines)
	}
}

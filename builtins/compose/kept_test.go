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

// deployments are good ones, the latest first, each "RUN VERSION", the live one with a star.
func deployments(names ...string) (out []good) {
	for _, n := range names {
		name, live := strings.CutSuffix(n, "*")
		run, version, _ := strings.Cut(name, " ")
		out = append(out, good{Deployment: Deployment{Name: run, Version: version, Live: live}})
	}
	return out
}

func TestChoose(t *testing.T) {
	all := deployments("r4 1.3*", "r3 1.2", "r2 1.2", "r1 1.1")
	for name, want := range map[string]string{"": "r3", "r2": "r2", "1.2": "r3", "1.1": "r1", "r4": "r4"} {
		if got, err := choose(all, name); err != nil || got.Name != want {
			t.Errorf("%q is %s, %v, want %s", name, got.Name, err, want)
		}
	}
	// A live deployment that is not the latest: somebody has gone back. The latest is what comes before it then.
	if got, err := choose(deployments("r2 2", "r1 1*"), ""); err != nil || got.Name != "r2" {
		t.Errorf("%s, %v", got.Name, err)
	}
	for name, want := range map[string]string{"": "no good deployment but what serves now", "1.4": "no good deployment 1.4"} {
		all := deployments("r4 1.3*")
		if _, err := choose(all, name); err == nil || !strings.Contains(err.Error(), want) || op.HintOf(err) == "" {
			t.Errorf("%q: %v", name, err)
		}
	}
}

// TestSurplus: whatever came before, the live deployment stays, and the last before it, and of the rest the latest.
func TestSurplus(t *testing.T) {
	for _, c := range []struct {
		all  []good
		keep int
		want string
	}{
		{deployments("r5*", "r4", "r3", "r2", "r1"), 3, "r2 r1"},
		{deployments("r5*", "r4", "r3"), 5, ""},
		{deployments("r5*", "r4", "r3"), 1, "r3"},
		{deployments("r5", "r4", "r3*", "r2", "r1"), 1, "r4 r1"},
		{deployments("r5", "r4", "r3", "r2*"), 1, "r4 r3"},
		{deployments("r3", "r2", "r1"), 2, "r1"}, // nothing of it is live
	} {
		var names []string
		for _, g := range surplus(c.all, c.keep) {
			names = append(names, g.Name)
		}
		if got := strings.Join(names, " "); got != c.want {
			t.Errorf("of %v %q go, want %q", c.all, got, c.want)
		}
	}
}

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

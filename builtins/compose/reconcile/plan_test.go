package reconcile

import (
	"fmt"
	"strings"
	"testing"

	"github.com/erlmcp/runner/builtins/compose/shape"
	"github.com/erlmcp/runner/runtime/op"
	"github.com/moby/moby/api/types/container"
)

// one is a container made of an environment.
func one(service string, n int, env ...string) shape.Container {
	return shape.Container{Service: service, Number: n, Name: fmt.Sprintf("p-%s-%d", service, n), Hash: strings.Join(env, ","), Image: "app:1", ImageID: "sha256:aaaa",
		ID: fmt.Sprintf("%s%d-0123456789abcdef", service, n), Config: &container.Config{Env: env, Labels: map[string]string{}}, Host: &container.HostConfig{}}
}

func seen(cs ...shape.Container) *Seen {
	s := &Seen{Set: shape.Set{Project: "p", Containers: cs}, States: map[string]State{}}
	for _, c := range cs {
		s.States[c.ID] = State{Status: "running"}
	}
	return s
}

func TestPlanText(t *testing.T) {
	services := []shape.Service{{Name: "web", Needs: []shape.Need{{Service: "db", Condition: healthy}}, StartFirst: true, Order: "nothing forbids it"}, {Name: "db"}}
	for _, c := range []struct {
		name, want string
		set        []shape.Container
		seen       *Seen
	}{
		{"nothing differs", "", []shape.Container{one("db", 1), one("web", 1)}, seen(one("db", 1), one("web", 1))},
		{"first", "+ db:1: there is none\n+ web:1: there is none; after db:1 is healthy\n", []shape.Container{one("db", 1), one("web", 1)}, seen()},
		{"changed", "~ web:1 is replaced, the new one starts first (nothing forbids it): environment.LOG \"info\" -> \"debug\", environment.TOKEN has another value; after db:1 is healthy\nstays: db:1\n",
			[]shape.Container{one("db", 1), one("web", 1, "LOG=debug", "TOKEN=s3cret2")}, seen(one("db", 1), one("web", 1, "LOG=info", "TOKEN=s3cret1"))},
		{"fewer", "- web:2 is put aside: 1 replica is asked for\nstays: db:1, web:1\n", []shape.Container{one("db", 1), one("web", 1)}, seen(one("db", 1), one("web", 1), one("web", 2))},
		{"orphan", "+ web:1: there is none; after db:1 is healthy\nnote: old:1 stays, though the files have no service old: remove_orphans = True takes it away\nstays: db:1\n",
			[]shape.Container{one("db", 1), one("web", 1)}, seen(one("db", 1), one("old", 1))},
	} {
		p, err := NewPlan(shape.Set{Project: "p", Services: services, Containers: c.set}, c.seen, Options{Key: "20260126t120000-test/7"})
		if err != nil || p.String() != c.want {
			t.Errorf("%s: %v, the plan is\n%s\nwant\n%s", c.name, err, p, c.want)
		}
	}
	circle := []shape.Service{{Name: "a", Needs: []shape.Need{{Service: "b"}}}, {Name: "b", Needs: []shape.Need{{Service: "a"}}}}
	if _, err := NewPlan(shape.Set{Services: circle}, seen(), Options{}); err == nil || !strings.Contains(err.Error(), "a -> b -> a") {
		t.Errorf("a circle: %v", err)
	}
}

func TestReturnLeavesAloneWhatSomebodyMade(t *testing.T) {
	const key op.Key = "20260126t120000-test/7"
	old, theirs := one("web", 1, "A=1"), one("web", 1, "A=2")
	was := shape.Set{Project: "p", Services: []shape.Service{{Name: "web"}}, Containers: []shape.Container{old}}
	theirs.ID = "theirs-0123456789"
	parked := old
	parked.Name = parkedName(old.Name, key)
	s := seen(theirs)
	s.Aside = []Aside{{Container: parked, Of: old.Name, Run: "20260126t120000-test"}}
	p, conflicts := NewReturn(was, s, key)
	if len(p.Acts) != 0 || len(conflicts) != 1 || !strings.Contains(conflicts[0].Error(), "p-web-1 is the container theirs-01234") {
		t.Errorf("%s %v", p, conflicts)
	}
	theirs.Config.Labels[shape.LabelKey] = string(key)
	p, conflicts = NewReturn(was, s, key)
	if want := "- p-web-1 is removed: the run has made it\n~ web:1 is brought back: the run has put it aside\n"; p.String() != want || len(conflicts) != 0 {
		t.Errorf("%s %v, want\n%s", p, conflicts, want)
	}
}

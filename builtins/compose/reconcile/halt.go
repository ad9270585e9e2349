package reconcile

import (
	"slices"

	"github.com/erlmcp/runner/builtins/compose/shape"
	"github.com/erlmcp/runner/runtime/op"
)

// NewStop plans the end of the processes of some services, of all where none is named: those that need others stop first.
// It is pure.
func NewStop(seen *Seen, services []string, key op.Key) *Plan {
	p := halting(seen, key)
	p.inReverse(func(c shape.Container) bool {
		return (len(services) == 0 || slices.Contains(services, c.Service)) && seen.States[c.ID].running()
	}, func(c shape.Container) Act {
		return Act{Kind: Stop, Have: &c, Grace: p.grace(c.Service), Cause: "it is to stop"}
	})
	return &p.Plan
}

// NewDown plans the end of a project: its containers are put aside, its networks go, its volumes stay. It is pure.
func NewDown(seen *Seen, key op.Key) *Plan {
	p := halting(seen, key)
	p.halfMade()
	all := p.inReverse(func(shape.Container) bool { return true }, func(c shape.Container) Act {
		return Act{Kind: Park, Have: &c, Grace: p.grace(c.Service), Cause: "the project goes"}
	})
	for _, n := range seen.Networks {
		p.add(Act{Kind: RemoveNetwork, Network: &n, Cause: "the project goes", After: all})
	}
	return &p.Plan
}

func halting(seen *Seen, key op.Key) *planner {
	return &planner{Plan: Plan{Project: seen.Project, Key: key}, seen: seen, want: shape.Set{Project: seen.Project},
		byName: map[string]int{}, serves: map[string][]int{}}
}

// inReverse adds an act for each container that is to be had, after those of the containers that need it.
func (p *planner) inReverse(is func(shape.Container) bool, act func(shape.Container) Act) (all []int) {
	order, err := inOrder(p.seen.Services)
	if err != nil {
		order = p.seen.Services // whatever it was, it was so
	}
	slices.Reverse(order)
	users := map[string][]int{} // by service: the acts on those that need it
	for _, s := range order {
		for _, c := range p.seen.Containers {
			if c.Service != s.Name || !is(c) {
				continue
			}
			a := act(c)
			a.After = slices.Clone(users[s.Name])
			id := p.add(a)
			all = append(all, id)
			for _, n := range s.Needs {
				users[n.Service] = append(users[n.Service], id)
			}
		}
	}
	return all
}

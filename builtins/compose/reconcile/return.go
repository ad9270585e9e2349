package reconcile

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/erlmcp/runner/builtins/compose/shape"
	"github.com/erlmcp/runner/runtime/op"
)

// NewReturn plans the way back to a Set that was seen before the op of a key. A container that neither that op has made
// nor the Set knows is somebody's work: it is left alone, and a conflict; the rest goes back. It is pure.
func NewReturn(was shape.Set, seen *Seen, key op.Key) (*Plan, []*op.Conflict) {
	r := &returner{planner: planner{want: was, seen: seen, byName: map[string]int{}, serves: map[string][]int{}}, key: key, met: map[string]bool{}, parked: map[string]int{}}
	r.Plan = Plan{Project: was.Project, Key: key, services: was.Services, containers: was.Containers}
	r.made()
	r.networks()
	order, err := inOrder(was.Services)
	if err != nil {
		order = was.Services // whatever it was, it was so
	}
	for _, s := range order {
		until, after := r.needs(s)
		for i := range until {
			until[i].Optional = true
		}
		for _, w := range was.Containers {
			if w.Service == s.Name {
				r.container(s, w, until, append(slices.Clone(after), r.gone...))
			}
		}
	}
	r.strangers()
	return &r.Plan, r.conflicts
}

// returner plans one way back.
type returner struct {
	planner
	key       op.Key
	met       map[string]bool // containers that the Set knows, by ID
	parked    map[string]int  // the acts that take containers of the Set out of networks, by ID
	gone      []int           // the acts that remove what the op has made
	conflicts []*op.Conflict
}

// all are the containers that there are, whatever they are called.
func (r *returner) all() []shape.Container {
	out := slices.Clone(r.seen.Containers)
	for _, a := range r.seen.Aside {
		out = append(out, a.Container)
	}
	return out
}

// made removes the containers that the op has made.
func (r *returner) made() {
	for _, c := range r.all() {
		known := slices.ContainsFunc(r.want.Containers, func(w shape.Container) bool { return w.ID == c.ID })
		if ours(c.Config.Labels, r.key) && !known {
			r.met[c.ID] = true
			r.gone = append(r.gone, r.add(Act{Kind: Discard, Have: &c, Grace: r.grace(c.Service), Cause: "the run has made it"}))
		}
	}
}

// networks brings back those that the op has removed, and removes those that it has made.
func (r *returner) networks() {
	for _, n := range r.seen.Networks {
		known := slices.ContainsFunc(r.want.Networks, func(w shape.Network) bool { return w.ID == n.ID })
		if ours(n.Create.Labels, r.key) && !known {
			after := append(slices.Clone(r.gone), r.leave(n.Create.Name)...)
			r.byName[n.Create.Name] = r.add(Act{Kind: RemoveNetwork, Network: &n, Cause: "the run has made it", After: after})
		}
	}
	for _, w := range r.want.Networks {
		i := slices.IndexFunc(r.seen.Networks, func(n shape.Network) bool { return n.Create.Name == w.Create.Name })
		if w.External || i >= 0 && r.byName[w.Create.Name] == 0 {
			continue
		}
		a := Act{Kind: MakeNetwork, Network: &w, Cause: "it was there"}
		if id := r.byName[w.Create.Name]; id != 0 {
			a.After = []int{id}
		}
		r.byName[w.Create.Name] = r.add(a)
	}
}

// leave takes the containers of the Set out of a network that is to go: a way back that was broken off may have brought
// them into it.
func (r *returner) leave(network string) (after []int) {
	for _, h := range r.seen.Containers {
		known := slices.ContainsFunc(r.want.Containers, func(w shape.Container) bool { return w.ID == h.ID })
		if !known || h.Networks[network] == nil || !r.seen.States[h.ID].running() {
			continue
		}
		if r.parked[h.ID] == 0 {
			r.parked[h.ID] = r.add(Act{Kind: Park, Have: &h, Grace: r.grace(h.Service), Cause: "its network " + network + " is brought back"})
		}
		after = append(after, r.parked[h.ID])
	}
	return after
}

// container brings back one container.
func (r *returner) container(s shape.Service, w shape.Container, until []Until, after []int) {
	a := Act{Want: &w, Grace: s.Grace, Until: until, After: append(after, r.parts(w)...)}
	all := r.all()
	i := slices.IndexFunc(all, func(c shape.Container) bool { return c.ID == w.ID })
	if i < 0 { // it was removed; the same made again by somebody, or by an undo before, will do
		i = slices.IndexFunc(all, func(c shape.Container) bool { return c.Name == w.Name && !r.met[c.ID] })
		if i >= 0 && (all[i].Hash != w.Hash || all[i].ImageID != w.ImageID) {
			r.met[all[i].ID] = true
			r.conflict(w.Name, w, "the container "+short(all[i].ID))
			return
		}
	}
	if i < 0 {
		a.Kind, a.Cause = Create, "it was there"
		r.missingVolumes(w, &a)
		r.serves[s.Name] = append(r.serves[s.Name], r.add(a))
		return
	}
	h := all[i]
	r.met[h.ID] = true
	if id := r.parked[h.ID]; id != 0 {
		h.Name = parkedName(h.Name, r.key)
		a.After = append(a.After, id)
	}
	a.Have = &h
	runs := r.seen.States[h.ID].running()
	switch {
	case h.Name != w.Name && h.Name != parkedName(w.Name, r.key):
		r.conflict(w.Name, w, "called "+h.Name)
		return
	case h.Name != w.Name && r.taken(w, h):
		return
	case h.Name != w.Name:
		a.Kind, a.Cause = Back, "the run has put it aside"
	case runs && w.Stopped:
		a.Kind, a.Cause = Stop, "it did not run"
	case !runs && !w.Stopped && !r.over(h):
		a.Kind, a.Cause = Start, "it ran"
	default:
		r.Stay = append(r.Stay, h)
		return
	}
	r.serves[s.Name] = append(r.serves[s.Name], r.add(a))
}

// over reports whether a container that ran has ended by itself since, as it should.
func (r *returner) over(h shape.Container) bool {
	s := r.seen.States[h.ID]
	return s.Status == "exited" && s.Exit == 0 && r.oneShot(h.Service)
}

// taken reports whether somebody else bears the name that a container is to get back.
func (r *returner) taken(w, h shape.Container) bool {
	for _, c := range r.all() {
		if c.Name == w.Name && c.ID != h.ID && !ours(c.Config.Labels, r.key) {
			r.met[c.ID] = true
			r.conflict(w.Name, w, "the container "+short(c.ID))
			return true
		}
	}
	return false
}

func (r *returner) conflict(what string, w shape.Container, found string) {
	r.conflicts = append(r.conflicts, &op.Conflict{What: what, Wanted: "the container " + short(w.ID), Found: found})
}

// missingVolumes makes the volumes that a container mounts and that somebody has removed.
func (r *returner) missingVolumes(w shape.Container, a *Act) {
	for _, v := range r.want.Volumes {
		there := slices.ContainsFunc(r.seen.Volumes, func(s shape.Volume) bool { return s.Create.Name == v.Create.Name })
		if there || r.byName[v.Create.Name] != 0 || !mounts(w, v.Create.Name) {
			continue
		}
		r.byName[v.Create.Name] = r.add(Act{Kind: MakeVolume, Volume: &v, Cause: "it was removed"})
		a.After = append(a.After, r.byName[v.Create.Name])
	}
}

// strangers are containers that nobody knows.
func (r *returner) strangers() {
	for _, c := range r.seen.Containers {
		if !r.met[c.ID] {
			r.conflicts = append(r.conflicts, &op.Conflict{What: c.Name, Wanted: "absent", Found: "the container " + short(c.ID)})
		}
	}
}

// within is how long a way back may take.
const within = 4 * time.Minute

// tries is how often a way back is begun again where something failed, and the pause before the second; it doubles.
const (
	tries    = 4
	breather = 250 * time.Millisecond
)

// Return brings a project back to a Set, from whatever the op of a key has left. It goes on past conflicts and failures,
// and looks afterwards whether all is as it was: what failed, and what the engine was still making for a run that is
// dead, is seen then, and is gone about again. Conflicts alone are an *op.Conflict; with anything that failed they are
// none, for that is to be tried again.
func (s Site) Return(ctx context.Context, was shape.Set, key op.Key) (op.Restored, error) {
	limited, cancel := s.Clock.Timeout(ctx, within, errors.New("time is up"))
	defer cancel()
	changed, pause := false, breather
	for try := 1; ; try++ {
		acted, met, err := s.goBack(limited, was, key)
		changed = changed || acted
		switch {
		case err == nil && !acted:
			return op.Restored{Already: !changed && len(met) == 0}, errors.Join(met...)
		case err == nil && try < tries:
			continue
		case err == nil:
			return op.Restored{}, errors.New("it does not stay as it is put")
		case try == tries || s.Clock.Sleep(limited, pause) != nil:
			return op.Restored{}, failure(met, err)
		}
		pause *= 2
	}
}

// failure is an error that is no conflict, and says those that were met too.
func failure(met []error, err error) error {
	if len(met) == 0 {
		return err
	}
	return fmt.Errorf("%w; and %v", err, errors.Join(met...))
}

// goBack goes once from what is there towards a Set. What it acted on is to be looked at again.
func (s Site) goBack(ctx context.Context, was shape.Set, key op.Key) (acted bool, met []error, err error) {
	seen, err := Observe(ctx, s.Engine, was.Project)
	if err != nil {
		return false, nil, err
	}
	p, conflicts := NewReturn(was, seen, key)
	for _, c := range conflicts {
		met = append(met, c)
	}
	if len(p.Acts) == 0 {
		return false, met, verify(was, seen, met)
	}
	d, err := s.begin(ctx, p, s.Clock.Now().Add(within))
	if err != nil {
		return false, met, err
	}
	d.going = true
	err = d.acts(ctx)
	d.watch.close()
	if err != nil || len(d.met) == 0 {
		return true, met, err
	}
	met = append(met, d.met...) // those would be met again
	if seen, err = Observe(ctx, s.Engine, was.Project); err != nil {
		return true, met, err
	}
	return false, met, verify(was, seen, met)
}

// verify compares a project with what it was, but for what conflicts have left alone.
func verify(was shape.Set, seen *Seen, but []error) error {
	var out []error
	for _, w := range was.Containers {
		if slices.ContainsFunc(but, func(err error) bool { return err.(*op.Conflict).What == w.Name }) {
			continue
		}
		if why := unlike(w, seen); why != "" {
			out = append(out, fmt.Errorf("%s is not as it was: %s", title(w), why))
		}
	}
	return errors.Join(out...)
}

func unlike(w shape.Container, seen *Seen) string {
	i := slices.IndexFunc(seen.Containers, func(c shape.Container) bool { return c.Name == w.Name })
	if i < 0 {
		return "it is not there"
	}
	h := seen.Containers[i]
	state := seen.States[h.ID]
	switch {
	case h.Hash != w.Hash:
		return "its configuration is " + short(h.Hash) + " and was " + short(w.Hash)
	case h.ImageID != w.ImageID:
		return "its image is " + digest(h.ImageID) + " and was " + digest(w.ImageID)
	case !w.Stopped && !state.running() && !(state.Status == "exited" && state.Exit == 0):
		return "it " + idleNow(state)
	}
	return ""
}

func idleNow(s State) string {
	if s.Status == "created" {
		return "does not run"
	}
	return ended(s)
}

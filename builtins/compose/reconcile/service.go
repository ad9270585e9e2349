package reconcile

import (
	"cmp"
	"fmt"
	"slices"
	"strings"

	"github.com/erlmcp/runner/builtins/compose/shape"
	"github.com/moby/moby/api/types/mount"
)

type mountOf = mount.Mount

const volumeMount = mount.TypeVolume

// service plans the containers of one service. Those that it needs are planned already.
func (p *planner) service(s shape.Service) {
	var have []shape.Container
	for _, c := range p.seen.Containers {
		if c.Service == s.Name {
			have = append(have, c)
		}
	}
	until, after := p.needs(s)
	last := Until{} // the replica before: they are replaced one after the other
	count := 0
	for _, w := range p.want.Containers {
		if w.Service != s.Name {
			continue
		}
		count++
		i := slices.IndexFunc(have, func(h shape.Container) bool { return h.Number == w.Number || h.Name == w.Name })
		a := Act{Kind: Create, Want: &w, Cause: "there is none", Grace: s.Grace}
		if i >= 0 {
			h := have[i]
			have = slices.Delete(have, i, i+1)
			a = p.compare(s, w, h)
		}
		if a.Kind == "" {
			p.Stay = append(p.Stay, *a.Have)
			continue
		}
		a.Until, a.After = slices.Clone(until), append(slices.Clone(after), p.parts(w)...)
		if a.Kind == Replace || a.Kind == Restart {
			if last.Name != "" {
				a.Until, a.After = append(a.Until, last), append(a.After, p.serves[s.Name]...)
			}
			last = Until{Name: w.Name, Title: title(w), Condition: ready}
		}
		p.serves[s.Name] = append(p.serves[s.Name], p.add(a))
		if a.Kind != Start {
			p.renewed[s.Name] = title(w)
		}
	}
	for _, h := range have {
		if p.byName[h.Name] == 0 {
			p.add(Act{Kind: Park, Have: &h, Grace: s.Grace, Cause: replicas(count), After: slices.Clone(p.serves[s.Name])})
		}
	}
}

func replicas(n int) string {
	if n == 1 {
		return "1 replica is asked for"
	}
	return fmt.Sprintf("%d replicas are asked for", n)
}

// needs are what a service waits for: the acts on those that it needs, and how far their containers must have come.
func (p *planner) needs(s shape.Service) (until []Until, after []int) {
	for _, n := range s.Needs {
		after = append(after, p.serves[n.Service]...)
		for _, c := range p.want.Containers {
			if c.Service == n.Service && n.Condition != started {
				until = append(until, Until{Name: c.Name, Title: title(c), Condition: n.Condition, Optional: n.Optional})
			}
		}
	}
	return until, after
}

// parts are the acts on the networks and volumes that a container has.
func (p *planner) parts(w shape.Container) (after []int) {
	for name := range w.Networks {
		if id := p.byName[name]; id != 0 {
			after = append(after, id)
		}
	}
	if id := p.byName[w.Name]; id != 0 {
		after = append(after, id) // the one before has been put aside
	}
	for _, v := range p.want.Volumes {
		if id := p.byName[v.Create.Name]; id != 0 && mounts(w, v.Create.Name) {
			after = append(after, id)
		}
	}
	slices.Sort(after)
	return after
}

// mounts reports whether a container mounts a volume by its name.
func mounts(c shape.Container, volume string) bool {
	if c.Host == nil {
		return false
	}
	return slices.ContainsFunc(c.Host.Binds, func(b string) bool { return strings.HasPrefix(b, volume+":") }) ||
		len(c.Host.Mounts) > 0 && slices.ContainsFunc(c.Host.Mounts, func(m mountOf) bool { return m.Source == volume })
}

// compare says what is to be done about a container that is there; no Kind where nothing is.
func (p *planner) compare(s shape.Service, w, h shape.Container) Act {
	a := Act{Have: &h, Want: &w, Grace: s.Grace, Order: s.Order}
	state := p.seen.States[h.ID]
	w = inherit(w, h, p.seen.Images[w.ImageID])
	if cause := p.differs(s, w, h, state); cause != "" {
		a.Kind, a.Cause, a.StartFirst = Replace, cause, s.StartFirst
		if p.byName[h.Name] == 0 && ours(h.Config.Labels, p.Options.Key) { // of this op's first try
			p.byName[h.Name] = p.add(Act{Kind: Discard, Keep: true, Have: &h, Grace: s.Grace, Cause: cause})
		}
		if p.byName[h.Name] != 0 { // its network goes, so it has gone first
			return Act{Kind: Create, Want: &w, Cause: cause, Grace: s.Grace}
		}
		return a
	}
	if !state.running() {
		if p.oneShot(s.Name) && state.Status == "exited" && state.Exit == 0 {
			return Act{Have: &h}
		}
		a.Kind, a.Cause = Start, idle(state)
		return a
	}
	for _, n := range s.Needs {
		if other := p.renewed[n.Service]; n.Restart && other != "" {
			a.Kind, a.Cause = Restart, other+" is another one, and the files ask for it"
			return a
		}
	}
	return Act{Have: &h}
}

// idle says why a container does not run.
func idle(s State) string {
	if s.Status == "created" {
		return "it was never started"
	}
	return "it has " + ended(s)
}

// oneShot reports whether a service is one that others wait for to complete: it is not started again when it has.
func (p *planner) oneShot(service string) bool {
	return slices.ContainsFunc(p.want.Services, func(s shape.Service) bool {
		return slices.ContainsFunc(s.Needs, func(n shape.Need) bool { return n.Service == service && n.Condition == completed })
	})
}

// differs says why a container cannot stay, "" where it can.
func (p *planner) differs(s shape.Service, w, h shape.Container, state State) string {
	if id := p.byName[h.Name]; id != 0 {
		return p.Acts[id-1].Cause
	}
	for _, of := range append(s.Shares(), sharing(w)) {
		if p.renewed[of] != "" {
			return "it shares a part of " + p.renewed[of] + ", which is another one"
		}
	}
	if hash := p.hash(s, w); hash != h.Hash {
		return p.changed(s, w, h)
	}
	if w.ImageID != "" && w.ImageID != h.ImageID {
		return fmt.Sprintf("image %s is %s and was %s", w.Image, digest(w.ImageID), digest(h.ImageID))
	}
	if w.Name != h.Name {
		return "its name is " + w.Name + " and was " + h.Name
	}
	for name := range w.Networks {
		if h.Networks[name] == nil {
			return "it is not in the network " + name
		}
	}
	if state.Status == "dead" {
		return "the engine calls it dead"
	}
	return ""
}

// hash is the one that a container has which is as wanted. Those of services that share parts of others count their IDs.
func (p *planner) hash(s shape.Service, w shape.Container) string {
	if len(s.Shares()) == 0 {
		return w.Hash
	}
	ids := map[string]string{}
	for _, h := range p.seen.Containers {
		if ids[h.Service] == "" {
			ids[h.Service] = h.ID
		}
	}
	if hash, err := s.HashWith(ids); err == nil {
		return hash
	}
	return w.Hash
}

// changed says what about a service is not what its container was made from.
func (p *planner) changed(s shape.Service, w, h shape.Container) string {
	var all []string
	if i := slices.IndexFunc(p.seen.Services, func(v shape.Service) bool { return v.Name == s.Name }); i >= 0 && len(p.seen.Services[i].Source) > 0 {
		all = sourceDifferences(p.seen.Services[i].Source, s.Source)
	} else {
		if w.Image != h.Image {
			all = append(all, "image "+h.Image+" -> "+w.Image)
		}
		all = append(all, createDifferences(h, w, p.seen.Images[h.ImageID])...)
	}
	if len(all) == 0 {
		return fmt.Sprintf("its configuration is %s and was %s", short(w.Hash), short(h.Hash))
	}
	return few(all)
}

// digest is an image's ID, as short as engines show it.
func digest(id string) string { return short(strings.TrimPrefix(id, "sha256:")) }

func short(id string) string { return cmp.Or(id[:min(len(id), shortID)], "unknown") }

// sharing is the service whose network, IPC or process namespace a container has, "" for none.
func sharing(c shape.Container) string {
	if c.Host == nil {
		return ""
	}
	for _, mode := range []string{string(c.Host.NetworkMode), string(c.Host.IpcMode), string(c.Host.PidMode)} {
		if of, ok := strings.CutPrefix(mode, "service:"); ok {
			return of
		}
	}
	return ""
}

// inherit gives a container the anonymous volumes of the one that it replaces, where its image or its service has one
// at the same place: their data would be lost.
func inherit(w, h shape.Container, image Image) shape.Container {
	if len(h.Anonymous) == 0 || w.Host == nil {
		return w
	}
	host := *w.Host
	host.Mounts = slices.Clone(host.Mounts)
	for at, name := range h.Anonymous {
		_, asked := w.Config.Volumes[at]
		i := slices.IndexFunc(host.Mounts, func(m mountOf) bool { return m.Target == at })
		bound := slices.ContainsFunc(host.Binds, func(b string) bool { return strings.Contains(b, ":"+at+":") || strings.HasSuffix(b, ":"+at) })
		switch {
		case i >= 0 && host.Mounts[i].Type == volumeMount && host.Mounts[i].Source == "":
			host.Mounts[i].Source = name
		case i < 0 && !bound && (asked || slices.Contains(image.Volumes, at)):
			host.Mounts = append(host.Mounts, mountOf{Type: volumeMount, Source: name, Target: at})
		}
	}
	slices.SortStableFunc(host.Mounts, func(a, b mountOf) int { return strings.Compare(a.Target, b.Target) })
	w.Host = &host
	return w
}

package reconcile

import (
	"cmp"
	"crypto/sha256"
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/erlmcp/runner/builtins/compose/shape"
	"github.com/erlmcp/runner/runtime/op"
)

// Kind is what an act does.
type Kind string

// The kinds of acts.
const (
	MakeNetwork   Kind = "make network"
	RemoveNetwork Kind = "remove network" // so that it can be made anew
	MakeVolume    Kind = "make volume"
	Create        Kind = "create"    // makes a container and starts it
	Replace       Kind = "replace"   // makes one in the place of another, which is put aside
	Start         Kind = "start"     // starts one that does not run
	Restart       Kind = "restart"   // stops one and starts it
	Stop          Kind = "stop"      // stops one
	Park          Kind = "put aside" // stops one and gives its name free
	Discard       Kind = "discard"   // stops and removes one that a run made and that never came to serve
	Back          Kind = "bring back"
)

// Act is one thing to do, and why.
type Act struct {
	ID         int
	Kind       Kind
	Cause      string
	After      []int   // acts that must have ended
	Until      []Until // what must have come so far before
	StartFirst bool    // the new container is ready before the old one stops
	Order      string  // why that, or why not
	Keep       bool    // volumes that the engine made for it: the next one has them
	Grace      time.Duration
	Network    *shape.Network
	Volume     *shape.Volume
	Want       *shape.Container // to be made, or to be as
	Have       *shape.Container // that is there
}

// Until is a container that must have come to a condition: one of a shape.Need's, or ready.
type Until struct {
	Name, Title string // of the container, and as it is shown
	Condition   string
	Optional    bool // its failure is only noted
}

// ready is the condition of a container that is as it should be: healthy where it has a check, else started or completed.
const ready = "ready"

// Plan is what is to be done, as data: Act decides nothing.
type Plan struct {
	Project string
	Digest  string // of the Set
	Acts    []Act
	Stay    []shape.Container // that are as they should be
	Notes   []string          // what is not as asked, and is left so
	Key     op.Key

	services   []shape.Service   // that the Set has
	containers []shape.Container // likewise
}

// Options are choices of whoever asks for a plan.
type Options struct {
	Key           op.Key
	RemoveOrphans bool // containers of services that the Set does not have are put aside
}

// planner makes one plan.
type planner struct {
	Plan
	Options
	want     shape.Set
	seen     *Seen
	first    []int             // acts that come before all others
	replaced map[string][]int  // networks that are made anew, by name: the acts to come after
	byName   map[string]int    // acts on networks and volumes
	serves   map[string][]int  // by service: the acts after which its containers have started
	renewed  map[string]string // services whose containers are other ones afterwards: the title of one
}

// NewPlan compares what is wanted with what was seen. It is pure. What cannot be is an error: needs in a circle, a port
// that others hold, or that is asked for twice.
func NewPlan(want shape.Set, seen *Seen, o Options) (*Plan, error) {
	p := &planner{Plan: Plan{Project: want.Project, Digest: Digest(want), Key: o.Key, services: want.Services, containers: want.Containers}, Options: o, want: want, seen: seen,
		replaced: map[string][]int{}, byName: map[string]int{}, serves: map[string][]int{}, renewed: map[string]string{}}
	order, err := inOrder(want.Services)
	if err != nil {
		return nil, err
	}
	if err := p.portsFree(); err != nil {
		return nil, err
	}
	p.halfMade()
	p.networks()
	p.volumes()
	for _, s := range order {
		p.service(s)
	}
	p.orphans()
	return &p.Plan, nil
}

// Digest names a Set: the same for the same contents.
func Digest(s shape.Set) string {
	b, _ := json.Marshal(s)
	return fmt.Sprintf("%x", sha256.Sum256(b))[:16]
}

func (p *planner) add(a Act) int {
	a.ID = len(p.Acts) + 1
	a.After = append(a.After, p.first...)
	slices.Sort(a.After)
	a.After = slices.Compact(a.After)
	p.Acts = append(p.Acts, a)
	return a.ID
}

// halfMade removes what runs that ended have left half made, and stops what they have put aside and not stopped: it may
// answer for its service, hold its port, and use its network. So that comes before everything else.
func (p *planner) halfMade() {
	var first []int
	for _, a := range p.seen.Aside {
		switch {
		case a.New:
			first = append(first, p.add(Act{Kind: Discard, Have: &a.Container, Cause: "run " + a.Run + " has left it half made"}))
		case p.seen.States[a.ID].running():
			first = append(first, p.add(Act{Kind: Park, Have: &a.Container, Cause: "run " + a.Run + " has left it running"}))
		}
	}
	p.first = first
}

func (p *planner) networks() {
	for _, n := range p.want.Networks {
		if n.External {
			continue
		}
		i := slices.IndexFunc(p.seen.Networks, func(h shape.Network) bool { return h.Create.Name == n.Create.Name })
		if i < 0 {
			p.byName[n.Create.Name] = p.add(Act{Kind: MakeNetwork, Network: &n, Cause: "there is none"})
			continue
		}
		have := p.seen.Networks[i]
		if cause := networkDiffers(have, n); cause != "" {
			p.replaceNetwork(have, n, cause)
		}
	}
}

// networkDiffers says what about a network's definition has changed, as far as Compose's hash or the driver tells.
func networkDiffers(have, want shape.Network) string {
	was, now := have.Create.Labels[labelHash], want.Create.Labels[labelHash]
	if was == now || was == "" || now == "" {
		return ""
	}
	out := differences(tree(described(have)), tree(described(want)))
	if len(out) == 0 {
		return "its definition has changed"
	}
	return few(out)
}

// described is what people write of a network. Addresses that the engine chose by itself are not compared.
func described(n shape.Network) any {
	d := map[string]any{"internal": n.Create.Internal, "attachable": n.Create.Attachable, "driver": cmp.Or(n.Create.Driver, "bridge")}
	for k, v := range n.Create.Options {
		d["driver_opts."+k] = v
	}
	for k, v := range n.Create.Labels {
		if !strings.HasPrefix(k, "com.docker.compose.") && !strings.HasPrefix(k, "org.erlmcp.runner.") {
			d["labels."+k] = v
		}
	}
	return d
}

// replaceNetwork takes down the project's containers that are in a network, which no engine changes while it is in use.
func (p *planner) replaceNetwork(have, want shape.Network, cause string) {
	name := have.Create.Name
	var parked []int
	for _, c := range p.seen.Containers {
		if c.Networks[name] == nil {
			continue
		}
		id := p.byName[c.Name]
		if id == 0 {
			a := Act{Kind: Park, Have: &c, Grace: p.grace(c.Service), Cause: "its network " + name + " is made anew"}
			if ours(c.Config.Labels, p.Options.Key) {
				a.Kind, a.Keep = Discard, true // of this op's first try: the one that was there is aside already
			}
			id = p.add(a)
			p.byName[c.Name] = id
		}
		parked = append(parked, id)
	}
	gone := p.add(Act{Kind: RemoveNetwork, Network: &have, Cause: cause, After: parked})
	p.byName[name] = p.add(Act{Kind: MakeNetwork, Network: &want, Cause: cause, After: []int{gone}})
	p.replaced[name] = parked
}

func (p *planner) grace(service string) time.Duration {
	for _, set := range [][]shape.Service{p.want.Services, p.seen.Services} {
		for _, s := range set {
			if s.Name == service && s.Grace > 0 {
				return s.Grace
			}
		}
	}
	return 0
}

func (p *planner) volumes() {
	for _, v := range p.want.Volumes {
		if v.External {
			continue
		}
		i := slices.IndexFunc(p.seen.Volumes, func(h shape.Volume) bool { return h.Create.Name == v.Create.Name })
		if i < 0 {
			p.byName[v.Create.Name] = p.add(Act{Kind: MakeVolume, Volume: &v, Cause: "there is none"})
			continue
		}
		was, now := p.seen.Volumes[i].Create.Labels[labelHash], v.Create.Labels[labelHash]
		if was != "" && now != "" && was != now {
			p.Notes = append(p.Notes, fmt.Sprintf("volume %s stays as it is, though its definition has changed: its data would be lost", v.Create.Name))
		}
	}
}

// orphans are containers of services that the Set does not have.
func (p *planner) orphans() {
	for _, c := range p.seen.Containers {
		if slices.ContainsFunc(p.want.Services, func(s shape.Service) bool { return s.Name == c.Service }) {
			continue
		}
		switch {
		case p.byName[c.Name] != 0: // put aside already
		case p.RemoveOrphans:
			p.add(Act{Kind: Park, Have: &c, Grace: p.grace(c.Service), Cause: "the files have no service " + c.Service})
		default:
			p.Notes = append(p.Notes, fmt.Sprintf("%s stays, though the files have no service %s: remove_orphans = True takes it away", title(c), c.Service))
		}
	}
}

// inOrder sorts services so that each comes after those that it needs.
func inOrder(services []shape.Service) ([]shape.Service, error) {
	byName := map[string]shape.Service{}
	for _, s := range services {
		byName[s.Name] = s
	}
	var out []shape.Service
	done := map[string]bool{}
	var visit func(s shape.Service, chain []string) error
	visit = func(s shape.Service, chain []string) error {
		if i := slices.Index(chain, s.Name); i >= 0 {
			return fmt.Errorf("services need one another in a circle: %s", strings.Join(append(chain[i:], s.Name), " -> "))
		}
		if done[s.Name] {
			return nil
		}
		for _, n := range s.Needs {
			on, ok := byName[n.Service]
			if !ok && !n.Optional {
				return fmt.Errorf("the service %s needs %s, which is no service of the project", s.Name, n.Service)
			}
			if !ok {
				continue
			}
			if err := visit(on, append(slices.Clone(chain), s.Name)); err != nil {
				return err
			}
		}
		done[s.Name] = true
		out = append(out, s)
		return nil
	}
	for _, s := range services {
		if err := visit(s, nil); err != nil {
			return nil, err
		}
	}
	return out, nil
}

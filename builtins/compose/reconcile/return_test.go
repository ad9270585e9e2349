package reconcile

import (
	"testing"

	"github.com/erlmcp/runner/builtins/compose/shape"
	"github.com/moby/moby/api/types/network"
	"github.com/moby/moby/api/types/volume"
)

// What a way back does about each thing that it may find, and what it leaves alone.
func TestReturnPlans(t *testing.T) {
	in := func(c shape.Container) shape.Container {
		c.Networks = map[string]*network.EndpointSettings{"net": {}}
		return c
	}
	net := func(id, key string) shape.Network {
		return shape.Network{ID: id, Create: network.CreateRequest{Name: "net", Labels: map[string]string{shape.LabelKey: key}}}
	}
	other := func(c shape.Container, change func(c *shape.Container)) shape.Container {
		c.ID = "other-0123456789"
		change(&c)
		return c
	}
	web := one("web", 1)
	job := []shape.Service{{Name: "job"}, {Name: "web", Needs: []shape.Need{{Service: "job", Condition: completed}}}}
	for name, c := range map[string]struct {
		was  shape.Set
		seen *Seen
		want string // the plan
		met  string // the conflict
	}{
		"as it was":            {was: shape.Set{Containers: []shape.Container{web}}, seen: seen(web)},
		"called otherwise":     {shape.Set{Containers: []shape.Container{web}}, seen(renamed(web, "mine")), "", "p-web-1 is called mine, which neither this run nor the one before it made; wanted the container web1-0123456; left alone"},
		"runs now":             {shape.Set{Containers: []shape.Container{stopped(web)}}, seen(web), "~ web:1 is stopped: it did not run\n", ""},
		"ran":                  {shape.Set{Containers: []shape.Container{web}}, stand(seen(web), web, State{Status: "exited", Exit: 1}), "~ web:1 is started: it ran\n", ""},
		"ended well":           {shape.Set{Containers: []shape.Container{web}}, stand(seen(web), web, State{Status: "exited"}), "~ web:1 is started: it ran\n", ""},
		"completed":            {shape.Set{Services: job, Containers: []shape.Container{one("job", 1)}}, stand(seen(one("job", 1)), one("job", 1), State{Status: "exited"}), "", ""},
		"did not complete":     {shape.Set{Services: job, Containers: []shape.Container{one("job", 1)}}, stand(seen(one("job", 1)), one("job", 1), State{Status: "exited", Exit: 1}), "~ job:1 is started: it ran\n", ""},
		"the same made again":  {shape.Set{Containers: []shape.Container{web}}, seen(other(web, func(*shape.Container) {})), "", ""},
		"another image":        {shape.Set{Containers: []shape.Container{web}}, seen(other(web, func(c *shape.Container) { c.ImageID = "x" })), "", "p-web-1 is the container other-012345, which neither this run nor the one before it made; wanted the container web1-0123456; left alone"},
		"another definition":   {shape.Set{Containers: []shape.Container{web}}, seen(other(web, func(c *shape.Container) { c.Hash = "x" })), "", "p-web-1 is the container other-012345, which neither this run nor the one before it made; wanted the container web1-0123456; left alone"},
		"a stranger":           {shape.Set{}, seen(web), "", "p-web-1 is the container web1-0123456, which neither this run nor the one before it made; wanted absent; left alone"},
		"of another op":        {shape.Set{}, seen(made(web, "20260126t120000-test/8")), "", "p-web-1 is the container web1-0123456, which neither this run nor the one before it made; wanted absent; left alone"},
		"of this op":           {shape.Set{}, seen(made(web, string(key))), "- p-web-1 is removed: the run has made it\n", ""},
		"removed":              {shape.Set{Containers: []shape.Container{web}}, seen(), "+ web:1: it was there\n", ""},
		"removed with volumes": {shape.Set{Containers: []shape.Container{bound(web)}, Volumes: []shape.Volume{{Create: volume.CreateRequest{Name: "data"}}, {Create: volume.CreateRequest{Name: "unused"}}}}, seen(), "+ volume data: it was removed\n+ web:1: it was there\n", ""},
		"an external network":  {shape.Set{Networks: []shape.Network{{External: true, Create: network.CreateRequest{Name: "out"}}}}, seen(), "", ""},
		"a network is gone":    {shape.Set{Networks: []shape.Network{net("1", "")}}, seen(), "+ network net: it was there\n", ""},
		"a network of this op": {shape.Set{Networks: []shape.Network{net("1", "")}}, networks(seen(), net("2", string(key))), "- network net, to be made anew: the run has made it\n+ network net: it was there\n", ""},
		"a network of others":  {shape.Set{Networks: []shape.Network{net("1", "")}}, networks(seen(), net("2", "")), "", ""},
		"in a network that goes": {shape.Set{Networks: []shape.Network{net("1", "")}, Containers: []shape.Container{in(web)}}, networks(seen(in(web)), net("2", string(key))),
			"- web:1 is put aside: its network net is brought back\n- network net, to be made anew: the run has made it\n+ network net: it was there\n~ web:1 is brought back: the run has put it aside\n", ""},
		"it does not run in a network that goes": {shape.Set{Networks: []shape.Network{net("1", "")}, Containers: []shape.Container{stopped(in(web))}},
			networks(stand(seen(in(web)), web, State{Status: "exited"}), net("2", string(key))), "- network net, to be made anew: the run has made it\n+ network net: it was there\nstays: web:1\n", ""},
	} {
		if c.was.Project = "p"; c.was.Services == nil {
			c.was.Services = []shape.Service{{Name: "web"}}
		}
		p, conflicts := NewReturn(c.was, c.seen, key)
		met := ""
		for _, one := range conflicts {
			met += one.Error()
		}
		if p.String() != c.want || met != c.met {
			t.Errorf("%s: the plan is\n%swant\n%s%s, want %s", name, p, c.want, met, c.met)
		}
	}
}

// What a way back has put in place is compared with what was there.
func TestUnlike(t *testing.T) {
	web := one("web", 1)
	for want, c := range map[string]struct {
		was  shape.Container
		seen *Seen
	}{
		"":                                 {web, seen(web)},
		"it is not there":                  {web, seen()},
		"its configuration is x and was y": {hashed(web, "y"), seen(hashed(web, "x"))},
		"its image is x and was aaaa":      {web, seen(func() shape.Container { c := web; c.ImageID = "sha256:x"; return c }())},
		"it exited with 1":                 {web, stand(seen(web), web, State{Status: "exited", Exit: 1})},
		"it does not run":                  {web, stand(seen(web), web, State{Status: "created"})},
	} {
		if got := unlike(c.was, c.seen); got != want {
			t.Errorf("%q, want %q", got, want)
		}
	}
	if got := unlike(web, stand(seen(web), web, State{Status: "exited"})) + unlike(stopped(web), stand(seen(web), web, State{Status: "exited", Exit: 1})); got != "" {
		t.Error(got)
	}
}

func renamed(c shape.Container, name string) shape.Container { c.Name = name; return c }
func stopped(c shape.Container) shape.Container              { c.Stopped = true; return c }
func hashed(c shape.Container, hash string) shape.Container  { c.Hash = hash; return c }

func made(c shape.Container, key string) shape.Container {
	config := *c.Config
	config.Labels = map[string]string{shape.LabelKey: key}
	c.Config = &config
	return c
}

func bound(c shape.Container) shape.Container {
	host := *c.Host
	host.Binds = []string{"data:/data"}
	c.Host = &host
	return c
}

func stand(s *Seen, c shape.Container, state State) *Seen { s.States[c.ID] = state; return s }

func networks(s *Seen, n shape.Network) *Seen { s.Networks = []shape.Network{n}; return s }

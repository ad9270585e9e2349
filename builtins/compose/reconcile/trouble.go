package reconcile

import (
	"context"
	"fmt"
	"regexp"
	"strconv"
	"strings"
	"time"

	"github.com/containerd/errdefs"
	"github.com/erlmcp/runner/builtins/compose/shape"
	"github.com/erlmcp/runner/runtime/op"
	"github.com/moby/moby/client"
)

func (d *doing) saysWaiting(ctx context.Context, what string, within time.Duration) {
	op.Waiting(ctx, what, d.Clock.Now().Add(within))
}

// known is how a followed container stands.
func (w *watch) known(id string) (State, Since, bool) {
	w.mu.Lock()
	known := w.follows[id] != nil
	w.mu.Unlock()
	if !known {
		return State{}, Since{}, false
	}
	state, since, _ := w.stand(id)
	return state, since, true
}

// notMade says why an engine makes no container, and who is in the way.
func (d *doing) notMade(ctx context.Context, c shape.Container, name string, err error) error {
	switch {
	case errdefs.IsNotFound(err) && strings.Contains(strings.ToLower(err.Error()), "no such image"):
		return missingImage(c.Image, c.Service)
	case errdefs.IsConflict(err):
		return d.nameTaken(ctx, title(c), name, err)
	}
	return fmt.Errorf("cannot make %s: %w", title(c), err)
}

// nameTaken says who bears a name.
func (d *doing) nameTaken(ctx context.Context, title, name string, err error) error {
	got, e := d.Engine.ContainerInspect(ctx, name, client.ContainerInspectOptions{})
	if !errdefs.IsConflict(err) || e != nil {
		return fmt.Errorf("cannot give %s the name %s: %w", title, name, err)
	}
	return op.Hint(fmt.Errorf("cannot give %s the name %s: the container %s, %s, bears it", title, name, got.Container.ID[:shortID], whose(got.Container.Config.Labels[labelProject])),
		"rename or remove that one: docker rename %s NAME", name)
}

// Ports in what engines say of one that is taken.
var (
	allocated = regexp.MustCompile(`Bind for [^ ]*:(\d+) failed: port is already allocated`)
	inUse     = regexp.MustCompile(`(?:listen|bind|failed to bind)[^:]* [^ ]*?:(\d+)[^:]*: .*address already in use`)
)

// notStarted says why a container does not start.
func (d *doing) notStarted(ctx context.Context, title, id string, err error) error {
	for _, p := range []*regexp.Regexp{allocated, inUse} {
		m := p.FindStringSubmatch(err.Error())
		if m == nil {
			continue
		}
		n, _ := strconv.ParseUint(m[1], 10, 16)
		if held, ok := d.holder(ctx, id, uint16(n)); ok {
			return portTaken(title, uint16(n), held)
		}
		return op.Hint(fmt.Errorf("%s cannot have port %d: a process on the engine's host, and no container, listens there", title, n),
			"see which: ss -ltnp 'sport = :%d'", n)
	}
	return fmt.Errorf("cannot start %s: %w", title, err)
}

// holder is the container that has a port of the host.
func (d *doing) holder(ctx context.Context, but string, port uint16) (Port, bool) {
	list, err := d.Engine.ContainerList(ctx, client.ContainerListOptions{Filters: make(client.Filters).Add("publish", strconv.Itoa(int(port)))})
	if err != nil {
		return Port{}, false
	}
	for _, c := range list.Items {
		for _, p := range c.Ports {
			if p.PublicPort == port && c.ID != but && len(c.Names) > 0 {
				return Port{Number: port, Proto: p.Type, Holder: c.Names[0][1:], Project: c.Labels[labelProject]}, true
			}
		}
	}
	return Port{}, false
}

package reconcile

import (
	"cmp"
	"fmt"
	"net/netip"
	"slices"
	"strconv"

	"github.com/erlmcp/runner/builtins/compose/shape"
	"github.com/erlmcp/runner/runtime/op"
)

// binding is a port of the host that a container is to have.
type binding struct {
	of     shape.Container
	number uint16
	proto  string
	ip     netip.Addr // not valid for every address
}

// bindings are the ports of the host that the containers of a Set ask for by number.
func bindings(want shape.Set) (out []binding) {
	for _, c := range want.Containers {
		if c.Host == nil {
			continue
		}
		first := len(out)
		for port, asked := range c.Host.PortBindings {
			for _, b := range asked {
				n, err := strconv.ParseUint(b.HostPort, 10, 16)
				if err != nil || n == 0 {
					continue // a range, or any that is free
				}
				out = append(out, binding{of: c, number: uint16(n), proto: string(port.Proto()), ip: b.HostIP})
			}
		}
		slices.SortFunc(out[first:], func(a, b binding) int { return cmp.Compare(a.number, b.number) })
	}
	return out
}

// meets reports whether two containers cannot both have what they ask for.
func (b binding) meets(other binding) bool {
	return b.number == other.number && b.proto == other.proto &&
		(!b.ip.IsValid() || !other.ip.IsValid() || b.ip == other.ip || b.ip.Is4() == other.ip.Is4() && (b.ip.IsUnspecified() || other.ip.IsUnspecified()))
}

// portsFree refuses a Set that publishes a port twice, or one which a container of others holds, before anything is
// stopped for it.
func (p *planner) portsFree() error {
	all := bindings(p.want)
	for i, b := range all {
		for _, held := range p.seen.Ports {
			if held.Number == b.number && held.Proto == b.proto && (held.IP == "" || !b.ip.IsValid() || b.ip.IsUnspecified() || held.IP == b.ip.String()) {
				return portTaken(title(b.of), b.number, held)
			}
		}
		for _, before := range all[:i] {
			if before.of.Name != b.of.Name && before.meets(b) && !p.oneShot(before.of.Service) && !p.oneShot(b.of.Service) {
				return op.Hint(fmt.Errorf("%s and %s cannot both have port %d", title(before.of), title(b.of), b.number),
					"publish another port, or a range such as %d-%d, from which each takes one that is free", b.number, b.number+1)
			}
		}
	}
	return nil
}

func portTaken(title string, port uint16, held Port) error {
	return op.Hint(fmt.Errorf("%s cannot have port %d: the container %s, %s, has it", title, port, held.Holder, whose(held.Project)),
		"publish another port, or stop that container: docker stop %s", held.Holder)
}

package reconcile

import (
	"net/netip"
	"strings"
	"testing"

	"github.com/erlmcp/runner/builtins/compose/shape"
	"github.com/erlmcp/runner/runtime/op"
	"github.com/moby/moby/api/types/network"
)

// publishing is a container that publishes a port, such as "127.0.0.1:8080".
func publishing(service string, n int, port, at string) shape.Container {
	c := one(service, n)
	ip, number, _ := strings.Cut(at, " ")
	b := network.PortBinding{HostPort: number}
	if ip != "" {
		b.HostIP = netip.MustParseAddr(ip)
	}
	c.Host.PortBindings = network.PortMap{network.MustParsePort(port): {b}}
	return c
}

func TestAPortIsOneContainers(t *testing.T) {
	for _, c := range []struct {
		name string
		a, b shape.Container
		want string
	}{
		{"replicas", publishing("web", 1, "80/tcp", " 8080"), publishing("web", 2, "80/tcp", " 8080"), "web:1 and web:2 cannot both have port 8080"},
		{"services", publishing("api", 1, "80/tcp", "127.0.0.1 8080"), publishing("web", 1, "81/tcp", " 8080"), "api:1 and web:1 cannot both have port 8080"},
		{"everywhere and at one address", publishing("api", 1, "80/tcp", "0.0.0.0 8080"), publishing("web", 1, "80/tcp", "127.0.0.1 8080"), "api:1 and web:1 cannot both have port 8080"},
		{"other addresses", publishing("api", 1, "80/tcp", "127.0.0.1 8080"), publishing("web", 1, "80/tcp", "127.0.0.2 8080"), ""},
		{"other families", publishing("api", 1, "80/tcp", "0.0.0.0 8080"), publishing("web", 1, "80/tcp", ":: 8080"), ""},
		{"other protocols", publishing("api", 1, "53/tcp", " 53"), publishing("web", 1, "53/udp", " 53"), ""},
		{"a range", publishing("web", 1, "80/tcp", " 8080-8081"), publishing("web", 2, "80/tcp", " 8080-8081"), ""},
		{"any that is free", publishing("web", 1, "80/tcp", " "), publishing("web", 2, "80/tcp", " "), ""},
		{"one is over before the other starts", publishing("mig", 1, "80/tcp", " 8080"), publishing("web", 1, "80/tcp", " 8080"), ""},
	} {
		services := []shape.Service{{Name: "api"}, {Name: "mig"}, {Name: "web", Needs: []shape.Need{{Service: "mig", Condition: completed}}}}
		_, err := NewPlan(shape.Set{Project: "p", Services: services, Containers: []shape.Container{c.a, c.b}}, seen(), Options{})
		if got := ""; err == nil && c.want != got || err != nil && (c.want == "" || err.Error() != c.want || op.HintOf(err) == "") {
			t.Errorf("%s: %v, want %q", c.name, err, c.want)
		}
	}
}

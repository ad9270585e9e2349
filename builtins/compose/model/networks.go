package model

import (
	"encoding/json"
	"fmt"
	"maps"
	"net"
	"net/netip"
	"strings"

	"github.com/compose-spec/compose-go/v2/types"
	"github.com/moby/moby/api/types/container"
	"github.com/moby/moby/api/types/network"
	"github.com/moby/moby/api/types/volume"
	"github.com/moby/moby/client/pkg/versions"

	"github.com/erlmcp/runner/builtins/compose/shape"
)

// speaks reports whether the project's engine knows an API.
func (m *Model) speaks(api string) bool {
	return m.API == "" || versions.GreaterThanOrEqualTo(m.API, api)
}

// network is a network of the project.
func (m *Model) network(key string, n types.NetworkConfig) (shape.Network, error) {
	out := shape.Network{Key: key, External: bool(n.External)}
	out.Create.Name = n.Name
	if out.External {
		return out, nil
	}
	ipam, err := pools(n.Ipam)
	if err != nil {
		return out, err
	}
	labels, err := m.kept(n, n.Labels, labelNetwork, key)
	if err != nil {
		return out, err
	}
	out.Create = network.CreateRequest{
		Name: n.Name, Driver: n.Driver, Options: n.DriverOpts, Internal: n.Internal, Attachable: n.Attachable,
		EnableIPv4: n.EnableIPv4, EnableIPv6: n.EnableIPv6, IPAM: ipam, Labels: labels,
	}
	return out, nil
}

// kept are the labels of a network or a volume, with the hash of its definition.
func (m *Model) kept(definition any, own types.Labels, label, key string) (map[string]string, error) {
	b, err := json.Marshal(definition)
	if err != nil {
		return nil, err
	}
	out := map[string]string{}
	maps.Copy(out, own)
	maps.Copy(out, map[string]string{label: key, labelProject: m.Project.Name, labelVersion: version, labelHash: shape.Hash(b)})
	return out, nil
}

// volume is a volume of the project.
func (m *Model) volume(key string, v types.VolumeConfig) (shape.Volume, error) {
	out := shape.Volume{Key: key, External: bool(v.External), Create: volume.CreateRequest{Name: v.Name}}
	if out.External {
		return out, nil
	}
	hashed := v
	if hashed.Driver == "" {
		hashed.Driver = "local"
	}
	labels, err := m.kept(hashed, v.Labels, labelVolume, key)
	out.Create = volume.CreateRequest{Name: v.Name, Driver: v.Driver, DriverOpts: v.DriverOpts, Labels: labels}
	return out, err
}

func pools(ipam types.IPAMConfig) (*network.IPAM, error) {
	if ipam.Driver == "" && len(ipam.Config) == 0 && len(ipam.Options) == 0 {
		return nil, nil
	}
	out := &network.IPAM{Driver: ipam.Driver, Options: ipam.Options}
	for _, p := range ipam.Config {
		var c network.IPAMConfig
		var err error
		for to, text := range map[*netip.Prefix]string{&c.Subnet: p.Subnet, &c.IPRange: p.IPRange} {
			if text == "" {
				continue
			}
			if *to, err = netip.ParsePrefix(text); err != nil {
				return nil, fmt.Errorf("ipam.config: want a network such as \"172.28.0.0/16\", got %q", text)
			}
		}
		if p.Gateway != "" {
			if c.Gateway, err = netip.ParseAddr(p.Gateway); err != nil {
				return nil, fmt.Errorf("ipam.config: want the IP address of a gateway, got %q", p.Gateway)
			}
		}
		for name, text := range p.AuxiliaryAddresses {
			if c.AuxAddress == nil {
				c.AuxAddress = map[string]netip.Addr{}
			}
			if c.AuxAddress[name], err = netip.ParseAddr(text); err != nil {
				return nil, fmt.Errorf("ipam.config: want an IP address for %s, got %q", name, text)
			}
		}
		out.Config = append(out.Config, c)
	}
	return out, nil
}

// endpoints are the networks that a container is in, by their names on the engine, and the mode that names the first.
func (m *Model) endpoints(s types.ServiceConfig, number int, links []string) (container.NetworkMode, map[string]*network.EndpointSettings, error) {
	if s.NetworkMode != "" {
		return container.NetworkMode(s.NetworkMode), nil, nil
	}
	if len(m.Project.Networks) == 0 {
		return network.NetworkNone, nil, nil
	}
	keys := s.NetworksByPriority()
	if len(keys) == 0 {
		keys = []string{"default"}
	}
	out := map[string]*network.EndpointSettings{}
	for i, key := range keys {
		e, err := m.endpoint(s, number, key, links, i == 0)
		if err != nil {
			return "", nil, fmt.Errorf("networks.%s: %w", key, err)
		}
		out[m.Project.Networks[key].Name] = e
	}
	return container.NetworkMode(m.Project.Networks[keys[0]].Name), out, nil
}

func (m *Model) endpoint(s types.ServiceConfig, number int, key string, links []string, first bool) (*network.EndpointSettings, error) {
	e := &network.EndpointSettings{Aliases: []string{m.named(s, number)}, Links: links}
	c := s.Networks[key]
	if c.ServiceNameAliasEnabled() {
		e.Aliases = append(e.Aliases, s.Name)
	}
	mac := ""
	if c != nil {
		e.Aliases = append(e.Aliases, c.Aliases...)
		e.GwPriority, mac = c.GatewayPriority, c.MacAddress
		var err error
		if e.IPAMConfig, err = fixed(c); err != nil {
			return nil, err
		}
		e.DriverOpts = maps.Clone(c.DriverOpts)
		if c.InterfaceName != "" {
			if !m.speaks("1.49") {
				return nil, fmt.Errorf("interface_name: the engine speaks API %s, and 1.49 is the oldest that knows it (Docker 28.1)", m.API)
			}
			if e.DriverOpts == nil {
				e.DriverOpts = map[string]string{}
			}
			e.DriverOpts["com.docker.network.endpoint.ifname"] = c.InterfaceName
		}
	}
	if first && s.MacAddress != "" {
		if mac != "" && mac != s.MacAddress {
			return nil, fmt.Errorf("mac_address: want that of the service, %s, or none, got %q", s.MacAddress, mac)
		}
		mac = s.MacAddress
	}
	if mac != "" {
		a, err := net.ParseMAC(mac)
		if err != nil {
			return nil, fmt.Errorf("mac_address: want one such as \"02:42:ac:11:65:43\", got %q", mac)
		}
		e.MacAddress = network.HardwareAddr(a)
	}
	return e, nil
}

// fixed are the addresses that a container has on a network whatever else is there.
func fixed(c *types.ServiceNetworkConfig) (*network.EndpointIPAMConfig, error) {
	out := &network.EndpointIPAMConfig{}
	for _, a := range []struct {
		key, text string
		to        *netip.Addr
	}{{"ipv4_address", c.Ipv4Address, &out.IPv4Address}, {"ipv6_address", c.Ipv6Address, &out.IPv6Address}} {
		if a.text == "" {
			continue
		}
		addr, err := netip.ParseAddr(a.text)
		if err != nil {
			return nil, fmt.Errorf("%s: want an IP address, got %q", a.key, a.text)
		}
		*a.to = addr
	}
	out.IPv4Address = out.IPv4Address.Unmap()
	var err error
	out.LinkLocalIPs, err = addresses("link_local_ips", c.LinkLocalIPs)
	return out, err
}

// links are the names under which a container finds others, the old way.
func (m *Model) links(s types.ServiceConfig, number int) (out []string) {
	for _, l := range s.Links {
		of, as, ok := strings.Cut(l, ":")
		if !ok {
			as = of
		}
		linked := m.Project.Services[of]
		for n := range linked.GetScale() {
			name := m.named(linked, n+1)
			out = append(out, name+":"+as, fmt.Sprintf("%s:%s-%d", name, of, number), fmt.Sprintf("%s:%s-%s-%d", name, m.Project.Name, of, number))
		}
	}
	for _, l := range s.ExternalLinks {
		if !strings.Contains(l, ":") {
			l += ":" + l
		}
		out = append(out, l)
	}
	return out
}

// volumesFrom are the containers whose volumes a container has as well.
func (m *Model) volumesFrom(s types.ServiceConfig) (out []string) {
	for _, from := range s.VolumesFrom {
		of, rest, _ := strings.Cut(from, ":")
		if of == "container" {
			name, _, _ := strings.Cut(rest, ":")
			out = append(out, name)
			continue
		}
		out = append(out, m.named(m.Project.Services[of], 1))
	}
	return out
}

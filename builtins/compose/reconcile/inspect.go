package reconcile

import (
	"encoding/json"
	"fmt"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/erlmcp/runner/builtins/compose/shape"
	"github.com/moby/moby/api/types/container"
	"github.com/moby/moby/api/types/mount"
	"github.com/moby/moby/api/types/network"
	"github.com/moby/moby/client"
)

func shortName(service string, number int) string { return fmt.Sprintf("%s:%d", service, number) }

// shortID is the length of the part of an ID that the engine uses for host names and aliases.
const shortID = 12

// fromInspect turns what the engine tells of a container into what makes it again. What the engine has added by itself
// (the host name, addresses, the alias that is the ID) is left out; what came from the image stays: it is the same image.
func fromInspect(got client.ContainerInspectResult) shape.Container {
	in := got.Container
	config, host := *in.Config, *in.HostConfig
	if len(in.ID) > shortID && config.Hostname == in.ID[:shortID] {
		config.Hostname = ""
	}
	host.ContainerIDFile = ""
	number, _ := strconv.Atoi(config.Labels[labelNumber])
	c := shape.Container{
		Service: config.Labels[labelService], Number: number, Name: strings.TrimPrefix(in.Name, "/"), Hash: config.Labels[labelHash],
		Image: config.Image, ImageID: in.Image, Config: &config, Host: &host, ID: in.ID,
		Stopped: !stateOf(in).running(), Anonymous: anonymous(in),
	}
	if in.NetworkSettings != nil && !host.NetworkMode.IsContainer() && !host.NetworkMode.IsHost() && !host.NetworkMode.IsNone() {
		c.Networks = map[string]*network.EndpointSettings{}
		for name, e := range in.NetworkSettings.Networks {
			c.Networks[name] = endpoint(e, in.ID)
		}
		keepMAC(c, got.Raw)
	}
	return c
}

// endpoint is what was asked for of a container's place in a network.
func endpoint(e *network.EndpointSettings, id string) *network.EndpointSettings {
	out := &network.EndpointSettings{IPAMConfig: e.IPAMConfig.Copy(), Links: e.Links, DriverOpts: e.DriverOpts, GwPriority: e.GwPriority}
	for _, a := range e.Aliases {
		if !strings.HasPrefix(id, a) || len(a) < shortID {
			out.Aliases = append(out.Aliases, a)
		}
	}
	return out
}

// keepMAC keeps the hardware address that was asked for: engines tell it apart from their own only in a field that the
// client has dropped.
func keepMAC(c shape.Container, raw json.RawMessage) {
	var asked struct {
		Config struct{ MacAddress network.HardwareAddr }
	}
	if json.Unmarshal(raw, &asked) != nil || len(asked.Config.MacAddress) == 0 {
		return
	}
	if e := c.Networks[string(c.Host.NetworkMode)]; e != nil {
		e.MacAddress = asked.Config.MacAddress
	}
}

// unnamed is the name of a volume that nobody has named.
var unnamed = regexp.MustCompile(`^[0-9a-f]{64}$`)

// anonymous are the volumes without a name of their own that a container has, by where they are mounted: those that the
// engine made for it, or for one before it.
func anonymous(in container.InspectResponse) map[string]string {
	out := map[string]string{}
	for _, m := range in.Mounts {
		if m.Type == mount.TypeVolume && unnamed.MatchString(m.Name) {
			out[m.Destination] = m.Name
		}
	}
	if len(out) == 0 {
		return nil
	}
	return out
}

// needsOf reads what Compose's label says a container needs: "db:service_healthy:true,cache:service_started:false".
func needsOf(label string) (out []shape.Need) {
	for part := range strings.SplitSeq(label, ",") {
		f := strings.Split(part, ":")
		if f[0] == "" {
			continue
		}
		n := shape.Need{Service: f[0], Condition: started}
		if len(f) > 1 && f[1] != "" {
			n.Condition = f[1]
		}
		n.Restart = len(f) > 2 && f[2] == "true"
		out = append(out, n)
	}
	slices.SortFunc(out, func(a, b shape.Need) int { return strings.Compare(a.Service, b.Service) })
	return out
}

func stateOf(in container.InspectResponse) State {
	s := State{Restarts: in.RestartCount}
	if in.HostConfig != nil {
		s.Memory = in.HostConfig.Memory
		s.Policy, s.Tries = string(in.HostConfig.RestartPolicy.Name), in.HostConfig.RestartPolicy.MaximumRetryCount
	}
	if in.Config != nil {
		s.Check, s.Shell = in.Config.Healthcheck, in.Config.Shell
	}
	if in.NetworkSettings != nil {
		s.Ports = in.NetworkSettings.Ports
	}
	if in.State == nil {
		return s
	}
	s.Status, s.Exit, s.OOM, s.Error = string(in.State.Status), in.State.ExitCode, in.State.OOMKilled, in.State.Error
	s.Started, _ = time.Parse(time.RFC3339Nano, in.State.StartedAt)
	if h := in.State.Health; h != nil && h.Status != container.NoHealthcheck {
		s.Health, s.Failed = string(h.Status), h.FailingStreak
		if n := len(h.Log); n > 0 {
			s.Output = strings.TrimSpace(h.Log[n-1].Output)
		}
	}
	return s
}

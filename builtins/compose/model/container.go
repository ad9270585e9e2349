package model

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"net/netip"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/compose-spec/compose-go/v2/types"
	"github.com/moby/moby/api/types/container"
	"github.com/moby/moby/api/types/network"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/erlmcp/runner/builtins/compose/shape"
	"github.com/erlmcp/runner/runtime/host"
)

// container is one container of a service.
func (m *Model) container(s types.ServiceConfig, number int, images map[string]string) (shape.Container, error) {
	out := shape.Container{Service: s.Name, Number: number, Name: m.named(s, number), Image: m.image(s)}
	out.ImageID = images[out.Image]
	var err error
	if out.Config, err = m.config(s, number, images); err != nil {
		return out, err
	}
	links := m.links(s, number)
	var mode container.NetworkMode
	if mode, out.Networks, err = m.endpoints(s, number, links); err != nil {
		return out, err
	}
	if out.Host, err = m.hostConfig(s); err != nil {
		return out, err
	}
	out.Host.NetworkMode, out.Host.Links = mode, links
	if out.Files, err = m.laid(s); err != nil {
		return out, err
	}
	platform := s.Platform
	if platform == "" {
		platform = m.Project.Environment["DOCKER_DEFAULT_PLATFORM"]
	}
	out.Platform, err = platformOf(platform)
	return out, err
}

func (m *Model) config(s types.ServiceConfig, number int, images map[string]string) (*container.Config, error) {
	health, err := m.health(s.HealthCheck)
	if err != nil {
		return nil, err
	}
	ports, err := exposed(s)
	if err != nil {
		return nil, err
	}
	c := &container.Config{
		Hostname: s.Hostname, Domainname: s.DomainName, User: s.User, WorkingDir: s.WorkingDir, Image: m.image(s),
		Tty: s.Tty, OpenStdin: s.StdinOpen, AttachStdout: true, AttachStderr: true,
		Cmd: s.Command, Entrypoint: s.Entrypoint, Env: environment(s.Environment), ExposedPorts: ports, Healthcheck: health,
		NetworkDisabled: s.NetworkMode == "disabled", StopSignal: s.StopSignal, Labels: m.labels(s, number, images),
	}
	if s.StopGracePeriod != nil {
		seconds := int(time.Duration(*s.StopGracePeriod).Seconds())
		c.StopTimeout = &seconds
	}
	return c, nil
}

func environment(env types.MappingWithEquals) (out []string) {
	for _, name := range slices.Sorted(maps.Keys(env)) {
		if value := env[name]; value != nil {
			name += "=" + *value
		}
		out = append(out, name)
	}
	return out
}

// health is a service's health check. An engine before API 1.44 has no start_interval: what watches a container that
// starts asks it by itself then.
func (m *Model) health(h *types.HealthCheckConfig) (*container.HealthConfig, error) {
	if h == nil {
		return nil, nil
	}
	out := &container.HealthConfig{Test: h.Test}
	for to, from := range map[*time.Duration]*types.Duration{&out.Interval: h.Interval, &out.Timeout: h.Timeout, &out.StartPeriod: h.StartPeriod} {
		if from != nil {
			*to = time.Duration(*from)
		}
	}
	if h.Retries != nil {
		out.Retries = int(*h.Retries)
	}
	if h.Disable {
		out.Test = []string{"NONE"}
	}
	if h.StartInterval != nil {
		if h.StartPeriod == nil {
			return nil, errors.New("healthcheck.start_interval: want a start_period beside it")
		}
		if m.speaks("1.44") {
			out.StartInterval = time.Duration(*h.StartInterval)
		}
	}
	return out, nil
}

func exposed(s types.ServiceConfig) (network.PortSet, error) {
	out := network.PortSet{}
	for _, p := range s.Ports {
		port, err := network.ParsePort(fmt.Sprintf("%d/%s", p.Target, p.Protocol))
		if err != nil {
			return nil, fmt.Errorf("ports: %w", err)
		}
		out[port] = struct{}{}
	}
	for _, e := range s.Expose {
		r, err := network.ParsePortRange(e)
		if err != nil {
			return nil, fmt.Errorf("expose: want a port such as \"8080\", or a range, got %q", e)
		}
		for p := range r.All() {
			out[p] = struct{}{}
		}
	}
	return out, nil
}

func published(s types.ServiceConfig) (network.PortMap, error) {
	out := network.PortMap{}
	for _, p := range s.Ports {
		port, err := network.ParsePort(fmt.Sprintf("%d/%s", p.Target, p.Protocol))
		if err != nil {
			return nil, fmt.Errorf("ports: %w", err)
		}
		bound := network.PortBinding{HostPort: p.Published}
		if p.HostIP != "" {
			if bound.HostIP, err = netip.ParseAddr(p.HostIP); err != nil {
				return nil, fmt.Errorf("ports: %w", err)
			}
		}
		out[port] = append(out[port], bound)
	}
	return out, nil
}

// hostConfig is what a container has of its host.
func (m *Model) hostConfig(s types.ServiceConfig) (*container.HostConfig, error) {
	ports, err := published(s)
	if err != nil {
		return nil, err
	}
	binds, mounts, err := m.mounts(s)
	if err != nil {
		return nil, err
	}
	security, open, err := m.security(s.SecurityOpt)
	if err != nil {
		return nil, err
	}
	dns, err := addresses("dns", s.DNS)
	if err != nil {
		return nil, err
	}
	out := &container.HostConfig{
		Annotations: s.Annotations, Binds: binds, Mounts: mounts, CapAdd: s.CapAdd, CapDrop: s.CapDrop, Init: s.Init,
		IpcMode: container.IpcMode(s.Ipc), CgroupnsMode: container.CgroupnsMode(s.Cgroup), ReadonlyRootfs: s.ReadOnly,
		RestartPolicy: restart(s), ShmSize: int64(s.ShmSize), Sysctls: s.Sysctls, PortBindings: ports, Resources: resources(s),
		VolumeDriver: s.VolumeDriver, VolumesFrom: m.volumesFrom(s), DNS: dns, DNSSearch: s.DNSSearch, DNSOptions: s.DNSOpts,
		ExtraHosts: s.ExtraHosts.AsList(":"), SecurityOpt: security, StorageOpt: s.StorageOpt, UsernsMode: container.UsernsMode(s.UserNSMode),
		UTSMode: container.UTSMode(s.Uts), Privileged: s.Privileged, PidMode: container.PidMode(s.Pid), Tmpfs: tmpfs(s.Tmpfs),
		Isolation: container.Isolation(s.Isolation), Runtime: s.Runtime, GroupAdd: s.GroupAdd, OomScoreAdj: int(s.OomScoreAdj),
	}
	slices.Sort(out.ExtraHosts)
	if s.Logging != nil {
		out.LogConfig = container.LogConfig{Type: s.Logging.Driver, Config: s.Logging.Options}
	}
	if open {
		out.MaskedPaths, out.ReadonlyPaths = []string{}, []string{}
	}
	return out, nil
}

func addresses(key string, texts []string) (out []netip.Addr, err error) {
	for _, text := range texts {
		a, err := netip.ParseAddr(text)
		if err != nil {
			return nil, fmt.Errorf("%s: want an IP address, got %q", key, text)
		}
		out = append(out, a)
	}
	return out, nil
}

func tmpfs(list []string) map[string]string {
	out := map[string]string{}
	for _, t := range list {
		path, options, _ := strings.Cut(t, ":")
		out[path] = options
	}
	return out
}

// security are the options of security, with profiles of seccomp read from their files. open says that nothing below
// /proc and /sys is hidden.
func (m *Model) security(options []string) (out []string, open bool, err error) {
	for _, o := range options {
		key, value, pair := strings.Cut(o, "=")
		if !pair {
			key, value, pair = strings.Cut(o, ":")
		}
		switch {
		case o == "systempaths=unconfined":
			open = true
			continue
		case !pair && o != "no-new-privileges":
			return nil, false, fmt.Errorf("security_opt: want KEY=VALUE, such as \"no-new-privileges:true\", got %q", o)
		case key == "seccomp" && value != "unconfined" && value != "builtin":
			path := m.Project.RelativePath(value)
			b, err := host.ReadFile(m.sources.h.Files, path, maxFile)
			if err != nil {
				return nil, false, fmt.Errorf("security_opt: cannot read the seccomp profile %s: %w", m.sources.short(path), host.Plainly(err))
			}
			var compact bytes.Buffer
			if err := json.Compact(&compact, b); err != nil {
				return nil, false, fmt.Errorf("security_opt: the seccomp profile %s is not JSON: %w", m.sources.short(path), err)
			}
			o = "seccomp=" + compact.String()
		}
		out = append(out, o)
	}
	return out, open, nil
}

func restart(s types.ServiceConfig) container.RestartPolicy {
	condition, tries := s.Restart, 0
	if name, number, ok := strings.Cut(s.Restart, ":"); ok {
		condition = name
		tries, _ = strconv.Atoi(number)
	}
	if s.Deploy != nil && s.Deploy.RestartPolicy != nil {
		condition, tries = s.Deploy.RestartPolicy.Condition, 0
		if most := s.Deploy.RestartPolicy.MaxAttempts; most != nil {
			tries = int(*most)
		}
	}
	switch condition {
	case "none":
		condition = "no"
	case "any":
		condition = "always"
	}
	return container.RestartPolicy{Name: container.RestartPolicyMode(condition), MaximumRetryCount: tries}
}

// platformOf reads "linux/amd64" or "linux/arm/v7".
func platformOf(text string) (*ocispec.Platform, error) {
	if text == "" {
		return nil, nil
	}
	parts := strings.Split(text, "/")
	if len(parts) > 3 || slices.Contains(parts, "") || len(parts) < 2 {
		return nil, fmt.Errorf("platform: want one such as \"linux/amd64\", got %q", text)
	}
	p := &ocispec.Platform{OS: parts[0], Architecture: parts[1]}
	if len(parts) == 3 {
		p.Variant = parts[2]
	}
	for from, to := range map[string]string{"x86_64": "amd64", "aarch64": "arm64"} {
		if p.Architecture == from {
			p.Architecture = to
		}
	}
	if p.Architecture == "arm64" && p.Variant == "v8" {
		p.Variant = ""
	}
	return p, nil
}

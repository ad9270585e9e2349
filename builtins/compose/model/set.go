package model

import (
	"cmp"
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/compose-spec/compose-go/v2/types"

	"github.com/erlmcp/runner/builtins/compose/shape"
)

// Labels of Compose, by which its own commands know what is theirs.
const (
	labelProject  = "com.docker.compose.project"
	labelFiles    = "com.docker.compose.project.config_files"
	labelDir      = "com.docker.compose.project.working_dir"
	labelEnvFiles = "com.docker.compose.project.environment_file"
	labelService  = "com.docker.compose.service"
	labelNumber   = "com.docker.compose.container-number"
	labelOneOff   = "com.docker.compose.oneoff"
	labelHash     = "com.docker.compose.config-hash"
	labelImage    = "com.docker.compose.image"
	labelImages   = "com.docker.compose.image-volume-digest"
	labelNeeds    = "com.docker.compose.depends_on"
	labelNetwork  = "com.docker.compose.network"
	labelVolume   = "com.docker.compose.volume"
	labelVersion  = "com.docker.compose.version"
)

// version is that of Docker Compose whose ways these are.
const version = "5.6.0"

// Set is the project as an engine is to hold it. images are the IDs of images by what the files call them, where they
// are known.
func (m *Model) Set(images map[string]string) (shape.Set, error) {
	set := shape.Set{Project: m.Project.Name}
	for _, key := range slices.Sorted(maps.Keys(m.Project.Networks)) {
		n, err := m.network(key, m.Project.Networks[key])
		if err != nil {
			return shape.Set{}, m.misfit(err, "networks", key)
		}
		set.Networks = append(set.Networks, n)
	}
	for _, key := range slices.Sorted(maps.Keys(m.Project.Volumes)) {
		v, err := m.volume(key, m.Project.Volumes[key])
		if err != nil {
			return shape.Set{}, m.misfit(err, "volumes", key)
		}
		set.Volumes = append(set.Volumes, v)
	}
	for _, name := range slices.Sorted(maps.Keys(m.Project.Services)) {
		s, containers, err := m.service(m.Project.Services[name], images)
		if err != nil {
			return shape.Set{}, m.misfit(err, "services", name)
		}
		set.Services, set.Containers = append(set.Services, s), append(set.Containers, containers...)
	}
	return set, nil
}

// misfit is an error of a part of the model, with its place. An error that begins with a key is that key's.
func (m *Model) misfit(err error, path ...string) error {
	text := err.Error()
	if key, rest, ok := strings.Cut(text, ": "); ok && !strings.ContainsAny(key, " ") {
		path, text = append(path, keys(key)...), rest
	}
	return fmt.Errorf("cannot use the Compose project %s: %w", m.Project.Name, m.sources.misfit(path, text))
}

// service is a service with all its containers.
func (m *Model) service(s types.ServiceConfig, images map[string]string) (shape.Service, []shape.Container, error) {
	source, err := sourceOf(s)
	if err != nil {
		return shape.Service{}, nil, err
	}
	out := shape.Service{Name: s.Name, Needs: needs(s), Source: source}
	if s.StopGracePeriod != nil {
		out.Grace = time.Duration(*s.StopGracePeriod)
	}
	out.StartFirst, out.Order = m.order(s)
	var containers []shape.Container
	for n := range s.GetScale() {
		c, err := m.container(s, n+1, images)
		if err != nil {
			return shape.Service{}, nil, err
		}
		c.Hash = shape.Hash(source)
		c.Config.Labels[labelHash] = c.Hash
		containers = append(containers, c)
	}
	return out, containers, nil
}

// sourceOf is what Compose counts a service's hash over: all of it but how it is built, how many there are, and for
// whom it waits.
func sourceOf(s types.ServiceConfig) (json.RawMessage, error) {
	s.Build, s.PullPolicy, s.Scale, s.DependsOn, s.Profiles = nil, "", nil, nil, nil
	if s.Deploy != nil {
		deploy := *s.Deploy
		deploy.Replicas = nil
		s.Deploy = &deploy
	}
	b, err := json.Marshal(s)
	if err != nil {
		return nil, err
	}
	return shape.Ordered(b)
}

func needs(s types.ServiceConfig) (out []shape.Need) {
	for _, name := range slices.Sorted(maps.Keys(s.DependsOn)) {
		d := s.DependsOn[name]
		out = append(out, shape.Need{Service: name, Condition: d.Condition, Optional: !d.Required, Restart: d.Restart})
	}
	return out
}

// order says whether a new container of a service may be ready before the old one stops, and why.
func (m *Model) order(s types.ServiceConfig) (startFirst bool, why string) {
	if s.Deploy == nil || s.Deploy.UpdateConfig == nil || s.Deploy.UpdateConfig.Order != "start-first" {
		return false, ""
	}
	for _, p := range s.Ports {
		if p.Published != "" && p.Published != "0" {
			return false, fmt.Sprintf("it publishes port %s, which one container can hold", p.Published)
		}
	}
	switch {
	case s.ContainerName != "":
		return false, "its container has a name of its own, " + s.ContainerName
	case s.NetworkMode == "host":
		return false, "it has the ports of the host"
	}
	for _, v := range s.Volumes {
		if v.Type == types.VolumeTypeVolume && v.Source != "" && !v.ReadOnly && s.GetScale() == 1 {
			return false, fmt.Sprintf("it writes the volume %s, and was never meant to do that twice at once", v.Source)
		}
	}
	for _, n := range s.Networks {
		if n != nil && (n.Ipv4Address != "" || n.Ipv6Address != "" || n.MacAddress != "") {
			return false, "it has an address of its own"
		}
	}
	return true, "its files say start-first"
}

// labels are those of a service's container: its own, those of its project, and its place there.
func (m *Model) labels(s types.ServiceConfig, number int, images map[string]string) map[string]string {
	out := map[string]string{}
	maps.Copy(out, s.Labels)
	maps.Copy(out, map[string]string{
		labelProject: m.Project.Name, labelService: s.Name, labelVersion: version, labelDir: m.Project.WorkingDir, labelFiles: strings.Join(m.Files, ","),
		labelOneOff: "False", labelNumber: strconv.Itoa(number),
	})
	if len(m.envFiles) > 0 {
		out[labelEnvFiles] = strings.Join(m.envFiles, ",")
	}
	if id := images[m.image(s)]; id != "" {
		out[labelImage] = id
	}
	var digests []string
	for _, v := range s.Volumes {
		if id := images[v.Source]; v.Type == types.VolumeTypeImage && id != "" {
			digests = append(digests, v.Target+"="+id)
		}
	}
	if slices.Sort(digests); len(digests) > 0 {
		out[labelImages] = strings.Join(digests, ",")
	}
	var needs []string
	for _, n := range slices.Sorted(maps.Keys(s.DependsOn)) {
		needs = append(needs, fmt.Sprintf("%s:%s:%t", n, s.DependsOn[n].Condition, s.DependsOn[n].Restart))
	}
	out[labelNeeds] = strings.Join(needs, ",")
	return out
}

// Image is what the image of a service is called.
func (m *Model) Image(service string) string { return m.image(m.Project.Services[service]) }

// image is what a service's image is called; one that is built has a name even where the files give it none.
func (m *Model) image(s types.ServiceConfig) string {
	return cmp.Or(s.Image, m.Project.Name+"-"+s.Name)
}

// named is the name of a service's container.
func (m *Model) named(s types.ServiceConfig, number int) string {
	return cmp.Or(s.ContainerName, fmt.Sprintf("%s-%s-%d", m.Project.Name, s.Name, number))
}

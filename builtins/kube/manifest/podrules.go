package manifest

import (
	"fmt"
	"slices"
	"strconv"
	"strings"

	"github.com/distribution/reference"
	"k8s.io/apimachinery/pkg/api/resource"
	"k8s.io/apimachinery/pkg/util/validation"

	"github.com/erlmcp/runner/runtime/builtin"
)

// pod checks the template of an object's pods.
func (l *loading) pod(o *Object, pod part) {
	spec := pod.in("spec")
	if pod.value == nil || spec.value == nil {
		l.mistaken(o, at(pod.path, "spec"), "there is no %s: it says what the pods are", spelled(at(podPath(o), "spec")))
		return
	}
	if list, is := spec.value["containers"].([]any); len(list) == 0 && (is || spec.value["containers"] == nil) {
		l.mistaken(o, at(spec.path, "containers"), "%s: want at least one container", spelled(at(spec.path, "containers")))
	}
	l.atLeast(o, spec, "terminationGracePeriodSeconds", 0)
	volumes := l.volumes(o, spec)
	seen := map[string]bool{}
	for _, c := range containersOf(o) {
		name := c.text("name")
		switch {
		case name == "" && c.value["name"] == nil:
			l.mistaken(o, c.path, "%s: the container has no name", spelled(c.path))
		case seen[name]:
			l.mistaken(o, at(c.path, "name"), "%s: there are two containers %s", spelled(at(c.path, "name")), name)
		}
		seen[name] = true
		l.named(o, at(c.path, "name"), name, label())
		l.container(o, c, volumes)
	}
}

// volumes checks a pod's volumes and gives their names.
func (l *loading) volumes(o *Object, spec part) (names []string) {
	for _, v := range spec.each("volumes") {
		name := v.text("name")
		l.named(o, at(v.path, "name"), name, label())
		if name != "" && slices.Contains(names, name) {
			l.mistaken(o, at(v.path, "name"), "%s: there are two volumes %s", spelled(at(v.path, "name")), name)
		}
		names = append(names, name)
		var sources []string
		for key, is := range v.value {
			if key != "name" && is != nil {
				sources = append(sources, key)
			}
		}
		slices.Sort(sources)
		switch {
		case name == "":
			l.mistaken(o, v.path, "%s: the volume has no name", spelled(v.path))
		case len(sources) > 1:
			l.mistaken(o, v.path, "%s: want one source of the volume, got %s", spelled(v.path), strings.Join(sources, " and "))
		}
	}
	for _, c := range whole(o).each("spec", "volumeClaimTemplates") {
		names = append(names, c.text("metadata", "name"))
	}
	return names
}

func (l *loading) container(o *Object, c part, volumes []string) {
	l.image(o, c)
	ports := l.ports(o, c)
	l.env(o, c)
	paths := map[string]bool{}
	for _, m := range c.each("volumeMounts") {
		name, path := m.text("name"), m.text("mountPath")
		switch {
		case name == "":
			l.mistaken(o, m.path, "%s: the mount has no name of a volume", spelled(m.path))
		case !slices.Contains(volumes, name):
			l.mistaken(o, at(m.path, "name"), "%s: the pod has no volume %s%s", spelled(at(m.path, "name")), name, builtin.DidYouMean(name, volumes)).
				hint("define it below volumes: of the pod")
		}
		switch {
		case path == "":
			l.mistaken(o, m.path, "%s: the mount has no mountPath", spelled(m.path))
		case paths[path]:
			l.mistaken(o, at(m.path, "mountPath"), "%s: two volumes are mounted at %s", spelled(at(m.path, "mountPath")), path)
		}
		paths[path] = true
	}
	for _, kind := range []string{"livenessProbe", "readinessProbe", "startupProbe"} {
		if p := c.in(kind); p.value != nil {
			l.probe(o, p, kind, ports)
		}
	}
	l.resources(o, c.in("resources"))
}

func (l *loading) image(o *Object, c part) {
	image, is := c.value["image"].(string)
	switch path := at(c.path, "image"); {
	case c.value["image"] == nil || is && image == "":
		l.mistaken(o, c.path, "%s: the container has no image", spelled(c.path))
	case !is: // of another type, which is told already
	case strings.TrimSpace(image) != image:
		l.mistaken(o, path, "%s: want the name of an image without spaces, got %q", spelled(path), image)
	default:
		if _, err := reference.ParseNormalizedNamed(image); err != nil {
			m := l.mistaken(o, path, "%s: want the name of an image such as registry.example.com/app:1.4, got %q", spelled(path), image)
			if name, rest := splitImage(image); strings.ToLower(name) != name {
				m.hint("write %s", strings.ToLower(name)+rest)
			}
		}
	}
}

// ports checks a container's ports and gives their names.
func (l *loading) ports(o *Object, c part) (names []string) {
	seen := map[string]bool{}
	for _, p := range c.each("ports") {
		l.port(o, p, "containerPort", true)
		name := p.text("name")
		if name != "" && len(validation.IsValidPortName(name)) > 0 {
			l.mistaken(o, at(p.path, "name"), "%s: want at most 15 small letters, digits and -, got %q", spelled(at(p.path, "name")), name)
		}
		if name != "" && slices.Contains(names, name) {
			l.mistaken(o, at(p.path, "name"), "%s: there are two ports %s", spelled(at(p.path, "name")), name)
		}
		names = append(names, name)
		number := strings.TrimSuffix(fmt.Sprint(p.value["containerPort"], p.text("protocol")), "TCP")
		if seen[number] && p.value["containerPort"] != nil {
			l.mistaken(o, at(p.path, "containerPort"), "%s: the port %v is there twice", spelled(at(p.path, "containerPort")), p.value["containerPort"])
		}
		seen[number] = true
	}
	return names
}

// port checks a number of a port.
func (l *loading) port(o *Object, p part, field string, required bool) {
	path := at(p.path, field)
	n, ok := integer(p.value[field])
	switch {
	case ok && (n < 1 || n > 65535):
		l.mistaken(o, path, "%s: want 1 to 65535, got %d", spelled(path), n)
	case p.value[field] == nil && required:
		l.mistaken(o, p.path, "%s: there is no %s", spelled(p.path), field)
	}
}

func (l *loading) env(o *Object, c part) {
	first := map[string]part{}
	for _, e := range c.each("env") {
		name := e.text("name")
		path := at(e.path, "name")
		other, twice := first[name]
		switch {
		case name == "" && e.value["name"] == nil:
			l.mistaken(o, e.path, "%s: the variable has no name", spelled(e.path))
		case strings.ContainsAny(name, "= \t\n"):
			l.mistaken(o, path, "%s: want the name of a variable, got %q", spelled(path), name)
		case twice:
			l.mistaken(o, path, "%s: %s is there twice: first at %s", spelled(path), name, o.place(at(other.path, "name"), "").at())
		}
		first[name] = e
		from := e.in("valueFrom")
		if value, _ := e.value["value"].(string); value != "" && len(from.value) > 0 {
			l.mistaken(o, e.path, "%s: want value or valueFrom of %s, got both", spelled(e.path), name)
		}
		if _, has := e.value["valueFrom"]; has && len(from.value) != 1 {
			l.mistaken(o, from.path, "%s: want one source of %s, got %d", spelled(from.path), name, len(from.value))
		}
	}
}

// probe checks one probe; ports are the names of its container's.
func (l *loading) probe(o *Object, p part, kind string, ports []string) {
	var ways []string
	for _, way := range []string{"exec", "grpc", "httpGet", "tcpSocket"} {
		if p.value[way] != nil {
			ways = append(ways, way)
		}
	}
	if len(ways) != 1 {
		got := "none"
		if len(ways) > 0 {
			got = strings.Join(ways, " and ")
		}
		l.mistaken(o, p.path, "%s: want one of httpGet, tcpSocket, exec and grpc, got %s", spelled(p.path), got)
	}
	for _, way := range []string{"httpGet", "tcpSocket"} {
		if w := p.in(way); w.value != nil {
			l.port(o, w, "port", true)
			if name := w.text("port"); name != "" && !slices.Contains(ports, name) {
				l.mistaken(o, at(w.path, "port"), "%s: the container has no port %s%s", spelled(at(w.path, "port")), name, builtin.DidYouMean(name, ports))
			}
		}
	}
	for _, field := range []string{"initialDelaySeconds", "timeoutSeconds", "periodSeconds", "failureThreshold"} {
		l.atLeast(o, p, field, 0)
	}
	if n, ok := integer(p.value["successThreshold"]); ok && n != 1 && kind != "readinessProbe" {
		l.mistaken(o, at(p.path, "successThreshold"), "%s: want 1 of a %s, got %d", spelled(at(p.path, "successThreshold")), kind, n)
	}
}

func (l *loading) resources(o *Object, p part) {
	known := []string{"cpu", "memory", "ephemeral-storage"}
	amount := func(v any) (resource.Quantity, bool) {
		q, err := resource.ParseQuantity(fmt.Sprint(v))
		return q, err == nil && v != nil
	}
	for _, field := range []string{"requests", "limits"} {
		for name, v := range p.in(field).value {
			path := at(p.path, field, name)
			if !slices.Contains(known, name) && !strings.Contains(name, "/") && !strings.HasPrefix(name, "hugepages-") {
				l.mistaken(o, path, "there is no resource %s%s", name, builtin.DidYouMean(name, known)).hint("a node's own is called example.com/NAME")
			}
			q, ok := amount(v)
			if !ok {
				continue
			}
			if q.Sign() < 0 {
				l.mistaken(o, path, "%s: want 0 or more, got %v", spelled(path), v)
			}
			if limit, has := amount(p.in("limits").value[name]); has && field == "requests" && q.Cmp(limit) > 0 {
				l.mistaken(o, path, "%s: want at most the limit, %v, got %v", spelled(path), p.in("limits").value[name], v)
			}
			if written, _ := v.(string); name == "memory" && strings.HasSuffix(written, "m") {
				n, _ := strconv.Atoi(strings.TrimSuffix(written, "m"))
				l.mistaken(o, path, "%s: %s is %v bytes: m stands for a thousandth", spelled(path), written, float64(n)/1000).hint("write %dMi", n)
			}
		}
	}
}

// asked finds keys that pods ask of ConfigMaps and Secrets of the set, and that those do not have.
func (l *loading) asked(o *Object) {
	for _, m := range mentions(o) {
		to := l.find(o.GetNamespace(), m.kind, m.name())
		if to == nil || m.optional {
			continue
		}
		known := keysOf(to)
		for _, key := range m.keys {
			if !slices.Contains(known, key) {
				l.mistaken(o, m.keyAt, "%s: %s has no key %s%s", spelled(m.keyAt), title(to), key, builtin.DidYouMean(key, known))
			}
		}
	}
}

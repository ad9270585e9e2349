package manifest

import (
	"fmt"
	"slices"
	"strconv"
	"strings"

	"k8s.io/apimachinery/pkg/util/validation"

	"github.com/erlmcp/runner/runtime/builtin"
)

// service checks a Service.
func (l *loading) service(o *Object) {
	spec := whole(o).in("spec")
	kind := spec.text("type")
	ports := spec.each("ports")
	external := kind == "ExternalName"
	switch {
	case external && spec.text("externalName") == "":
		l.mistaken(o, spec.path, "spec: want externalName of a Service of type ExternalName")
	case !external && len(ports) == 0 && spec.text("clusterIP") != "None":
		l.mistaken(o, at(spec.path, "ports"), "spec.ports: want at least one port")
	}
	names, numbers := map[string]bool{}, map[string]bool{}
	for _, p := range ports {
		l.port(o, p, "port", true)
		l.port(o, p, "targetPort", false)
		name := p.text("name")
		switch {
		case name == "" && len(ports) > 1:
			l.mistaken(o, p.path, "%s: want a name of each of several ports", spelled(p.path))
		case name != "" && names[name]:
			l.mistaken(o, at(p.path, "name"), "%s: there are two ports %s", spelled(at(p.path, "name")), name)
		}
		l.named(o, at(p.path, "name"), name, label())
		names[name] = true
		number := strings.TrimSuffix(fmt.Sprint(p.value["port"], p.text("protocol")), "TCP")
		if numbers[number] && p.value["port"] != nil {
			l.mistaken(o, at(p.path, "port"), "%s: the port %v is there twice", spelled(at(p.path, "port")), p.value["port"])
		}
		numbers[number] = true
		if p.value["nodePort"] != nil && (kind == "" || kind == "ClusterIP") {
			l.mistaken(o, at(p.path, "nodePort"), "%s: a Service of type ClusterIP has no nodePort", spelled(at(p.path, "nodePort"))).hint("write type: NodePort")
		}
		l.target(o, p)
	}
}

// target holds the name of a target port against the pods of the set that a Service selects.
func (l *loading) target(o *Object, p part) {
	name := p.text("targetPort")
	if _, err := strconv.Atoi(name); name == "" || err == nil {
		return
	}
	var known []string
	pods := l.selected(o)
	for _, w := range pods {
		for _, c := range containersOf(w) {
			for _, port := range c.each("ports") {
				known = append(known, port.text("name"))
			}
		}
	}
	if len(pods) > 0 && !slices.Contains(known, name) {
		l.mistaken(o, at(p.path, "targetPort"), "%s: no container of %s has a port %s%s", spelled(at(p.path, "targetPort")), title(pods[0]), name, builtin.DidYouMean(name, known))
	}
}

// selected are the workloads of the set whose pods a Service sends traffic to.
func (l *loading) selected(service *Object) (out []*Object) {
	selector := whole(service).in("spec", "selector").value
	if len(selector) == 0 {
		return nil
	}
	return l.matching(service.GetNamespace(), map[string]any{"matchLabels": selector})
}

// matching are the workloads of a namespace whose pods a label selector selects.
func (l *loading) matching(namespace string, selector map[string]any) (out []*Object) {
	s := selectorOf(selector)
	if s == nil {
		return nil
	}
	for _, o := range l.objects {
		if o.Workload() && o.GetNamespace() == namespace && s.Matches(setOf(podOf(o).in("metadata", "labels").value)) {
			out = append(out, o)
		}
	}
	return out
}

// ingress checks an Ingress and what it leads to.
func (l *loading) ingress(o *Object) {
	spec := whole(o).in("spec")
	if len(spec.each("rules")) == 0 && spec.in("defaultBackend").value == nil {
		l.mistaken(o, spec.path, "spec: want rules, or a defaultBackend")
	}
	l.backend(o, spec.in("defaultBackend"))
	for _, rule := range spec.each("rules") {
		host := rule.text("host")
		if host != "" && len(validation.IsDNS1123Subdomain(strings.TrimPrefix(host, "*."))) > 0 {
			m := l.mistaken(o, at(rule.path, "host"), "%s: want a name such as app.example.com, got %q", spelled(at(rule.path, "host")), host)
			if strings.Contains(host, "://") || strings.Contains(host, "/") {
				m.hint("without https:// and without a path")
			}
		}
		for _, p := range rule.each("http", "paths") {
			path := p.text("path")
			switch kind := p.text("pathType"); {
			case p.value["pathType"] == nil:
				l.mistaken(o, p.path, "%s: there is no pathType", spelled(p.path)).hint("write pathType: Prefix, or Exact")
			case kind != "ImplementationSpecific" && !strings.HasPrefix(path, "/"):
				l.mistaken(o, at(p.path, "path"), "%s: want a path that begins with /, got %q", spelled(at(p.path, "path")), path)
			}
			if p.in("backend").value == nil {
				l.mistaken(o, p.path, "%s: there is no backend", spelled(p.path))
			}
			l.backend(o, p.in("backend"))
		}
	}
}

// backend holds what an Ingress leads to against the Services of the set.
func (l *loading) backend(o *Object, p part) {
	service := p.in("service")
	if service.value == nil {
		return
	}
	name, port := service.text("name"), service.in("port")
	if name == "" || len(port.value) != 1 {
		l.mistaken(o, service.path, "%s: want name, and a port with number or name", spelled(service.path))
		return
	}
	to := l.find(o.GetNamespace(), "Service", name)
	if to == nil {
		l.warned(o, at(service.path, "name"), "the set has no Service %s%s, which %s leads to", name, builtin.DidYouMean(name, l.called("Service")), title(o))
		return
	}
	var known []string
	for _, p := range whole(to).each("spec", "ports") {
		if p.value["port"] != nil {
			known = append(known, fmt.Sprint(p.value["port"]))
		}
		if p.value["port"] == port.value["number"] && port.value["number"] != nil || p.text("name") != "" && p.text("name") == port.text("name") {
			return
		}
	}
	for field, v := range port.value {
		l.mistaken(o, at(port.path, field), "%s: Service/%s has no port %v: it has %s", spelled(at(port.path, field)), name, v, strings.Join(known, ", "))
	}
}

// called are the names of a kind's objects in the set.
func (l *loading) called(kind string) (out []string) {
	for _, o := range l.objects {
		if o.GetKind() == kind {
			out = append(out, o.GetName())
		}
	}
	return out
}

// autoscaler checks a HorizontalPodAutoscaler.
func (l *loading) autoscaler(o *Object) {
	spec := whole(o).in("spec")
	most, ok := integer(spec.value["maxReplicas"])
	if spec.value["maxReplicas"] == nil || ok && most < 1 {
		l.mistaken(o, at(spec.path, "maxReplicas"), "spec.maxReplicas: want 1 or more")
	}
	l.atLeast(o, spec, "minReplicas", 0)
	if least, has := integer(spec.value["minReplicas"]); has && ok && least > most {
		l.mistaken(o, at(spec.path, "minReplicas"), "spec.minReplicas: want at most maxReplicas, %d, got %d", most, least)
	}
	ref := spec.in("scaleTargetRef")
	if ref.text("kind") == "" || ref.text("name") == "" {
		l.mistaken(o, ref.path, "spec.scaleTargetRef: want apiVersion, kind and name of what it scales")
	}
}

// budget checks a PodDisruptionBudget.
func (l *loading) budget(o *Object) {
	spec := whole(o).in("spec")
	least, most := spec.value["minAvailable"], spec.value["maxUnavailable"]
	if least != nil && most != nil {
		l.mistaken(o, at(spec.path, "maxUnavailable"), "spec: want minAvailable or maxUnavailable, got both")
	}
	l.share(o, spec, "minAvailable")
	l.share(o, spec, "maxUnavailable")
}

// claim checks a PersistentVolumeClaim, or a StatefulSet's template of one.
func (l *loading) claim(o *Object, p part) {
	spec := p.in("spec")
	if modes, _ := spec.value["accessModes"].([]any); len(modes) == 0 {
		l.mistaken(o, at(spec.path, "accessModes"), "%s: want at least one", spelled(at(spec.path, "accessModes"))).hint("write accessModes: [ReadWriteOnce]")
	}
	if spec.in("resources", "requests").value["storage"] == nil {
		path := at(spec.path, "resources", "requests")
		l.mistaken(o, path, "%s: want storage, the size of the volume", spelled(path)).hint("write storage: 1Gi")
	}
}

// binding checks a RoleBinding or a ClusterRoleBinding.
func (l *loading) binding(o *Object) {
	ref := whole(o).in("roleRef")
	if !slices.Contains([]string{"Role", "ClusterRole"}, ref.text("kind")) || ref.text("name") == "" {
		l.mistaken(o, []string{"roleRef"}, "roleRef: want kind Role or ClusterRole, and a name")
	}
	for _, s := range whole(o).each("subjects") {
		if s.text("kind") == "ServiceAccount" && s.text("namespace") == "" {
			l.mistaken(o, s.path, "%s: want the namespace of the ServiceAccount %s", spelled(s.path), s.text("name"))
		}
	}
}

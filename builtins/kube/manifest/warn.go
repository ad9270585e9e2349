package manifest

import (
	"fmt"
	"slices"
	"strings"

	"k8s.io/apimachinery/pkg/api/resource"

	"github.com/erlmcp/runner/runtime/builtin"
)

// warn finds what a cluster takes and what will hurt: traffic that is dropped, pods that never come.
func (l *loading) warn() {
	behind := map[*Object]*Object{} // the Service that sends traffic to a workload's pods
	for _, o := range l.objects {
		if o.GetKind() != "Service" || o.GroupVersionKind().Group != "" {
			continue
		}
		pods := l.selected(o)
		for _, w := range pods {
			behind[w] = o
		}
		if selector := whole(o).in("spec", "selector"); len(selector.value) > 0 && len(pods) == 0 {
			l.warned(o, selector.path, "%s sends traffic to no pods of the set%s", title(o), l.nearSelector(o, selector.value))
		}
		l.listens(o, pods)
	}
	for _, o := range l.objects {
		switch {
		case o.GetKind() == "HorizontalPodAutoscaler":
			l.scaled(o)
		case o.GetKind() == "PodDisruptionBudget":
			l.evicts(o)
		}
		if !o.Workload() {
			continue
		}
		l.tags(o)
		l.refers(o)
		l.shared(o)
		if behind[o] != nil {
			l.drains(o, behind[o])
		}
		if scales(o) {
			l.many(o)
		}
	}
}

// nearSelector says how the labels of a Service's selector differ from those of a workload that has its keys.
func (l *loading) nearSelector(o *Object, selector map[string]any) string {
	for _, w := range l.objects {
		have := podOf(w).in("metadata", "labels").value
		for key, value := range selector {
			if w.Workload() && w.GetNamespace() == o.GetNamespace() && have[key] != nil && have[key] != value {
				return fmt.Sprintf(": those of %s have %s: %v", title(w), key, have[key])
			}
		}
	}
	return ""
}

// listens holds the numbers of a Service's target ports against those that its pods say they have.
func (l *loading) listens(o *Object, pods []*Object) {
	for _, w := range pods {
		var known []string
		for _, c := range containersOf(w) {
			for _, p := range c.each("ports") {
				known = append(known, fmt.Sprint(p.value["containerPort"]))
			}
		}
		for _, p := range whole(o).each("spec", "ports") {
			target, field := p.value["targetPort"], "targetPort"
			if target == nil {
				target, field = p.value["port"], "port"
			}
			if n, ok := integer(target); ok && len(known) > 0 && !slices.Contains(known, fmt.Sprint(n)) {
				l.warned(o, at(p.path, field), "%s sends traffic to port %d, and %s names %s", title(o), n, title(w), strings.Join(known, ", "))
			}
		}
	}
}

// stopTime is how long a pod may take to stop where it does not say.
const stopTime = 30

// drains warns of a workload behind a Service whose pods get traffic before they are ready or after they have ended.
func (l *loading) drains(o, service *Object) {
	if group := o.GroupVersionKind().Group; group == "batch" {
		return
	}
	spec := podOf(o).in("spec")
	grace, said := integer(spec.value["terminationGracePeriodSeconds"])
	if !said {
		grace = stopTime
	}
	for _, c := range spec.each("containers") {
		if len(c.each("ports")) == 0 {
			continue
		}
		if c.in("readinessProbe").value == nil {
			l.warned(o, c.path, "the container %s of %s has no readinessProbe: %s sends it traffic before it is ready", c.text("name"), title(o), title(service))
		}
		stop := c.in("lifecycle", "preStop")
		seconds, slept := integer(stop.in("sleep").value["seconds"])
		switch {
		case stop.value == nil:
			l.warned(o, c.path, "the container %s of %s has no preStop: it ends while %s still sends it traffic", c.text("name"), title(o), title(service)).
				hint("write lifecycle: {preStop: {sleep: {seconds: 5}}}")
		case slept && seconds >= grace:
			l.warned(o, stop.path, "the container %s of %s sleeps %d s before it stops, and is killed after %d s", c.text("name"), title(o), seconds, grace).
				hint("write terminationGracePeriodSeconds: %d", seconds+stopTime)
		}
	}
}

// tags warns of images that are others tomorrow.
func (l *loading) tags(o *Object) {
	for _, c := range containersOf(o) {
		image := c.text("image")
		_, rest := splitImage(image)
		if rest == "" || rest == ":latest" {
			l.warned(o, at(c.path, "image"), "the image %s is what was pushed last: undo and a second node may get another one", image).
				hint("write a tag of one version, or a digest")
		}
	}
}

// refers warns of what pods need and the set does not have: it may be in the cluster.
func (l *loading) refers(o *Object) {
	for _, m := range mentions(o) {
		if l.find(o.GetNamespace(), m.kind, m.name()) != nil || m.optional {
			continue
		}
		l.warned(o, at(m.part.path, m.field), "the set has no %s %s%s: pods of %s wait until the cluster has it", m.kind, m.name(), builtin.DidYouMean(m.name(), l.called(m.kind)), title(o))
	}
	spec := podOf(o).in("spec")
	if name := spec.text("serviceAccountName"); name != "" && name != "default" && l.find(o.GetNamespace(), "ServiceAccount", name) == nil {
		l.warned(o, at(spec.path, "serviceAccountName"), "the set has no ServiceAccount %s%s: there are no pods of %s until the cluster has it", name, builtin.DidYouMean(name, l.called("ServiceAccount")), title(o))
	}
	for _, v := range spec.each("volumes") {
		if name := v.text("persistentVolumeClaim", "claimName"); name != "" && l.find(o.GetNamespace(), "PersistentVolumeClaim", name) == nil {
			l.warned(o, at(v.path, "persistentVolumeClaim", "claimName"), "the set has no PersistentVolumeClaim %s%s: pods of %s wait until the cluster has it", name,
				builtin.DidYouMean(name, l.called("PersistentVolumeClaim")), title(o))
		}
	}
}

// shared warns of pods that share a volume which one node has at a time.
func (l *loading) shared(o *Object) {
	n, several := integer(whole(o).in("spec").value["replicas"])
	if o.GetKind() != "Deployment" || l.scaler(o) == nil && (!several || n < 2) {
		return
	}
	for _, v := range podOf(o).in("spec").each("volumes") {
		claim := l.find(o.GetNamespace(), "PersistentVolumeClaim", v.text("persistentVolumeClaim", "claimName"))
		if claim == nil {
			continue
		}
		modes, _ := whole(claim).in("spec").value["accessModes"].([]any)
		if !slices.Contains(modes, any("ReadWriteMany")) && !slices.Contains(modes, any("ReadOnlyMany")) {
			l.warned(o, at(v.path, "persistentVolumeClaim", "claimName"), "all pods of %s must be on the node that has the volume %s, which is %v", title(o), claim.GetName(), modes[0])
		}
	}
}

// scaler is the HorizontalPodAutoscaler of the set that scales a workload, nil where none does.
func (l *loading) scaler(o *Object) *Object {
	for _, h := range l.objects {
		ref := whole(h).in("spec", "scaleTargetRef")
		if h.GetKind() == "HorizontalPodAutoscaler" && h.GetNamespace() == o.GetNamespace() && ref.text("kind") == o.GetKind() && ref.text("name") == o.GetName() {
			return h
		}
	}
	return nil
}

// many warns of what does not survive that a pod goes.
func (l *loading) many(o *Object) {
	spec := whole(o).in("spec")
	n, said := integer(spec.value["replicas"])
	scaler := l.scaler(o)
	if least, _ := integer(whole(scaler).in("spec").value["minReplicas"]); scaler != nil && said && n != least { // where they are the same, it is what it begins with
		l.warned(o, at(spec.path, "replicas"), "the replicas of %s are left to %s", title(o), title(scaler)).hint("take the line out")
	}
	rolling := spec.in("strategy", "rollingUpdate")
	less := rolling.value["maxUnavailable"] // of one pod, a part is none unless it is all
	if count, is := integer(less); o.GetKind() == "Deployment" && (!said || n == 1) && scaler == nil && (is && count > 0 || less == "100%") {
		l.warned(o, at(rolling.path, "maxUnavailable"), "%s has one pod, and may be without it while it is replaced", title(o)).hint("write maxUnavailable: 0")
	}
	if !(said && n > 1 || scaler != nil) || o.GetKind() == "ReplicaSet" {
		return
	}
	for _, b := range l.objects {
		if b.GetKind() == "PodDisruptionBudget" && slices.Contains(l.matching(b.GetNamespace(), whole(b).in("spec", "selector").value), o) {
			return
		}
	}
	l.warned(o, []string{"kind"}, "%s has several pods and no PodDisruptionBudget: a drain of nodes may take all at once", title(o))
}

// evicts warns of a PodDisruptionBudget that keeps nodes from ever being drained, or holds nothing.
func (l *loading) evicts(o *Object) {
	spec := whole(o).in("spec")
	pods := l.matching(o.GetNamespace(), spec.in("selector").value)
	if len(pods) == 0 {
		l.warned(o, at(spec.path, "selector"), "%s is about no pods of the set%s", title(o), l.nearSelector(o, spec.in("selector", "matchLabels").value))
		return
	}
	if most := spec.value["maxUnavailable"]; most == int64(0) || most == "0%" {
		l.warned(o, at(spec.path, "maxUnavailable"), "%s lets no pod go: no node can ever be drained", title(o)).hint("write maxUnavailable: 1")
	}
	least, ok := integer(spec.value["minAvailable"])
	if spec.value["minAvailable"] == "100%" {
		l.warned(o, at(spec.path, "minAvailable"), "%s lets no pod go: no node can ever be drained", title(o)).hint("write maxUnavailable: 1")
	}
	for _, w := range pods {
		n, field := int64(1), "replicas"
		if said, is := integer(whole(w).in("spec").value["replicas"]); is {
			n = said
		}
		if scaler := l.scaler(w); scaler != nil {
			n, field = 1, "minReplicas"
			if said, is := integer(whole(scaler).in("spec").value["minReplicas"]); is {
				n = said
			}
		}
		if ok && least >= n && scales(w) {
			l.warned(o, at(spec.path, "minAvailable"), "%s wants %d pods and %s has %s: %d: no node can ever be drained", title(o), least, title(w), field, n).hint("write maxUnavailable: 1")
		}
	}
}

// scaled warns of a HorizontalPodAutoscaler that scales nothing, or cannot count.
func (l *loading) scaled(o *Object) {
	ref := whole(o).in("spec", "scaleTargetRef")
	target := l.find(o.GetNamespace(), ref.text("kind"), ref.text("name"))
	if target == nil {
		l.warned(o, ref.path, "the set has no %s %s%s, which %s scales", ref.text("kind"), ref.text("name"), builtin.DidYouMean(ref.text("name"), l.called(ref.text("kind"))), title(o))
		return
	}
	for _, m := range whole(o).each("spec", "metrics") {
		name := m.text("resource", "name")
		if m.text("resource", "target", "type") != "Utilization" {
			continue
		}
		for _, c := range podOf(target).in("spec").each("containers") {
			amount := c.in("resources", "requests").value[name]
			if amount == nil {
				amount = c.in("resources", "limits").value[name]
			}
			if q, err := resource.ParseQuantity(fmt.Sprint(amount)); err != nil || q.IsZero() {
				l.warned(o, at(m.path, "resource", "name"), "%s counts %s of %s, whose container %s requests none: it never scales by that", title(o), name, title(target), c.text("name"))
			}
		}
	}
}

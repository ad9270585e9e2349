package manifest

import (
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/erlmcp/runner/runtime/builtin"
)

// override puts what the environment says in place of what the files say.
func (l *loading) override(extra Overrides) {
	images, replicas := maps.Clone(l.c.Images), maps.Clone(l.c.Replicas)
	if images == nil {
		images = map[string]string{}
	}
	if replicas == nil {
		replicas = map[string]int{}
	}
	maps.Copy(images, extra.Images)
	maps.Copy(replicas, extra.Replicas)
	l.images(images)
	l.replicas(replicas)
	for _, o := range l.objects {
		for name, value := range l.c.Labels {
			setLabel(o, name, value)
		}
	}
}

// images sets those of containers, by the name without tag and digest.
func (l *loading) images(by map[string]string) {
	known := map[string]bool{}
	for _, o := range l.objects {
		for _, c := range containersOf(o) {
			image := c.text("image")
			name, _ := splitImage(image)
			known[name] = true
			if to, ok := by[name]; ok && name != "" {
				c.value["image"] = newImage(name, to)
			}
		}
	}
	for _, field := range []struct {
		name string
		by   map[string]string
	}{{"images", by}, {"builds", l.c.Builds}} {
		for _, name := range slices.Sorted(maps.Keys(field.by)) {
			if !known[name] && !l.partial {
				l.wrong(noImage(field.name, name, known))
			}
		}
	}
}

// noImage is the mistake of a field that names an image which no container has.
func noImage(field, name string, known map[string]bool) Mistake {
	m := Mistake{Text: fmt.Sprintf("%s: no container has the image %s%s", field, name, builtin.DidYouMean(name, slices.Collect(maps.Keys(known))))}
	if bare, rest := splitImage(name); rest != "" && known[bare] {
		m.Text = fmt.Sprintf("%s: want the image's name without tag and digest, got %s", field, name)
		m.Hint = "write " + bare
	} else if len(known) > 0 && len(known) <= 10 {
		m.Hint = "the manifests have " + strings.Join(slices.Sorted(maps.Keys(known)), ", ")
	}
	return m
}

// splitImage is an image's name, and its tag and digest with what stands before them.
func splitImage(image string) (name, rest string) {
	name, digest, has := strings.Cut(image, "@")
	if has {
		rest = "@" + digest
	}
	if i := strings.LastIndexByte(name, ':'); i > strings.LastIndexByte(name, '/') {
		name, rest = name[:i], name[i:]+rest
	}
	return name, rest
}

// newImage is what takes the place of an image: one of its own, another tag, another digest.
func newImage(name, to string) string {
	if strings.HasPrefix(to, ":") || strings.HasPrefix(to, "@") {
		return name + to
	}
	return to
}

// replicas sets those of workloads, by their names.
func (l *loading) replicas(by map[string]int) {
	var known []string
	used := map[string]bool{}
	for _, o := range l.objects {
		if !scales(o) {
			continue
		}
		known = append(known, o.GetName())
		n, ok := by[o.GetName()]
		if !ok {
			continue
		}
		used[o.GetName()] = true
		if spec, _ := o.Object.Object["spec"].(map[string]any); spec != nil {
			spec["replicas"] = int64(n)
		}
	}
	for _, name := range slices.Sorted(maps.Keys(by)) {
		switch {
		case by[name] < 0:
			l.wrong(Mistake{Text: fmt.Sprintf("replicas: want 0 or more of %s, got %d", name, by[name])})
		case !used[name] && !l.partial:
			l.wrong(Mistake{Text: fmt.Sprintf("replicas: there is no Deployment or StatefulSet %s%s", name, builtin.DidYouMean(name, known))})
		}
	}
}

// scales reports whether an object has replicas.
func scales(o *Object) bool {
	group := o.GroupVersionKind().Group
	return group == "apps" && slices.Contains([]string{"Deployment", "StatefulSet", "ReplicaSet"}, o.GetKind()) || group == "" && o.GetKind() == "ReplicationController"
}

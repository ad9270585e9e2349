// Package manifest turns the files of a target on Kubernetes into the set of objects that they ask for: read, checked
// against what a cluster serves, with what the environment says in place of what the files say. What it finds wrong it
// names all at once, each with its place. It asks no cluster and writes nothing.
package manifest

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"slices"
	"strings"

	"k8s.io/apimachinery/pkg/runtime/schema"

	"github.com/erlmcp/runner/builtins/cluster"
	"github.com/erlmcp/runner/builtins/kube/api"
	"github.com/erlmcp/runner/runtime/host"
	"github.com/erlmcp/runner/runtime/op"
)

// What runner marks objects with, and is told by them.
const (
	// LabelName holds the plain name of an object that is versioned by its content.
	LabelName = "runner.erlmcp.org/name"
	// AnnotationVersioned is "false" on a ConfigMap or Secret that keeps its name whatever it holds, "true" on one that is
	// versioned though no pod of the set refers to it.
	AnnotationVersioned = "runner.erlmcp.org/versioned"
	// AnnotationAfter names objects of the set that come before this one: "Job/migrate, Service/db".
	AnnotationAfter = "runner.erlmcp.org/after"
	// AnnotationApply is "false" on a Job that is applied with no others: it is checked, has the environment's images, and
	// is run by its name.
	AnnotationApply = "runner.erlmcp.org/apply"
)

// Object is one object of a set.
type Object struct {
	*api.Object
	File  string // where it is written, as people write it: k8s/app.yaml; what the script calls it for one of the script
	Line  int    // 0 for one of the script
	Stage int    // those of a stage come together, behind all of the stages before; 0 has Namespaces and CustomResourceDefinitions

	// Unsure says that the namespace is a guess: only the cluster knows whether the kind has any.
	Unsure bool
	// Versioned says that the name ends in a digest of the content; LabelName has the plain one.
	Versioned bool

	src *source
}

// Ref names the object.
func (o *Object) Ref() api.Ref { return api.RefOf(o.Object) }

// Plain is the object's name without the digest of its content.
func (o *Object) Plain() string {
	if name := o.GetLabels()[LabelName]; o.Versioned && name != "" {
		return name
	}
	return o.GetName()
}

// Set is what the manifests of a target ask for.
type Set struct {
	Objects  []Object // by stage, then in an order that is the same every time
	Jobs     []Object // Jobs that are run by their names, and are not applied
	Files    []string // what was read
	Images   []string // of all containers
	Warnings []string // what is allowed and will hurt, each with its place
	Digest   string   // of all objects: another one is another set
}

// Overrides are what goes over a target's own.
type Overrides struct {
	Images   map[string]string // as Cluster.Images
	Replicas map[string]int    // as Cluster.Replicas
	Objects  []Given           // objects that lie in no file
}

// Load reads the set. What is wrong with it is an *Invalid, which holds every mistake.
func Load(ctx context.Context, h *host.Host, c cluster.Cluster, extra Overrides) (*Set, error) {
	l := &loading{h: h, c: c, kinds: newKinds()}
	for _, m := range manifestsOf(c) {
		if err := context.Cause(ctx); err != nil {
			return nil, err
		}
		l.entry(m)
	}
	if err := l.given(ctx, extra.Objects); err != nil {
		return nil, err
	}
	if err := l.secrets(ctx); err != nil {
		return nil, err
	}
	l.decide(extra)
	if len(l.mistakes) > 0 {
		return nil, l.invalid()
	}
	return l.set()
}

func manifestsOf(c cluster.Cluster) []string {
	if len(c.Manifests) == 0 {
		return []string{usual}
	}
	return c.Manifests
}

// loading is a set that is being read.
type loading struct {
	h        *host.Host
	c        cluster.Cluster
	kinds    *kinds
	files    []string
	scripted []string // what the script calls the objects that lie in no file
	objects  []*Object
	mistakes []Mistake
	warnings []Mistake

	// partial says that not all objects were understood: nobody can tell what the set lacks.
	partial bool
}

// decide turns the objects as they are written into those of the set.
func (l *loading) decide(extra Overrides) {
	l.exported()
	l.check()
	l.namespaces()
	l.twice()
	l.unapplied()
	l.override(extra)
	l.rules()
	l.stages()
	if len(l.mistakes) > 0 {
		return // what follows rewrites names
	}
	l.warn()
	l.settleSecrets()
	l.version()
	l.sort()
}

func (l *loading) set() (*Set, error) {
	s := &Set{Files: l.files}
	images := map[string]bool{}
	for _, o := range l.objects {
		if o.apart() {
			s.Jobs = append(s.Jobs, *o)
		} else {
			s.Objects = append(s.Objects, *o)
		}
		for _, c := range containersOf(o) {
			if image, _ := c.value["image"].(string); image != "" && !images[image] {
				images[image] = true
				s.Images = append(s.Images, image)
			}
		}
	}
	slices.Sort(s.Images)
	l.order(l.warnings)
	for _, w := range l.warnings {
		s.Warnings = append(s.Warnings, w.line())
	}
	s.Warnings = slices.Compact(s.Warnings)
	data, err := json.Marshal(s.Objects)
	if err != nil {
		return nil, err
	}
	sum := sha256.Sum256(data)
	s.Digest = "sha256:" + hex.EncodeToString(sum[:])
	return s, nil
}

// MarshalJSON implements json.Marshaler: the object as the cluster gets it.
func (o Object) MarshalJSON() ([]byte, error) { return json.Marshal(o.Object) }

// Find is the object that a ref names, by its plain name too; nil where there is none.
func (s *Set) Find(r api.Ref) *Object {
	for i := range s.Objects {
		o := &s.Objects[i]
		is := o.Ref()
		if is.Same(r) {
			return o
		}
		if is.Name = o.Plain(); is.Same(r) {
			return o
		}
	}
	return nil
}

// Kinds are the kinds of the set's objects, each once.
func (s *Set) Kinds() (out []schema.GroupVersionKind) {
	for _, o := range s.Objects {
		if k := o.GroupVersionKind(); !slices.Contains(out, k) {
			out = append(out, k)
		}
	}
	return out
}

// Namespaces are those that the set's objects are in, each once.
func (s *Set) Namespaces() (out []string) {
	for _, o := range s.Objects {
		if ns := o.GetNamespace(); ns != "" && !slices.Contains(out, ns) {
			out = append(out, ns)
		}
	}
	slices.Sort(out)
	return out
}

// title is an object as people name it: Deployment/web.
func title(o *Object) string { return o.GetKind() + "/" + o.GetName() }

// hinted is an error that carries a mistake's hint.
func hinted(err error, hint string) error {
	if hint == "" {
		return err
	}
	return op.Hint(err, "%s", hint)
}

// oneLine is a text on one line.
func oneLine(text string) string { return strings.Join(strings.Fields(text), " ") }

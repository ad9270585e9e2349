// Package reconcile brings the objects of a set from what a cluster has to what is wanted: Observe reads, NewPlan compares
// and decides, Act applies what the plan says, and Restore goes back to what was there before. Only Observe, Act and
// Restore ask the cluster. The package reads no manifest, waits for no rollout, and prunes nothing that was not asked for.
package reconcile

import (
	"cmp"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"

	"github.com/erlmcp/runner/builtins/kube/api"
)

const (
	// RunKey is the annotation that names the op that has applied an object last.
	RunKey = "runner.erlmcp.org/run"
	// partOf is the label by which the objects of a set are found, by other tools too: the ApplySet specification's.
	partOf = "applyset.kubernetes.io/part-of"
	// handover is the manager that keeps a count of replicas between two owners.
	handover = "runner-handover"
)

// Set names a set of objects: of which application, and where its inventory is.
type Set struct {
	Name      string // of the target
	Namespace string // of the objects, where they name none
	State     string // the namespace of the inventory
}

// ID is the set's value of the label by which its objects are found. The form is the ApplySet specification's (KEP-3659).
func (s Set) ID() string {
	sum := sha256.Sum256([]byte(s.Parent() + "." + s.State + ".Secret."))
	return "applyset-" + base64.RawURLEncoding.EncodeToString(sum[:]) + "-v1"
}

// Parent is the name of the Secret that holds the inventory.
func (s Set) Parent() string { return "runner-set-" + s.Name }

// Want is one object as a set asks for it.
type Want struct {
	Object api.Object `json:"object"`
	Stage  int        `json:"stage"` // all objects of a stage are ready before the next begins
}

// Kept is what the inventory knows of an object that was applied.
type Kept struct {
	api.Ref
	Asked string `json:"asked"` // the digest of what was asked for
	Owned string `json:"owned"` // the digest of what was then owned in the cluster
}

// key names an object whatever the version that it is seen in.
type key struct{ group, kind, namespace, name string }

func keyOf(r api.Ref) key { return key{r.Group, r.Kind, r.Namespace, r.Name} }

// Seen is what a cluster has of a set.
type Seen struct {
	Live      map[key]*api.Object // of what is wanted or was applied; nil for one that is not there
	Scaled    map[key]int64       // workloads that an autoscaler of the cluster scales, with its least count
	Inventory []Kept              // what was applied last
}

// Of is the live object of a ref, nil where there is none.
func (s *Seen) Of(r api.Ref) *api.Object { return s.Live[keyOf(r)] }

func (s *Seen) kept(r api.Ref) (Kept, bool) {
	for _, k := range s.Inventory {
		if k.Same(r) {
			return k, true
		}
	}
	return Kept{}, false
}

// digest is the SHA-256 of a value's JSON, whose keys are sorted.
func digest(v any) string {
	data, _ := json.Marshal(v) // it came as JSON
	sum := sha256.Sum256(data)
	return hex.EncodeToString(sum[:])
}

// order is the order of refs for people: by namespace, kind and name.
func order(a, b api.Ref) int {
	return cmp.Or(cmp.Compare(a.Namespace, b.Namespace), cmp.Compare(a.Kind, b.Kind), cmp.Compare(a.Name, b.Name), cmp.Compare(a.Group, b.Group))
}

// Applied is an object as the server has it behind an act, or as it was found where nothing had to be done.
type Applied struct {
	api.Ref
	Object    *api.Object
	Unchanged bool
	Owned     string // the digest of what runner owns of it
}

func applied(o *api.Object) Applied {
	return Applied{Ref: api.RefOf(o), Object: o, Owned: digest(owned(o, api.Manager))}
}

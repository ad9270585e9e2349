package reconcile

import (
	"errors"
	"fmt"
	"regexp"
	"slices"
	"strings"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"

	"github.com/erlmcp/runner/builtins/kube/api"
	"github.com/erlmcp/runner/runtime/op"
)

// Taken is a field that another manager owns with another value.
type Taken struct {
	Ref     api.Ref
	Field   string // such as .spec.replicas
	Manager string // with its subresource, as the server says them
	Last    string // when that manager last wrote something of the object; "" where nothing tells
}

// Error implements error.
func (t *Taken) Error() string {
	text := t.Field + " belongs to " + t.Manager
	if t.Last != "" {
		text += ", last written at " + t.Last
	}
	return text
}

var managerOf = regexp.MustCompile(`^conflict with "([^"]*)"(.*)$`)

// conflicts are the fields that a refused apply has named, of an object as it was seen before.
func conflicts(r api.Ref, live *api.Object, err error) (out []*Taken) {
	var status apierrors.APIStatus
	if !errors.As(err, &status) || status.Status().Details == nil {
		return nil
	}
	for _, c := range status.Status().Details.Causes {
		if c.Type != metav1.CauseTypeFieldManagerConflict {
			continue
		}
		who, last := strings.TrimPrefix(c.Message, "conflict with "), ""
		if m := managerOf.FindStringSubmatch(c.Message); m != nil {
			who, last = m[1]+m[2], lastWrite(live, m[1])
		}
		out = append(out, &Taken{Ref: r, Field: c.Field, Manager: strings.TrimSpace(who), Last: last})
	}
	return out
}

// lastWrite is when a manager last changed what it owns of an object: servers say it there, and not of a conflict.
func lastWrite(live *api.Object, manager string) string {
	var last metav1.Time
	if live == nil {
		return ""
	}
	for _, f := range live.GetManagedFields() {
		if f.Manager == manager && f.Time != nil && last.Before(f.Time) {
			last = *f.Time
		}
	}
	if last.IsZero() {
		return ""
	}
	return last.UTC().Format(time.RFC3339)
}

// controllers are managers that work for the cluster by themselves, not for a person.
var controllers = regexp.MustCompile(`(?i)^(.*-controller|.*-controller-manager|.*-operator|.*autoscaler|.*cainjector|vpa-.*|keda.*|istio.*|linkerd.*|kubelet)$`)

// scaler is the manager that writes what an autoscaler of the cluster decides.
const scaler = "kube-controller-manager"

// rivals are the fields that a refused apply has named, by what becomes of them.
type rivals struct {
	left   []*Taken // other controllers' to say; and a count that a person has set by scaling
	own    []*Taken // runner's own, under another name, or left behind by an autoscaler that is gone
	others []*Taken // in the way
}

// sorted decides about fields that others own. auto is whether an autoscaler scales the object, take whether what people
// own is taken.
func sorted(taken []*Taken, auto, take bool) (r rivals) {
	for _, t := range taken {
		name, _, _ := strings.Cut(t.Manager, " ")
		scales := strings.Contains(t.Manager, `with subresource "scale"`)
		switch {
		case name == handover, scales && name == scaler && !auto:
			r.own = append(r.own, t)
		case controllers.MatchString(name), scales && (auto || !take):
			r.left = append(r.left, t)
		default:
			r.others = append(r.others, t)
		}
	}
	return r
}

// tools are managers by which people apply manifests or change objects by hand; with the first apply of runner, what
// they own becomes runner's.
var tools = []string{"kubectl-client-side-apply", "kubectl-create", "kubectl-edit", "kubectl-patch", "kubectl-replace", "kubectl-set", "kubectl-label",
	"kubectl-annotate", "kubectl", "helm", "before-first-apply"}

// migrates reports whether a field becomes runner's with its first apply: a tool has written it, and has not applied it on
// the server's side, of which the server would name no version.
func (t *Taken) migrates() bool {
	name, _, _ := strings.Cut(t.Manager, " ")
	return slices.Contains(tools, name) && strings.Contains(t.Manager, " using ")
}

// refusal says which fields are in the way, and what to do.
func refusal(taken []*Taken) error {
	var all []string
	for _, t := range taken {
		all = append(all, t.Error())
	}
	slices.Sort(all)
	return op.Hint(errors.New(strings.Join(all, "\n")), "leave the field out of the manifest, or take it: kube.apply(..., take = True)")
}

// without is a configuration less the fields that are left to their owners.
func without(config *api.Object, taken []*Taken) (*api.Object, error) {
	out := config.DeepCopy()
	for _, t := range taken {
		path, err := pathOf(config, t.Field)
		if err != nil {
			return nil, err
		}
		unstructured.RemoveNestedField(out.Object, path...)
	}
	return out, nil
}

// pathOf is a field as a path of names: what lies in a list of items cannot be left out by itself.
func pathOf(config *api.Object, field string) ([]string, error) {
	if strings.ContainsAny(field, "[") {
		return nil, fmt.Errorf("cannot leave %s of %s to its owner: it lies in a list", field, api.RefOf(config))
	}
	return strings.Split(strings.TrimPrefix(field, "."), "."), nil
}

type cause = metav1.StatusCause

// immutableText is how servers say that a field cannot be changed: the first is that of the API machinery, the others of
// Services, StatefulSets, PersistentVolumeClaims and Jobs.
var immutableText = regexp.MustCompile(`(?i)field is immutable|immutable field|may not change once set|updates to .* for fields other than .* are forbidden|is immutable after creation|spec is immutable`)

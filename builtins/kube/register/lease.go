package register

import (
	"context"
	"encoding/json"
	"fmt"
	"strconv"
	"strings"

	"github.com/erlmcp/runner/builtins/kube/api"
	"github.com/erlmcp/runner/builtins/record"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
)

// The terms of a lease are one Lease object. Its number is that of the highest term, which is the only one that is
// there: to make the next is to update the object from the version that has the number below. The cluster lets one of
// all do that who try.

// termKind is what names of terms begin with.
const termKind = "lease.term."

// Annotations of the Lease.
const (
	noteNumber = "erlmcp.org/runner-term"
	noteData   = "erlmcp.org/runner-record"
)

// seconds is what the Lease says of how long a holder may be silent.
const seconds = int64(15)

func termName(n int64) string { return fmt.Sprintf("%s%012d", termKind, n) }

func termNumber(name string) (int64, bool) {
	digits, is := strings.CutPrefix(name, termKind)
	if !is {
		return 0, false
	}
	n, err := strconv.ParseInt(digits, 10, 64)
	return n, err == nil
}

// number is that of the highest term; 0 where none was made.
func number(lease *api.Object) int64 {
	n, _ := strconv.ParseInt(lease.GetAnnotations()[noteNumber], 10, 64)
	return n
}

func (r *Register) lease() string { return "runner-" + r.Name }

func (r *Register) readLease(ctx context.Context) (*api.Object, error) {
	return r.Conn.Get(ctx, api.Ref{Group: leases.Group, Version: leases.Version, Kind: leases.Kind, Namespace: r.Namespace, Name: r.lease()})
}

// term is the highest term; nil where there is none.
func (r *Register) term(ctx context.Context) (*record.Record, error) {
	o, err := r.readLease(ctx)
	r.remember(o)
	if err != nil || o == nil || number(o) == 0 {
		return nil, err
	}
	return &record.Record{Name: termName(number(o)), Mark: o.GetAnnotations()[noteMark], Data: []byte(o.GetAnnotations()[noteData])}, nil
}

func (r *Register) remember(o *api.Object) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.last = o
}

// seen is the Lease as List has read it, where that had the term of a number. It may have changed since, which the
// cluster sees.
func (r *Register) seen(n int64) *api.Object {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.last == nil || number(r.last) != n {
		return nil
	}
	return r.last
}

// putTerm makes the term of a number, where the one below is there, or none is.
func (r *Register) putTerm(ctx context.Context, n int64, rec record.Record) (bool, error) {
	for try := range tries {
		old, err := r.seen(n-1), error(nil)
		if old == nil || try > 0 {
			old, err = r.readLease(ctx)
		}
		switch {
		case err != nil:
			return false, err
		case old != nil && number(old) == n:
			return old.GetAnnotations()[noteMark] == rec.Mark, nil
		case old != nil && number(old) != 0 && number(old) != n-1:
			return false, nil
		}
		if old == nil {
			_, err = r.Conn.Create(ctx, r.next(nil, n, rec))
		} else {
			_, err = r.Conn.Update(ctx, r.next(old, n, rec))
		}
		if err == nil {
			return true, nil
		}
		gone := old != nil && api.IsNotFound(err)
		if !api.IsConflict(err) && !api.IsExists(err) && !gone {
			return false, err
		}
		// Somebody was faster: perhaps this run itself, of which an answer was lost.
	}
	return false, fmt.Errorf("the Lease %s/%s is changed all the time", r.Namespace, r.lease())
}

// holder is what the record of a term may say of who made it.
type holder struct {
	ID    string `json:"id"`
	Owner struct {
		User string `json:"user"`
		Host string `json:"host"`
		PID  int    `json:"pid"`
	} `json:"owner"`
}

// next is the Lease with a term behind what it has.
func (r *Register) next(old *api.Object, n int64, rec record.Record) *api.Object {
	o := &api.Object{Object: map[string]any{"apiVersion": leases.GroupVersion().String(), "kind": leases.Kind,
		"metadata": map[string]any{"name": r.lease(), "namespace": r.Namespace}, "spec": map[string]any{}}}
	if old != nil {
		o = old.DeepCopy()
	}
	before := o.GetAnnotations()
	var was, now holder
	json.Unmarshal([]byte(before[noteData]), &was)
	json.Unmarshal(rec.Data, &now) // what cannot be read has no name
	labels, notes := o.GetLabels(), map[string]string{}
	for k, v := range before {
		notes[k] = v
	}
	if labels == nil {
		labels = map[string]string{}
	}
	labels[labelBy], labels[labelTarget] = api.Manager, r.Name
	notes[noteNumber], notes[noteMark], notes[noteData] = strconv.FormatInt(n, 10), rec.Mark, string(rec.Data)
	o.SetLabels(labels)
	o.SetAnnotations(notes)

	spec, _, _ := unstructured.NestedMap(o.Object, "spec")
	if spec == nil {
		spec = map[string]any{}
	}
	at := r.Conn.Clock.Now().UTC().Format("2006-01-02T15:04:05.000000Z")
	spec["leaseDurationSeconds"], spec["renewTime"] = seconds, at
	if now.ID == "" {
		delete(spec, "holderIdentity")
		delete(spec, "acquireTime")
	} else {
		spec["holderIdentity"] = fmt.Sprintf("%s@%s %d", now.Owner.User, now.Owner.Host, now.Owner.PID)
		if now.ID != was.ID {
			count, _, _ := unstructured.NestedInt64(o.Object, "spec", "leaseTransitions")
			spec["acquireTime"], spec["leaseTransitions"] = at, count+1
		}
	}
	o.Object["spec"] = spec
	return o
}

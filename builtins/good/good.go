// Package good keeps in a target's register what runs bring the target to, and which of that was accepted, for a later
// run on any machine to go back to. What a deployment consists of is its target's own: B.
package good

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"regexp"
	"slices"
	"strings"
	"time"

	"github.com/erlmcp/runner/builtins/record"
	"github.com/erlmcp/runner/runtime/builtin"
	"github.com/erlmcp/runner/runtime/op"
)

// What a target was brought to is a record "want.RUN.NUMBER" from before it happens; what was accepted is one
// "good.NUMBER.RUN", the highest number the latest. Both hold all that it takes to go back, so that this needs neither the
// project's files nor the machine that had them.
const (
	wantKind = "want."
	goodKind = "good."
)

var goodName = regexp.MustCompile(`^good\.(\d{9})\.(.+)$`)

// Head is what the record of every good deployment says.
type Head struct {
	Version string    `json:"version,omitempty"` // where the script has said it
	At      time.Time `json:"at"`                // when it was accepted
}

// Deployment is one that was accepted.
type Deployment[B any] struct {
	Number int
	Run    string // that brought it up
	Head
	Body B
	Live bool // whether the target is so now; List does not know
	rec  record.Record
}

// RunOf is the run of an op.
func RunOf(key op.Key) string {
	run, _, _ := strings.Cut(string(key), "/")
	return run
}

// Want keeps what an op is about to bring the target to. An op that is tried again may call it again.
func Want(ctx context.Context, reg record.Register, key op.Key, body any) error {
	data, err := json.Marshal(body)
	if err != nil {
		return err
	}
	for of := wantKind + RunOf(key); ; {
		before, err := reg.ListOf(ctx, of)
		if err != nil {
			return err
		}
		won, err := reg.Put(ctx, record.Record{Name: fmt.Sprintf("%s.%06d", of, len(before)+1), Of: of, Data: data})
		if err != nil || won {
			return err
		}
	}
}

// Wanted is what a run has brought the target to last; nil where it has not.
func Wanted[B any](ctx context.Context, reg record.Register, run string) (*B, error) {
	found, err := reg.ListOf(ctx, wantKind+run)
	if err != nil || len(found) == 0 {
		return nil, err
	}
	body, last := new(B), found[len(found)-1]
	if err := json.Unmarshal(last.Data, body); err != nil {
		return nil, fmt.Errorf("cannot read the record %s: %w", last.Name, err)
	}
	return body, nil
}

// Unwant removes what runs were about to do, but that of the run of key, which may still accept it: what was accepted has
// a record of its own.
func Unwant(ctx context.Context, reg record.Register, key op.Key) error {
	found, err := reg.List(ctx, wantKind)
	for _, rec := range found {
		if rec.Of != wantKind+RunOf(key) {
			err = errors.Join(err, reg.Delete(ctx, rec))
		}
	}
	return err
}

// List gives the deployments that were accepted, the latest first.
func List[B any](ctx context.Context, reg record.Register) ([]Deployment[B], error) {
	found, err := reg.List(ctx, goodKind)
	if err != nil {
		return nil, err
	}
	var out []Deployment[B]
	for _, rec := range found {
		m, d := goodName.FindStringSubmatch(rec.Name), Deployment[B]{rec: rec}
		if m == nil || json.Unmarshal(rec.Data, &d.Head) != nil || json.Unmarshal(rec.Data, &d.Body) != nil {
			return nil, op.Hint(fmt.Errorf("cannot read the record of a good deployment in %s: it holds something else", reg.Where(rec.Name)),
				"remove it by hand; what serves does not depend on it")
		}
		d.Run = m[2]
		fmt.Sscan(m[1], &d.Number)
		out = append(out, d)
	}
	slices.SortFunc(out, func(a, b Deployment[B]) int { return cmp.Compare(b.Number, a.Number) })
	return out, nil
}

// Accept marks what a run has brought the target to as good, in place of what the run has accepted before. The record has
// the fields of Head and those of body.
func Accept[B any](ctx context.Context, reg record.Register, run string, head Head, body B) (Deployment[B], error) {
	out := Deployment[B]{Number: 1, Run: run, Head: head, Body: body, Live: true}
	if err := Forget(ctx, reg, run); err != nil {
		return out, err
	}
	all, err := List[B](ctx, reg)
	if err != nil {
		return out, err
	}
	if len(all) > 0 {
		out.Number = all[0].Number + 1
	}
	data, err := merged(head, body)
	if err != nil {
		return out, err
	}
	out.rec = record.Record{Name: fmt.Sprintf("%s%09d.%s", goodKind, out.Number, run), Of: goodKind + run, Data: data}
	_, err = reg.Put(ctx, out.rec)
	return out, err
}

// merged is one JSON object with the fields of several values.
func merged(values ...any) ([]byte, error) {
	all := map[string]json.RawMessage{}
	for _, v := range values {
		b, err := json.Marshal(v)
		if err == nil {
			err = json.Unmarshal(b, &all)
		}
		if err != nil {
			return nil, err
		}
	}
	return json.Marshal(all)
}

// Forget removes the mark of what a run has accepted, if there is one.
func Forget(ctx context.Context, reg record.Register, run string) error {
	found, err := reg.ListOf(ctx, goodKind+run)
	for _, rec := range found {
		err = errors.Join(err, reg.Delete(ctx, rec))
	}
	return err
}

// Delete forgets a deployment that List has given.
func (d Deployment[B]) Delete(ctx context.Context, reg record.Register) error {
	return reg.Delete(ctx, d.rec)
}

// Choose is pure: the latest that has the name, which is a number, a run or a version; without one, the latest that is not
// live. How says how one comes to be good.
func Choose[B any](all []Deployment[B], name, how string) (Deployment[B], error) {
	i := slices.IndexFunc(all, func(d Deployment[B]) bool {
		return name == "" && !d.Live || name != "" && (d.Run == name || d.Version == name || fmt.Sprint(d.Number) == name)
	})
	if i >= 0 {
		return all[i], nil
	}
	if name == "" {
		return Deployment[B]{}, op.Hint(errors.New("there is no good deployment but what serves now"), "a deployment is good once %s has marked it; the last ones are kept", how)
	}
	var names, shown []string
	for _, d := range all {
		names = append(names, d.Run)
		if d.Version != "" {
			names = append(names, d.Version)
		}
		shown = append(shown, fmt.Sprintf("%d (%s)", d.Number, strings.TrimSpace(d.Run+" "+d.Version)))
	}
	err := fmt.Errorf("there is no good deployment %s%s", name, builtin.DidYouMean(name, names))
	if len(shown) > 0 {
		err = op.Hint(err, "there are: %s", strings.Join(shown, ", "))
	}
	return Deployment[B]{}, err
}

// Surplus is pure: the deployments that may go, of all with the latest first. The live one stays, and the last before it,
// whatever keep says.
func Surplus[B any](all []Deployment[B], keep int) (out []Deployment[B]) {
	live, before := false, false
	for i, d := range all {
		switch {
		case d.Live && !live:
			live = true
		case live && !before && !d.Live:
			before = true
		case i >= keep:
			out = append(out, d)
		}
	}
	return out
}

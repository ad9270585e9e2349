// Package follow watches objects of a cluster until each is as it was asked for, or one will never be. It feeds package
// verdict with what the API server tells, counts how long what is suspect lasts, and asks nothing again and again: it
// sleeps until something is told or a time is over. That a server does not answer is no verdict on anything.
package follow

import (
	"context"
	"fmt"
	"slices"
	"time"

	"github.com/erlmcp/runner/builtins/kube/api"
	"github.com/erlmcp/runner/builtins/kube/verdict"
)

// Item is an object to follow, as the server answered to the write of it. What was not written now has its Ref alone.
type Item struct {
	Ref             api.Ref
	UID             string
	Generation      int64
	ResourceVersion string
	Unchanged       bool        // nothing had to be changed
	Object          *api.Object // as it was written, where it is known: for one that removes itself
}

// ItemOf is an item by what the server answered.
func ItemOf(o *api.Object, unchanged bool) Item {
	return Item{Ref: api.RefOf(o), UID: string(o.GetUID()), Generation: o.GetGeneration(), ResourceVersion: o.GetResourceVersion(), Unchanged: unchanged, Object: o}
}

// Options say how to follow.
type Options struct {
	Stay  time.Duration // for how long all must stay ready
	Rules Rules
}

// Rules judge objects of kinds that only their controllers know, by kind and group: "Database.example.com".
type Rules map[string]verdict.Rule

// Standing is how an object stands.
type Standing struct {
	Ref api.Ref
	verdict.Verdict
}

// Change is that an object stands otherwise than before. Without a Ref it is about the server.
type Change struct {
	Standing
	Left time.Duration // of a suspect: after how long it counts as failed
}

// String is one line: "deployment/web: pod web-7-x: container app exits with 1 again and again (2 restarts); failing in 12s
// unless it recovers".
func (c Change) String() string {
	if c.Ref.Kind == "" {
		return c.Why
	}
	text := c.Ref.String() + ": " + c.Why
	switch {
	case c.State == verdict.Suspect && c.Paused:
		return text + "; waited for"
	case c.State == verdict.Suspect:
		return fmt.Sprintf("%s; failing in %s unless it recovers", text, c.Left.Round(time.Second))
	}
	return text
}

// Result is how all stood at the end, in the order of the items.
type Result struct{ Standing []Standing }

// Failure is that an object is not ready and will not be, or is not in time.
type Failure struct {
	Standing
	More  int   // how many others are not ready either
	Cause error // why it was not waited for any longer; nil where waiting does not help
}

// Error implements error.
func (f *Failure) Error() string {
	text := f.Ref.String() + ": " + f.Why
	if f.More > 0 {
		text += fmt.Sprintf("; %d more not ready", f.More)
	}
	if f.Cause != nil {
		text += ": " + f.Cause.Error()
	}
	return text
}

// Unwrap gives the cause.
func (f *Failure) Unwrap() error { return f.Cause }

// NoAnswer is that the server was not heard when the time was over, so that nothing is known of how objects stand.
type NoAnswer struct {
	Err   error // what became of the last request
	Cause error
}

// Error implements error.
func (e *NoAnswer) Error() string {
	return fmt.Sprintf("the API server does not answer, so it is not known what is ready: %v: %v", e.Err, e.Cause)
}

// Unwrap gives the cause.
func (e *NoAnswer) Unwrap() error { return e.Cause }

// Follow returns when all items are ready or skipped, with a *Failure when one is doomed or gone, and when ctx ends, with a
// *Failure or a *NoAnswer; an error of a rule ends it at once. report hears of each change, one at a time.
func Follow(ctx context.Context, conn *api.Conn, items []Item, how Options, report func(Change)) (Result, error) {
	f := newFollowing(conn, items, how, report)
	err := f.run(ctx)
	return f.result(), err
}

// Look tells how objects stand now, without waiting for any to change.
func Look(ctx context.Context, conn *api.Conn, items []Item, rules Rules) (Result, error) {
	f := newFollowing(conn, items, Options{Rules: rules}, func(Change) {})
	f.look = true
	err := f.run(ctx)
	return f.result(), err
}

func (f *following) result() (out Result) {
	for _, it := range f.items {
		out.Standing = append(out.Standing, Standing{it.Ref, it.now})
	}
	return out
}

// failure is the one that decides, and how many others are not ready.
func (f *following) failure(cause error) error {
	if cause != nil && f.down() != nil {
		return &NoAnswer{f.down(), cause}
	}
	var worst *item
	more := 0
	for _, it := range f.items {
		if it.done(f.now()) {
			continue
		}
		more++
		if worst == nil || Worst(Standing{it.Ref, it.now}, Standing{worst.Ref, worst.now}) < 0 {
			worst = it
		}
	}
	if worst == nil {
		return cause
	}
	v := worst.now
	if v.Why == "" {
		v.State, v.Why = verdict.Wait, "nothing is known of it yet"
	}
	return &Failure{Standing{worst.Ref, v}, more - 1, cause}
}

// order is which states tell most about a failure.
var order = []verdict.State{verdict.Doomed, verdict.Gone, verdict.Suspect, verdict.Wait, "", verdict.Ready}

// Worst orders standings by how much they tell of a failure: what runs pods before what waits for them.
func Worst(a, b Standing) int {
	rank := func(s Standing) int {
		n := 2 * slices.Index(order, s.State)
		if !workload(s.Ref) {
			n++
		}
		return n
	}
	return rank(a) - rank(b)
}

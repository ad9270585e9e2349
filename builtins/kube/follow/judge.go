package follow

import (
	"context"
	"sync"
	"time"

	"github.com/erlmcp/runner/builtins/kube/api"
	"github.com/erlmcp/runner/builtins/kube/verdict"
)

// judgeAll judges what may stand otherwise now, then what that says something about, and tells of changes.
func (f *following) judgeAll() error {
	for range 3 { // a verdict may decide about others, and those about others again; no chain is longer
		for it := range f.touched {
			it.count(f.now(), len(f.downs) == 0)
			if it.plain() && it.now.State != "" {
				continue
			}
			v, err := f.judge(it)
			if err != nil {
				return err
			}
			it.take(v, f.now())
		}
		clear(f.touched)
		if !f.learn() {
			break
		}
		for _, it := range f.items {
			if it.now.State == verdict.Suspect || it.now.State == verdict.Doomed || isService(it.Ref) {
				f.touched[it] = true
			}
		}
	}
	for _, it := range f.items {
		if told := string(it.now.State) + it.now.Why; told != it.told && !f.look {
			it.told = told
			f.report(Change{Standing{it.Ref, it.now}, it.left()})
		}
	}
	return nil
}

// over reports whether there is nothing more to wait for.
func (f *following) over() (bool, error) {
	if f.look {
		return true, nil
	}
	now, all := f.now(), true
	for _, it := range f.items {
		if it.now.State == verdict.Doomed || it.now.State == verdict.Gone {
			return true, f.failure(nil)
		}
		all = all && it.done(now)
	}
	switch {
	case !all:
		f.stands = time.Time{}
	case f.stands.IsZero():
		f.stands = now
	}
	return all && now.Sub(f.stands) >= f.how.Stay, nil
}

// checked is what the server says of a suspect whose time is over.
type checked struct {
	item   *item
	ref    api.Ref // what was asked about
	object *api.Object
	err    error
}

// check asks the server about suspects whose time is over: a watch may be quiet because nothing has changed, or because
// the connection is dead.
func (f *following) check(ctx context.Context, running *sync.WaitGroup) {
	for _, it := range f.items {
		it.count(f.now(), len(f.downs) == 0)
		if it.now.State != verdict.Suspect || it.now.Paused || it.left() > 0 || it.checking || len(f.downs) > 0 {
			continue
		}
		it.checking = true
		ref := it.Ref
		if it.now.Pod != "" {
			ref = api.Ref{Version: "v1", Kind: "Pod", Namespace: it.Ref.Namespace, Name: it.now.Pod}
		}
		running.Go(func() {
			o, err := f.conn.Get(ctx, ref)
			select {
			case f.news <- news{checked: &checked{it, ref, o, err}}:
			case <-ctx.Done():
			}
		})
	}
}

// takeCheck takes in what the server says of a suspect: where it says nothing, the suspect is asked about again.
func (f *following) takeCheck(c checked) error {
	it := c.item
	it.checking = false
	if c.err != nil && api.Passing(c.err) {
		return nil
	}
	if c.err == nil {
		f.correct(c.ref, c.object)
	}
	it.count(f.now(), true)
	v, err := f.judge(it)
	if err != nil {
		return err
	}
	if v.State == verdict.Suspect && it.spent >= v.Budget && !v.Paused {
		v.State = verdict.Doomed
		it.now = v
		return nil
	}
	it.take(v, f.now())
	return nil
}

// correct takes in an object, or that it is not there, where the watch has not told of it.
func (f *following) correct(ref api.Ref, o *api.Object) {
	for _, old := range f.store.of(ref.Kind, ref.Namespace) {
		source := f.store.from[old.GetUID()]
		switch {
		case old.GetName() != ref.Name || o != nil && old.GetResourceVersion() == o.GetResourceVersion():
		case o == nil || o.GetUID() != old.GetUID():
			f.store.remove(old)
			f.gone(old)
		default:
			f.store.put(source, o)
			f.came(o)
		}
	}
}

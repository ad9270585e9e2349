package follow

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/erlmcp/runner/builtins/kube/api"
	"github.com/erlmcp/runner/builtins/kube/verdict"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/labels"
)

// following is one Follow while it runs. One goroutine works with it; the sources tell it by a channel.
type following struct {
	conn   *api.Conn
	how    Options
	report func(Change)
	look   bool // only to know how things stand

	items   []*item
	byRef   map[api.Ref]*item
	touched map[*item]bool // whose verdict may be another now
	store   *store
	facts   verdict.Facts

	news    chan news
	unheard map[int]bool  // sources that have not told anything yet
	downs   map[int]error // sources that the server does not answer
	stands  time.Time     // since when all are done
}

var errOver = errors.New("the time is over")

func (f *following) now() time.Time { return f.conn.Clock.Now() }

func (f *following) down() error {
	for _, err := range f.downs {
		return err
	}
	return nil
}

// run owns the sources: none outlives it.
func (f *following) run(ctx context.Context) error {
	watching, stop := context.WithCancel(ctx)
	var running sync.WaitGroup
	defer running.Wait()
	defer stop()
	f.start(watching, &running)
	for {
		if len(f.unheard) == 0 {
			if err := f.judgeAll(); err != nil {
				return err
			}
			if over, err := f.over(); over {
				return err
			}
			f.check(watching, &running)
		}
		if err := f.hear(ctx); err != nil {
			return err
		}
	}
}

// hear takes in what is told until there is nothing more, or a time is over.
func (f *following) hear(ctx context.Context) error {
	var wake <-chan struct{}
	if d, any := f.next(); any {
		waking, cancel := f.conn.Clock.Timeout(ctx, d, errOver)
		defer cancel()
		wake = waking.Done()
	}
	select {
	case n := <-f.news:
		if err := f.take(n); err != nil {
			return err
		}
	case <-wake:
	case <-ctx.Done():
	}
	for {
		select {
		case n := <-f.news:
			if err := f.take(n); err != nil {
				return err
			}
		case <-ctx.Done():
			return f.failure(context.Cause(ctx))
		default:
			return nil
		}
	}
}

// take takes in what a source tells.
func (f *following) take(n news) error {
	switch {
	case n.fatal != nil:
		return fmt.Errorf("cannot follow what becomes of it: %w", n.fatal)
	case n.down != nil:
		f.lost(n.source, n.down)
		return nil
	case n.checked != nil:
		return f.takeCheck(*n.checked)
	case n.classes != nil:
		f.facts.Classes = n.classes
		f.touchAll()
		return nil
	}
	f.found(n.source)
	switch {
	case n.listed && n.source == plainSource:
		delete(f.unheard, n.source)
	case n.listed:
		delete(f.unheard, n.source)
		for _, o := range f.store.replace(n.source, n.all) {
			f.gone(o)
		}
		for i := range n.all {
			f.came(&n.all[i])
		}
	case n.removed:
		f.touch(n.object)
		f.store.remove(n.object)
		f.gone(n.object)
	case n.object != nil:
		f.store.put(n.source, n.object)
		f.came(n.object)
	}
	return nil
}

// lost notes that the server does not answer. The time of suspects stands still meanwhile: they may have recovered.
func (f *following) lost(source int, err error) {
	if len(f.downs) == 0 {
		f.countAll()
		f.report(Change{Standing: Standing{Verdict: verdict.Verdict{State: verdict.Wait, Why: "the API server does not answer: " + err.Error() + "; it is asked again"}}})
	}
	f.downs[source] = err
}

func (f *following) found(source int) {
	if _, was := f.downs[source]; !was {
		return
	}
	f.countAll()
	delete(f.downs, source)
	if len(f.downs) == 0 {
		f.report(Change{Standing: Standing{Verdict: verdict.Verdict{State: verdict.Wait, Why: "the API server answers again"}}})
	}
}

func (f *following) countAll() {
	for _, it := range f.items {
		it.count(f.now(), len(f.downs) == 0)
	}
}

func (f *following) came(o *api.Object) {
	if it := f.byRef[bare(api.RefOf(o))]; it != nil {
		it.object, it.last = o, o
	}
	f.touch(o)
}

func (f *following) gone(o *api.Object) {
	if it := f.byRef[bare(api.RefOf(o))]; it != nil && it.object != nil && it.object.GetUID() == o.GetUID() {
		it.object, it.last = nil, o
	}
	f.touch(o)
}

// touch marks the items that an object may decide about.
func (f *following) touch(o *api.Object) {
	owners := f.store.owners(o)
	kind := o.GetKind()
	for _, it := range f.items {
		if it.plain() || it.Ref.Namespace != o.GetNamespace() {
			continue
		}
		if bare(it.Ref) == bare(api.RefOf(o)) || isService(it.Ref) && it.object != nil && concerns(it.object, o, kind) {
			f.touched[it] = true
		}
		for _, uid := range owners {
			if it.object != nil && it.object.GetUID() == uid {
				f.touched[it] = true
			}
		}
	}
	if it := f.byRef[bare(api.RefOf(o))]; it != nil {
		f.touched[it] = true
	}
}

// concerns reports whether a pod or an EndpointSlice may be of a Service.
func concerns(service, o *api.Object, kind string) bool {
	switch kind {
	case "EndpointSlice":
		return o.GetLabels()["kubernetes.io/service-name"] == service.GetName()
	case "Pod":
		found, _, _ := unstructured.NestedStringMap(service.Object, "spec", "selector")
		return labels.SelectorFromSet(found).Matches(labels.Set(o.GetLabels()))
	}
	return false
}

func (f *following) touchAll() {
	for _, it := range f.items {
		f.touched[it] = true
	}
}

// next is when something is over by itself.
func (f *following) next() (d time.Duration, any bool) {
	if len(f.unheard) > 0 {
		return 0, false
	}
	now := f.now()
	least := func(left time.Duration) {
		if !any || left < d {
			d, any = max(left, 0), true
		}
	}
	for _, it := range f.items {
		switch {
		case it.now.State == verdict.Suspect && !it.now.Paused && !it.checking && len(f.downs) == 0:
			least(it.left() - now.Sub(it.counted))
		case it.now.State == verdict.Ready && !it.done(now):
			least(it.now.Settle - now.Sub(it.since))
		}
	}
	if !f.stands.IsZero() {
		least(f.how.Stay - now.Sub(f.stands))
	}
	return d, any
}

package follow

import (
	"context"
	"sync"

	"github.com/erlmcp/runner/builtins/kube/api"
	"github.com/erlmcp/runner/builtins/kube/verdict"
	"golang.org/x/sync/errgroup"
	"k8s.io/apimachinery/pkg/runtime/schema"
)

// looks is how many objects are read at once.
const looks = 8

var (
	pods        = schema.GroupVersionKind{Version: "v1", Kind: "Pod"}
	events      = schema.GroupVersionKind{Version: "v1", Kind: "Event"}
	replicaSets = schema.GroupVersionKind{Group: "apps", Version: "v1", Kind: "ReplicaSet"}
	endpoints   = schema.GroupVersionKind{Group: "discovery.k8s.io", Version: "v1", Kind: "EndpointSlice"}
	classes     = schema.GroupVersionKind{Group: "storage.k8s.io", Version: "v1", Kind: "StorageClass"}
)

// needs are the kinds that a verdict on an object of a kind needs beside it.
func needs(r api.Ref) []schema.GroupVersionKind {
	switch {
	case r.Group == "apps" && r.Kind == "Deployment":
		return []schema.GroupVersionKind{replicaSets, pods, events}
	case workload(r):
		return []schema.GroupVersionKind{pods, events}
	case isService(r):
		return []schema.GroupVersionKind{pods, endpoints}
	case r.Group == "" && r.Kind == "PersistentVolumeClaim":
		return []schema.GroupVersionKind{events}
	}
	return nil
}

// selections are what must be watched for some items: one a kind and namespace, and of a kind of which one object is
// followed that object alone, so that a right to it alone is enough.
func selections(items []*item) (out []api.Selection) {
	at := map[api.Selection]int{}
	want := func(k schema.GroupVersionKind, namespace, name string) {
		key := api.Selection{Kind: k, Namespace: namespace}
		i, there := at[key]
		if !there {
			at[key] = len(out)
			if name != "" {
				key.Fields = "metadata.name=" + name
			}
			out = append(out, key)
			return
		}
		if out[i].Fields != "metadata.name="+name {
			out[i].Fields = ""
		}
	}
	for _, it := range items {
		if it.plain() {
			continue
		}
		want(it.Ref.GVK(), it.Ref.Namespace, it.Ref.Name)
		for _, k := range needs(it.Ref) {
			want(k, it.Ref.Namespace, "")
		}
	}
	return out
}

// plain reports an object of which nothing more is to be known than that it is there.
func (it *item) plain() bool { return verdict.Plain(it.Ref.Group, it.Ref.Kind) }

func newFollowing(conn *api.Conn, items []Item, how Options, report func(Change)) *following {
	f := &following{conn: conn, how: how, report: report, byRef: map[api.Ref]*item{}, store: newStore(), downs: map[int]error{},
		news: make(chan news), unheard: map[int]bool{}, touched: map[*item]bool{}}
	for _, i := range items {
		it := &item{Item: i}
		f.items = append(f.items, it)
		f.byRef[bare(i.Ref)] = it
		f.touched[it] = true
		if it.plain() && i.ResourceVersion != "" {
			it.now = verdict.Verdict{State: verdict.Ready, Why: "is there"}
		}
	}
	return f
}

// bare names an object whatever the version that it is seen in.
func bare(r api.Ref) api.Ref {
	r.Version = ""
	return r
}

// start lets the sources go.
func (f *following) start(ctx context.Context, running *sync.WaitGroup) {
	tell := func(n news) {
		select {
		case f.news <- n:
		case <-ctx.Done():
		}
	}
	claims := false
	for id, of := range selections(f.items) {
		s := &source{id: id, of: of, conn: f.conn, tell: tell}
		f.unheard[id] = true
		claims = claims || of.Kind.Kind == "PersistentVolumeClaim"
		running.Go(func() { s.run(ctx) })
	}
	if claims {
		running.Go(func() { f.readClasses(ctx, tell) })
	}
	if unread := f.unread(); len(unread) > 0 {
		f.unheard[plainSource] = true
		running.Go(func() { f.read(ctx, unread, tell) })
	}
}

// plainSource stands for the reads of plain objects.
const plainSource = -1

// unread are the plain objects of which it is not known that they are there.
func (f *following) unread() (out []*item) {
	for _, it := range f.items {
		if it.plain() && it.now.State == "" {
			out = append(out, it)
		}
	}
	return out
}

// read reads plain objects, each by itself: to list Secrets needs more rights than to read one.
func (f *following) read(ctx context.Context, unread []*item, tell func(news)) {
	g, in := errgroup.WithContext(ctx)
	g.SetLimit(looks)
	for _, it := range unread {
		g.Go(func() error {
			o, err := f.conn.Get(in, it.Ref)
			for err != nil && api.Passing(err) && in.Err() == nil {
				tell(news{source: plainSource, down: err})
				o, err = f.conn.Get(in, it.Ref)
			}
			if err == nil && o != nil {
				tell(news{source: plainSource, object: o})
			}
			return err
		})
	}
	if err := g.Wait(); err != nil && ctx.Err() == nil {
		tell(news{source: plainSource, fatal: err})
		return
	}
	tell(news{source: plainSource, listed: true, up: true})
}

// readClasses reads which StorageClasses wait for a first consumer. Where that may not be read, events say so.
func (f *following) readClasses(ctx context.Context, tell func(news)) {
	list, _, err := f.conn.Select(ctx, api.Selection{Kind: classes})
	if err != nil {
		return
	}
	waits := map[string]bool{}
	for i := range list {
		waits[list[i].GetName()] = list[i].Object["volumeBindingMode"] == "WaitForFirstConsumer"
	}
	tell(news{source: plainSource, classes: waits})
}

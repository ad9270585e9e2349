package follow

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/erlmcp/runner/builtins/kube/api"
	"github.com/erlmcp/runner/runtime/host/hosttest"
	"k8s.io/client-go/rest"
	"sigs.k8s.io/yaml"
)

// fake is an API server that lists and watches, as far as Follow asks, with faults.
type fake struct {
	*httptest.Server
	t *testing.T

	mu       sync.Mutex
	version  int
	oldest   int // what happened before this is not known any more
	objects  map[string]map[string]any
	log      []event
	news     chan struct{} // closed and replaced when log grows
	asked    []string      // requests, as PATH?VERSION
	off      bool          // every request is cut
	mute     bool          // watches are silent, as over a dead connection
	goneBy   int           // the HTTP status by which 410 is told: 410, or 200 with an event in the stream
	answers  map[string][]func(http.ResponseWriter)
	watchers map[chan string]bool
}

type event struct {
	version int
	kind    string
	path    string
	object  map[string]any
}

func newFake(t *testing.T) *fake {
	f := &fake{t: t, version: 100, objects: map[string]map[string]any{}, news: make(chan struct{}), goneBy: 200,
		answers: map[string][]func(http.ResponseWriter){}, watchers: map[chan string]bool{}}
	f.Server = httptest.NewServer(http.HandlerFunc(f.serve))
	t.Cleanup(f.Server.Close)
	return f
}

// start is when the virtual clock starts.
var start = time.Date(2026, 1, 26, 12, 0, 0, 0, time.UTC)

func (f *fake) conn() (*api.Conn, *hosttest.Clock) {
	clock := hosttest.NewClock(start)
	c, err := api.New(&rest.Config{Host: f.URL}, patient{clock})
	if err != nil {
		f.t.Fatal(err)
	}
	return c, clock
}

// patient is a clock by which no request lasts too long: requests take real time, which no test knows.
type patient struct{ *hosttest.Clock }

func (p patient) Timeout(ctx context.Context, d time.Duration, cause error) (context.Context, context.CancelFunc) {
	if cause != nil && cause.Error() == "the API server does not answer" {
		return context.WithCancel(ctx)
	}
	return p.Clock.Timeout(ctx, d, cause)
}

// path is where a kind is served.
func path(o map[string]any) string {
	data, _ := json.Marshal(o)
	var u api.Object
	if err := u.UnmarshalJSON(data); err != nil {
		panic(err)
	}
	k := u.GroupVersionKind()
	r, known := api.BuiltIn(k)
	root := "/api/"
	if k.Group != "" {
		root = "/apis/" + k.Group + "/"
	}
	if !known {
		return root + k.Version + "/namespaces/shop/" + strings.ToLower(k.Kind) + "s"
	}
	if !r.Namespaced {
		return root + k.Version + "/" + r.GroupVersionResource.Resource
	}
	return root + k.Version + "/namespaces/shop/" + r.GroupVersionResource.Resource
}

// put makes objects what the YAML says.
func (f *fake) put(text string) {
	f.t.Helper()
	for _, doc := range strings.Split(text, "\n---\n") {
		var o map[string]any
		if err := yaml.Unmarshal([]byte(doc), &o); err != nil {
			f.t.Fatal(err, doc)
		}
		f.set(o, "MODIFIED")
	}
}

func (f *fake) set(o map[string]any, kind string) {
	f.mu.Lock()
	defer f.mu.Unlock()
	meta := o["metadata"].(map[string]any)
	if meta["namespace"] == nil {
		meta["namespace"] = "shop"
	}
	if meta["uid"] == nil {
		meta["uid"] = meta["name"]
	}
	f.version++
	meta["resourceVersion"] = fmt.Sprint(f.version)
	at := path(o)
	if f.objects[at] == nil {
		f.objects[at] = map[string]any{}
	}
	f.objects[at][meta["name"].(string)] = o
	if kind == "DELETED" {
		delete(f.objects[at], meta["name"].(string))
	}
	f.tell(event{f.version, kind, at, o})
}

func (f *fake) tell(e event) {
	f.log = append(f.log, e)
	close(f.news)
	f.news = make(chan struct{})
}

// remove deletes an object.
func (f *fake) remove(at, name string) {
	f.mu.Lock()
	o := f.objects[at][name].(map[string]any)
	f.mu.Unlock()
	f.set(o, "DELETED")
}

// bookmark tells every watch how far the server is.
func (f *fake) bookmark(at, kind string) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.version++
	f.tell(event{f.version, "BOOKMARK", at, map[string]any{"apiVersion": "v1", "kind": kind, "metadata": map[string]any{"resourceVersion": fmt.Sprint(f.version)}}})
}

// forget makes the server unable to tell what has happened so far, and breaks all connections.
func (f *fake) forget(by int) {
	f.mu.Lock()
	f.version++
	f.oldest, f.goneBy = f.version, by
	f.mu.Unlock()
	f.drop()
}

// drop breaks all watches, silently where a connection is cut.
func (f *fake) drop() { f.each("drop") }

// each ends every watch in a way, and returns when they have ended.
func (f *fake) each(what string) {
	f.mu.Lock()
	var told []chan string
	for w := range f.watchers {
		w <- what
		told = append(told, w)
	}
	f.mu.Unlock()
	for _, w := range told {
		for there := true; there; time.Sleep(time.Millisecond) {
			f.mu.Lock()
			there = f.watchers[w]
			f.mu.Unlock()
		}
	}
}

// turn cuts every request, or lets them through again.
func (f *fake) turn(off bool) {
	f.mu.Lock()
	f.off = off
	f.mu.Unlock()
	if off {
		f.each("cut")
	}
}

// answer says how the next requests to a path are answered.
func (f *fake) answer(at string, how ...func(http.ResponseWriter)) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.answers[at] = append(f.answers[at], how...)
}

func (f *fake) requests() string {
	f.mu.Lock()
	defer f.mu.Unlock()
	return strings.Join(f.asked, "\n")
}

func status(code int, reason string) func(http.ResponseWriter) {
	return func(w http.ResponseWriter) {
		w.Header().Set("Content-Type", "application/json")
		w.WriteHeader(code)
		fmt.Fprintf(w, `{"kind":"Status","apiVersion":"v1","status":"Failure","reason":%q,"code":%d,"message":"%s"}`, reason, code, strings.ToLower(reason))
	}
}

func garbage(w http.ResponseWriter) {
	w.Header().Set("Content-Type", "application/json")
	fmt.Fprint(w, "<html>a proxy's page</html>")
}

func (f *fake) serve(w http.ResponseWriter, r *http.Request) {
	q := r.URL.Query()
	f.mu.Lock()
	if f.off {
		f.mu.Unlock()
		panic(http.ErrAbortHandler)
	}
	watching := q.Get("watch") != ""
	ask := "list " + r.URL.Path
	if watching {
		ask = "watch " + r.URL.Path + " " + q.Get("resourceVersion")
	}
	if s := q.Get("fieldSelector"); s != "" {
		ask += " " + s
	}
	f.asked = append(f.asked, ask)
	if queue := f.answers[r.URL.Path]; len(queue) > 0 {
		f.answers[r.URL.Path] = queue[1:]
		f.mu.Unlock()
		queue[0](w)
		return
	}
	if watching {
		f.mu.Unlock()
		f.watch(w, r)
		return
	}
	defer f.mu.Unlock()
	w.Header().Set("Content-Type", "application/json")
	if group, found := strings.CutPrefix(r.URL.Path, "/apis/example.com/"); found && !strings.Contains(group, "/") {
		fmt.Fprint(w, `{"kind":"APIResourceList","groupVersion":"example.com/v1","resources":[{"name":"widgets","kind":"Widget","namespaced":true}]}`)
		return
	}
	items := []any{}
	for at, of := range f.objects {
		for name, o := range of {
			if at+"/"+name == r.URL.Path {
				_ = json.NewEncoder(w).Encode(o)
				return
			}
			if at == r.URL.Path && selects(q.Get("fieldSelector"), o) {
				items = append(items, o)
			}
		}
	}
	if last := r.URL.Path[strings.LastIndex(r.URL.Path, "/")+1:]; !strings.HasSuffix(last, "s") {
		status(404, "NotFound")(w)
		return
	}
	_ = json.NewEncoder(w).Encode(map[string]any{"kind": "List", "apiVersion": "v1", "metadata": map[string]any{"resourceVersion": fmt.Sprint(f.version)}, "items": items})
}

func selects(selector string, o any) bool {
	name, given := strings.CutPrefix(selector, "metadata.name=")
	return !given || o.(map[string]any)["metadata"].(map[string]any)["name"] == name
}

func (f *fake) watch(w http.ResponseWriter, r *http.Request) {
	var from int
	_, _ = fmt.Sscan(r.URL.Query().Get("resourceVersion"), &from)
	f.mu.Lock()
	told := make(chan string, 1)
	f.watchers[told] = true
	gone, by := from < f.oldest, f.goneBy
	f.mu.Unlock()
	defer func() {
		f.mu.Lock()
		delete(f.watchers, told)
		f.mu.Unlock()
	}()
	if gone && by == 410 {
		status(410, "Expired")(w)
		return
	}
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(200)
	w.(http.Flusher).Flush()
	send := func(kind string, o any) {
		_ = json.NewEncoder(w).Encode(map[string]any{"type": kind, "object": o})
		w.(http.Flusher).Flush()
	}
	if gone {
		send("ERROR", map[string]any{"kind": "Status", "apiVersion": "v1", "status": "Failure", "reason": "Expired", "code": 410, "message": "too old resource version"})
		return
	}
	for {
		f.mu.Lock()
		news := f.news
		var now []event
		for _, e := range f.log {
			if e.version > from && e.path == r.URL.Path && !f.mute && (e.kind == "BOOKMARK" || selects(r.URL.Query().Get("fieldSelector"), e.object)) {
				now = append(now, e)
			}
		}
		from = max(from, f.version)
		f.mu.Unlock()
		for _, e := range now {
			send(e.kind, e.object)
		}
		select {
		case <-news:
		case <-r.Context().Done():
			return
		case what := <-told:
			switch what {
			case "cut":
				panic(http.ErrAbortHandler)
			case "garbage":
				fmt.Fprint(w, "{{{ what is this")
			}
			return
		}
	}
}

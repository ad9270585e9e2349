package tail

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"net/url"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/erlmcp/runner/builtins/kube/api"
	"github.com/erlmcp/runner/runtime/host/hosttest"
	"k8s.io/client-go/rest"
)

var noon = time.Date(2026, 1, 26, 12, 0, 0, 0, time.UTC)

// server has one pod with one container, which writes lines at times and has ended by then.
type server struct {
	*httptest.Server
	lines  []written
	bare   bool                                                   // the last line has no end
	fault  func(n int, w http.ResponseWriter, text []string) bool // what becomes of the nth stream; false for nothing
	hidden int                                                    // how often the pod is told to run still
	gone   bool                                                   // the pod is removed when a stream has ended

	mu      sync.Mutex
	streams int
}

type written struct {
	after time.Duration
	text  string
}

func (s *server) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	s.mu.Lock()
	defer s.mu.Unlock()
	w.Header().Set("Content-Type", "application/json")
	switch {
	case strings.HasSuffix(r.URL.Path, "/log"):
		s.streams++
		s.stream(w, r.URL.Query())
	case r.URL.Query().Get("watch") != "":
		w.WriteHeader(http.StatusOK)
		w.(http.Flusher).Flush()
		s.mu.Unlock()
		<-r.Context().Done()
		s.mu.Lock()
	case strings.HasSuffix(r.URL.Path, "/pods"):
		json.NewEncoder(w).Encode(map[string]any{"kind": "PodList", "apiVersion": "v1", "metadata": map[string]any{"resourceVersion": "1"}, "items": []any{s.pod()}})
	case s.gone && s.streams > 0:
		w.WriteHeader(http.StatusNotFound)
		fmt.Fprint(w, `{"kind":"Status","apiVersion":"v1","status":"Failure","reason":"NotFound","code":404}`)
	default:
		json.NewEncoder(w).Encode(s.pod())
	}
}

func (s *server) pod() any {
	state := map[string]any{"terminated": map[string]any{"exitCode": 0}}
	if s.hidden > 0 {
		s.hidden--
		state = map[string]any{"running": map[string]any{}}
	}
	return map[string]any{"kind": "Pod", "apiVersion": "v1", "metadata": map[string]any{"name": "job-x", "namespace": "shop"},
		"status": map[string]any{"containerStatuses": []any{map[string]any{"name": "job", "state": state}}}}
}

// stream writes as a kubelet does: whole seconds count.
func (s *server) stream(w http.ResponseWriter, q url.Values) {
	since, _ := time.Parse(time.RFC3339, q.Get("sinceTime"))
	var text []string
	for _, l := range s.lines {
		if at := noon.Add(l.after); !at.Before(since) {
			text = append(text, at.Format(time.RFC3339Nano)+" "+l.text+"\n")
		}
	}
	if n := len(text); s.bare && n > 0 {
		text[n-1] = strings.TrimSuffix(text[n-1], "\n")
	}
	if s.fault != nil && s.fault(s.streams, w, text) {
		return
	}
	fmt.Fprint(w, strings.Join(text, ""))
}

// patient is a clock by which no request lasts too long.
type patient struct{ *hosttest.Clock }

func (p patient) Timeout(ctx context.Context, _ time.Duration, _ error) (context.Context, context.CancelFunc) {
	return context.WithCancel(ctx)
}

// tail gives what is shown of the server's container.
func (s *server) tail(t *testing.T) (shown []string, err error) {
	t.Helper()
	s.Server = httptest.NewServer(s)
	defer s.Close()
	conn, err := api.New(&rest.Config{Host: s.URL}, patient{hosttest.NewClock(noon)})
	if err != nil {
		t.Fatal(err)
	}
	over := make(chan struct{})
	close(over)
	err = (&Tail{Conn: conn, Namespace: "shop", Labels: "a=b", Show: func(l Line) { shown = append(shown, l.Text) }}).Run(t.Context(), over)
	s.CloseClientConnections()
	return shown, err
}

// many are lines of which several have one time, some the same text, and some come late.
func many() (out []written, want []string) {
	for i := range 400 {
		l := written{time.Duration(i/4) * 100 * time.Millisecond, fmt.Sprintf("line %d", i/2)}
		if i%50 == 49 {
			l.after -= 900 * time.Millisecond // what stderr has is written behind what stdout wrote later
		}
		out, want = append(out, l), append(want, l.text)
	}
	return out, want
}

// cut breaks the connection in the middle of a stream; end ends it there as if all were well.
func cut(w http.ResponseWriter, text []string, at int) bool {
	head := strings.Join(text, "")
	fmt.Fprint(w, head[:min(at, len(head))])
	w.(http.Flusher).Flush()
	panic(http.ErrAbortHandler)
}

func end(w http.ResponseWriter, text []string, at int) bool {
	head := strings.Join(text, "")
	fmt.Fprint(w, head[:min(at, len(head))])
	return true
}

// Whatever befalls a stream, each line is shown once, in its order.
func TestEachLineOnce(t *testing.T) {
	refuse := func(w http.ResponseWriter) bool {
		w.WriteHeader(http.StatusInternalServerError)
		fmt.Fprint(w, `{"kind":"Status","apiVersion":"v1","status":"Failure","code":500,"message":"no kubelet"}`)
		return true
	}
	for name, fault := range map[string]func(n int, w http.ResponseWriter, text []string) bool{
		"no fault":                      nil,
		"broken in a line":              func(n int, w http.ResponseWriter, text []string) bool { return n < 4 && cut(w, text, 1234*n) },
		"broken at once":                func(n int, w http.ResponseWriter, text []string) bool { return n < 3 && cut(w, text, 0) },
		"ended too early":               func(n int, w http.ResponseWriter, text []string) bool { return n == 1 && end(w, text, 3333) },
		"ended too early, in all but 1": func(n int, w http.ResponseWriter, text []string) bool { return n < 9 && end(w, text, 5000) },
		"refused":                       func(n int, w http.ResponseWriter, _ []string) bool { return n < 4 && refuse(w) },
		"broken, then refused": func(n int, w http.ResponseWriter, text []string) bool {
			return n == 1 && cut(w, text, 7777) || n == 2 && refuse(w)
		},
	} {
		lines, want := many()
		s := &server{lines: lines, fault: fault, hidden: 12}
		shown, err := s.tail(t)
		if err != nil || !slices.Equal(shown, want) {
			t.Errorf("%s: %d lines of %d, %v", name, len(shown), len(want), err)
		}
	}
}

// Wherever a stream breaks, what comes late behind that is not missed.
func TestBrokenBehindEachLine(t *testing.T) {
	lines, want := many()
	for n := range lines {
		if n%50 < 40 {
			continue // what comes late is not near
		}
		s := &server{lines: lines, fault: func(stream int, w http.ResponseWriter, text []string) bool {
			return stream == 1 && cut(w, text[:n], len(strings.Join(text[:n], "")))
		}}
		if shown, err := s.tail(t); err != nil || !slices.Equal(shown, want) {
			t.Errorf("behind line %d: %d lines of %d, %v", n, len(shown), len(want), err)
		}
	}
}

// A last line without an end is shown, once.
func TestLastLine(t *testing.T) {
	s := &server{lines: []written{{0, "first"}, {0, "last"}}, bare: true, hidden: 2}
	if shown, err := s.tail(t); err != nil || !slices.Equal(shown, []string{"first", "last"}) {
		t.Errorf("%q, %v", shown, err)
	}
}

// What cannot be read is told, and not tried for ever.
func TestUnread(t *testing.T) {
	answer := func(code int) func(int, http.ResponseWriter, []string) bool {
		return func(_ int, w http.ResponseWriter, _ []string) bool {
			w.WriteHeader(code)
			fmt.Fprintf(w, `{"kind":"Status","apiVersion":"v1","status":"Failure","reason":%q,"code":%d,"message":"no way"}`, http.StatusText(code), code)
			return true
		}
	}
	for _, c := range []struct {
		s       *server
		streams int
		want    string
	}{
		{&server{fault: answer(500)}, refused, "the log of job-x/job cannot be read: no way"},
		{&server{fault: answer(403), hidden: 100}, 1, "the log of job-x/job cannot be read: no way"},
		{&server{fault: answer(500), gone: true}, 1, "the log of job-x/job may not be whole: the pod is gone"},
	} {
		_, err := c.s.tail(t)
		if err == nil || err.Error() != c.want || c.s.streams != c.streams {
			t.Errorf("%v after %d streams, want %s after %d", err, c.s.streams, c.want, c.streams)
		}
	}
}

package once

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/erlmcp/runner/runtime/host"
	"github.com/erlmcp/runner/runtime/host/hosttest"
	"github.com/moby/moby/api/types/container"
	"github.com/moby/moby/client"
)

// engine answers as one does that has a single container, c1, which ends when it is told to.
type engine struct {
	at    func(asked context.Context, call string) // called before an answer to "create", "start", "stop" or "remove"
	ended chan struct{}                            // closed when the container ends

	mu    sync.Mutex
	calls []string
}

func (e *engine) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	parts := strings.Split(strings.Trim(r.URL.Path, "/"), "/")
	call := parts[len(parts)-1]
	if r.Method == http.MethodDelete {
		call = "remove"
	}
	switch call {
	case "json":
		io.WriteString(w, "[]")
		return
	case "attach":
		conn, _, err := w.(http.Hijacker).Hijack()
		if err == nil {
			io.WriteString(conn, "HTTP/1.1 101 UPGRADED\r\nContent-Type: application/vnd.docker.raw-stream\r\nConnection: Upgrade\r\nUpgrade: tcp\r\n\r\n")
			<-e.ended
			conn.Close()
		}
		return
	case "events":
		w.WriteHeader(http.StatusOK)
		w.(http.Flusher).Flush()
		select {
		case <-r.Context().Done():
		case <-e.ended:
			fmt.Fprintln(w, `{"Type":"container","Action":"die","Actor":{"ID":"c1","Attributes":{"exitCode":"0"}}}`+"\n"+`{"Type":"container","Action":"destroy","Actor":{"ID":"c1"}}`)
		}
		return
	}
	e.mu.Lock()
	e.calls = append(e.calls, call)
	e.mu.Unlock()
	e.at(r.Context(), call)
	switch {
	case r.Context().Err() != nil: // nobody waits for the answer
		e.mu.Lock()
		e.calls = append(e.calls, call+" given up")
		e.mu.Unlock()
	case call == "create":
		w.WriteHeader(http.StatusCreated)
		io.WriteString(w, `{"Id":"c1"}`)
	case call == "start":
		w.WriteHeader(http.StatusNoContent)
	case call == "stop":
		close(e.ended)
		w.WriteHeader(http.StatusNoContent)
	case call == "remove":
		w.WriteHeader(http.StatusNotFound)
	}
}

// run runs the container, and gives what was asked of the engine.
func (e *engine) run(t *testing.T, ctx context.Context, clock host.Clock) (calls []string, err error) {
	t.Helper()
	e.ended = make(chan struct{})
	s := httptest.NewServer(e)
	c, err := client.New(client.WithHost("tcp://"+strings.TrimPrefix(s.URL, "http://")), client.WithAPIVersion("1.41"))
	if err != nil {
		t.Fatal(err)
	}
	_, err = Run(ctx, &host.Host{Clock: clock}, c, Container{Config: &container.Config{Image: "app"}, Host: &container.HostConfig{}, Within: time.Minute}, io.Discard, io.Discard)
	c.Close()
	s.CloseClientConnections()
	s.Close()
	e.mu.Lock()
	defer e.mu.Unlock()
	return e.calls, err
}

// A container is told to end, and has its time for it, whenever it is that the run is to end: before it runs, it is not
// killed in the middle of its start.
func TestToldToEndWhile(t *testing.T) {
	why := errors.New("enough")
	for call, want := range map[string][]string{
		"create": {"create", "remove"},
		"start":  {"create", "start", "stop", "remove"},
	} {
		ctx, cancel := context.WithCancelCause(t.Context())
		e := &engine{}
		e.at = func(asked context.Context, c string) {
			if c == call {
				cancel(why)
				select { // one that gives up does so now
				case <-asked.Done():
				case <-time.After(50 * time.Millisecond):
				}
			}
		}
		calls, err := e.run(t, ctx, host.SystemClock{})
		if !errors.Is(err, why) || !slices.Equal(calls, want) {
			t.Errorf("told to end at %s: %v, %q, want %q", call, err, calls, want)
		}
	}
}

// An engine that never answers is not waited for longer than that.
func TestToldToEndByAnEngineThatHangs(t *testing.T) {
	clock := hosttest.NewClock(time.Now()).Hold() // dialling compares its deadlines with the machine's clock
	ctx, cancel := context.WithCancel(t.Context())
	e := &engine{at: func(asked context.Context, c string) {
		if c == "start" {
			cancel()
			<-asked.Done()
		}
	}}
	done := make(chan error, 1)
	go func() {
		_, err := e.run(t, ctx, clock)
		done <- err
	}()
	<-ctx.Done()
	for {
		select {
		case err := <-done:
			if !errors.Is(err, context.Canceled) {
				t.Error(err)
			}
			return
		case <-time.After(10 * time.Millisecond):
			clock.Advance(Grace)
		}
	}
}

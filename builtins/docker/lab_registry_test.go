//go:build labs

package docker

import (
	"context"
	"io"
	"log"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/erlmcp/runner/builtins/docker/dockertest"
	"github.com/google/go-containerregistry/pkg/registry"
	"github.com/moby/moby/client"
)

// guard stands before a registry, and reports whether a request may go on to it.
type guard func(http.ResponseWriter, *http.Request) bool

// serve is a registry on loopback, in memory, behind a guard.
func serve(t testing.TB, g guard) (host string) {
	images := registry.New(registry.Logger(log.New(io.Discard, "", 0)))
	s := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if g == nil || g(w, r) {
			images.ServeHTTP(w, r)
		}
	}))
	s.Config.ErrorLog = log.New(io.Discard, "", 0)
	s.Config.BaseContext = func(net.Listener) context.Context { return t.Context() } // which ends before what follows
	s.Start()
	t.Cleanup(func() {
		s.Listener.Close() // first: an engine that asks again would keep it open
		s.CloseClientConnections()
		s.Close()
	})
	return strings.TrimPrefix(s.URL, "http://")
}

// stored makes an image with a name in a registry.
func stored(t testing.TB, w dockertest.World, d *Docker, host string) (name string) {
	t.Helper()
	name = host + "/" + w.Name + ":1"
	must[string](t)(Tag{Image: w.Image(), Tag: name}.Do(t.Context(), d))
	return name
}

func TestLabRegistry(t *testing.T) {
	w, d := world(t)
	name := stored(t, w, d, serve(t, nil))
	repository := strings.TrimSuffix(name, ":1")
	pushed := must[Moved](t)(Push{Image: name, Timeout: moveTimeout}.Do(t.Context(), d))
	if again := must[Moved](t)(Push{Image: name, Timeout: moveTimeout}.Do(t.Context(), d)); again != pushed {
		t.Errorf("pushed %+v, and again %+v", pushed, again)
	}
	must[client.ImageRemoveResult](t)(w.Engine.ImageRemove(t.Context(), name, client.ImageRemoveOptions{}))
	pulled := must[Moved](t)(Pull{Image: repository + "@" + pushed.Digest, Timeout: moveTimeout}.Do(t.Context(), d))
	if pulled.Digest != pushed.Digest || pulled.ID != pushed.ID || !strings.HasPrefix(pushed.Digest, "sha256:") {
		t.Errorf("pushed %+v, pulled %+v", pushed, pulled)
	}
	named := must[Moved](t)(Pull{Image: name, Timeout: moveTimeout}.Do(t.Context(), d))
	if known := must[Inspected](t)(Inspect{Image: name}.Do(t.Context(), d)); named.Digest != pushed.Digest || known.Digest != pushed.ID || len(known.Digests) != 1 {
		t.Errorf("pulled %+v, known as %+v", named, known)
	}
	_, err := Pull{Image: repository + ":none", Timeout: moveTimeout}.Do(t.Context(), d)
	if err == nil || !strings.Contains(err.Error(), "its registry has no such image") {
		t.Errorf("not there: %v", err)
	}
	_, err = Pull{Image: "127.0.0.1:1/a:1", Timeout: moveTimeout}.Do(t.Context(), d)
	if err == nil || !strings.Contains(err.Error(), "the engine cannot reach its registry") {
		t.Errorf("no way: %v", err)
	}
}

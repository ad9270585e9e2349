package reconcile

import (
	"encoding/json"
	"fmt"
	"maps"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/moby/moby/api/types/container"
	"github.com/moby/moby/api/types/events"
	"github.com/moby/moby/api/types/network"
	"github.com/moby/moby/api/types/volume"
	"github.com/moby/moby/client"
)

// fake is an engine in memory, as far as this package asks one: fast enough to be killed at every request in every test.
// What it answers is what Docker 20.10 does: networks may share a name, a network that a container is in cannot go, a
// container that stands still remembers the networks that it was in by their ID. The same suite runs on a real engine.
type fake struct {
	testing.TB
	address string
	ahead   func(r *http.Request) // before a request is done; nil for nothing

	mu         sync.Mutex
	n          int // of IDs
	containers map[string]*box
	networks   map[string]*network.Inspect
	volumes    map[string]*volume.Volume
	images     map[string]string // names, and their IDs
	inVolumes  map[string][]string
	refuses    map[string]string // to start, by the container's name: what the engine says
	moved      chan struct{}     // closed at each event
	events     []events.Message
}

// box is a container of the fake.
type box struct {
	id, name string
	made     container.CreateRequest
	state    container.State
	restarts int
	nets     map[string]*network.EndpointSettings
	mounts   []container.MountPoint
	files    map[string][]byte
	asked    int // how often its check was run by somebody
	ended    chan struct{}
}

func newFake(t testing.TB) *fake {
	f := &fake{TB: t, containers: map[string]*box{}, networks: map[string]*network.Inspect{}, volumes: map[string]*volume.Volume{},
		images: map[string]string{}, inVolumes: map[string][]string{}, refuses: map[string]string{}, moved: make(chan struct{})}
	dir, err := os.MkdirTemp("", "fake")
	if err != nil {
		t.Fatal(err)
	}
	l, err := net.Listen("unix", filepath.Join(dir, "sock"))
	if err != nil {
		t.Fatal(err)
	}
	f.address = "unix://" + filepath.Join(dir, "sock")
	server := &http.Server{Handler: f.routes()}
	go server.Serve(l)
	t.Cleanup(func() { server.Close(); os.RemoveAll(dir) })
	return f
}

// routes are the requests that the fake knows.
func (f *fake) routes() http.Handler {
	m := http.NewServeMux()
	m.HandleFunc("/_ping", func(w http.ResponseWriter, _ *http.Request) { w.Header().Set("Api-Version", "1.41") })
	m.HandleFunc("GET /events", f.follow)
	for pattern, do := range map[string]func(r *http.Request) (any, error){
		"GET /containers/json": f.listContainers, "GET /containers/{id}/json": f.inspect, "POST /containers/create": f.create,
		"POST /containers/{id}/start": f.start, "POST /containers/{id}/kill": f.kill, "POST /containers/{id}/stop": f.stop,
		"POST /containers/{id}/rename": f.rename, "DELETE /containers/{id}": f.remove, "PUT /containers/{id}/archive": f.archive,
		"GET /networks": f.listNetworks, "GET /networks/{id}": f.inspectNetwork, "POST /networks/create": f.createNetwork, "DELETE /networks/{id}": f.removeNetwork,
		"POST /networks/{id}/connect": f.connect, "POST /networks/{id}/disconnect": f.disconnect,
		"GET /volumes": f.listVolumes, "GET /volumes/{id}": f.inspectVolume, "POST /volumes/create": f.createVolume,
		"GET /images/{id}/json": f.inspectImage, "POST /containers/{id}/exec": f.exec, "GET /exec/{id}/json": f.inspectExec,
	} {
		m.HandleFunc(pattern, func(w http.ResponseWriter, r *http.Request) {
			if f.ahead != nil {
				f.ahead(r)
			}
			f.mu.Lock()
			out, err := do(r)
			f.mu.Unlock()
			answer(w, out, err)
		})
	}
	m.HandleFunc("POST /containers/{id}/wait", f.wait)
	m.HandleFunc("GET /containers/{id}/archive", f.unpack)
	m.HandleFunc("GET /containers/{id}/logs", f.logs)
	m.HandleFunc("POST /exec/{id}/start", startExec)
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if rest, ok := strings.CutPrefix(r.URL.Path, "/v1.41"); ok {
			r.URL.Path = rest
		}
		m.ServeHTTP(w, r)
	})
}

// refusal is an engine's error.
type refusal struct {
	code int
	text string
}

func (r *refusal) Error() string { return r.text }

func answer(w http.ResponseWriter, out any, err error) {
	w.Header().Set("Content-Type", "application/json")
	if r, ok := err.(*refusal); ok {
		w.WriteHeader(r.code)
		out = map[string]string{"message": r.text}
	}
	json.NewEncoder(w).Encode(out)
}

func notFound(format string, a ...any) error { return &refusal{404, fmt.Sprintf(format, a...)} }

func (f *fake) id() string {
	f.n++
	return fmt.Sprintf("%04x%060x", f.n, f.n)
}

// tell is an event of a container.
func (f *fake) tell(b *box, action string, more ...string) {
	at := map[string]string{"name": b.name}
	maps.Copy(at, b.made.Config.Labels)
	for i := 0; i < len(more); i += 2 {
		at[more[i]] = more[i+1]
	}
	f.events = append(f.events, events.Message{Type: events.ContainerEventType, Action: events.Action(action), Actor: events.Actor{ID: b.id, Attributes: at},
		TimeNano: time.Now().UnixNano()})
	close(f.moved)
	f.moved = make(chan struct{})
}

// follow is the stream of events.
func (f *fake) follow(w http.ResponseWriter, r *http.Request) {
	f.mu.Lock()
	next := len(f.events)
	f.mu.Unlock()
	w.Header().Set("Content-Type", "application/x-ndjson")
	http.NewResponseController(w).Flush()
	for {
		f.mu.Lock()
		more, moved := f.events[next:], f.moved
		next = len(f.events)
		f.mu.Unlock()
		for _, m := range more {
			json.NewEncoder(w).Encode(m)
		}
		http.NewResponseController(w).Flush()
		select {
		case <-moved:
		case <-r.Context().Done():
			return
		}
	}
}

func (f *fake) box(r *http.Request) (*box, error) {
	id := r.PathValue("id")
	for _, b := range f.containers {
		if strings.HasPrefix(b.id, id) || b.name == id {
			return b, nil
		}
	}
	return nil, notFound("No such container: %s", id)
}

// filters are the values that a request filters by.
func filters(r *http.Request, name string) []string {
	var all client.Filters
	json.Unmarshal([]byte(r.FormValue("filters")), &all)
	return slices.Sorted(maps.Keys(all[name]))
}

func labelled(r *http.Request, labels map[string]string) bool {
	for _, l := range filters(r, "label") {
		name, value, _ := strings.Cut(l, "=")
		if labels[name] != value {
			return false
		}
	}
	return true
}

func (f *fake) listContainers(r *http.Request) (any, error) {
	out := []container.Summary{}
	for _, b := range f.containers {
		if (b.state.Running || r.FormValue("all") == "1") && labelled(r, b.made.Config.Labels) {
			s := container.Summary{ID: b.id, Names: []string{"/" + b.name}, Labels: b.made.Config.Labels, State: b.state.Status}
			for port, bound := range b.made.HostConfig.PortBindings {
				for _, p := range bound {
					var n uint16
					fmt.Sscan(p.HostPort, &n)
					s.Ports = append(s.Ports, container.PortSummary{PrivatePort: port.Num(), PublicPort: n, Type: string(port.Proto())})
				}
			}
			out = append(out, s)
		}
	}
	return out, nil
}

func (f *fake) inspect(r *http.Request) (any, error) {
	b, err := f.box(r)
	if err != nil {
		return nil, err
	}
	state := b.state
	out := container.InspectResponse{ID: b.id, Name: "/" + b.name, Image: f.images[b.made.Config.Image], State: &state, RestartCount: b.restarts,
		Config: b.made.Config, HostConfig: b.made.HostConfig, Mounts: b.mounts, NetworkSettings: &container.NetworkSettings{Networks: map[string]*network.EndpointSettings{}}}
	for name, e := range b.nets {
		e := *e
		e.Aliases = append(slices.Clone(e.Aliases), b.id[:shortID])
		out.NetworkSettings.Networks[name] = &e
	}
	return out, nil
}

func (f *fake) inspectImage(r *http.Request) (any, error) {
	name := r.PathValue("id")
	id, ok := f.images[name]
	if !ok {
		return nil, notFound("No such image: %s", name)
	}
	paths := map[string]struct{}{}
	for _, p := range f.inVolumes[id] {
		paths[p] = struct{}{}
	}
	return map[string]any{"Id": id, "Config": map[string]any{"Volumes": paths}}, nil
}

func (f *fake) listVolumes(r *http.Request) (any, error) {
	var out volume.ListResponse
	for _, v := range f.volumes {
		if labelled(r, v.Labels) {
			out.Volumes = append(out.Volumes, *v)
		}
	}
	return out, nil
}

func (f *fake) inspectVolume(r *http.Request) (any, error) {
	if v := f.volumes[r.PathValue("id")]; v != nil {
		return v, nil
	}
	return nil, notFound("no such volume")
}

func (f *fake) createVolume(r *http.Request) (any, error) {
	var c volume.CreateRequest
	json.NewDecoder(r.Body).Decode(&c)
	if f.volumes[c.Name] == nil {
		f.volumes[c.Name] = &volume.Volume{Name: c.Name, Driver: c.Driver, Labels: c.Labels, Options: c.DriverOpts}
	}
	return f.volumes[c.Name], nil
}

package reconcile

import (
	"encoding/json"
	"io"
	"net/http"
	"slices"
	"strings"

	"github.com/moby/moby/api/types/network"
)

func (f *fake) listNetworks(r *http.Request) (any, error) {
	out := []network.Summary{}
	for _, n := range f.networks {
		if labelled(r, n.Labels) && !slices.ContainsFunc(filters(r, "name"), func(s string) bool { return !strings.Contains(n.Name, s) }) {
			out = append(out, network.Summary{Network: n.Network})
		}
	}
	return out, nil
}

func (f *fake) inspectNetwork(r *http.Request) (any, error) {
	all := f.named(r.PathValue("id"))
	if len(all) != 1 {
		return nil, notFound("network %s not found", r.PathValue("id"))
	}
	n := *all[0]
	n.Containers = map[string]network.EndpointResource{}
	for _, b := range f.containers {
		for _, e := range b.nets {
			if e.NetworkID == n.ID && b.state.Running {
				n.Containers[b.id] = network.EndpointResource{Name: b.name}
			}
		}
	}
	return n, nil
}

func (f *fake) createNetwork(r *http.Request) (any, error) {
	var c network.CreateRequest
	json.NewDecoder(r.Body).Decode(&c)
	n := &network.Inspect{Network: network.Network{ID: f.id(), Name: c.Name, Driver: c.Driver, Labels: c.Labels, Internal: c.Internal, Options: c.Options}}
	f.networks[n.ID] = n
	return network.CreateResponse{ID: n.ID}, nil
}

func (f *fake) removeNetwork(r *http.Request) (any, error) {
	got, err := f.inspectNetwork(r)
	if err != nil {
		return nil, err
	}
	if len(got.(network.Inspect).Containers) > 0 {
		return nil, &refusal{403, "error while removing network: it has active endpoints"}
	}
	delete(f.networks, got.(network.Inspect).ID)
	return nil, nil
}

func (f *fake) connect(r *http.Request) (any, error) {
	var c network.ConnectRequest
	json.NewDecoder(r.Body).Decode(&c)
	r.SetPathValue("net", r.PathValue("id"))
	r.SetPathValue("id", c.Container)
	b, err := f.box(r)
	if err != nil {
		return nil, err
	}
	if err := f.join(b, r.PathValue("net"), c.EndpointConfig); err != nil {
		return nil, err
	}
	return nil, nil
}

func (f *fake) disconnect(r *http.Request) (any, error) {
	var c network.DisconnectRequest
	json.NewDecoder(r.Body).Decode(&c)
	name := r.PathValue("id")
	r.SetPathValue("id", c.Container)
	b, err := f.box(r)
	if err != nil {
		return nil, err
	}
	for _, n := range f.named(name) {
		name = n.Name
	}
	if b.nets[name] == nil {
		return nil, &refusal{403, "it is not connected"}
	}
	delete(b.nets, name)
	return nil, nil
}

// exec is a check that somebody runs: it passes where the container's command says so, from the second time on.
func (f *fake) exec(r *http.Request) (any, error) {
	b, err := f.box(r)
	if err != nil || b.made.Cmd[1] != "slow" {
		return nil, notFound("nothing is run here")
	}
	b.asked++
	return map[string]string{"Id": b.id}, nil
}

func startExec(w http.ResponseWriter, r *http.Request) {
	io.Copy(io.Discard, r.Body)
	conn, _, err := http.NewResponseController(w).Hijack()
	if err == nil {
		io.WriteString(conn, "HTTP/1.1 101 UPGRADED\r\nConnection: Upgrade\r\nUpgrade: tcp\r\n\r\n")
		conn.Close()
	}
}

func (f *fake) inspectExec(r *http.Request) (any, error) {
	b, err := f.box(r)
	if err != nil {
		return nil, err
	}
	return map[string]any{"Running": false, "ExitCode": max(0, 2-b.asked)}, nil
}

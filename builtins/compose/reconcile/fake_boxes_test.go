package reconcile

import (
	"archive/tar"
	"bytes"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/netip"
	"path"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/moby/moby/api/types/container"
	"github.com/moby/moby/api/types/mount"
	"github.com/moby/moby/api/types/network"
	"github.com/moby/moby/api/types/volume"
)

func (f *fake) create(r *http.Request) (any, error) {
	var c container.CreateRequest
	if err := json.NewDecoder(r.Body).Decode(&c); err != nil {
		return nil, &refusal{400, err.Error()}
	}
	name := r.FormValue("name")
	for _, b := range f.containers {
		if b.name == name {
			return nil, &refusal{409, "Conflict. The container name is already in use by " + b.id}
		}
	}
	if f.images[c.Image] == "" {
		return nil, notFound("No such image: %s", c.Image)
	}
	b := &box{id: f.id(), name: name, made: c, nets: map[string]*network.EndpointSettings{}, files: map[string][]byte{}}
	b.state.Status = "created"
	if err := f.mount(b); err != nil {
		return nil, err
	}
	if c.NetworkingConfig == nil {
		c.NetworkingConfig = &network.NetworkingConfig{}
	}
	for n, e := range c.NetworkingConfig.EndpointsConfig {
		if err := f.join(b, n, e); err != nil {
			return nil, err
		}
	}
	f.containers[b.id] = b
	f.tell(b, "create")
	return map[string]string{"Id": b.id}, nil
}

// mount gives a container its volumes: those that are asked for, and those that the engine makes.
func (f *fake) mount(b *box) error {
	at := func(name, path string, made bool) {
		if made {
			f.volumes[name] = &volume.Volume{Name: name}
		}
		b.mounts = append(b.mounts, container.MountPoint{Type: mount.TypeVolume, Name: name, Destination: path})
	}
	for _, bind := range b.made.HostConfig.Binds {
		name, path, _ := strings.Cut(bind, ":")
		at(name, path, f.volumes[name] == nil)
	}
	taken := func(path string) bool {
		return slices.ContainsFunc(b.mounts, func(m container.MountPoint) bool { return m.Destination == path })
	}
	for _, m := range b.made.HostConfig.Mounts {
		if m.Source != "" && f.volumes[m.Source] == nil {
			return &refusal{400, "no volume " + m.Source}
		}
		if m.Source != "" {
			at(m.Source, m.Target, false)
		} else {
			at(f.id(), m.Target, true)
		}
	}
	paths := f.inVolumes[f.images[b.made.Image]]
	for p := range b.made.Volumes {
		paths = append(slices.Clone(paths), p)
	}
	for _, p := range paths {
		if !taken(p) {
			at(f.id(), p, true)
		}
	}
	return nil
}

// named are the networks that a name means: more than one may.
func (f *fake) named(name string) (out []*network.Inspect) {
	for _, n := range f.networks {
		if n.Name == name || n.ID == name {
			out = append(out, n)
		}
	}
	return out
}

func (f *fake) join(b *box, name string, e *network.EndpointSettings) error {
	all := f.named(name)
	if len(all) != 1 {
		return notFound("network %s: %d of that name", name, len(all))
	}
	if e == nil {
		e = &network.EndpointSettings{}
	}
	copied := *e
	copied.NetworkID = all[0].ID
	b.nets[all[0].Name] = &copied
	return nil
}

func (f *fake) start(r *http.Request) (any, error) {
	b, err := f.box(r)
	if err != nil || b.state.Running {
		return nil, err
	}
	for name, e := range b.nets {
		n := f.networks[e.NetworkID]
		if n == nil {
			return nil, notFound("network %s not found", e.NetworkID)
		}
		if b.nets[name].IPAddress == (netip.Addr{}) {
			b.nets[name].IPAddress = netip.MustParseAddr("10.0.0.2")
		}
	}
	for _, m := range []string{string(b.made.HostConfig.NetworkMode), string(b.made.HostConfig.PidMode)} {
		if of, shares := strings.CutPrefix(m, "container:"); shares && (f.containers[of] == nil || !f.containers[of].state.Running) {
			return nil, &refusal{409, "cannot join the network of a container that does not run: " + of}
		}
	}
	if text := f.refuses[b.name]; text != "" {
		b.state.Status, b.state.Error, b.state.ExitCode = "created", text, 127
		return nil, &refusal{500, text}
	}
	b.restarts = 0
	f.run(b)
	return nil, nil
}

// run begins the process of a container: its command says what it does.
func (f *fake) run(b *box) {
	b.state = container.State{Status: "running", Running: true, StartedAt: time.Now().Format(time.RFC3339Nano)}
	b.ended = make(chan struct{})
	f.tell(b, "start")
	cmd := append(b.made.Cmd, "", "", "")
	if check := b.made.Healthcheck; check != nil {
		b.state.Health = &container.Health{Status: "starting"}
		status := container.HealthStatus("healthy")
		if slices.Contains(check.Test, "fail") {
			status = "unhealthy"
		}
		ended := b.ended
		time.AfterFunc(20*time.Millisecond, func() {
			f.mu.Lock()
			defer f.mu.Unlock()
			if b.ended == ended && b.state.Running && cmd[1] != "slow" {
				b.state.Health = &container.Health{Status: status}
				if status == "unhealthy" {
					b.state.Health.FailingStreak = 2
					b.state.Health.Log = []*container.HealthcheckResult{{ExitCode: 1, Output: "GET /health\n503: the database is away\n"}}
				}
				f.tell(b, "health_status: "+string(status))
			}
		})
	}
	if cmd[1] == "exit" {
		code, _ := strconv.Atoi(cmd[2])
		f.end(b, code)
	}
	if cmd[1] == "eat" {
		f.tell(b, "oom")
		f.end(b, 137)
		b.state.OOMKilled = true
	}
	if p := b.made.HostConfig.RestartPolicy; !b.state.Running && p.Name == "always" && b.restarts < 2 {
		b.state.Status = "restarting"
		if b.restarts++; b.restarts == 2 {
			return // as the engine waits longer and longer
		}
		time.AfterFunc(10*time.Millisecond, func() {
			f.mu.Lock()
			defer f.mu.Unlock()
			if b.state.Status == "restarting" {
				f.run(b)
			}
		})
	}
}

// logs are as many lines as are asked for: what a program writes first tells which it is.
func (f *fake) logs(w http.ResponseWriter, r *http.Request) {
	f.mu.Lock()
	b, err := f.box(r)
	f.mu.Unlock()
	if err != nil || b.made.Cmd[1] == "silent" {
		return
	}
	var lines []string
	for i := 1; i <= 60; i++ {
		lines = append(lines, fmt.Sprintf("%s says line %d", b.made.Config.Labels[labelService], i))
	}
	tail, _ := strconv.Atoi(r.FormValue("tail"))
	for _, l := range lines[len(lines)-tail:] {
		w.Write([]byte{1, 0, 0, 0, 0, 0, 0, byte(len(l) + 1)})
		io.WriteString(w, l+"\n")
	}
}

func (f *fake) end(b *box, code int) {
	if !b.state.Running {
		return
	}
	b.state.Status, b.state.Running, b.state.ExitCode, b.state.Health = "exited", false, code, nil
	for _, e := range b.nets {
		e.IPAddress = netip.Addr{}
	}
	close(b.ended)
	f.tell(b, "die", "exitCode", strconv.Itoa(code))
}

func (f *fake) kill(r *http.Request) (any, error) {
	b, err := f.box(r)
	if err != nil {
		return nil, err
	}
	if !b.state.Running {
		return nil, &refusal{409, "Container " + b.id + " is not running"}
	}
	if b.made.Cmd[1] != "deaf" || r.FormValue("signal") == "SIGKILL" {
		f.end(b, 0)
	}
	return nil, nil
}

func (f *fake) stop(r *http.Request) (any, error) {
	b, err := f.box(r)
	if err == nil && b.state.Status == "restarting" {
		b.state.Status = "exited"
	}
	if err == nil {
		f.end(b, 137)
	}
	return nil, err
}

func (f *fake) wait(w http.ResponseWriter, r *http.Request) {
	f.mu.Lock()
	b, err := f.box(r)
	var ended chan struct{}
	if err == nil && b.state.Running {
		ended = b.ended
	}
	f.mu.Unlock()
	if err == nil {
		http.NewResponseController(w).Flush()
		if ended != nil {
			select {
			case <-ended:
			case <-r.Context().Done():
			}
		}
	}
	answer(w, map[string]int{"StatusCode": 0}, err)
}

func (f *fake) rename(r *http.Request) (any, error) {
	b, err := f.box(r)
	if err != nil {
		return nil, err
	}
	if b.state.Status == "restarting" && len(b.nets) > 0 {
		return nil, notFound("sandbox of %s not found", b.id) // as engines call it in vain in its networks
	}
	name := r.FormValue("name")
	for _, o := range f.containers {
		if o.name == name {
			return nil, &refusal{409, "Conflict. The container name is already in use by " + o.id}
		}
	}
	b.name = name
	f.tell(b, "rename")
	return nil, nil
}

func (f *fake) remove(r *http.Request) (any, error) {
	b, err := f.box(r)
	if err != nil {
		return nil, err
	}
	if b.state.Running && r.FormValue("force") != "1" {
		return nil, &refusal{409, "it runs"}
	}
	f.end(b, 137)
	delete(f.containers, b.id)
	for _, m := range b.mounts {
		asked := slices.ContainsFunc(b.made.HostConfig.Binds, func(s string) bool { return strings.HasPrefix(s, m.Name+":") }) ||
			slices.ContainsFunc(b.made.HostConfig.Mounts, func(x mount.Mount) bool { return x.Source == m.Name })
		if r.FormValue("v") == "1" && !asked {
			delete(f.volumes, m.Name)
		}
	}
	f.tell(b, "destroy")
	return nil, nil
}

func (f *fake) archive(r *http.Request) (any, error) {
	b, err := f.box(r)
	if err != nil {
		return nil, err
	}
	for t := tar.NewReader(r.Body); ; {
		h, err := t.Next()
		if err != nil {
			return nil, nil
		}
		b.files[path.Join(r.FormValue("path"), h.Name)], _ = io.ReadAll(t)
	}
}

func (f *fake) unpack(w http.ResponseWriter, r *http.Request) {
	f.mu.Lock()
	defer f.mu.Unlock()
	b, err := f.box(r)
	p := r.FormValue("path")
	if err == nil && b.files[p] == nil {
		err = notFound("no such file")
	}
	if err != nil {
		answer(w, nil, err)
		return
	}
	stat, _ := json.Marshal(container.PathStat{Name: path.Base(p), Size: int64(len(b.files[p])), Mode: 0o444})
	w.Header().Set("X-Docker-Container-Path-Stat", base64.StdEncoding.EncodeToString(stat))
	var out bytes.Buffer
	t := tar.NewWriter(&out)
	t.WriteHeader(&tar.Header{Name: path.Base(p), Mode: 0o444, Uid: 1000, Size: int64(len(b.files[p]))})
	t.Write(b.files[p])
	t.Close()
	w.Write(out.Bytes())
}

package dockertest

import (
	"bytes"
	"context"
	"io"
	"strings"

	"github.com/moby/moby/api/pkg/stdcopy"
	"github.com/moby/moby/api/types/container"
	"github.com/moby/moby/client"
)

// Machine is one of its own, with systemd, sudo, and the users deployer (1000) and guest (1001), in a container without a
// network. It is gone when the test ends.
type Machine struct {
	World
	id string
}

// Machine starts one. Binds are folders of this machine by their places there.
func (w World) Machine(binds map[string]string) Machine {
	w.T.Helper()
	o := client.ContainerCreateOptions{Name: w.Name + "-machine",
		Config: &container.Config{Image: w.made("systemd"), Labels: map[string]string{Label: w.Name}},
		HostConfig: &container.HostConfig{NetworkMode: "none", CapAdd: []string{"ALL"}, CapDrop: []string{"SYS_RESOURCE"}, SecurityOpt: []string{"seccomp=unconfined"},
			CgroupnsMode: "host", Binds: []string{"/sys/fs/cgroup:/sys/fs/cgroup:rw"}, Tmpfs: map[string]string{"/run": "", "/run/lock": "", "/tmp": "exec"}}}
	for there, here := range binds {
		o.HostConfig.Binds = append(o.HostConfig.Binds, here+":"+there)
	}
	made, err := w.Engine.ContainerCreate(w.T.Context(), o)
	if err == nil {
		_, err = w.Engine.ContainerStart(w.T.Context(), made.ID, client.ContainerStartOptions{})
	}
	if err != nil {
		w.T.Fatal(err)
	}
	m := Machine{w, made.ID}
	if out, code := m.Run("root", "timeout 60 sh -c 'until systemctl is-system-running --wait; do sleep 0.1; done'"); code != 0 {
		failed, _ := m.Run("root", "systemctl --failed --no-pager")
		w.T.Fatalf("systemd is not well: %s\n%s", out, failed)
	}
	return m
}

// Run runs a line of shell there, in its folder /srv, and gives what it wrote and its exit code.
func (m Machine) Run(user, line string, env ...string) (string, int) {
	m.T.Helper()
	ctx := context.Background()
	made, err := m.Engine.ExecCreate(ctx, m.id, client.ExecCreateOptions{User: user, Env: env, WorkingDir: "/srv", Cmd: []string{"sh", "-c", line}, AttachStdout: true, AttachStderr: true})
	if err != nil {
		m.T.Fatal(err)
	}
	stream, err := m.Engine.ExecAttach(ctx, made.ID, client.ExecAttachOptions{})
	if err != nil {
		m.T.Fatal(err)
	}
	defer stream.Close()
	var out bytes.Buffer
	if _, err := stdcopy.StdCopy(&out, &out, stream.Reader); err != nil && err != io.EOF {
		m.T.Fatal(err)
	}
	got, err := m.Engine.ExecInspect(ctx, made.ID, client.ExecInspectOptions{})
	if err != nil {
		m.T.Fatal(err)
	}
	return strings.TrimSpace(out.String()), got.ExitCode
}

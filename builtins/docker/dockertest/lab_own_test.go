//go:build labs

package dockertest

import (
	"bufio"
	"io"
	"net"
	"os"
	"strings"
	"testing"

	"github.com/moby/moby/api/pkg/stdcopy"
	"github.com/moby/moby/api/types/container"
	"github.com/moby/moby/client"
)

// run runs the program in a container, and gives what it printed; of one that goes on, the first line.
func (w World) run(t *testing.T, in, name string, argv ...string) string {
	t.Helper()
	made, err := w.Engine.ContainerCreate(t.Context(), client.ContainerCreateOptions{Name: name, Config: &container.Config{Image: w.Name + ":1", Cmd: argv},
		HostConfig: &container.HostConfig{NetworkMode: container.NetworkMode(in)}})
	if err == nil {
		_, err = w.Engine.ContainerStart(t.Context(), made.ID, client.ContainerStartOptions{})
	}
	if err != nil {
		t.Fatal(err)
	}
	said, err := w.Engine.ContainerLogs(t.Context(), made.ID, client.ContainerLogsOptions{ShowStdout: true, ShowStderr: true, Follow: true})
	if err != nil {
		t.Fatal(err)
	}
	defer said.Close()
	r, out := io.Pipe()
	go func() {
		_, err := stdcopy.StdCopy(out, out, said)
		out.CloseWithError(err)
	}()
	line, err := bufio.NewReader(r).ReadString('\n')
	r.Close()
	if err != nil {
		t.Fatal(err)
	}
	return line
}

// An engine of a test's own is killed with its containers, lives again with its data, and leaves nothing, nor does it
// touch the machine's bridge.
func TestLabOwn(t *testing.T) {
	var own *Engine
	var links []string
	bridge, none := net.InterfaceByName("docker0")
	t.Run("lives", func(t *testing.T) {
		own = Own(t)
		w := own.World()
		w.Image()
		if said := w.run(t, "bridge", "first", "env", "NOTIFY_SOCKET"); said != "\n" {
			t.Errorf("a container inherits %q", said)
		}
		if _, err := w.Engine.NetworkCreate(t.Context(), "apart", client.NetworkCreateOptions{Driver: "bridge"}); err != nil {
			t.Fatal(err)
		}
		w.run(t, "apart", "serves", "meet")
		if said := w.run(t, "apart", "asks", "meet", "serves"); said != "met\n" {
			t.Errorf("one container asks another by its name: %s", said)
		}
		w.run(t, "apart", "stays", "wait")
		own.Kill()
		if _, err := w.Engine.Ping(t.Context(), client.PingOptions{}); err == nil {
			t.Error("killed, it answers")
		}
		if left := own.signal(0); len(left) > 0 {
			t.Errorf("killed, there are %v", left)
		}
		own.Restart()
		found, err := w.Engine.ContainerInspect(t.Context(), "stays", client.ContainerInspectOptions{})
		if err != nil || found.Container.State.Running {
			t.Errorf("behind a kill: %+v, %v", found.Container.State, err)
		}
		w.run(t, "apart", "again", "wait")
		if links = own.bridges(); len(links) != 2 {
			t.Errorf("its links are %q", links)
		}
	})
	for _, name := range links {
		if _, err := net.InterfaceByName(name); err == nil {
			t.Errorf("the link %s is left", name)
		}
	}
	if mounts, _ := os.ReadFile("/proc/self/mountinfo"); strings.Contains(string(mounts), own.dir) {
		t.Errorf("mounts are left: %s", mounts)
	}
	if _, err := os.Stat(own.dir); err == nil || len(own.signal(0)) > 0 {
		t.Errorf("%s, or a process, is left", own.dir)
	}
	if now, err := net.InterfaceByName("docker0"); none == nil && (err != nil || now.Index != bridge.Index) {
		t.Errorf("the machine's bridge is another: %v", err)
	}
}

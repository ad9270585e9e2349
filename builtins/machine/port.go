package machine

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"

	"github.com/erlmcp/runner/builtins/driver"
	"github.com/erlmcp/runner/runtime/host"
	"github.com/erlmcp/runner/runtime/op"
)

// Port looks who listens on a port.
type Port struct {
	_    op.Doc `doc:"Looks who listens on a TCP port of this machine."`
	Port int    `json:"port" doc:"The port."`
	Root string `json:"root,omitempty" doc:"A host root: the result says whether it is its service that listens."`
}

// Listener is who listens on a port.
type Listener struct {
	_       op.Doc `doc:"Who listens on a port."`
	Port    int    `json:"port" doc:"The port."`
	Taken   bool   `json:"taken" doc:"Whether anybody listens there."`
	PID     int    `json:"pid" doc:"The process that does; 0 where it may not be seen, because it is another user's."`
	Name    string `json:"name" doc:"The process's name."`
	User    string `json:"user" doc:"The user as whom it runs."`
	Root    string `json:"root" doc:"The host root that it was started from, empty where from none."`
	Release string `json:"release" doc:"The release there: \"000042\"."`
	Service bool   `json:"service" doc:"Whether it is the service that was started on the root that was asked about."`
}

var (
	_ op.Op[*host.Host, Listener] = Port{}
	_ op.Checked                  = Port{}
)

// Summary implements op.Op.
func (p Port) Summary() string { return fmt.Sprintf("look who listens on port %d", p.Port) }

// Check implements op.Checked.
func (p Port) Check() error {
	if p.Port < 1 || p.Port > 65535 {
		return fmt.Errorf("port: want 1 to 65535, got %d", p.Port)
	}
	return nil
}

// Do implements op.Op.
func (p Port) Do(_ context.Context, h *host.Host) (Listener, error) {
	owner, taken := h.Procs.PortOwner(p.Port)
	l := Listener{Port: p.Port, Taken: taken, PID: owner.PID, Name: owner.Name}
	if owner.PID > 0 {
		if info, err := h.Files.Stat("/proc/" + strconv.Itoa(owner.PID)); err == nil {
			uid, _ := host.Ownership(info)
			l.User = host.UserName(uid)
		}
		l.Root, l.Release = origin(h, owner)
	}
	if !taken || p.Root == "" {
		return l, nil
	}
	root := h.Abs(p.Root)
	runs, err := driver.Current(h, root)
	if errors.Is(err, fs.ErrPermission) { // it is not for who asks to know
		return l, nil
	}
	seen := owner.Group == runs.Proc.PID || l.Root == root
	unseen := owner.PID == 0 && runs.Loaded.Port == p.Port // another user's, as a service of systemd is to who deploys
	l.Service = runs.Alive && (seen || unseen)
	return l, err
}

var releasePath = regexp.MustCompile(`^(/.*)/releases/([0-9]{6,})(?:/|$| \(deleted\)$)`)

// origin finds the release that a process was started from, by what it or the leader of its group shows: where it works,
// its program, the words of its command. A folder is a host root where runner has left its own there.
func origin(h *host.Host, owner host.PortOwner) (root, release string) {
	for _, pid := range []int{owner.PID, owner.Group} {
		at := strconv.Itoa(pid)
		var paths []string
		for _, link := range []string{"cwd", "exe"} {
			if to, err := h.Files.Readlink("/proc/" + at + "/" + link); err == nil {
				paths = append(paths, to)
			}
		}
		for _, path := range append(paths, strings.Split(proc(h, at+"/cmdline"), "\x00")...) {
			m := releasePath.FindStringSubmatch(path)
			if m == nil {
				continue
			}
			if info, err := h.Files.Stat(filepath.Join(m[1], ".runner")); err == nil && info.IsDir() {
				return m[1], m[2]
			}
		}
	}
	return "", ""
}

// Package machine looks at the machine that a deployment runs on, and at what it can reach: programs and their versions,
// ports, certificates, folders, memory. What speaks against a deployment is a result and no error, so that a script can
// gather all of it before it begins. Nothing here changes anything.
package machine

import (
	"context"
	"errors"
	"io"
	"io/fs"
	"runtime"
	"strings"
	"syscall"
	"time"

	"github.com/erlmcp/runner/runtime/builtin"
	"github.com/erlmcp/runner/runtime/host"
	"github.com/erlmcp/runner/runtime/op"
)

// Family is what scripts see as machine.
func Family(h *host.Host) builtin.Family {
	const patience = op.Duration(10 * time.Second)
	return builtin.NewFamily("machine", "Looks at the machine and at what it can reach. What is wrong is in the results.",
		op.Ask(h, Certificate{Timeout: patience}),
		op.Ask(h, Connect{Timeout: patience}),
		op.Watch(h, Lease{}),
		op.Read(h, Memory{}),
		op.Watch(h, Platform{}),
		op.Watch(h, Port{}),
		op.Read(h, Root{}),
		op.Ask(h, Tool{Timeout: patience}),
		op.Watch(h, Tree{}),
		op.Watch(h, User{}),
	)
}

// Platform tells the kind of machine.
type Platform struct {
	_ op.Doc `doc:"Tells what the machine is, as an artifact's platform does: \"linux/amd64\"."`
}

// Summary implements op.Op.
func (Platform) Summary() string { return "tell the platform" }

// Do implements op.Op.
func (Platform) Do(context.Context, *host.Host) (string, error) {
	return runtime.GOOS + "/" + runtime.GOARCH, nil
}

// Tree tells whose the project is.
type Tree struct {
	_ op.Doc `doc:"Tells whose the project's folder is and as whom runner runs. A build as root in another user's tree leaves files that the owner cannot remove."`
}

// Owned is whose the project is.
type Owned struct {
	_       op.Doc `doc:"Whose the project is."`
	Path    string `json:"path" doc:"The project's folder."`
	Owner   string `json:"owner" doc:"The user who owns it."`
	User    string `json:"user" doc:"The user as whom runner runs."`
	Root    bool   `json:"root" doc:"Whether runner runs as root."`
	Foreign bool   `json:"foreign" doc:"Whether the two differ."`
}

// Summary implements op.Op.
func (Tree) Summary() string { return "tell whose the project is" }

// Do implements op.Op.
func (Tree) Do(_ context.Context, h *host.Host) (Owned, error) {
	info, err := h.Files.Stat(h.Project)
	if err != nil {
		return Owned{}, err
	}
	uid, _ := host.Ownership(info)
	me := host.Me()
	return Owned{Path: h.Project, Owner: host.UserName(uid), User: host.UserName(me), Root: me == 0, Foreign: uid != me}, nil
}

// User looks for a user.
type User struct {
	_    op.Doc `doc:"Looks for a user of this machine."`
	Name string `json:"name" doc:"The user's name."`
}

// Account is a user of this machine.
type Account struct {
	_      op.Doc `doc:"A user of this machine, or that there is none."`
	Name   string `json:"name" doc:"The name that was looked for."`
	Exists bool   `json:"exists" doc:"Whether there is such a user; nothing else is known where not."`
	UID    int    `json:"uid" doc:"The user's number."`
	GID    int    `json:"gid" doc:"The number of the user's own group."`
	Group  string `json:"group" doc:"The name of that group."`
	Home   string `json:"home" doc:"The user's home."`
}

// Summary implements op.Op.
func (u User) Summary() string { return "look for the user " + u.Name }

// Check implements op.Checked.
func (u User) Check() error {
	if u.Name == "" || strings.ContainsAny(u.Name, ":/\x00\n") {
		return errors.New("name: want the name of a user")
	}
	return nil
}

// Do implements op.Op.
func (u User) Do(context.Context, *host.Host) (Account, error) {
	a, ok, err := host.FindAccount(u.Name)
	if err != nil || !ok {
		return Account{Name: u.Name}, err
	}
	return Account{Name: u.Name, Exists: true, UID: a.UID, GID: a.GID, Group: a.Group, Home: a.Home}, nil
}

// why is an error without what the reader knows already.
func why(err error) string {
	var path *fs.PathError
	var number syscall.Errno
	switch {
	case errors.As(err, &path):
		return host.Plainly(err).Error()
	case errors.As(err, &number):
		return number.Error()
	case errors.Is(err, io.EOF):
		return "the connection ends before the answer does"
	}
	return strings.TrimPrefix(err.Error(), "dial: ")
}

// absent reports whether there is no such file.
func absent(err error) bool { return errors.Is(err, fs.ErrNotExist) || errors.Is(err, syscall.ENOTDIR) }

// proc reads a file of /proc; "" where it cannot be read.
func proc(h *host.Host, name string) string {
	b, err := host.ReadFile(h.Files, "/proc/"+name, 4<<20)
	if err != nil {
		return ""
	}
	return string(b)
}

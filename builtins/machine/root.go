package machine

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"path/filepath"
	"slices"
	"strings"

	"golang.org/x/sys/unix"

	"github.com/erlmcp/runner/runtime/host"
	"github.com/erlmcp/runner/runtime/op"
)

// Root looks at a folder to deploy to.
type Root struct {
	_    op.Doc `doc:"Looks at a folder to deploy to, and says what speaks against it. Of one that does not exist yet, it looks at the nearest folder above."`
	Path string `json:"path" doc:"The folder."`
	User string `json:"user,omitempty" doc:"Who is to read and write there; whoever runs runner when left out. Of another user, the modes are looked at, and no access list."`
}

// Folder is how a folder to deploy to is.
type Folder struct {
	_         op.Doc `doc:"How a folder to deploy to is."`
	Path      string `json:"path" doc:"The folder."`
	Exists    bool   `json:"exists" doc:"Whether anything is there."`
	Directory bool   `json:"directory" doc:"Whether it is a folder, or a link to one."`
	Link      string `json:"link" doc:"Where it leads, of a link."`
	Readable  bool   `json:"readable" doc:"Whether the user can come there and read."`
	Writable  bool   `json:"writable" doc:"Whether the user can make files there, or the folder where it does not exist."`
	Owner     string `json:"owner" doc:"Who owns it."`
	Group     string `json:"group" doc:"Its group."`
	Mode      string `json:"mode" doc:"Its permissions: \"0755\"."`
	Network   string `json:"network" doc:"The kind of network file system that it lies on, such as NFS; empty on a disk of this machine."`
	Bytes     int64  `json:"bytes" doc:"Free space for this user, in bytes."`
	Inodes    int64  `json:"inodes" doc:"How many files can still be made; -1 where there is no fixed number."`
	Nobody    bool   `json:"nobody" doc:"Whether there is no such user; then nothing else is told."`
	Problem   string `json:"problem" doc:"What speaks against deploying there, empty where nothing does."`
}

var (
	_ op.Op[*host.Host, Folder] = Root{}
	_ op.Checked                = Root{}
)

// Summary implements op.Op.
func (r Root) Summary() string { return "look whether " + r.Path + " can be deployed to" }

// Check implements op.Checked.
func (r Root) Check() error { return checkPath("path", r.Path) }

func checkPath(name, path string) error {
	if path == "" || strings.Contains(path, "\x00") {
		return fmt.Errorf("%s: want the path of a folder, got %q", name, path)
	}
	return nil
}

// Do implements op.Op.
func (r Root) Do(_ context.Context, h *host.Host) (Folder, error) {
	f := Folder{Path: h.Abs(r.Path), Inodes: -1}
	who, err := r.account()
	if errors.As(err, new(noUser)) {
		f.Nobody, f.Problem = true, err.Error()
		return f, nil
	}
	if err != nil {
		return Folder{}, err
	}
	info, err := h.Files.Lstat(f.Path)
	if err == nil {
		f.Exists = true
		if info.Mode()&fs.ModeSymlink != 0 {
			f.Link, _ = h.Files.Readlink(f.Path)
			info, err = h.Files.Stat(f.Path)
		}
	}
	switch {
	case f.Exists && err != nil && absent(err):
		f.Problem = fmt.Sprintf("it is a link to %s, which does not exist", f.Link)
		return f, nil
	case err != nil && !absent(err):
		f.Problem = why(err)
		return f, nil
	case err == nil:
		f.describe(info)
	}
	at, err := nearest(h, f.Path)
	if err != nil {
		f.Problem = why(err)
		return f, nil
	}
	if space, err := h.Files.Space(at); err == nil {
		f.Bytes, f.Inodes, f.Network = space.Bytes, space.Inodes, host.NetworkFileSystem(space.Type)
	}
	reads, writes := who.may(h, at, unix.R_OK|unix.X_OK), who.may(h, at, unix.W_OK|unix.X_OK)
	f.Readable, f.Writable = f.Exists && reads == nil, (f.Directory || !f.Exists) && writes == nil
	f.Problem = f.problem(who.name, at, reads, writes)
	return f, nil
}

func (f *Folder) describe(info fs.FileInfo) {
	uid, gid := host.Ownership(info)
	f.Directory, f.Mode = info.IsDir(), fmt.Sprintf("%04o", info.Mode().Perm())
	f.Owner, f.Group = host.UserName(uid), host.GroupName(gid)
}

// problem is the first that speaks against the folder; at is itself or the nearest that exists.
func (f *Folder) problem(user, at string, reads, writes error) string {
	open := f.Mode != "" && f.Mode[3]&2 != 0
	switch {
	case f.Exists && !f.Directory:
		return "it is no folder"
	case f.Network != "":
		return fmt.Sprintf("it lies on %s, where a file lock does not exclude other machines", f.Network)
	case errors.Is(writes, unix.EROFS):
		return "it lies on a file system that can only be read"
	case f.Exists && reads != nil:
		return fmt.Sprintf("%s cannot read there: %s", user, why(reads))
	case f.Exists && writes != nil:
		return fmt.Sprintf("%s cannot write there: %s", user, why(writes))
	case writes != nil:
		return fmt.Sprintf("it does not exist, and %s cannot make it in %s: %s", user, at, why(writes))
	case open:
		return fmt.Sprintf("every user of the machine can write there: its mode is %s", f.Mode)
	}
	return ""
}

// nearest is the path, or the nearest above it that exists.
func nearest(h *host.Host, path string) (string, error) {
	for {
		_, err := h.Files.Stat(path)
		if err == nil || !absent(err) || path == filepath.Dir(path) {
			return path, err
		}
		path = filepath.Dir(path)
	}
}

// visitor is who is to work in a folder. Of another than the one that runs runner, the rights are worked out.
type visitor struct {
	name  string
	other *host.Account
}

type noUser string

func (name noUser) Error() string {
	return fmt.Sprintf("there is no user %s on this machine", string(name))
}

func (r Root) account() (visitor, error) {
	me := host.Me()
	if r.User == "" {
		return visitor{name: host.UserName(me)}, nil
	}
	a, ok, err := host.FindAccount(r.User)
	switch {
	case err != nil:
		return visitor{}, fmt.Errorf("cannot look for the user %s: %w", r.User, err)
	case !ok:
		return visitor{}, noUser(r.User)
	case a.UID == me:
		return visitor{name: r.User}, nil
	}
	return visitor{r.User, &a}, nil
}

// may is nil where the visitor has the rights, of which mode is made as for access(2), in a folder or file, and can come
// there.
func (v visitor) may(h *host.Host, path string, mode uint32) error {
	if v.other == nil || v.other.UID == 0 {
		return host.May(path, mode)
	}
	if err := host.May(path, mode); errors.Is(err, unix.EROFS) {
		return err
	}
	path, err := filepath.EvalSymlinks(path)
	if err != nil {
		return err
	}
	for at, want := path, mode; ; at, want = filepath.Dir(at), unix.X_OK {
		info, err := h.Files.Stat(at)
		if err != nil {
			return err
		}
		if !v.allowed(info, want) {
			return fmt.Errorf("%s is %04o of %s", at, info.Mode().Perm(), belongs(info))
		}
		if at == filepath.Dir(at) {
			return nil
		}
	}
}

func (v visitor) allowed(info fs.FileInfo, want uint32) bool {
	uid, gid := host.Ownership(info)
	bits := uint32(info.Mode().Perm())
	switch {
	case uid == v.other.UID:
		bits >>= 6
	case slices.Contains(v.other.Groups, gid):
		bits >>= 3
	}
	return bits&want == want
}

func belongs(info fs.FileInfo) string {
	uid, gid := host.Ownership(info)
	return host.UserName(uid) + ":" + host.GroupName(gid)
}

package provision

import (
	"bytes"
	"cmp"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/erlmcp/runner/builtins/artifact"
	"github.com/erlmcp/runner/builtins/driver"
	"github.com/erlmcp/runner/runtime/host"
)

// Observe looks at what there is. It changes nothing.
func Observe(ctx context.Context, h *host.Host, w Want) (Machine, error) {
	m := Machine{Folders: map[string]Folder{}, Nologin: cmp.Or(program(h, "nologin"), "/usr/sbin/nologin")}
	gid, err := m.accounts(h, w)
	for _, name := range []string{"", "releases", "backups", ".runner", "shared"} {
		if err == nil {
			err = m.folder(h, filepath.Join(w.Root, name), name != "" && name != "shared", gid)
		}
	}
	s, ok := w.service()
	if err != nil || !ok {
		return m, err
	}
	m.Systemctl = cmp.Or(program(h, "systemctl"), "/usr/bin/systemctl")
	if m.Unit, err = file(h, s.Path()); err != nil {
		return m, err
	}
	if m.Sudoers, err = file(h, sudoersPath(s)); err != nil {
		return m, err
	}
	_, missing := h.Files.Stat(SudoersFolder)
	m.NoSudo = errors.Is(missing, fs.ErrNotExist) || program(h, "visudo") == ""
	m.systemd(ctx, h, s)
	m.Right = m.Sudoers.Hidden && may(ctx, h, s)
	return m, ctx.Err()
}

// Environ is the environment of the commands: whoever became root may not have root's PATH.
func Environ(h *host.Host) []string {
	env := slices.Clone(h.Env)
	for i, kv := range env {
		if strings.HasPrefix(kv, "PATH=") {
			env[i] += ":/usr/sbin:/usr/bin:/sbin:/bin"
			return env
		}
	}
	return append(env, "PATH=/usr/sbin:/usr/bin:/sbin:/bin")
}

// program is the path of a program of the system, "" where there is none.
func program(h *host.Host, name string) string {
	for _, dir := range []string{"/usr/sbin", "/usr/bin", "/sbin", "/bin"} {
		if info, err := h.Files.Stat(filepath.Join(dir, name)); err == nil && info.Mode().IsRegular() {
			return filepath.Join(dir, name)
		}
	}
	return ""
}

// accounts gives the id of the group, too.
func (m *Machine) accounts(h *host.Host, w Want) (gid int, err error) {
	if gid, m.Group, err = host.FindGroup(w.Group); err != nil {
		return gid, fmt.Errorf("cannot look for the group %s: %w", w.Group, err)
	}
	if user := w.user(); user != "" {
		a, found, err := host.FindAccount(user)
		if err != nil {
			return gid, fmt.Errorf("cannot look for the user %s: %w", user, err)
		}
		if found {
			m.User = &Account{user, a.Group, shell(h, user)}
		}
		if _, m.UserGroup, err = host.FindGroup(user); err != nil {
			return gid, fmt.Errorf("cannot look for the group %s: %w", user, err)
		}
	}
	if who := w.deployer(); who != "" {
		a, _, err := host.FindAccount(who)
		if err != nil {
			return gid, fmt.Errorf("cannot look for the user %s: %w", who, err)
		}
		for _, id := range a.Groups {
			m.Member = append(m.Member, host.GroupName(id))
		}
	}
	return gid, nil
}

// shell is what a user logs in to, "" where another service than the file of the users knows it.
func shell(h *host.Host, user string) string {
	b, _ := host.ReadFile(h.Files, "/etc/passwd", 16<<20)
	for line := range strings.Lines(string(b)) {
		if f := strings.Split(strings.TrimSpace(line), ":"); f[0] == user && len(f) == 7 {
			return f[6]
		}
	}
	return ""
}

func (m *Machine) folder(h *host.Host, path string, inside bool, group int) error {
	info, err := h.Files.Lstat(path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return fmt.Errorf("cannot look at %s: %w", path, host.Plainly(err))
	}
	uid, gid := host.Ownership(info)
	f := Folder{Kind: artifact.Kind(info.Mode()), Owner: host.UserName(uid), Group: host.GroupName(gid), Mode: bits(info.Mode())}
	if inside && info.IsDir() {
		f.look(h, path, group, true)
	}
	m.Folders[path] = f
	return nil
}

func bits(m fs.FileMode) uint32 {
	out := uint32(m.Perm())
	if m&fs.ModeSetgid != 0 {
		out |= 0o2000
	}
	return out
}

// look finds what a group cannot share in a folder. What may not be seen is passed over. Files give the group what they
// give their owner where a folder is closed, as runs make them (host.Shared).
func (f *Folder) look(h *host.Host, path string, group int, closed bool) {
	entries, _ := h.Files.ReadDir(path)
	for _, e := range entries {
		name := filepath.Join(path, e.Name())
		info, err := h.Files.Lstat(name)
		if err != nil {
			continue
		}
		_, gid := host.Ownership(info)
		f.Foreign = f.Foreign || gid != group
		perm := info.Mode().Perm()
		switch {
		case info.IsDir():
			f.Closed = f.Closed || bits(info.Mode())&0o2070 != 0o2070
			f.look(h, name, group, perm&0o006 == 0)
		case closed && info.Mode().IsRegular():
			f.Private = f.Private || perm>>3&0o7&(perm>>6) != perm>>6
		}
	}
}

// maxText is the largest file that is read, in bytes.
const maxText = 1 << 20

func file(h *host.Host, path string) (File, error) {
	info, err := h.Files.Lstat(path)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return File{}, nil
	case errors.Is(err, fs.ErrPermission):
		return File{Exists: true, Kind: artifact.Kind(0), Hidden: true}, nil
	case err != nil:
		return File{}, fmt.Errorf("cannot look at %s: %w", path, host.Plainly(err))
	}
	uid, _ := host.Ownership(info)
	f := File{Exists: true, Kind: artifact.Kind(info.Mode()), Owner: host.UserName(uid), Writable: info.Mode()&0o022 != 0}
	if !info.Mode().IsRegular() {
		return f, nil
	}
	b, err := host.ReadFile(h.Files, path, maxText)
	if errors.Is(err, fs.ErrPermission) {
		f.Hidden, err = true, nil
	}
	f.Text = string(b)
	return f, err
}

// answering is how long a program that is asked something may take.
const answering = 10 * time.Second

func ask(ctx context.Context, h *host.Host, argv ...string) (string, error) {
	var out, said bytes.Buffer
	ctx, cancel := h.Clock.Timeout(ctx, answering, fmt.Errorf("%s does not answer within %s", argv[0], answering))
	defer cancel()
	exit, err := h.Procs.Run(ctx, host.Cmd{Argv: argv, Dir: "/", Env: Environ(h), Stdout: &out, Stderr: &said}, nil)
	if err == nil && exit != (host.Exit{}) {
		err = errors.New(cmp.Or(strings.TrimSpace(said.String()), exit.String()))
	}
	return out.String(), err
}

func (m *Machine) systemd(ctx context.Context, h *host.Host, s driver.Systemd) {
	out, err := ask(ctx, h, "systemctl", "--no-pager", "--no-ask-password", "show", "--property=UnitFileState,NeedDaemonReload", s.Name)
	if err != nil {
		m.Silent, _, _ = strings.Cut(err.Error(), "\n")
	}
	for line := range strings.Lines(out) {
		switch name, value, _ := strings.Cut(strings.TrimSpace(line), "="); name {
		case "UnitFileState":
			m.State = value
		case "NeedDaemonReload":
			m.Stale = value == "yes"
		}
	}
}

// may asks sudo whether who runs this may make every call that a deployment makes.
func may(ctx context.Context, h *host.Host, s driver.Systemd) bool {
	for _, argv := range s.Rights() {
		if _, err := ask(ctx, h, append([]string{"sudo", "-n", "--list"}, argv...)...); err != nil {
			return false
		}
	}
	return true
}

package driver

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"github.com/erlmcp/runner/runtime/host"
	"github.com/erlmcp/runner/runtime/op"
)

// Unit is everything that starts a release again, with no script and no secret from elsewhere. It lies with the
// target, readable by its owner, or by the group that shares the root (decision 0011), under the digest of its content.
type Unit struct {
	Release string      `json:"release"`
	Dir     string      `json:"dir"`
	Argv    []string    `json:"argv"`
	Env     []string    `json:"env,omitempty"`
	Port    int         `json:"port,omitempty"`
	Signal  string      `json:"signal"`
	Grace   op.Duration `json:"grace"`
	User    string      `json:"user,omitempty"`
	Private string      `json:"private,omitempty"` // a folder that nobody else may read, made for the user before the start
	Logs    string      `json:"logs,omitempty"`    // one that others may
	Home    string      `json:"home,omitempty"`    // one that holds the node's cookie
	Systemd *Supervisor `json:"systemd,omitempty"` // who runs it, where that is not runner
	Key     op.Key      `json:"key"`               // of the op that made it
	Secrets []Secret    `json:"secrets,omitempty"` // what of Env must not be seen, for runs that do not know it otherwise

	cookie string // the root's, where it is new
}

// Secret is a value that a service was given, and the variable that it is in.
type Secret struct {
	Name  string `json:"name"`
	Value string `json:"value"`
}

// conceal has a run know the unit's secrets: what the service repeats of them in its log or its answers is masked.
func (u Unit) conceal(h *host.Host) {
	for _, s := range u.Secrets {
		h.Secrets.Conceal(s.Name, s.Value)
	}
}

// Conceal is for a run that may come to hear of a service before it uses one of its secrets: it knows then those that the
// service of a root was started with, if it can read them.
func Conceal(h *host.Host, root string) {
	var r Running
	b, err := host.ReadFile(h.Files, dir(root, "service.json"), maxRecord)
	if err == nil && json.Unmarshal(b, &r) == nil {
		Load(h, root, r.Unit) // which says why not wherever it matters
	}
}

// Prepare makes the folders that the unit writes to. Who may not give them away shares them with the root's group.
func (u Unit) Prepare(h *host.Host) error {
	for dir, perm := range map[string]fs.FileMode{u.Private: 0o700, u.Logs: 0o755} {
		if dir == "" {
			continue
		}
		if err := host.MkdirAll(h.Files, dir, 0o755); err != nil {
			return err
		}
		give := func() error { return h.Files.Chown(dir, u.User) }
		if host.CanBe(u.User) != nil {
			perm, give = perm|perm>>3&0o070|fs.ModeSetgid, func() error { return nil }
		}
		if err := errors.Join(h.Files.Chmod(dir, perm), give()); err != nil {
			return err
		}
	}
	return u.giveCookie(h)
}

// giveCookie writes the cookie of a node to where OTP reads it: in vm.args it would stand in the command line. The folder
// is not the user's: what runs already cannot put a link there.
func (u Unit) giveCookie(h *host.Host) error {
	if u.Home == "" {
		return nil
	}
	if err := host.MkdirAll(h.Files, u.Home, 0o755); err != nil {
		return err
	}
	i := slices.IndexFunc(u.Env, func(kv string) bool { return strings.HasPrefix(kv, cookieVariable) })
	name := filepath.Join(u.Home, ".erlang.cookie")
	if err := host.WriteFile(h.Files, name, []byte(strings.TrimPrefix(u.Env[i], cookieVariable)), 0o400); err != nil {
		return err
	}
	return h.Files.Chown(name, u.User)
}

// startable finds out, before anything is stopped, whether the program is there.
func (u Unit) startable(h *host.Host) error {
	if err := host.CanBe(u.User); err != nil && u.Systemd == nil { // systemd can
		return op.Hint(fmt.Errorf("cannot start %s: %w", u.Argv[0], err), "runner setup ENV makes the user; deploy as root, or let systemd(...) run it")
	}
	prog := u.Argv[0]
	if !strings.Contains(prog, "/") {
		return nil
	}
	if !filepath.IsAbs(prog) {
		prog = filepath.Join(u.Dir, prog)
	}
	info, err := h.Files.Stat(prog)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return op.Hint(fmt.Errorf("cannot start %s: the release has no such file", u.Argv[0]), "see what is in %s", u.Dir)
	case err != nil:
		return fmt.Errorf("cannot start %s: %w", u.Argv[0], err)
	case info.IsDir() || info.Mode()&0o111 == 0:
		return fmt.Errorf("cannot start %s: it is not executable", u.Argv[0])
	}
	return nil
}

func dir(root string, names ...string) string {
	return filepath.Join(append([]string{root, ".runner"}, names...)...)
}

// maxRecord is the largest record that is read, in bytes.
const maxRecord = 1 << 20

// Store writes a unit and gives its digest. Stored again, it is the same.
func Store(h *host.Host, root string, u Unit) (string, error) {
	b, err := json.Marshal(u)
	if err != nil {
		return "", err
	}
	if err := host.MkdirAll(h.Files, dir(root, "services"), 0o700); err != nil {
		return "", err
	}
	if u.cookie != "" {
		if err := host.WriteFile(h.Files, dir(root, "cookie"), []byte(u.cookie+"\n"), 0o600); err != nil {
			return "", err
		}
	}
	digest := host.SHA256(b)
	if err := host.WriteFile(h.Files, dir(root, "services", digest+".json"), b, 0o600); err != nil {
		return digest, err
	}
	return digest, setAside(h, root)
}

// spare is how many bytes are set aside, in so many files, before anything is stopped, for an undo: a new release that
// fills the disk, or takes all its inodes, does not keep the old one from being started again.
const (
	spare      = 64 << 10
	spareFiles = 8
)

func setAside(h *host.Host, root string) error {
	if _, err := h.Files.Stat(dir(root, "spare")); !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	fresh := dir(root, ".spare.new")
	if err := host.RemoveAll(h.Files, fresh); err != nil { // left by a run that was killed
		return err
	}
	if err := host.MkdirAll(h.Files, fresh, 0o700); err != nil {
		return err
	}
	for n := range spareFiles {
		if err := host.WriteFile(h.Files, filepath.Join(fresh, strconv.Itoa(n)), make([]byte, spare/spareFiles), 0o600); err != nil {
			return errors.Join(err, host.RemoveAll(h.Files, fresh))
		}
	}
	return errors.Join(h.Files.Rename(fresh, dir(root, "spare")), h.Files.SyncDir(dir(root)))
}

// Spend gives back what Store has set aside, for an undo to write in.
func Spend(h *host.Host, root string) error { return host.RemoveAll(h.Files, dir(root, "spare")) }

// Load reads a unit by its digest.
func Load(h *host.Host, root, digest string) (Unit, error) {
	var u Unit
	b, err := host.ReadFile(h.Files, dir(root, "services", filepath.Base(digest)+".json"), maxRecord)
	if err == nil && host.SHA256(b) != digest {
		err = errors.New("its bytes have another digest")
	}
	if err == nil {
		err = json.Unmarshal(b, &u)
	}
	if err != nil {
		return u, fmt.Errorf("cannot read how a release of %s was started: %w", root, host.Plainly(err))
	}
	u.conceal(h)
	return u, nil
}

// Sweep removes the units of releases that are not kept.
func Sweep(h *host.Host, root string, kept func(release string) bool) error {
	entries, err := h.Files.ReadDir(dir(root, "services"))
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	for _, e := range entries {
		u, err := Load(h, root, strings.TrimSuffix(e.Name(), ".json"))
		if err == nil && !kept(u.Release) {
			if err := h.Files.Remove(dir(root, "services", e.Name())); err != nil {
				return err
			}
		}
	}
	return nil
}

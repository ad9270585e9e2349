// Package driver is how a release is run as a service on a host: the closed set of drivers, and the record on the
// target of what was started and how. Two families share it, releases and service. It never looks at current.
package driver

import (
	"fmt"
	"maps"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"github.com/erlmcp/runner/runtime/host"
	"github.com/erlmcp/runner/runtime/op"
	"github.com/erlmcp/runner/runtime/secret"
)

// Service is a driver, as scripts describe it.
type Service interface {
	// Unit resolves the description for one release: secrets revealed, paths absolute, the program found.
	Unit(h *host.Host, root, release string, key op.Key) (Unit, error)
	// Rehearsal resolves it for a trial of a release that is not installed, beside the one that runs.
	Rehearsal(h *host.Host, t Trial) (Unit, error)
	// Kind is the name that scripts call it by.
	Kind() string
	// Listens is the TCP port that it listens on, 0 where that is not known.
	Listens() int
	// Supervised is whether something starts it again after a crash or a boot, or nobody wants that.
	Supervised() bool
	// With is the same service with more variables, and run as a user; "" for the one that it has.
	With(env map[string]secret.Text, user string) Service
	driver()
}

// Trial is where a release is tried: a copy of its own, and a folder that takes what it writes.
type Trial struct {
	Dir     string // the copy
	Scratch string
	Config  string // its configuration's path, "" for none
	Port    int    // free a moment ago
	Dist    int    // another, for its distribution
	Name    string // of the trial, unlike any other's on this machine
	Secret  string // that nobody else knows
}

// inherited are the variables that a service gets from the runner's own environment; the rest of that belongs to
// whoever deploys.
func inherited() []string { return []string{"PATH", "HOME", "LANG", "TZ", "USER"} }

func isInherited(kv string) bool {
	name, _, _ := strings.Cut(kv, "=")
	return slices.Contains(inherited(), name)
}

// ours is an environment without what was inherited.
func ours(env []string) []string { return slices.DeleteFunc(slices.Clone(env), isInherited) }

// environ fills in the environment of a service: what it inherits, what its driver says, what the script adds. Which of
// that is secret is kept with it.
func (u *Unit) environ(h *host.Host, own []string, more map[string]secret.Text) error {
	env := slices.DeleteFunc(slices.Clone(h.Env), func(kv string) bool { return !isInherited(kv) })
	env = append(env, own...)
	for _, name := range slices.Sorted(maps.Keys(more)) {
		value, err := h.Secrets.Reveal(more[name])
		if err != nil {
			return fmt.Errorf("cannot start the service: %s: %w", name, err)
		}
		for _, source := range more[name].Sources() {
			value, err := h.Secrets.Reveal(source)
			if err != nil {
				return err
			}
			u.Secrets = append(u.Secrets, Secret{name, value})
		}
		env = append(env, name+"="+value)
	}
	u.Env = env
	return nil
}

func portVariable(port int) []string {
	if port == 0 {
		return nil
	}
	return []string{"PORT=" + strconv.Itoa(port)}
}

func checkPort(port int) error {
	if port < 0 || port > 65535 {
		return fmt.Errorf("port: want 1 to 65535, got %d", port)
	}
	return nil
}

func merged(a, b map[string]secret.Text) map[string]secret.Text {
	out := maps.Clone(b)
	if out == nil {
		out = map[string]secret.Text{}
	}
	maps.Copy(out, a)
	return out
}

// configuration is the file that was installed with a release as its configuration, "" where none was.
func configuration(h *host.Host, release string) string {
	entries, err := h.Files.ReadDir(filepath.Join(release, ConfigDir))
	if err != nil || len(entries) != 1 {
		return ""
	}
	return filepath.Join(release, ConfigDir, entries[0].Name())
}

// ConfigDir is the folder inside a release that holds its configuration. It is layout's too: a test of releases compares
// them, since neither package may import the other.
const ConfigDir = ".runner-config"

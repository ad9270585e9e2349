package provision

import (
	"fmt"
	"path/filepath"
	"regexp"
	"strings"

	"github.com/erlmcp/runner/builtins/driver"
)

func (w *Work) unit(want Want, m Machine, s driver.Systemd) {
	if m.Silent != "" {
		w.differ("systemd does not run on this machine: ", m.Silent)
	}
	text, fresh := s.File(want.Root), false
	switch f := m.Unit; {
	case !f.Exists, f.Kind == "a file" && s.Wrote(f.Text) && f.Text != text && f.safe():
		fresh = true
		w.place("the unit", s.Path(), text, "0644")
	case f.Kind != "a file":
		w.differ(s.Path(), " is ", f.Kind, ", where the unit file is wanted")
	case f.Hidden:
		w.differ(s.Path(), " may not be read")
	case !s.Wrote(f.Text):
		w.differ(s.Path(), " was not written by runner, and is not as the service is described; move it away, and keep what is special in a drop-in (systemctl edit ", s.Name, ")")
	case !f.safe():
		w.differ(s.Path(), " can be written by others than root")
	}
	if fresh || m.Stale {
		w.do("systemd knows it, and starts it at boot", "systemctl", "daemon-reload")
	}
	switch m.State {
	case "enabled":
	case "masked", "masked-runtime":
		w.differ(s.Name, " is masked: systemctl unmask ", s.Name, " ends that")
	default:
		w.do("systemd knows it, and starts it at boot", "systemctl", "enable", s.Name)
	}
}

func (f File) safe() bool { return f.Owner == "root" && !f.Writable }

// SudoersFolder is where sudo reads files from. It passes over those with a dot in their name.
const SudoersFolder = "/etc/sudoers.d"

var notInSudoers = regexp.MustCompile(`[^A-Za-z0-9_-]`)

func sudoersPath(s driver.Systemd) string {
	name := strings.TrimSuffix(s.Name, ".service")
	return filepath.Join(SudoersFolder, "runner-"+notInSudoers.ReplaceAllString(name, "_"))
}

// sudoersHead begins the file of one unit.
func sudoersHead(s driver.Systemd) string {
	return fmt.Sprintf("# Written by runner setup for %s. Changes are overwritten.\n", s.Name)
}

// Sudoers lets a group call systemctl, and journalctl beside it, as deployments do, and in no other way.
func Sudoers(group, systemctl string, s driver.Systemd) string {
	escape := strings.NewReplacer(`\`, `\\`, ",", `\,`, ":", `\:`, "=", `\=`)
	var b strings.Builder
	b.WriteString(sudoersHead(s))
	for _, argv := range s.Rights() {
		words := []string{filepath.Join(filepath.Dir(systemctl), argv[0])}
		for _, word := range argv[1:] {
			words = append(words, escape.Replace(word))
		}
		fmt.Fprintf(&b, "%%%s ALL=(root) NOPASSWD: %s\n", group, strings.Join(words, " "))
	}
	return b.String()
}

func (w *Work) rights(want Want, m Machine, s driver.Systemd) {
	path, text := sudoersPath(s), Sudoers(want.Group, m.Systemctl, s)
	switch f := m.Sudoers; {
	case m.NoSudo:
		w.differ("there is no sudo on this machine, by which those who deploy start and stop ", s.Name, "; install it")
	case f.Hidden && m.Right:
	case f.Exists && f.Kind != "a file":
		w.differ(path, " is ", f.Kind, ", where a file is wanted")
	case f.Exists && !f.Hidden && f.Text == text:
	case f.Exists && !f.Hidden && !strings.HasPrefix(f.Text, sudoersHead(s)):
		w.differ(path, " was not written by runner for ", s.Name, "; move it away")
	default:
		w.place("the right to start, stop and look at it, and no other", path, text, "0440")
	}
}

// place plans a file that appears whole or not at all. One for sudo is checked before: a wrong one would lock everybody
// out of it.
func (w *Work) place(why, path, text, mode string) {
	fresh := path + ".new"
	w.read(why, text, "install", "--owner=root", "--group=root", "--mode="+mode, "/dev/stdin", fresh)
	if filepath.Dir(path) == SudoersFolder {
		w.do(why, "visudo", "--check", "--file="+fresh)
	}
	w.do(why, "sync", fresh)
	w.do(why, "mv", "--force", "--no-target-directory", fresh, path)
}

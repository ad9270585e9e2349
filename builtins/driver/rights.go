package driver

import (
	"path/filepath"
	"strings"
)

// showing is what systemd is asked to tell of a unit.
const showing = "--property=ActiveState,MainPID"

// Path is where the unit's file lies.
func (s Systemd) Path() string { return filepath.Join(unitFolder, s.Name) }

// Rights are the calls of systemctl that a deployment without root makes by sudo, and no others.
func (s Systemd) Rights() [][]string {
	return [][]string{systemctl(true, "start", s.Name), systemctl(true, "stop", s.Name), systemctl(true, "show", showing, s.Name)}
}

// Wrote reports whether a unit file is one that runner wrote, whatever of it a later runner says otherwise.
func (Systemd) Wrote(text string) bool {
	first, _, _ := strings.Cut(unitFile, "\n")
	return strings.HasPrefix(text, first+"\n")
}

package driver

import (
	"fmt"
	"path/filepath"
	"strings"
)

// showing is what systemd is asked to tell of a unit.
const showing = "--property=ActiveState,MainPID,ExecMainCode,ExecMainStatus"

// journalLines is how much of a unit's journal is read.
const journalLines = 200

// Path is where the unit's file lies.
func (s Systemd) Path() string { return filepath.Join(unitFolder, s.Name) }

// Rights are the calls that a deployment without root makes by sudo, and no others. The journal of a service of another
// user is not shown to everybody.
func (s Systemd) Rights() [][]string {
	return [][]string{systemctl("start", s.Name), systemctl("stop", s.Name), systemctl("show", showing, s.Name), journal(s.Name)}
}

// systemctl is a call of it.
func systemctl(words ...string) []string {
	return append([]string{"systemctl", "--no-pager", "--no-ask-password"}, words...)
}

// journal is the call that reads what a unit has logged.
func journal(unit string) []string {
	return []string{"journalctl", "--no-pager", "--output=cat", fmt.Sprintf("--lines=%d", journalLines), "--unit=" + unit}
}

// entitled is a call as it is made: whoever is not root needs the right that runner setup gives by sudo.
func entitled(root bool, argv []string) []string {
	if root {
		return argv
	}
	return append([]string{"sudo", "-n"}, argv...)
}

// Wrote reports whether a unit file is one that runner wrote, whatever of it a later runner says otherwise.
func (Systemd) Wrote(text string) bool {
	first, _, _ := strings.Cut(unitFile, "\n")
	return strings.HasPrefix(text, first+"\n")
}

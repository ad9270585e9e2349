package main

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// TestSetup sets up a machine: a copy of this one, in layers, that only the test's own processes see. Its users, its
// groups and its unit are real; its systemd is not, and where this machine has no sudo, neither is that.
func TestSetup(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Skip("NOT TESTED: only root can set up a machine, even a copy")
	}
	for _, tool := range []string{"unshare", "mount", "chroot", "setpriv", "useradd"} {
		if _, err := exec.LookPath(tool); err != nil {
			t.Skipf("NOT TESTED: %v", err)
		}
	}
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	script, err := filepath.Abs(filepath.Join("testdata", "setup.sh"))
	if err != nil {
		t.Fatal(err)
	}
	out, err := exec.Command("unshare", "--mount", "--propagation", "private", "sh", script, t.TempDir(), self).CombinedOutput()
	if text := string(out); strings.Contains(text, "NOT TESTED") && err == nil {
		t.Log(text)
	} else if code, ok := err.(*exec.ExitError); ok && code.ExitCode() == 77 {
		t.Skipf("NOT TESTED: no copy of this machine can be made\n%s", text)
	} else if err != nil {
		t.Errorf("%v\n%s", err, text)
	}
}

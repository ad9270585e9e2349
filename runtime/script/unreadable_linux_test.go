package script

import (
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"

	"golang.org/x/sys/unix"
)

// Root reads everything, so this thread's files are opened as nobody.
func TestUnreadableFile(t *testing.T) {
	o := open(t, map[string]string{"deploy.star": "load(\"lib.star\", \"x\")\ndef main():\n    pass\n", "lib.star": "x = 1\n"}, "deploy.star")
	for name, mode := range map[string]os.FileMode{"": 0o755, "deploy.star": 0o644, environmentsFile: 0o644, "lib.star": 0} {
		if err := os.Chmod(filepath.Join(o.project.Dir, name), mode); err != nil {
			t.Fatal(err)
		}
	}
	if os.Getuid() == 0 {
		const nobody = 65534
		runtime.LockOSThread()
		defer runtime.UnlockOSThread()
		unix.SetfsuidRetUid(nobody)
		defer unix.SetfsuidRetUid(0)
	}
	_, err := Open(t.Context(), o.project, "deploy.star", o.options)
	if err == nil || !strings.Contains(Diagnose(err).Message, "cannot read lib.star: permission denied") {
		t.Errorf("got %v", err)
	}
}

package provision

import (
	"io/fs"
	"os"
	"path/filepath"
	"testing"

	"github.com/erlmcp/runner/runtime/host"
)

// What keeps a group out is found wherever it lies below a folder; what others may read is not a file's to give.
func TestLook(t *testing.T) {
	h := &host.Host{Files: host.OS{}}
	for name, c := range map[string]struct {
		change func(dir string) error
		group  int
		want   Folder
	}{
		"nothing":          {func(string) error { return nil }, os.Getgid(), Folder{}},
		"another group":    {func(string) error { return nil }, 70100, Folder{Foreign: true}},
		"a closed folder":  {func(dir string) error { return os.Chmod(dir+"/runs/deep", 0o755) }, os.Getgid(), Folder{Closed: true}},
		"no setgid":        {func(dir string) error { return os.Chmod(dir+"/runs", 0o770) }, os.Getgid(), Folder{Closed: true}},
		"a lease":          {func(dir string) error { return os.Chmod(dir+"/lease", 0o644) }, os.Getgid(), Folder{Private: true}},
		"a log":            {func(dir string) error { return os.Chmod(dir+"/runs/deep/log", 0o600) }, os.Getgid(), Folder{Private: true}},
		"a ticket":         {func(dir string) error { return os.Chmod(dir+"/queue/1", 0o644) }, os.Getgid(), Folder{}},
		"a link elsewhere": {func(dir string) error { return os.Symlink("/root", dir+"/runs/x") }, os.Getgid(), Folder{}},
	} {
		dir := t.TempDir()
		for _, folder := range []struct {
			name string
			mode fs.FileMode
		}{{"", 0o771}, {"runs", 0o770}, {"runs/deep", 0o770}, {"queue", 0o775}} {
			if err := os.MkdirAll(filepath.Join(dir, folder.name), 0o755); err != nil || os.Chmod(filepath.Join(dir, folder.name), folder.mode|fs.ModeSetgid) != nil {
				t.Fatal(err)
			}
		}
		for _, file := range []string{"lease", "runs/deep/log", "queue/1"} {
			if err := os.WriteFile(filepath.Join(dir, file), nil, 0o600); err != nil || os.Chmod(filepath.Join(dir, file), 0o660) != nil {
				t.Fatal(err)
			}
		}
		if err := c.change(dir); err != nil {
			t.Fatal(err)
		}
		var got Folder
		got.look(h, dir, c.group, true)
		if got != c.want {
			t.Errorf("%s: %+v, want %+v", name, got, c.want)
		}
	}
}

// Who became root by sudo may not have the programs of root in their PATH.
func TestEnviron(t *testing.T) {
	for _, env := range [][]string{{"A=1", "PATH=/x"}, {"A=1"}} {
		h := &host.Host{Env: env}
		if got := Environ(h); got[0] != "A=1" || filepath.Base(got[1]) != "bin" || len(got) != 2 || h.Env[0] != "A=1" {
			t.Errorf("%q becomes %q", env, got)
		}
	}
}

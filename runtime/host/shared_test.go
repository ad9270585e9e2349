package host

import (
	"io/fs"
	"os"
	"path/filepath"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"
)

const sharedFolder = fs.ModeSetgid | 0o775

// What a group shares has its mode from its first instant, under any umask; what it does not share is as it ever was.
func TestShared(t *testing.T) {
	t.Cleanup(func(was int) func() { return func() { unix.Umask(was) } }(unix.Umask(0o022)))
	if before := OpenMask(); before != "022" {
		t.Errorf("the mask was %s", before)
	}
	dir := t.TempDir()
	own, closed, plain, state := dir+"/own", dir+"/closed", dir+"/plain", dir+"/own/state"
	for name, mode := range map[string]fs.FileMode{own: sharedFolder, closed: fs.ModeSetgid | 0o771, plain: 0o755} {
		if err := os.Mkdir(name, 0o700); err != nil || os.Chmod(name, mode) != nil {
			t.Fatal(err)
		}
	}
	f := Shared{FS: OS{}, Except: state}
	for _, c := range []struct {
		name string
		perm fs.FileMode
		want fs.FileMode
	}{
		{own + "/a/", 0o755, sharedFolder},
		{own + "/b/", 0o700, fs.ModeSetgid | 0o770},
		{own + "/.runner/", 0o755, fs.ModeSetgid | 0o771},
		{own + "/.runner/lease", 0o644, 0o664},
		{own + "/.runner/runs/", 0o700, fs.ModeSetgid | 0o770},
		{own + "/.runner/runs/r.jsonl", 0o600, 0o660},
		{own + "/.runner/queue/", 0o755, sharedFolder},
		{own + "/.runner/queue/1", 0o644, 0o644},
		{own + "/f", 0o600, 0o600},
		{closed + "/f", 0o600, 0o660},
		{closed + "/x", 0o755, 0o775},
		{plain + "/a/", 0o755, 0o755},
		{plain + "/.runner/", 0o700, 0o700},
		{plain + "/f", 0o644, 0o644},
		{state + "/", 0o700, fs.ModeSetgid | 0o700}, // the kernel passes setgid on
		{state + "/a/", 0o755, fs.ModeSetgid | 0o755},
		{state + "/f", 0o600, 0o600},
	} {
		made, changed := c.name, c.name
		var err error
		if folder := c.name[len(c.name)-1] == '/'; folder {
			made, changed = filepath.Clean(made), filepath.Clean(made)
			err = f.Mkdir(made, c.perm)
		} else {
			err = WriteFile(f, c.name, nil, c.perm)
			made += ".2"
			file, bad := f.Open(made, os.O_CREATE|os.O_WRONLY, c.perm)
			if bad != nil {
				t.Fatal(bad)
			}
			file.Close()
		}
		if err != nil {
			t.Fatal(err)
		}
		for _, name := range []string{made, changed} {
			if info, err := os.Stat(name); err != nil || info.Mode()&^fs.ModeDir != c.want {
				t.Errorf("%s of %o is %v, want %v", name, c.perm, info.Mode(), c.want)
			}
		}
	}
}

// A mode that is right already is not set again: who may not do that is no stranger to the group.
func TestSharedChmod(t *testing.T) {
	dir := t.TempDir()
	if err := os.Chmod(dir, sharedFolder); err != nil {
		t.Fatal(err)
	}
	counted := &chmods{}
	f := Shared{FS: counted}
	if err := f.Mkdir(dir+"/a", 0o700); err != nil {
		t.Fatal(err)
	}
	syscall.Chmod(dir+"/a", 0o2770)
	for want, perm := range map[int]fs.FileMode{0: 0o700, 1: 0o755} {
		counted.n = 0
		if err := f.Chmod(dir+"/a", perm); err != nil || counted.n != want {
			t.Errorf("%o: set %d times (%v)", perm, counted.n, err)
		}
		os.Chmod(dir+"/a", fs.ModeSetgid|0o770)
	}
}

type chmods struct {
	OS
	n int
}

func (c *chmods) Chmod(name string, perm fs.FileMode) error {
	c.n++
	return c.OS.Chmod(name, perm)
}

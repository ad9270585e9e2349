package hosttest

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/erlmcp/runner/runtime/host"
)

// tree writes a directory as lines: "a/ 0755", "a/f 0644 content", "a/l -> f".
func tree(t *testing.T, root string) string {
	t.Helper()
	var b strings.Builder
	err := filepath.WalkDir(root, func(path string, d fs.DirEntry, err error) error {
		if err != nil || path == root {
			return err
		}
		name, _ := filepath.Rel(root, path)
		info, err := d.Info()
		switch {
		case err != nil:
			return err
		case d.IsDir():
			fmt.Fprintf(&b, "%s/ %04o\n", name, info.Mode().Perm())
		case d.Type() == fs.ModeSymlink:
			target, _ := os.Readlink(path)
			fmt.Fprintf(&b, "%s -> %s\n", name, target)
		default:
			data, err := os.ReadFile(path)
			fmt.Fprintf(&b, "%s %04o %s\n", name, info.Mode().Perm(), data)
			return err
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return b.String()
}

func must(t *testing.T, errs ...error) {
	t.Helper()
	if err := errors.Join(errs...); err != nil {
		t.Fatal(err)
	}
}

// write writes a file and syncs what steps names: "file", "dir".
func write(t *testing.T, f host.FS, name, data string, steps ...string) {
	t.Helper()
	file, err := f.Open(name, os.O_WRONLY|os.O_CREATE|os.O_TRUNC, 0o644)
	must(t, err)
	_, err = file.Write([]byte(data))
	must(t, err)
	for _, s := range steps {
		switch s {
		case "file":
			must(t, file.Sync())
		case "dir":
			must(t, f.SyncDir(filepath.Dir(name)))
		}
	}
	must(t, file.Close())
}

func TestVolatile(t *testing.T) {
	for _, c := range []struct {
		name string
		do   func(t *testing.T, v *Volatile, root string)
		want string
	}{
		{"nothing done", func(t *testing.T, v *Volatile, root string) {}, "d/ 0755\nd/f 0640 old\nl -> d\n"},
		{"overwritten, unsynced", func(t *testing.T, v *Volatile, root string) {
			write(t, v, root+"/d/f", "new")
		}, "d/ 0755\nd/f 0640 old\nl -> d\n"},
		{"overwritten, synced", func(t *testing.T, v *Volatile, root string) {
			write(t, v, root+"/d/f", "new", "file")
		}, "d/ 0755\nd/f 0640 new\nl -> d\n"},
		{"written after its sync", func(t *testing.T, v *Volatile, root string) {
			f, err := v.Open(root+"/d/f", os.O_WRONLY|os.O_APPEND, 0)
			must(t, err)
			f.Write([]byte(" and more"))
			must(t, f.Sync())
			f.Write([]byte(" and lost"))
			must(t, f.Close())
		}, "d/ 0755\nd/f 0640 old and more\nl -> d\n"},
		{"made, its name unsynced", func(t *testing.T, v *Volatile, root string) {
			write(t, v, root+"/n", "new", "file")
		}, "d/ 0755\nd/f 0640 old\nl -> d\n"},
		{"made, its content unsynced", func(t *testing.T, v *Volatile, root string) {
			write(t, v, root+"/n", "new", "dir")
		}, "d/ 0755\nd/f 0640 old\nl -> d\nn 0644 \n"},
		{"made and synced", func(t *testing.T, v *Volatile, root string) {
			write(t, v, root+"/n", "new", "file", "dir")
		}, "d/ 0755\nd/f 0640 old\nl -> d\nn 0644 new\n"},
		{"removed, unsynced", func(t *testing.T, v *Volatile, root string) {
			must(t, v.Remove(root+"/d/f"), v.Remove(root+"/d"), v.Remove(root+"/l"))
		}, "d/ 0755\nd/f 0640 old\nl -> d\n"},
		{"removed, synced", func(t *testing.T, v *Volatile, root string) {
			must(t, v.Remove(root+"/d/f"), v.SyncDir(root+"/d"), v.Remove(root+"/l"))
		}, "d/ 0755\nl -> d\n"},
		{"removed, and its inode's number taken by another", func(t *testing.T, v *Volatile, root string) {
			must(t, v.Remove(root+"/d/f"))
			write(t, v, root+"/d/g", "lost", "dir")
		}, "d/ 0755\nd/g 0644 \nl -> d\n"},
		{"renamed, unsynced", func(t *testing.T, v *Volatile, root string) {
			must(t, v.Rename(root+"/d/f", root+"/d/g"))
		}, "d/ 0755\nd/f 0640 old\nl -> d\n"},
		{"renamed over, unsynced content", func(t *testing.T, v *Volatile, root string) {
			write(t, v, root+"/d/g", "new")
			must(t, v.Rename(root+"/d/g", root+"/d/f"), v.SyncDir(root+"/d"))
		}, "d/ 0755\nd/f 0644 \nl -> d\n"},
		{"synced and renamed over, the directory unsynced", func(t *testing.T, v *Volatile, root string) {
			write(t, v, root+"/d/g", "new", "file")
			must(t, v.Rename(root+"/d/g", root+"/d/f"))
		}, "d/ 0755\nd/f 0640 old\nl -> d\n"},
		{"moved, the new directory synced", func(t *testing.T, v *Volatile, root string) {
			must(t, v.Rename(root+"/d/f", root+"/f"), v.SyncDir(root))
		}, "d/ 0755\nd/f 0640 old\nf 0640 old\nl -> d\n"},
		{"moved, both synced", func(t *testing.T, v *Volatile, root string) {
			must(t, v.Rename(root+"/d/f", root+"/f"), v.SyncDir(root), v.SyncDir(root+"/d"))
		}, "d/ 0755\nf 0640 old\nl -> d\n"},
		{"a link replaced, unsynced", func(t *testing.T, v *Volatile, root string) {
			must(t, v.Symlink("e", root+"/m"), v.Rename(root+"/m", root+"/l"))
		}, "d/ 0755\nd/f 0640 old\nl -> d\n"},
		{"a link replaced, synced", func(t *testing.T, v *Volatile, root string) {
			must(t, host.ReplaceLink(v, "e", root+"/l"))
		}, "d/ 0755\nd/f 0640 old\nl -> e\n"},
		{"modes", func(t *testing.T, v *Volatile, root string) {
			must(t, v.Chmod(root+"/d/f", 0o600), v.Chmod(root+"/d", 0o700), v.SyncDir(root+"/d"))
		}, "d/ 0700\nd/f 0640 old\nl -> d\n"},
		{"a mode, synced with its file", func(t *testing.T, v *Volatile, root string) {
			f, err := v.Open(root+"/d/f", os.O_RDONLY, 0)
			must(t, err, v.Chmod(root+"/d/f", 0o600), f.Sync(), f.Close())
		}, "d/ 0755\nd/f 0600 old\nl -> d\n"},
		{"a directory moved, only its new parent synced", func(t *testing.T, v *Volatile, root string) {
			must(t, v.Mkdir(root+"/e", 0o755), v.SyncDir(root), v.Rename(root+"/d", root+"/e/d"), v.SyncDir(root+"/e"))
		}, "e/ 0755\ne/d/ 0755\ne/d/f 0640 old\nl -> d\n"},
		{"a directory made, only itself synced", func(t *testing.T, v *Volatile, root string) {
			must(t, v.Mkdir(root+"/e", 0o755))
			write(t, v, root+"/e/f", "new", "file", "dir")
		}, "d/ 0755\nd/f 0640 old\nl -> d\n"},
		{"a directory made, only its parent synced", func(t *testing.T, v *Volatile, root string) {
			must(t, v.Mkdir(root+"/e", 0o755), v.SyncDir(root))
			write(t, v, root+"/e/f", "new", "file")
		}, "d/ 0755\nd/f 0640 old\ne/ 0755\nl -> d\n"},
		{"through a link", func(t *testing.T, v *Volatile, root string) {
			write(t, v, root+"/l/g", "new", "file", "dir")
		}, "d/ 0755\nd/f 0640 old\nd/g 0644 new\nl -> d\n"},
		{"set aside and cut", func(t *testing.T, v *Volatile, root string) {
			f, err := v.Open(root+"/d/f", os.O_WRONLY, 0)
			must(t, err)
			must(t, host.Reserve(f, 8), f.Truncate(2), f.Sync(), f.Truncate(1), f.Close())
		}, "d/ 0755\nd/f 0640 ol\nl -> d\n"},
		{"another program's file", func(t *testing.T, v *Volatile, root string) {
			must(t, os.WriteFile(root+"/d/log", []byte("lost"), 0o600), v.SyncDir(root+"/d"))
		}, "d/ 0755\nd/f 0640 old\nd/log 0600 \nl -> d\n"},
	} {
		t.Run(c.name, func(t *testing.T) {
			root := t.TempDir()
			must(t, os.Mkdir(root+"/d", 0o755), os.WriteFile(root+"/d/f", []byte("old"), 0o640), os.Symlink("d", root+"/l"))
			v := NewVolatile(t, root)
			c.do(t, v, root)
			for range 2 { // what a crash leaves is durable
				v.Crash()
				if got := tree(t, root); got != c.want {
					t.Errorf("left\n%swant\n%s", got, c.want)
				}
			}
			write(t, v, root+"/after", "again", "file", "dir")
			v.Crash()
			if got := tree(t, root); !strings.Contains(got, "after 0644 again\n") {
				t.Errorf("not watched after the crash: %s", got)
			}
		})
	}
}

func TestVolatileEndsOpenFiles(t *testing.T) {
	root := t.TempDir()
	v := NewVolatile(t, root)
	f, err := v.Open(root+"/lease", os.O_RDWR|os.O_CREATE, 0o600)
	must(t, err)
	must(t, v.SyncDir(root), unix.Flock(int(f.Fd()), unix.LOCK_EX))
	v.Crash()
	if _, err := f.Write([]byte("x")); !errors.Is(err, ErrPowerLost) {
		t.Errorf("write: %v", err)
	}
	if err := f.Sync(); !errors.Is(err, ErrPowerLost) {
		t.Errorf("sync: %v", err)
	}
	g, err := v.Open(root+"/lease", os.O_RDWR, 0)
	must(t, err)
	defer g.Close()
	must(t, unix.Flock(int(g.Fd()), unix.LOCK_EX|unix.LOCK_NB))
}

func TestVolatileReadOnlyDirectories(t *testing.T) {
	root := t.TempDir()
	v := NewVolatile(t, root)
	must(t, v.Mkdir(root+"/d", 0o755))
	write(t, v, root+"/d/f", "x", "file", "dir")
	must(t, v.Chmod(root+"/d", 0o555), v.SyncDir(root+"/d"), v.SyncDir(root))
	v.Crash()
	if got, want := tree(t, root), "d/ 0555\nd/f 0644 x\n"; got != want {
		t.Errorf("left %s", got)
	}
	must(t, os.Chmod(root+"/d", 0o755))
}

// A reader after a power loss sees the old content or the new one, at whichever call the power went; the same in
// careless hands must be caught.
func TestVolatileProvesWriteFile(t *testing.T) {
	if torn := crashEverywhere(t, host.WriteFile); len(torn) > 0 {
		t.Errorf("host.WriteFile leaves %q", torn)
	}
	if torn := crashEverywhere(t, careless); len(torn) == 0 {
		t.Error("a missing sync is not noticed")
	}
}

// careless is host.WriteFile without the sync of the content.
func careless(f host.FS, name string, data []byte, perm fs.FileMode) error {
	file, err := f.Open(name+".new", os.O_WRONLY|os.O_CREATE, perm)
	if err != nil {
		return err
	}
	_, err = file.Write(data)
	if err = errors.Join(err, file.Close()); err != nil {
		return err
	}
	if err := f.Rename(name+".new", name); err != nil {
		return err
	}
	return f.SyncDir(filepath.Dir(name))
}

func crashEverywhere(t *testing.T, replace func(host.FS, string, []byte, fs.FileMode) error) (torn []string) {
	for n := 1; ; n++ {
		root := t.TempDir()
		must(t, os.WriteFile(root+"/f", []byte("old"), 0o600))
		v := NewVolatile(t, root)
		m := NewMortal(real(v))
		m.DieTornAt(n)
		err := replace(m.Host().Files, root+"/f", []byte("new"), 0o600)
		v.Crash()
		got, _ := os.ReadFile(root + "/f")
		if s := string(got); s != "new" && (s != "old" || err == nil) {
			torn = append(torn, s)
		}
		if err == nil {
			return torn
		}
	}
}

func TestVolatileFromManySides(t *testing.T) {
	root := t.TempDir()
	v := NewVolatile(t, root)
	var all sync.WaitGroup
	for i := range 8 {
		all.Go(func() {
			for range 50 {
				host.WriteFile(v, fmt.Sprintf("%s/%d", root, i), []byte("whole"), 0o600)
			}
		})
	}
	v.Crash()
	all.Wait()
	v.Crash()
	for line := range strings.Lines(tree(t, root)) {
		if !strings.HasSuffix(line, " 0600 whole\n") {
			t.Errorf("left %s", line)
		}
	}
}

// Before the Sync of a barrier nothing is durable by it; behind it all is: contents, modes, names, what was removed.
func TestBarrier(t *testing.T) {
	dir := t.TempDir()
	write := func(name, text string) {
		t.Helper()
		if err := errors.Join(os.MkdirAll(filepath.Dir(filepath.Join(dir, name)), 0o755), os.WriteFile(filepath.Join(dir, name), []byte(text), 0o640)); err != nil {
			t.Fatal(err)
		}
	}
	write("old", "1")
	for _, syncs := range []bool{false, true} {
		v := NewVolatile(t, dir)
		if _, err := v.Barrier("/", 1); !errors.Is(err, errors.ErrUnsupported) {
			t.Errorf("a barrier where it does not look: %v", err)
		}
		b, err := v.Barrier(dir, 1)
		if err != nil {
			t.Fatal(err)
		}
		write("a/b/c", "new")
		if err := v.Remove(filepath.Join(dir, "old")); err != nil {
			t.Fatal(err)
		}
		if syncs {
			if err := b.Sync(); err != nil {
				t.Fatal(err)
			}
		}
		write("a/b/c", "newer")
		v.Crash()
		c, _ := os.ReadFile(filepath.Join(dir, "a/b/c"))
		_, old := os.Stat(filepath.Join(dir, "old"))
		if got := string(c); syncs != (got == "new") || !syncs != (got == "") || syncs != errors.Is(old, fs.ErrNotExist) {
			t.Errorf("synced %v: %q, old: %v", syncs, got, old)
		}
		if err := b.Sync(); !errors.Is(err, ErrPowerLost) {
			t.Errorf("behind the crash: %v", err)
		}
	}
}

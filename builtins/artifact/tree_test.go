package artifact

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"

	"github.com/erlmcp/runner/runtime/host"
	"github.com/erlmcp/runner/runtime/host/hosttest"
	"github.com/erlmcp/runner/runtime/op"
)

// manyFiles is a folder of n files of some KB.
func manyFiles(t *testing.T, dir string, n int) string {
	t.Helper()
	for i := range n {
		name := filepath.Join(dir, fmt.Sprintf("d%d/f%03d", i%7, i))
		must(t, os.MkdirAll(filepath.Dir(name), 0o755))
		must(t, os.WriteFile(name, []byte(strings.Repeat(fmt.Sprint(i), 3000)), 0o644))
	}
	return dir
}

// What a copy has read is what Digest reads of the copy: files are read once.
func TestCopyHashes(t *testing.T) {
	from, to := manyFiles(t, t.TempDir(), 200), filepath.Join(t.TempDir(), "to")
	tree, err := Find(host.OS{}, from)
	must(t, err)
	must(t, tree.Copy(t.Context(), host.OS{}, to))
	if d, size, err := Digest(host.OS{}, to); d != tree.Digest() || size != tree.Bytes || err != nil {
		t.Errorf("copied %s of %d bytes, and there is %s of %d: %v", tree.Digest(), tree.Bytes, d, size, err)
	}
}

// Whatever the umask, what is copied has the modes of its source, and can be deleted by its owner.
func TestCopyKeepsModes(t *testing.T) {
	from, to := t.TempDir(), filepath.Join(t.TempDir(), "to")
	for name, mode := range map[string]os.FileMode{"a": 0o777, "b": 0o400, "c": 0o666, "d": 0o000} {
		must(t, os.WriteFile(filepath.Join(from, name), nil, 0o600))
		must(t, os.Mkdir(filepath.Join(from, "in-"+name), 0o700))
		must(t, os.Chmod(filepath.Join(from, name), mode))
		must(t, os.Chmod(filepath.Join(from, "in-"+name), mode|0o500))
	}
	old := syscall.Umask(0o027)
	err := Copy(t.Context(), host.OS{}, from, to)
	syscall.Umask(old)
	must(t, err)
	must(t, Walk(host.OS{}, from, func(rel string, want fs.FileInfo) error {
		got, err := os.Stat(filepath.Join(to, rel))
		if wanted := want.Mode() | map[bool]os.FileMode{true: 0o700}[want.IsDir()]; err == nil && got.Mode() != wanted {
			t.Errorf("%s has mode %v, want %v", rel, got.Mode(), wanted)
		}
		return err
	}))
}

// What Copy has made is on the disk, one barrier behind all of it or a sync for each; before the barrier it is not.
func TestCopySurvivesPowerLoss(t *testing.T) {
	for files, barrier := range map[int]bool{30: false, 63: false, 64: true, 200: true, 201: false} {
		dir := t.TempDir()
		from, to := manyFiles(t, filepath.Join(dir, "from"), files), filepath.Join(dir, "to")
		must(t, os.Mkdir(filepath.Join(from, "empty"), 0o750))
		must(t, os.Symlink("d0", filepath.Join(from, "link")))
		v := &barriers{Volatile: hosttest.NewVolatile(t, dir), none: files == 201}
		must(t, Copy(t.Context(), v, from, to))
		want := digest(t, v, from)
		if v.synced.Load() != barrier || v.open.Load() != 0 {
			t.Errorf("%d files: behind a barrier: %v, left open: %d", files, v.synced.Load(), v.open.Load())
		}
		must(t, v.SyncDir(dir)) // its name is the caller's part
		v.Crash()
		if d := digest(t, v, to); d != want {
			t.Errorf("%d files: what was copied is not on the disk", files)
		}
	}
}

// barriers is a disk on which a barrier may be missing or fail.
type barriers struct {
	*hosttest.Volatile
	none   bool
	fails  error
	synced atomic.Bool
	open   atomic.Int64
}

type counted struct {
	host.Barrier
	of *barriers
}

// Barrier implements host.FS.
func (b *barriers) Barrier(dir string, files int) (host.Barrier, error) {
	if b.none {
		return nil, errors.ErrUnsupported
	}
	under, err := b.Volatile.Barrier(dir, files)
	if err != nil {
		return nil, err
	}
	b.open.Add(1)
	return counted{under, b}, nil
}

func (c counted) Sync() error {
	c.of.synced.Store(true)
	if c.of.fails != nil {
		return c.of.fails
	}
	return c.Barrier.Sync()
}

func (c counted) Close() error {
	c.of.open.Add(-1)
	return c.Barrier.Close()
}

// What the disk could not write is an error of the copy, and a barrier is closed whatever happens.
func TestCopyBehindABarrierThatFails(t *testing.T) {
	dir := t.TempDir()
	from, to := manyFiles(t, filepath.Join(dir, "from"), 100), filepath.Join(dir, "to")
	v := &barriers{Volatile: hosttest.NewVolatile(t, dir), fails: syscall.EIO}
	if err := Copy(t.Context(), v, from, to); !errors.Is(err, syscall.EIO) {
		t.Errorf("the disk is broken: %v", err)
	}
	v.fails = nil
	if err := Copy(t.Context(), v, from, to); !errors.Is(err, fs.ErrExist) {
		t.Errorf("over what is there: %v", err)
	}
	stop := errors.New("stop")
	ctx, cancel := context.WithCancelCause(t.Context())
	cancel(stop)
	v.synced.Store(false)
	if err := Copy(ctx, v, from, to+"2"); !errors.Is(err, stop) || v.synced.Load() {
		t.Errorf("told to stop: %v, synced %v", err, v.synced.Load())
	}
	if v.open.Load() != 0 {
		t.Errorf("%d barriers are left open", v.open.Load())
	}
}

// hears counts progress, and stops the copy at its first word.
type hears struct {
	op.Silent
	words atomic.Int64
	stop  func()
}

func (h *hears) Progress(done, total int64, unit string) {
	if done > total || unit != "bytes" {
		panic(fmt.Sprint(done, total, unit))
	}
	if h.words.Add(1) == 1 && h.stop != nil {
		h.stop()
	}
}

func TestCopyEndsWhenTold(t *testing.T) {
	from := manyFiles(t, t.TempDir(), 1000)
	h := &hears{}
	must(t, Copy(op.WithSpeaker(t.Context(), h), host.OS{}, from, filepath.Join(t.TempDir(), "to")))
	if n := h.words.Load(); n < 10 || n > 100 {
		t.Errorf("%d words", n)
	}
	stop := errors.New("stop")
	ctx, cancel := context.WithCancelCause(t.Context())
	h = &hears{stop: func() { cancel(stop) }}
	to := filepath.Join(t.TempDir(), "to")
	if err := Copy(op.WithSpeaker(ctx, h), host.OS{}, from, to); !errors.Is(err, stop) {
		t.Errorf("told to stop: %v", err)
	}
	made, _ := filepath.Glob(to + "/*/*")
	if len(made) > 200 {
		t.Errorf("told to stop, it went on to %d files", len(made))
	}
}

// clones counts the files that share their blocks.
type clones struct {
	host.OS
	made atomic.Int64
}

func (c *clones) Clone(from, to string, perm fs.FileMode) error {
	err := c.OS.Clone(from, to, perm)
	if err == nil {
		c.made.Add(1)
	}
	return err
}

// On a file system that can, no byte is copied; what is then written to one is not in the other.
func TestCopyClones(t *testing.T) {
	if _, err := exec.LookPath("mkfs.btrfs"); err != nil || os.Getuid() != 0 {
		t.Skip("needs root and mkfs.btrfs")
	}
	dir := t.TempDir()
	image, at := filepath.Join(dir, "image"), filepath.Join(dir, "at")
	must(t, os.Mkdir(at, 0o755))
	must(t, os.WriteFile(image, nil, 0o600))
	must(t, os.Truncate(image, 256<<20))
	for _, argv := range [][]string{{"mkfs.btrfs", "-q", image}, {"mount", "-o", "loop", image, at}} {
		if out, err := exec.Command(argv[0], argv[1:]...).CombinedOutput(); err != nil {
			t.Skipf("%v: %v %s", argv, err, out)
		}
	}
	t.Cleanup(func() { exec.Command("umount", at).Run() })
	from, to := manyFiles(t, filepath.Join(at, "from"), 100), filepath.Join(at, "to")
	must(t, os.Chmod(filepath.Join(from, "d0/f000"), 0o444))
	c := &clones{}
	tree, err := Find(c, from)
	must(t, err)
	must(t, tree.Copy(t.Context(), c, to))
	if c.made.Load() != 100 {
		t.Errorf("%d of 100 files were cloned", c.made.Load())
	}
	if d := digest(t, c, to); d != tree.Digest() || d != digest(t, c, from) {
		t.Errorf("copied as %s, there is %s", tree.Digest(), d)
	}
	if info, err := os.Stat(filepath.Join(to, "d0/f000")); err != nil || info.Mode() != 0o444 {
		t.Errorf("the mode is %v, %v", info.Mode(), err)
	}
	must(t, os.WriteFile(filepath.Join(from, "d1/f001"), []byte("new"), 0o644))
	if d := digest(t, c, to); d != tree.Digest() {
		t.Error("what is written to the one is in the other")
	}
}

// meddled is a folder in which others cut a file off and delete another, just when they are to be read.
type meddled struct{ host.OS }

// Open implements host.FS.
func (m meddled) Open(name string, flag int, perm fs.FileMode) (host.File, error) {
	if filepath.Base(name) == "b" {
		os.Remove(name)
	}
	f, err := m.OS.Open(name, flag, perm)
	if filepath.Base(name) == "a" {
		return cutOff{f, name}, err
	}
	return f, err
}

// cutOff is cut off when its size has been read.
type cutOff struct {
	host.File
	name string
}

func (c cutOff) Stat() (fs.FileInfo, error) {
	info, err := c.File.Stat()
	return info, errors.Join(err, os.Truncate(c.name, 10))
}

// A file that is cut off while it is read still gives the bytes that were announced of it, and a file that vanishes none.
func TestStreamOfWhatChanges(t *testing.T) {
	dir := t.TempDir()
	sizes := map[string]int64{"a": 1000, "b": 1000, "c": 3*buffer + 1, "d": buffer, "e": 0}
	for name, n := range sizes {
		must(t, os.WriteFile(filepath.Join(dir, name), []byte(strings.Repeat(name, int(n))), 0o644))
	}
	tree, err := FindLive(meddled{}, dir)
	must(t, err)
	got := map[string]string{}
	must(t, tree.Stream(t.Context(), meddled{}, func(e host.Entry, in io.Reader) error {
		digest, size, err := Sum(in)
		got[e.Path] = digest
		if size != e.Size || size != sizes[e.Path] {
			t.Errorf("%s: announced as %d bytes, it gives %d", e.Path, e.Size, size)
		}
		return err
	}))
	want := "sha256:" + host.SHA256([]byte(strings.Repeat("a", 10)+strings.Repeat("\x00", 990)))
	if len(tree.Entries) != 4 || got["a"] != want || got["b"] != "" || tree.Bytes != 1000+4*buffer+1 {
		t.Errorf("%+v, of %v, want %s", tree.Entries, got, want)
	}
	for _, e := range tree.Entries {
		if e.SHA256 != got[e.Path] {
			t.Errorf("%s: %s was visited, %s is told", e.Path, got[e.Path], e.SHA256)
		}
	}
}

// A stream ends at the first error, whatever was read ahead, and leaves no file open.
func TestStreamEnds(t *testing.T) {
	tree, err := Find(host.OS{}, manyFiles(t, t.TempDir(), 100))
	must(t, err)
	stop, visited := errors.New("stop"), 0
	files := &watched{}
	err = tree.Stream(t.Context(), files, func(e host.Entry, _ io.Reader) error {
		if visited++; e.Mode.IsRegular() && visited > 20 {
			return stop
		}
		return nil
	})
	if !errors.Is(err, stop) || visited != 21 || files.open.Load() != 0 || files.opened.Load() > 40 {
		t.Errorf("%v after %d visits; %d files were opened, %d are open", err, visited, files.opened.Load(), files.open.Load())
	}
	ctx, cancel := context.WithCancelCause(t.Context())
	cancel(stop)
	if err := tree.Stream(ctx, files, func(host.Entry, io.Reader) error { return nil }); !errors.Is(err, stop) || files.open.Load() != 0 {
		t.Errorf("told to stop: %v", err)
	}
}

// watched counts the files that are open.
type watched struct {
	host.OS
	open, opened atomic.Int64
}

// Open implements host.FS.
func (w *watched) Open(name string, flag int, perm fs.FileMode) (host.File, error) {
	f, err := w.OS.Open(name, flag, perm)
	w.open.Add(1)
	w.opened.Add(1)
	return watchedFile{f, w}, err
}

type watchedFile struct {
	host.File
	of *watched
}

func (f watchedFile) Close() error {
	f.of.open.Add(-1)
	return f.File.Close()
}

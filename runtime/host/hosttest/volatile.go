package hosttest

import (
	"errors"
	"io"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"

	"github.com/erlmcp/runner/runtime/host"
)

// ErrPowerLost is what a file gives that was open when the power went.
var ErrPowerLost = errors.New("the power was lost while this file was open")

// Volatile is a host.FS whose directory tree under a root can lose power. Crash leaves exactly what was made durable:
//   - a file's content and mode as of its last Sync; empty when it never was synced;
//   - a directory's names as of its last SyncDir: what was made since is absent, what was removed is back. A rename is a
//     removal in one directory and an addition in the other; each lasts when its own directory is synced;
//   - a link's target with its name; a directory's mode with its SyncDir;
//   - all of that as of the last Sync of a Barrier, which it has on every machine.
//
// What exists when it is made is durable. Paths outside the root pass through. It reads what is on the disk at each sync,
// so writes by descriptor, preallocation and other programs' writes are seen. Pipes and sockets do not survive.
type Volatile struct {
	host.OS
	t    testing.TB
	root string

	mu    sync.Mutex
	top   *node
	nodes map[inode]*node // of what is on the disk now
	open  map[*volatileFile]bool

	crashes int
}

type inode struct{ dev, ino uint64 }

// NewVolatile watches a directory that exists.
func NewVolatile(t testing.TB, root string) *Volatile {
	t.Helper()
	root, err := filepath.Abs(root)
	v := &Volatile{t: t, root: root, nodes: map[inode]*node{}, open: map[*volatileFile]bool{}}
	if err == nil {
		v.top, err = v.capture(root)
	}
	if err != nil {
		t.Fatalf("cannot watch %s: %v", root, err)
	}
	return v
}

func (v *Volatile) covers(name string) bool {
	abs, err := filepath.Abs(name)
	return err == nil && (abs == v.root || strings.HasPrefix(abs, v.root+string(filepath.Separator)))
}

func inodeOf(info fs.FileInfo) inode {
	st := info.Sys().(*syscall.Stat_t)
	return inode{uint64(st.Dev), uint64(st.Ino)}
}

// node is the durable node of a thing on the disk; a new one, with nothing durable in it, where it is unknown.
func (v *Volatile) node(path string, info fs.FileInfo) (*node, error) {
	id := inodeOf(info)
	n := v.nodes[id]
	if n == nil || n.mode.Type() != info.Mode().Type() {
		n = &node{mode: info.Mode()}
		v.nodes[id] = n
	}
	if info.Mode()&fs.ModeSymlink == 0 {
		return n, nil
	}
	var err error
	n.target, err = os.Readlink(path)
	return n, err
}

// forget drops what a removed name stood for: its inode number may come back as another file.
func (v *Volatile) forget(info fs.FileInfo, err error) {
	if err == nil {
		delete(v.nodes, inodeOf(info))
	}
}

// Open implements host.FS. What is opened to write is opened to read as well, for Sync to see the content.
func (v *Volatile) Open(name string, flag int, perm fs.FileMode) (host.File, error) {
	if !v.covers(name) {
		return v.OS.Open(name, flag, perm)
	}
	v.mu.Lock()
	defer v.mu.Unlock()
	if flag&os.O_WRONLY != 0 {
		flag = flag&^os.O_WRONLY | os.O_RDWR
	}
	f, err := os.OpenFile(name, flag, perm)
	if err != nil {
		return nil, err
	}
	info, err := f.Stat()
	if err != nil {
		return nil, errors.Join(err, f.Close())
	}
	n, err := v.node(name, info)
	if err != nil {
		return nil, errors.Join(err, f.Close())
	}
	file := &volatileFile{File: f, v: v, node: n}
	v.open[file] = true
	return file, nil
}

// Rename implements host.FS.
func (v *Volatile) Rename(from, to string) error {
	v.mu.Lock()
	defer v.mu.Unlock()
	source, _ := os.Lstat(from)
	replaced, missing := os.Lstat(to)
	if err := os.Rename(from, to); err != nil {
		return err
	}
	if missing == nil && !os.SameFile(source, replaced) {
		v.forget(replaced, nil)
	}
	return nil
}

// Remove implements host.FS.
func (v *Volatile) Remove(name string) error {
	v.mu.Lock()
	defer v.mu.Unlock()
	info, missing := os.Lstat(name)
	if err := os.Remove(name); err != nil {
		return err
	}
	v.forget(info, missing)
	return nil
}

// SyncDir implements host.FS.
func (v *Volatile) SyncDir(name string) error {
	if !v.covers(name) {
		return v.OS.SyncDir(name)
	}
	v.mu.Lock()
	defer v.mu.Unlock()
	info, err := os.Stat(name)
	if err != nil {
		return err
	}
	dir, err := v.node(name, info)
	if err != nil {
		return err
	}
	names, err := os.ReadDir(name)
	if err != nil {
		return err
	}
	dir.mode, dir.names = info.Mode(), map[string]*node{}
	for _, e := range names {
		path := filepath.Join(name, e.Name())
		info, err := os.Lstat(path)
		if err == nil {
			dir.names[e.Name()], err = v.node(path, info)
		}
		if err != nil && !errors.Is(err, fs.ErrNotExist) { // another program may remove what was just listed
			return err
		}
	}
	v.settle(dir)
	return nil
}

// settle takes the directories in a synced directory out of every other: one that was moved has one place on every file
// system, and its new one is durable now.
func (v *Volatile) settle(dir *node) {
	for _, moved := range dir.names {
		if moved == nil || !moved.mode.IsDir() {
			continue
		}
		for _, other := range v.nodes {
			if other != dir {
				maps.DeleteFunc(other.names, func(_ string, n *node) bool { return n == moved })
			}
		}
	}
}

// Barrier implements host.FS.
func (v *Volatile) Barrier(dir string, _ int) (host.Barrier, error) {
	if !v.covers(dir) {
		return nil, &fs.PathError{Op: "barrier", Path: dir, Err: errors.ErrUnsupported}
	}
	return &volatileBarrier{v, v.crashes}, nil
}

type volatileBarrier struct {
	v      *Volatile
	placed int // behind how many crashes
}

// Sync implements host.Barrier.
func (b *volatileBarrier) Sync() (err error) {
	b.v.mu.Lock()
	defer b.v.mu.Unlock()
	if b.placed != b.v.crashes {
		return ErrPowerLost
	}
	b.v.top, err = b.v.capture(b.v.root)
	return err
}

// Close implements host.Barrier.
func (b *volatileBarrier) Close() error { return nil }

// Crash cuts the power and starts the machine again: open files are dead, locks on them gone, and the tree under the
// root is what was durable. Ending the processes of the tree's programs is the test's part.
func (v *Volatile) Crash() {
	v.t.Helper()
	v.mu.Lock()
	defer v.mu.Unlock()
	for f := range v.open {
		f.dead.Store(true)
		host.Unlock(f.File)
	}
	clear(v.open)
	clear(v.nodes)
	v.crashes++
	if err := v.restore(); err != nil {
		v.t.Fatalf("cannot bring back %s: %v", v.root, err)
	}
}

// content reads what the disk holds, whatever the file's own position.
func content(f *os.File) ([]byte, error) {
	info, err := f.Stat()
	if err != nil {
		return nil, err
	}
	return io.ReadAll(io.NewSectionReader(f, 0, info.Size()))
}

package hosttest

import (
	"errors"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"sync/atomic"
)

// node is what would be left of a file, a link or a directory.
type node struct {
	mode   fs.FileMode
	data   []byte           // of a file
	target string           // of a link
	names  map[string]*node // of a directory
}

// capture takes a tree as durable.
func (v *Volatile) capture(path string) (*node, error) {
	info, err := os.Lstat(path)
	if err != nil {
		return nil, err
	}
	n, err := v.node(path, info)
	switch {
	case err != nil:
		return nil, err
	case info.IsDir():
		return n, v.captureDir(path, n)
	case info.Mode().IsRegular():
		n.data, err = os.ReadFile(path)
	}
	return n, err
}

func (v *Volatile) captureDir(path string, n *node) error {
	entries, err := os.ReadDir(path)
	if err != nil {
		return err
	}
	n.names = map[string]*node{}
	for _, e := range entries {
		if n.names[e.Name()], err = v.capture(filepath.Join(path, e.Name())); err != nil {
			return err
		}
	}
	return nil
}

// restore makes the tree on the disk the durable one. The root keeps its inode: mounts and watchers stay.
func (v *Volatile) restore() error {
	entries, err := os.ReadDir(v.root)
	if err != nil {
		return err
	}
	for _, e := range entries {
		if err := removeTree(filepath.Join(v.root, e.Name())); err != nil {
			return err
		}
	}
	v.top, err = v.fill(v.root, v.top, map[*node]bool{})
	return err
}

func removeTree(path string) error {
	filepath.WalkDir(path, func(p string, d fs.DirEntry, err error) error {
		if d != nil && d.IsDir() {
			os.Chmod(p, 0o700)
		}
		return nil
	})
	return os.RemoveAll(path)
}

// write makes a node on the disk and gives the node that stands for it from now on: after half a rename one file stands
// under two names, and the two are separate from here. A directory cannot: it is where it is met first.
func (v *Volatile) write(path string, n *node, met map[*node]bool) (*node, error) {
	var err error
	switch n.mode.Type() {
	case fs.ModeDir:
		if met[n] {
			return nil, nil
		}
		if err := os.Mkdir(path, 0o700); err != nil {
			return nil, err
		}
		return v.fill(path, n, met)
	case fs.ModeSymlink:
		err = os.Symlink(n.target, path)
	case 0:
		if err = os.WriteFile(path, n.data, 0o600); err == nil {
			err = os.Chmod(path, n.mode)
		}
	default:
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	return v.remember(path, &node{mode: n.mode, data: n.data, target: n.target})
}

// fill makes a directory's names, then gives it its mode: it may not be writable.
func (v *Volatile) fill(path string, dir *node, met map[*node]bool) (*node, error) {
	met[dir] = true
	if err := os.Chmod(path, 0o700); err != nil {
		return nil, err
	}
	names := map[string]*node{}
	for _, name := range slices.Sorted(maps.Keys(dir.names)) {
		n, err := v.write(filepath.Join(path, name), dir.names[name], met)
		if err != nil {
			return nil, err
		}
		if n != nil {
			names[name] = n
		}
	}
	if err := os.Chmod(path, dir.mode); err != nil {
		return nil, err
	}
	return v.remember(path, &node{mode: dir.mode, names: names})
}

func (v *Volatile) remember(path string, n *node) (*node, error) {
	info, err := os.Lstat(path)
	if err != nil {
		return nil, err
	}
	v.nodes[inodeOf(info)] = n
	return n, nil
}

// volatileFile is an open file of a Volatile.
type volatileFile struct {
	*os.File
	v    *Volatile
	node *node
	dead atomic.Bool
}

// Sync implements host.File: content and mode are durable from here.
func (f *volatileFile) Sync() error {
	f.v.mu.Lock()
	defer f.v.mu.Unlock()
	info, err := f.File.Stat()
	if err != nil {
		return f.say(err)
	}
	if info.IsDir() {
		return errors.New("cannot sync a directory as a file: that is SyncDir's part")
	}
	data, err := content(f.File)
	if err != nil {
		return f.say(err)
	}
	f.node.data, f.node.mode = data, info.Mode()
	return nil
}

// Write implements host.File.
func (f *volatileFile) Write(p []byte) (int, error) {
	n, err := f.File.Write(p)
	return n, f.say(err)
}

// Read implements host.File.
func (f *volatileFile) Read(p []byte) (int, error) {
	n, err := f.File.Read(p)
	return n, f.say(err)
}

// Close implements host.File.
func (f *volatileFile) Close() error {
	f.v.mu.Lock()
	defer f.v.mu.Unlock()
	delete(f.v.open, f)
	return f.say(f.File.Close())
}

func (f *volatileFile) say(err error) error {
	if err != nil && f.dead.Load() {
		return ErrPowerLost
	}
	return err
}

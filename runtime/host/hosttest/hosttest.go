// Package hosttest gives tests a world that fails on purpose: a disk that loses power (Volatile), a runner that is
// killed at any call (Mortal), operations that fail (Faults), a host that nobody may touch (Frozen) and a clock that
// only tests move (Clock). Each is a layer around a real host: the files, processes and sockets under it are real. It
// pretends nothing that a real machine cannot do, and is for tests alone.
package hosttest

import (
	"io/fs"
	"os"

	"github.com/erlmcp/runner/runtime/host"
)

// call is one call on a file system or a file, before it happens.
type call struct {
	op     string // "open", "create", "write", "rename", ...
	path   string
	writes bool // it would change the disk, or make a change durable
	keep   int  // of a write: how many bytes of it happen
}

// guard is a file system that asks before every call. ask decides whether do happens, and what the caller gets.
type guard struct {
	under host.FS
	ask   func(c *call, do func() error) error
}

func (g guard) look(op, path string, do func() error) error {
	return g.ask(&call{op: op, path: path}, do)
}

func (g guard) change(op, path string, do func() error) error {
	return g.ask(&call{op: op, path: path, writes: true}, do)
}

// Open implements host.FS.
func (g guard) Open(name string, flag int, perm fs.FileMode) (f host.File, err error) {
	c := &call{op: "open", path: name}
	if flag&(os.O_CREATE|os.O_TRUNC) != 0 {
		c.op, c.writes = "create", true
	}
	err = g.ask(c, func() (err error) { f, err = g.under.Open(name, flag, perm); return err })
	if err != nil {
		return nil, err
	}
	return guardedFile{f, name, g}, nil
}

// Lstat implements host.FS.
func (g guard) Lstat(name string) (info fs.FileInfo, err error) {
	err = g.look("lstat", name, func() (err error) { info, err = g.under.Lstat(name); return err })
	return info, err
}

// Stat implements host.FS.
func (g guard) Stat(name string) (info fs.FileInfo, err error) {
	err = g.look("stat", name, func() (err error) { info, err = g.under.Stat(name); return err })
	return info, err
}

// ReadDir implements host.FS.
func (g guard) ReadDir(name string) (entries []fs.DirEntry, err error) {
	err = g.look("readdir", name, func() (err error) { entries, err = g.under.ReadDir(name); return err })
	return entries, err
}

// Readlink implements host.FS.
func (g guard) Readlink(name string) (target string, err error) {
	err = g.look("readlink", name, func() (err error) { target, err = g.under.Readlink(name); return err })
	return target, err
}

// Mkdir implements host.FS.
func (g guard) Mkdir(name string, perm fs.FileMode) error {
	return g.change("mkdir", name, func() error { return g.under.Mkdir(name, perm) })
}

// Symlink implements host.FS.
func (g guard) Symlink(target, name string) error {
	return g.change("symlink", name, func() error { return g.under.Symlink(target, name) })
}

// Rename implements host.FS. Its path, to a policy, is where the thing goes.
func (g guard) Rename(from, to string) error {
	return g.change("rename", to, func() error { return g.under.Rename(from, to) })
}

// Remove implements host.FS.
func (g guard) Remove(name string) error {
	return g.change("remove", name, func() error { return g.under.Remove(name) })
}

// Chmod implements host.FS.
func (g guard) Chmod(name string, perm fs.FileMode) error {
	return g.change("chmod", name, func() error { return g.under.Chmod(name, perm) })
}

// Chown implements host.FS.
func (g guard) Chown(name, user string) error {
	return g.change("chown", name, func() error { return g.under.Chown(name, user) })
}

// Clone implements host.FS.
func (g guard) Clone(from, to string, perm fs.FileMode) error {
	return g.change("clone", to, func() error { return g.under.Clone(from, to, perm) })
}

// SyncDir implements host.FS.
func (g guard) SyncDir(name string) error {
	return g.change("syncdir", name, func() error { return g.under.SyncDir(name) })
}

// Spread implements host.FS.
func (g guard) Spread(dir string) error {
	return g.change("spread", dir, func() error { return g.under.Spread(dir) })
}

// Barrier implements host.FS. A policy meets its Sync as "syncfs".
func (g guard) Barrier(dir string, files int) (b host.Barrier, err error) {
	err = g.look("barrier", dir, func() (err error) { b, err = g.under.Barrier(dir, files); return err })
	if err != nil {
		return nil, err
	}
	return guardedBarrier{b, dir, g}, nil
}

type guardedBarrier struct {
	host.Barrier
	dir string
	g   guard
}

// Sync implements host.Barrier.
func (b guardedBarrier) Sync() error { return b.g.change("syncfs", b.dir, b.Barrier.Sync) }

// Space implements host.FS.
func (g guard) Space(name string) (s host.Space, err error) {
	err = g.look("space", name, func() (err error) { s, err = g.under.Space(name); return err })
	return s, err
}

// guardedFile is a file whose every call is asked for. Fd, and so a lock by it, passes.
type guardedFile struct {
	host.File
	name string
	g    guard
}

// Read implements host.File.
func (f guardedFile) Read(p []byte) (n int, err error) {
	err = f.g.look("read", f.name, func() (err error) { n, err = f.File.Read(p); return err })
	return n, err
}

// Write implements host.File.
func (f guardedFile) Write(p []byte) (n int, err error) {
	c := &call{op: "write", path: f.name, writes: true, keep: len(p)}
	err = f.g.ask(c, func() (err error) { n, err = f.File.Write(p[:c.keep]); return err })
	return n, err
}

// Seek implements host.File.
func (f guardedFile) Seek(offset int64, whence int) (n int64, err error) {
	err = f.g.look("seek", f.name, func() (err error) { n, err = f.File.Seek(offset, whence); return err })
	return n, err
}

// Sync implements host.File.
func (f guardedFile) Sync() error { return f.g.change("sync", f.name, f.File.Sync) }

// Truncate implements host.File.
func (f guardedFile) Truncate(size int64) error {
	return f.g.change("truncate", f.name, func() error { return f.File.Truncate(size) })
}

// Stat implements host.File.
func (f guardedFile) Stat() (info fs.FileInfo, err error) {
	err = f.g.look("stat", f.name, func() (err error) { info, err = f.File.Stat(); return err })
	return info, err
}

// Close implements host.File.
func (f guardedFile) Close() error { return f.g.look("close", f.name, f.File.Close) }

package host

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"

	"golang.org/x/sys/unix"
)

// File is an open file. What was written is durable when Sync has returned.
type File interface {
	io.Reader
	io.Writer
	io.Seeker
	io.Closer
	Sync() error
	Truncate(size int64) error
	Stat() (fs.FileInfo, error)
	Fd() uintptr
}

// FS is the file system. Names made, renamed or removed in a directory are durable when SyncDir of it has returned.
type FS interface {
	Open(name string, flag int, perm fs.FileMode) (File, error)
	Lstat(name string) (fs.FileInfo, error)
	Stat(name string) (fs.FileInfo, error)
	ReadDir(name string) ([]fs.DirEntry, error)
	Readlink(name string) (string, error)
	Mkdir(name string, perm fs.FileMode) error
	Symlink(target, name string) error
	Rename(from, to string) error
	Remove(name string) error
	Chmod(name string, perm fs.FileMode) error
	// Chown gives a file to a user and their group; "" for nobody else than its owner.
	Chown(name, user string) error
	// Clone makes a new file that shares the blocks of another: no byte is copied. errors.ErrUnsupported, and no file,
	// where the file system cannot.
	Clone(from, to string, perm fs.FileMode) error
	SyncDir(name string) error
	// Spread asks for the folders that are made in dir from now on to lie apart from one another. errors.ErrUnsupported
	// where the file system takes no such wish, or not from this user.
	Spread(dir string) error
	// Barrier is one for the file system that holds a folder, instead of a sync for each of so many files.
	// errors.ErrUnsupported where that file system cannot promise it, or where it is not worth it.
	Barrier(dir string, files int) (Barrier, error)
	// Space is the free bytes and inodes for this user on the file system that holds name.
	Space(name string) (Space, error)
}

// Space is what a file system has left. Inodes is -1 where it has no fixed number of them.
type Space struct {
	Bytes  int64
	Inodes int64
	Type   int64 // the magic number of statfs(2)
}

// OS is the machine's file system.
type OS struct{}

// Open implements FS.
func (OS) Open(name string, flag int, perm fs.FileMode) (File, error) {
	f, err := os.OpenFile(name, flag, perm)
	if err != nil {
		return nil, err
	}
	return f, nil
}

// Lstat implements FS.
func (OS) Lstat(name string) (fs.FileInfo, error) { return os.Lstat(name) }

// Stat implements FS.
func (OS) Stat(name string) (fs.FileInfo, error) { return os.Stat(name) }

// ReadDir implements FS.
func (OS) ReadDir(name string) ([]fs.DirEntry, error) { return os.ReadDir(name) }

// Readlink implements FS.
func (OS) Readlink(name string) (string, error) { return os.Readlink(name) }

// Mkdir implements FS.
func (OS) Mkdir(name string, perm fs.FileMode) error { return os.Mkdir(name, perm) }

// Symlink implements FS.
func (OS) Symlink(target, name string) error { return os.Symlink(target, name) }

// Rename implements FS.
func (OS) Rename(from, to string) error { return os.Rename(from, to) }

// Remove implements FS.
func (OS) Remove(name string) error { return os.Remove(name) }

// Chmod implements FS.
func (OS) Chmod(name string, perm fs.FileMode) error { return os.Chmod(name, perm) }

// Chown implements FS.
func (OS) Chown(name, user string) error {
	id, err := lookUp(user)
	if err != nil || id == nil {
		return err
	}
	return os.Chown(name, int(id.Uid), int(id.Gid))
}

// SyncDir implements FS.
func (OS) SyncDir(name string) error {
	d, err := os.Open(name)
	if err != nil {
		return err
	}
	defer d.Close()
	return d.Sync()
}

// Space implements FS.
func (OS) Space(name string) (Space, error) {
	var st unix.Statfs_t
	if err := unix.Statfs(name, &st); err != nil {
		return Space{}, &fs.PathError{Op: "statfs", Path: name, Err: err}
	}
	s := Space{Bytes: int64(st.Bavail) * int64(st.Bsize), Inodes: int64(st.Ffree), Type: int64(st.Type)}
	if st.Files == 0 {
		s.Inodes = -1
	}
	return s, nil
}

// ReadFile reads a file of at most limit bytes; a larger one is an error.
func ReadFile(f FS, name string, limit int64) ([]byte, error) {
	file, err := f.Open(name, os.O_RDONLY, 0)
	if err != nil {
		return nil, err
	}
	defer file.Close()
	b, err := io.ReadAll(io.LimitReader(file, limit+1))
	if err != nil {
		return nil, err
	}
	if int64(len(b)) > limit {
		return nil, fmt.Errorf("cannot read %s: it is larger than %d bytes", name, limit)
	}
	return b, nil
}

// WriteFile replaces a file as one durable step: a reader, or a machine that loses power, sees the old content or the
// new one. The directory must exist.
func WriteFile(f FS, name string, data []byte, perm fs.FileMode) error {
	return replace(f, name, func(tmp string) error { return writeSynced(f, tmp, data, perm) })
}

// ReplaceLink makes name a symbolic link to target as one durable step; at no instant is name missing.
func ReplaceLink(f FS, target, name string) error {
	return replace(f, name, func(tmp string) error { return f.Symlink(target, tmp) })
}

// replace makes a thing under a temporary name and renames it over name. The temporary name is fixed: a leftover of a
// killed run is removed by the next, and two at once are excluded by the lease.
func replace(f FS, name string, make func(tmp string) error) error {
	dir, base := filepath.Split(name)
	tmp := filepath.Join(dir, "."+base+".new")
	if err := f.Remove(tmp); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	err := make(tmp)
	if err == nil {
		err = f.Rename(tmp, name)
	}
	if err != nil {
		f.Remove(tmp)
		return err
	}
	return f.SyncDir(filepath.Dir(name))
}

func writeSynced(f FS, name string, data []byte, perm fs.FileMode) error {
	file, err := f.Open(name, os.O_WRONLY|os.O_CREATE|os.O_EXCL, perm)
	if err != nil {
		return err
	}
	_, err = file.Write(data)
	if err == nil {
		err = f.Chmod(name, perm) // the umask has had its way with Open's
	}
	if err == nil {
		err = file.Sync()
	}
	return errors.Join(err, file.Close())
}

// MkdirAll makes a directory and its parents, each durable in its own parent.
func MkdirAll(f FS, name string, perm fs.FileMode) error {
	switch info, err := f.Stat(name); {
	case err == nil && info.IsDir():
		return nil
	case err == nil:
		return &fs.PathError{Op: "mkdir", Path: name, Err: errors.New("a file is in the way")}
	case !errors.Is(err, fs.ErrNotExist):
		return err
	}
	parent := filepath.Dir(name)
	if err := MkdirAll(f, parent, perm); err != nil {
		return err
	}
	switch err := f.Mkdir(name, perm); {
	case errors.Is(err, fs.ErrNotExist): // the parent is there
		return &fs.PathError{Op: "mkdir", Path: name, Err: fmt.Errorf("nothing can be made in %s", parent)}
	case err != nil && !errors.Is(err, fs.ErrExist):
		return err
	}
	return f.SyncDir(parent)
}

// MkdirSpread is MkdirAll of a folder in which whole trees come and go, with the wish that they lie apart; see FS.Spread.
func MkdirSpread(f FS, name string, perm fs.FileMode) error {
	err := MkdirAll(f, name, perm)
	if err == nil {
		err = f.Spread(name)
	}
	if errors.Is(err, errors.ErrUnsupported) {
		return nil
	}
	return err
}

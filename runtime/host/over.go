package host

import (
	"errors"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"
)

// Over is a file system under one of whose folders others' files lie: a file that is not there is read from Under, and a
// folder lists both. The folder itself lists what is its own. Nothing is ever written to what lies under.
type Over struct {
	FS
	Dir   string // absolute
	Under fs.FS
}

// under is what a name means beneath the folder, where the file system itself has nothing of that name.
func (o Over) under(name string, err error) (string, bool) {
	rel, outside := filepath.Rel(o.Dir, name)
	if !errors.Is(err, fs.ErrNotExist) || outside != nil || rel == "." || !filepath.IsLocal(rel) {
		return "", false
	}
	_, missing := fs.Stat(o.Under, filepath.ToSlash(rel))
	return filepath.ToSlash(rel), missing == nil
}

// Open implements FS.
func (o Over) Open(name string, flag int, perm fs.FileMode) (File, error) {
	f, err := o.FS.Open(name, flag, perm)
	rel, ok := o.under(name, err)
	if !ok || flag != os.O_RDONLY {
		return f, err
	}
	b, err := fs.ReadFile(o.Under, rel)
	if err != nil {
		return nil, err
	}
	info, err := fs.Stat(o.Under, rel)
	return &lying{strings.NewReader(string(b)), plainInfo{info}}, err
}

// Stat implements FS.
func (o Over) Stat(name string) (fs.FileInfo, error) {
	info, err := o.FS.Stat(name)
	return o.info(name, info, err)
}

// Lstat implements FS.
func (o Over) Lstat(name string) (fs.FileInfo, error) {
	info, err := o.FS.Lstat(name)
	return o.info(name, info, err)
}

func (o Over) info(name string, info fs.FileInfo, err error) (fs.FileInfo, error) {
	rel, ok := o.under(name, err)
	if !ok {
		return info, err
	}
	info, err = fs.Stat(o.Under, rel)
	return plainInfo{info}, err
}

// ReadDir implements FS.
func (o Over) ReadDir(name string) ([]fs.DirEntry, error) {
	own, err := o.FS.ReadDir(name)
	rel, ok := o.under(name, fs.ErrNotExist)
	if !ok || err != nil && !errors.Is(err, fs.ErrNotExist) {
		return own, err
	}
	under, err := fs.ReadDir(o.Under, rel)
	for _, e := range under {
		if slices.ContainsFunc(own, func(is fs.DirEntry) bool { return is.Name() == e.Name() }) {
			continue
		}
		info, err := e.Info()
		if err != nil {
			return nil, err
		}
		own = append(own, fs.FileInfoToDirEntry(plainInfo{info}))
	}
	slices.SortFunc(own, func(a, b fs.DirEntry) int { return strings.Compare(a.Name(), b.Name()) })
	return own, err
}

// plainInfo is a file as a checkout would have it: embedded ones have no time, and nobody may write them.
type plainInfo struct{ fs.FileInfo }

// Mode implements fs.FileInfo.
func (i plainInfo) Mode() fs.FileMode {
	if i.IsDir() {
		return fs.ModeDir | 0o755
	}
	return 0o644
}

// ModTime implements fs.FileInfo.
func (plainInfo) ModTime() time.Time { return time.Unix(0, 0) }

// lying is an open file of what lies under.
type lying struct {
	io.ReadSeeker
	info fs.FileInfo
}

func (*lying) Write([]byte) (int, error)    { return 0, fs.ErrPermission }
func (*lying) Close() error                 { return nil }
func (*lying) Sync() error                  { return nil }
func (*lying) Truncate(int64) error         { return fs.ErrPermission }
func (l *lying) Stat() (fs.FileInfo, error) { return l.info, nil }
func (*lying) Fd() uintptr                  { return ^uintptr(0) }

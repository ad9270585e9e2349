package artifact

import (
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strings"

	"github.com/erlmcp/runner/runtime/host"
)

// Digest gives the digest of a file or a folder and the bytes in its files. The digest of a file is that of its
// content, as sha256sum gives it. The digest of a folder is that of a listing: the path and the kind of everything in it,
// the content and the executable bit of files, the targets of links. Times, owners, the other bits of modes and the order
// of directories do not count. Links that lead out of the folder are an error, as is what is no file, folder or link.
func Digest(f host.FS, name string) (digest string, size int64, err error) {
	info, err := f.Stat(name)
	if err != nil {
		return "", 0, err
	}
	if !info.IsDir() {
		return File(f, name)
	}
	sum := sha256.New()
	err = Walk(f, name, func(rel string, info fs.FileInfo) error {
		line, n, err := entry(f, filepath.Join(name, rel), rel, info)
		size += n
		io.WriteString(sum, line)
		return err
	})
	return "sha256:" + hex.EncodeToString(sum.Sum(nil)), size, err
}

// entry is one line of a folder's listing. Names are quoted: one with a newline in it cannot pass for two entries.
func entry(f host.FS, name, rel string, info fs.FileInfo) (string, int64, error) {
	switch info.Mode().Type() {
	case fs.ModeDir:
		return fmt.Sprintf("folder %q\n", rel), 0, nil
	case fs.ModeSymlink:
		target, err := f.Readlink(name)
		return fmt.Sprintf("link %q %q\n", rel, target), 0, err
	}
	kind := "file"
	if info.Mode()&0o111 != 0 {
		kind = "program"
	}
	digest, size, err := File(f, name)
	return fmt.Sprintf("%s %q %s\n", kind, rel, digest), size, err
}

// File gives the digest of a regular file's content, and its size in bytes.
func File(f host.FS, name string) (digest string, size int64, err error) {
	info, err := f.Stat(name)
	if err != nil {
		return "", 0, err
	}
	if !info.Mode().IsRegular() { // opening a pipe would wait for its other end
		return "", 0, errors.New("it is " + Kind(info.Mode()))
	}
	file, err := f.Open(name, os.O_RDONLY, 0)
	if err != nil {
		return "", 0, err
	}
	defer file.Close()
	sum := sha256.New()
	size, err = io.Copy(sum, file)
	return "sha256:" + hex.EncodeToString(sum.Sum(nil)), size, err
}

// Walk calls visit for everything below a folder, in one order everywhere: names sorted by their bytes, a folder before
// what is in it. Links are visited, not followed. What is no file, folder or link, and a link that leads out of the
// folder, is an error that names it.
func Walk(f host.FS, root string, visit func(rel string, info fs.FileInfo) error) error {
	return walk(f, root, "", visit)
}

func walk(f host.FS, root, dir string, visit func(string, fs.FileInfo) error) error {
	entries, err := f.ReadDir(filepath.Join(root, dir))
	if err != nil {
		return fmt.Errorf("%s: %w", filepath.Join(root, dir), Plainly(err))
	}
	slices.SortFunc(entries, func(a, b fs.DirEntry) int { return strings.Compare(a.Name(), b.Name()) })
	for _, e := range entries {
		rel := path.Join(dir, e.Name())
		name := filepath.Join(root, rel)
		info, err := f.Lstat(name)
		if err == nil {
			err = admit(f, name, rel, info.Mode())
		}
		if err == nil {
			err = visit(rel, info)
		}
		if err != nil {
			return fmt.Errorf("%s: %w", name, Plainly(err))
		}
		if info.IsDir() {
			if err := walk(f, root, rel, visit); err != nil {
				return err
			}
		}
	}
	return nil
}

func admit(f host.FS, name, rel string, mode fs.FileMode) error {
	switch mode.Type() {
	case 0, fs.ModeDir:
		return nil
	case fs.ModeSymlink:
		target, err := f.Readlink(name)
		if err == nil && leadsOut(rel, target) {
			err = fmt.Errorf("it is a link to %s, which leads out of the folder", target)
		}
		return err
	}
	return errors.New("it is " + Kind(mode))
}

// leadsOut reports whether a link may lead out of its tree. A ".." behind a name counts as leading out: the name may be
// a link itself, and its ".." anywhere.
func leadsOut(rel, target string) bool {
	if path.IsAbs(target) {
		return true
	}
	up, down := 0, false
	for part := range strings.SplitSeq(target, "/") {
		switch {
		case part == "..":
			up++
			if down {
				return true
			}
		case part != "" && part != ".":
			down = true
		}
	}
	return up > strings.Count(rel, "/")
}

// Kind names what a file's mode says that it is: "a directory", "a socket".
func Kind(mode fs.FileMode) string {
	switch mode.Type() {
	case 0:
		return "a file"
	case fs.ModeDir:
		return "a directory"
	case fs.ModeSymlink:
		return "a symbolic link"
	case fs.ModeSocket:
		return "a socket"
	case fs.ModeNamedPipe:
		return "a pipe"
	}
	return "a device"
}

// Plainly is the cause of an error of the file system, without the path that the reader knows already.
func Plainly(err error) error {
	var p *fs.PathError
	var l *os.LinkError
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return errMissing{err}
	case errors.As(err, &p):
		return p.Err
	case errors.As(err, &l):
		return l.Err
	}
	return err
}

type errMissing struct{ error }

func (errMissing) Error() string   { return "it does not exist" }
func (e errMissing) Unwrap() error { return e.error }

package artifact

import (
	"context"
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
	t, err := Find(f, name)
	if err == nil && !t.IsFolder() {
		return File(f, name)
	}
	if err == nil {
		err = t.Hash(context.Background(), f)
	}
	if err != nil {
		return "", 0, err
	}
	return t.Digest(), t.Bytes, nil
}

// DigestOf is the digest of a folder that holds the entries, in Walk's order.
func DigestOf(entries []host.Entry) string {
	sum := sha256.New()
	for _, e := range entries {
		io.WriteString(sum, line(e))
	}
	return "sha256:" + hex.EncodeToString(sum.Sum(nil))
}

// DigestOfInstalled is the digest of the artifact that the installed ones among the entries came with: a folder, or one
// program.
func DigestOfInstalled(entries []host.Entry, program string) string {
	installed := slices.DeleteFunc(slices.Clone(entries), func(e host.Entry) bool { return !e.Installed })
	for _, e := range installed {
		if program != "" && e.Path == program {
			return e.SHA256
		}
	}
	return DigestOf(installed)
}

// line is one line of a folder's listing. Names are quoted: one with a newline in it cannot pass for two entries.
func line(e host.Entry) string {
	switch {
	case e.Mode.IsDir():
		return fmt.Sprintf("folder %q\n", e.Path)
	case e.Mode.Type() == fs.ModeSymlink:
		return fmt.Sprintf("link %q %q\n", e.Path, e.Link)
	case e.Mode&0o111 != 0:
		return fmt.Sprintf("program %q %s\n", e.Path, e.SHA256)
	}
	return fmt.Sprintf("file %q %s\n", e.Path, e.SHA256)
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
	return Sum(file)
}

// Sum gives the digest of a content, and its size in bytes.
func Sum(in io.Reader) (digest string, size int64, err error) {
	sum := sha256.New()
	size, err = io.Copy(sum, in)
	return "sha256:" + hex.EncodeToString(sum.Sum(nil)), size, err
}

// Walk calls visit for everything below a folder, in one order everywhere: names sorted by their bytes, a folder before
// what is in it. Links are visited, not followed. What is no file, folder or link, and a link that leads out of the
// folder, is an error that names it.
func Walk(f host.FS, root string, visit func(rel string, info fs.FileInfo) error) error {
	return walk(f, root, "", false, func(rel string, info fs.FileInfo) error {
		if err := admit(f, filepath.Join(root, rel), rel, info.Mode()); err != nil {
			return err
		}
		return visit(rel, info)
	})
}

// walk visits everything; in a live tree names may vanish while it does.
func walk(f host.FS, root, dir string, live bool, visit func(string, fs.FileInfo) error) error {
	entries, err := f.ReadDir(filepath.Join(root, dir))
	if live && dir != "" && errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return fmt.Errorf("%s: %w", filepath.Join(root, dir), Plainly(err))
	}
	slices.SortFunc(entries, func(a, b fs.DirEntry) int { return strings.Compare(a.Name(), b.Name()) })
	for _, e := range entries {
		rel := path.Join(dir, e.Name())
		name := filepath.Join(root, rel)
		info, err := f.Lstat(name)
		if live && errors.Is(err, fs.ErrNotExist) {
			continue
		}
		if err == nil {
			err = visit(rel, info)
		}
		if err != nil {
			return fmt.Errorf("%s: %w", name, Plainly(err))
		}
		if info.IsDir() {
			if err := walk(f, root, rel, live, visit); err != nil {
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
		if err == nil && LeadsOut(rel, target) {
			err = fmt.Errorf("it is a link to %s, which leads out of the folder", target)
		}
		return err
	}
	return errors.New("it is " + Kind(mode))
}

// LeadsOut reports whether a link at rel may lead out of its tree. A ".." behind a name counts as leading out: the name may be
// a link itself, and its ".." anywhere.
func LeadsOut(rel, target string) bool {
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

// Plainly is host.Plainly.
func Plainly(err error) error { return host.Plainly(err) }

package host

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
)

func TestWriteFile(t *testing.T) {
	dir := t.TempDir()
	name := filepath.Join(dir, "f")
	os.WriteFile(filepath.Join(dir, ".f.new"), []byte("left by a killed run"), 0o600)
	old := syscall.Umask(0o077)
	defer syscall.Umask(old)
	for _, data := range []string{"one", "two"} {
		if err := WriteFile(OS{}, name, []byte(data), 0o664); err != nil {
			t.Fatal(err)
		}
		b, err := ReadFile(OS{}, name, 3)
		info, _ := os.Stat(name)
		if string(b) != data || err != nil || info.Mode() != 0o664 {
			t.Errorf("%q, %v, %s", b, err, info.Mode())
		}
	}
	if entries, _ := os.ReadDir(dir); len(entries) != 1 {
		t.Errorf("left behind: %v", entries)
	}
	if _, err := ReadFile(OS{}, name, 2); err == nil || !strings.Contains(err.Error(), "larger than 2 bytes") {
		t.Errorf("too large: %v", err)
	}
	os.Mkdir(filepath.Join(dir, "d"), 0o755)
	if err := WriteFile(OS{}, filepath.Join(dir, "d"), nil, 0o600); err == nil {
		t.Error("a directory was replaced")
	}
	if entries, _ := os.ReadDir(dir); len(entries) != 2 {
		t.Errorf("a failure leaves: %v", entries)
	}
}

func TestRemoveAllFollowsNoLink(t *testing.T) {
	dir := t.TempDir()
	os.MkdirAll(filepath.Join(dir, "keep"), 0o755)
	os.WriteFile(filepath.Join(dir, "keep/f"), nil, 0o600)
	os.MkdirAll(filepath.Join(dir, "tree/d"), 0o755)
	os.Symlink("../../keep", filepath.Join(dir, "tree/d/l"))
	for range 2 { // what is not there is no error
		if err := RemoveAll(OS{}, filepath.Join(dir, "tree")); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := os.Stat(filepath.Join(dir, "keep/f")); err != nil {
		t.Error("removed through a link")
	}
	if _, err := os.Lstat(filepath.Join(dir, "tree")); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("still there: %v", err)
	}
}

// A large tree goes as a small one does, many files at a time; one that stays is an error, and the others are gone.
func TestRemoveAllOfMany(t *testing.T) {
	dir := t.TempDir()
	os.MkdirAll(filepath.Join(dir, "keep"), 0o755)
	os.WriteFile(filepath.Join(dir, "keep/f"), nil, 0o600)
	tree := filepath.Join(dir, "tree")
	for i := range 300 {
		name := filepath.Join(tree, fmt.Sprintf("a%d/b%d/f%d", i%3, i%20, i))
		os.MkdirAll(filepath.Dir(name), 0o755)
		os.WriteFile(name, nil, 0o600)
		os.Symlink(filepath.Join(dir, "keep"), name+".link")
	}
	err := RemoveAll(stubborn{name: filepath.Join(tree, "a1/b1/f1")}, tree)
	if !errors.Is(err, fs.ErrPermission) {
		t.Errorf("one that stays: %v", err)
	}
	left, _ := filepath.Glob(filepath.Join(tree, "*/*/*"))
	if len(left) != 1 {
		t.Errorf("left: %v", left)
	}
	if err := RemoveAll(OS{}, tree); err != nil {
		t.Fatal(err)
	}
	if _, err := os.Lstat(tree); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("still there: %v", err)
	}
	if _, err := os.Stat(filepath.Join(dir, "keep/f")); err != nil {
		t.Error("removed through a link")
	}
}

// stubborn is a file system that keeps a file.
type stubborn struct {
	OS
	name string
}

func (s stubborn) Remove(name string) error {
	if name == s.name {
		return fs.ErrPermission
	}
	return s.OS.Remove(name)
}

// Where a link has taken the place of a folder since that was listed, the link is removed.
func TestRemoveAllMeetsANewLink(t *testing.T) {
	dir := t.TempDir()
	os.MkdirAll(filepath.Join(dir, "keep"), 0o755)
	os.WriteFile(filepath.Join(dir, "keep/f"), nil, 0o600)
	os.MkdirAll(filepath.Join(dir, "tree/d"), 0o755)
	if err := RemoveAll(swapped{dir: filepath.Join(dir, "tree"), to: filepath.Join(dir, "keep")}, filepath.Join(dir, "tree")); err != nil {
		t.Fatal(err)
	}
	if _, err := os.Stat(filepath.Join(dir, "keep/f")); err != nil {
		t.Error("removed through a link")
	}
}

// swapped is a file system in which the folder d of a folder becomes a link once it was listed.
type swapped struct {
	OS
	dir, to string
}

func (s swapped) ReadDir(name string) ([]fs.DirEntry, error) {
	entries, err := s.OS.ReadDir(name)
	if d := filepath.Join(s.dir, "d"); name == s.dir {
		err = errors.Join(err, os.Remove(d), os.Symlink(s.to, d))
	}
	return entries, err
}

func TestMkdirAll(t *testing.T) {
	dir := t.TempDir()
	for range 2 {
		if err := MkdirAll(OS{}, filepath.Join(dir, "a/b/c"), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	os.WriteFile(filepath.Join(dir, "f"), nil, 0o600)
	if err := MkdirAll(OS{}, filepath.Join(dir, "f/g"), 0o755); err == nil {
		t.Error("a directory below a file")
	}
	if err := MkdirAll(OS{}, filepath.Join(dir, "f"), 0o755); err == nil || !strings.Contains(err.Error(), "a file is in the way") {
		t.Errorf("in the way: %v", err)
	}
	if err := MkdirAll(noFolders{}, filepath.Join(dir, "x/y"), 0o755); err == nil || err.Error() != "mkdir "+dir+"/x: nothing can be made in "+dir {
		t.Errorf("where nothing can be made, as in /proc: %v", err)
	}
}

// noFolders is a file system that says of a new folder what /proc does.
type noFolders struct{ OS }

func (noFolders) Mkdir(name string, _ fs.FileMode) error {
	return &fs.PathError{Op: "mkdir", Path: name, Err: fs.ErrNotExist}
}

// A reader that looks all the time never finds the link missing.
func TestReplaceLink(t *testing.T) {
	name := filepath.Join(t.TempDir(), "current")
	if err := ReplaceLink(OS{}, "0", name); err != nil {
		t.Fatal(err)
	}
	done, missed := make(chan struct{}), make(chan error, 1)
	go func() {
		defer close(missed)
		for {
			select {
			case <-done:
				return
			default:
			}
			if _, err := os.Readlink(name); err != nil {
				missed <- err
				return
			}
		}
	}()
	for range 200 {
		if err := ReplaceLink(OS{}, "1", name); err != nil {
			t.Fatal(err)
		}
	}
	close(done)
	if err := <-missed; err != nil {
		t.Errorf("missing: %v", err)
	}
	if err := ReplaceLink(OS{}, "1", filepath.Join(name, "x", "y")); err == nil {
		t.Error("a link in a directory that is not there")
	}
}

func TestSpace(t *testing.T) {
	s, err := OS{}.Space(t.TempDir())
	if err != nil || s.Bytes <= 0 || s.Type == 0 {
		t.Errorf("%+v, %v", s, err)
	}
	if _, err := (OS{}).Space("/no/such"); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("nowhere: %v", err)
	}
}

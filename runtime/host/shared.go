package host

import (
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"golang.org/x/sys/unix"
)

// Shared is a file system on which the users of a group work in turn. In a folder that is a group's, setgid and writable
// for it, what is made has the right mode from its first instant: a folder gives the group what it gives its owner, and so
// does a file where others may not read the folder. Elsewhere nothing differs (decision 0011).
type Shared struct {
	FS
	Except string // a folder in which nothing is the group's: what this machine keeps for whoever runs
}

// Open implements FS.
func (s Shared) Open(name string, flag int, perm fs.FileMode) (File, error) {
	if flag&os.O_CREATE != 0 {
		perm = s.file(name, perm)
	}
	return s.FS.Open(name, flag, perm)
}

// Mkdir implements FS.
func (s Shared) Mkdir(name string, perm fs.FileMode) error {
	return s.FS.Mkdir(name, s.folder(name, perm))
}

// Clone implements FS.
func (s Shared) Clone(from, to string, perm fs.FileMode) error {
	return s.FS.Clone(from, to, s.file(to, perm))
}

// Chmod implements FS. What is so already, because another of the group made it so, may belong to them.
func (s Shared) Chmod(name string, perm fs.FileMode) error {
	if shared, _ := s.group(filepath.Dir(name)); !shared {
		return s.FS.Chmod(name, perm)
	}
	info, err := s.FS.Stat(name)
	if err != nil {
		return err
	}
	if info.IsDir() {
		perm = s.folder(name, perm)
	} else {
		perm = s.file(name, perm)
	}
	if info.Mode()&^fs.ModeType == perm {
		return nil
	}
	return s.FS.Chmod(name, perm)
}

// group reports whether a folder is a group's, and whether it is closed to others: they may pass through, and see nothing.
func (s Shared) group(dir string) (shared, closed bool) {
	if s.Except != "" && strings.HasPrefix(dir+"/", s.Except+"/") {
		return false, false
	}
	info, err := s.FS.Stat(dir)
	shared = err == nil && info.Mode()&fs.ModeSetgid != 0 && info.Mode()&0o020 != 0
	return shared, shared && info.Mode()&0o006 == 0
}

func (s Shared) folder(name string, perm fs.FileMode) fs.FileMode {
	shared, _ := s.group(filepath.Dir(name))
	if !shared || name == s.Except {
		return perm
	}
	if filepath.Base(name) == ".runner" { // a root's own, which a run makes where runner setup has not
		perm &^= 0o006
	}
	return perm | perm>>3&0o070 | fs.ModeSetgid
}

func (s Shared) file(name string, perm fs.FileMode) fs.FileMode {
	if _, closed := s.group(filepath.Dir(name)); closed {
		perm |= perm >> 3 & 0o070
	}
	return perm
}

// OpenMask keeps the process's umask from taking the group's rights away from what runner itself makes. It returns the
// mask that was, which what runner starts is to have.
func OpenMask() string {
	was := unix.Umask(0)
	unix.Umask(was &^ 0o070)
	return fmt.Sprintf("%03o", was)
}

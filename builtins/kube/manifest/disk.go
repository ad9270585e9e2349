package manifest

import (
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"

	"sigs.k8s.io/kustomize/kyaml/filesys"

	"github.com/erlmcp/runner/runtime/host"
)

// disk is a host's files as kustomize wants them: read, never written.
type disk struct {
	files host.FS
	read  func(path string, data []byte)
}

var _ filesys.FileSystem = disk{}

// Create implements filesys.FileSystem.
func (disk) Create(string) (filesys.File, error) { return nil, errWritten }

// Mkdir implements filesys.FileSystem.
func (disk) Mkdir(string) error { return errWritten }

// MkdirAll implements filesys.FileSystem.
func (disk) MkdirAll(string) error { return errWritten }

// RemoveAll implements filesys.FileSystem.
func (disk) RemoveAll(string) error { return errWritten }

// WriteFile implements filesys.FileSystem.
func (disk) WriteFile(string, []byte) error { return errWritten }

// Open implements filesys.FileSystem.
func (d disk) Open(path string) (filesys.File, error) {
	return d.files.Open(path, os.O_RDONLY, 0)
}

// IsDir implements filesys.FileSystem.
func (d disk) IsDir(path string) bool {
	info, err := d.files.Stat(path)
	return err == nil && info.IsDir()
}

// ReadDir implements filesys.FileSystem.
func (d disk) ReadDir(path string) (out []string, err error) {
	entries, err := d.files.ReadDir(path)
	for _, e := range entries {
		out = append(out, e.Name())
	}
	return out, err
}

// CleanedAbs implements filesys.FileSystem.
func (d disk) CleanedAbs(path string) (filesys.ConfirmedDir, string, error) {
	info, err := d.files.Stat(path)
	if err != nil {
		return "", "", err
	}
	path = filepath.Clean(path)
	if info.IsDir() {
		return filesys.ConfirmedDir(path), "", nil
	}
	return filesys.ConfirmedDir(filepath.Dir(path)), filepath.Base(path), nil
}

// Exists implements filesys.FileSystem.
func (d disk) Exists(path string) bool {
	_, err := d.files.Stat(path)
	return err == nil
}

// Glob implements filesys.FileSystem.
func (d disk) Glob(pattern string) (out []string, err error) {
	entries, err := d.files.ReadDir(filepath.Dir(pattern))
	if absent(err) {
		return nil, nil
	}
	for _, e := range entries {
		path := filepath.Join(filepath.Dir(pattern), e.Name())
		if ok, err := filepath.Match(pattern, path); err != nil {
			return nil, err
		} else if ok {
			out = append(out, path)
		}
	}
	return out, err
}

// ReadFile implements filesys.FileSystem.
func (d disk) ReadFile(path string) ([]byte, error) {
	f, err := d.files.Open(path, os.O_RDONLY, 0)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	data, err := io.ReadAll(io.LimitReader(f, maxText+1))
	if err == nil && len(data) > maxText {
		return nil, fmt.Errorf("%s is larger than %d MiB", path, maxText>>20)
	}
	if err == nil {
		d.read(path, data)
	}
	return data, err
}

// Walk implements filesys.FileSystem.
func (d disk) Walk(path string, visit filepath.WalkFunc) error {
	info, err := d.files.Lstat(path)
	if err != nil {
		return visit(path, nil, err)
	}
	err = d.walk(path, info, visit)
	if err == filepath.SkipDir || err == filepath.SkipAll {
		return nil
	}
	return err
}

func (d disk) walk(path string, info fs.FileInfo, visit filepath.WalkFunc) error {
	if err := visit(path, info, nil); err != nil || !info.IsDir() {
		return err
	}
	entries, err := d.files.ReadDir(path)
	if err != nil {
		return visit(path, info, err)
	}
	for _, e := range entries {
		info, err := e.Info()
		if err != nil {
			return err
		}
		if err := d.walk(filepath.Join(path, e.Name()), info, visit); err != nil && err != filepath.SkipDir {
			return err
		}
	}
	return nil
}

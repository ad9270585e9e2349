package artifact

import (
	"context"
	"errors"
	"io"
	"io/fs"
	"os"
	"path/filepath"

	"github.com/erlmcp/runner/runtime/host"
)

// Copy makes a copy of a file or a folder that has its digest, under a name that is free. Its files and its directories
// are durable when it returns, its name in the directory above is not. What it has made of a copy that ends with an
// error stays.
func Copy(ctx context.Context, f host.FS, from, to string) error {
	info, err := f.Stat(from)
	if err != nil {
		return err
	}
	if !info.IsDir() {
		return copyFile(ctx, f, from, to)
	}
	if err := f.Mkdir(to, info.Mode().Perm()|0o700); err != nil {
		return err
	}
	dirs := []string{to}
	err = Walk(f, from, func(rel string, info fs.FileInfo) error {
		source, name := filepath.Join(from, rel), filepath.Join(to, rel)
		switch info.Mode().Type() {
		case fs.ModeDir:
			dirs = append(dirs, name)
			return f.Mkdir(name, info.Mode().Perm()|0o700)
		case fs.ModeSymlink:
			target, err := f.Readlink(source)
			if err != nil {
				return err
			}
			return f.Symlink(target, name)
		}
		return copyFile(ctx, f, source, name)
	})
	for _, d := range dirs {
		if err == nil {
			err = f.SyncDir(d)
		}
	}
	return err
}

func copyFile(ctx context.Context, f host.FS, from, to string) error {
	info, err := f.Stat(from)
	if err != nil {
		return err
	}
	if !info.Mode().IsRegular() {
		return errors.New("it is " + Kind(info.Mode()))
	}
	in, err := f.Open(from, os.O_RDONLY, 0)
	if err != nil {
		return err
	}
	defer in.Close()
	perm := info.Mode().Perm()
	out, err := f.Open(to, os.O_WRONLY|os.O_CREATE|os.O_EXCL, perm)
	if err != nil {
		return err
	}
	_, err = io.CopyBuffer(out, reader{ctx, in}, make([]byte, copyBuffer))
	if err == nil {
		err = f.Chmod(to, perm)
	}
	if err == nil {
		err = out.Sync()
	}
	return errors.Join(err, out.Close())
}

// copyBuffer is how much is copied at a time, in bytes.
const copyBuffer = 1 << 20

// reader ends a copy when its context does.
type reader struct {
	ctx context.Context
	io.Reader
}

func (r reader) Read(p []byte) (int, error) {
	if r.ctx.Err() != nil {
		return 0, context.Cause(r.ctx)
	}
	return r.Reader.Read(p)
}

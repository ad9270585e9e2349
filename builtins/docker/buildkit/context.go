package buildkit

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/erlmcp/runner/runtime/host"
	"github.com/erlmcp/runner/runtime/op"
	"github.com/moby/patternmatcher/ignorefile"
	"github.com/tonistiigi/fsutil"
	"github.com/tonistiigi/fsutil/types"
)

// maxIgnore is the size of a .dockerignore that is read at most.
const maxIgnore = 1 << 20

// often is how many bytes are counted from one word about it to the next.
const often = 64 << 20

// tree is a build's context as it was when it was listed: what .dockerignore leaves of a folder. What is in it is what
// was counted, and nothing else is ever sent. Files that are neither files, folders nor links are left out, and so are
// owners and extended attributes.
type tree struct {
	files   host.FS
	dir     string
	entries []*types.Stat // a folder before what is in it
	ignore  string        // the file that was honoured, "" for none
	own     string        // the folder in which runner keeps its state: it changes meanwhile, and is nobody's input
}

var _ fsutil.FS = &tree{}

// list reads what is in a context.
func list(ctx context.Context, files host.FS, dir, dockerfile, own string) (*tree, error) {
	t := &tree{files: files, dir: dir, own: own}
	info, err := files.Stat(dir)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return nil, fmt.Errorf("its context %s does not exist", dir)
	case err != nil:
		return nil, err
	case !info.IsDir():
		return nil, fmt.Errorf("its context %s is no folder", dir)
	}
	patterns, err := t.patterns(dockerfile)
	if err != nil {
		return nil, err
	}
	kept, err := fsutil.NewFilterFS(disk{files, dir, own}, &fsutil.FilterOpt{ExcludePatterns: patterns})
	if err != nil {
		return nil, fmt.Errorf("%s: %w", t.ignore, err)
	}
	err = kept.Walk(ctx, "", func(_ string, e fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		info, err := e.Info()
		if err == nil {
			t.entries = append(t.entries, info.Sys().(*types.Stat))
		}
		return err
	})
	return t, err
}

// patterns are the lines of the .dockerignore of the Dockerfile, or else of the context.
func (t *tree) patterns(dockerfile string) ([]string, error) {
	for _, name := range []string{dockerfile + ".dockerignore", filepath.Join(t.dir, ".dockerignore")} {
		b, err := host.ReadFile(t.files, name, maxIgnore)
		if errors.Is(err, fs.ErrNotExist) {
			continue
		}
		if err != nil {
			return nil, err
		}
		t.ignore = name
		return ignorefile.ReadAll(strings.NewReader(string(b)))
	}
	return nil, nil
}

// digest counts every byte of the context.
func (t *tree) digest(ctx context.Context) (string, error) {
	sum := sha256.New()
	var done, told, total int64
	for _, e := range t.entries {
		total += e.Size
	}
	for _, e := range t.entries {
		if ctx.Err() != nil {
			return "", context.Cause(ctx)
		}
		fmt.Fprintf(sum, "%q %o %q", e.Path, e.Mode, e.Linkname)
		if fs.FileMode(e.Mode).IsRegular() {
			content, err := t.count(e)
			if err != nil {
				return "", err
			}
			fmt.Fprintf(sum, " %x", content)
			if done += e.Size; done-told >= often {
				told = done
				op.Progress(ctx, done, total, "bytes")
			}
		}
		sum.Write([]byte("\n"))
	}
	return hex.EncodeToString(sum.Sum(nil)), nil
}

func (t *tree) count(e *types.Stat) ([]byte, error) {
	f, err := t.Open(e.Path)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	sum := sha256.New()
	n, err := io.Copy(sum, f)
	if err == nil && n != e.Size {
		err = fmt.Errorf("%s: %w", e.Path, errMoving)
	}
	return sum.Sum(nil), err
}

var errMoving = errors.New("it changes while it is read")

// steady reports whether the folder still holds what was listed.
func (t *tree) steady(ctx context.Context, dockerfile string) error {
	now, err := list(ctx, t.files, t.dir, dockerfile, t.own)
	if err != nil {
		return err
	}
	for i, e := range now.entries {
		if i == len(t.entries) {
			return fmt.Errorf("%s: %w", e.Path, errMoving)
		}
		was := t.entries[i]
		if e.Path != was.Path && !slices.ContainsFunc(now.entries, func(e *types.Stat) bool { return e.Path == was.Path }) {
			return fmt.Errorf("%s: %w", was.Path, errMoving)
		}
		if e.Path != was.Path || e.Mode != was.Mode || e.Size != was.Size || e.Linkname != was.Linkname || !fs.FileMode(e.Mode).IsDir() && e.ModTime != was.ModTime {
			return fmt.Errorf("%s: %w", e.Path, errMoving)
		}
	}
	if len(now.entries) < len(t.entries) {
		return fmt.Errorf("%s: %w", t.entries[len(now.entries)].Path, errMoving)
	}
	return nil
}

// Open implements fsutil.FS. A link is not followed out of the context: none is followed at all.
func (t *tree) Open(name string) (io.ReadCloser, error) {
	return t.files.Open(filepath.Join(t.dir, name), os.O_RDONLY, 0)
}

// Walk implements fsutil.FS.
func (t *tree) Walk(ctx context.Context, target string, fn fs.WalkDirFunc) error {
	target = filepath.Clean("/" + target)[1:]
	skip := ""
	for _, e := range t.entries {
		if target != "" && e.Path != target && !strings.HasPrefix(e.Path, target+"/") || skip != "" && strings.HasPrefix(e.Path, skip) {
			continue
		}
		if ctx.Err() != nil {
			return context.Cause(ctx)
		}
		switch err := fn(e.Path, &fsutil.DirEntryInfo{Stat: e.Clone()}, nil); {
		case err == filepath.SkipDir && e.IsDir():
			skip = e.Path + "/"
		case err == filepath.SkipDir:
			if skip = filepath.Dir(e.Path) + "/"; skip == "./" {
				return nil
			}
		case err != nil:
			return err
		}
	}
	return nil
}

// disk is a folder before anything is left out of it but runner's own: no line of a .dockerignore brings that in again.
type disk struct {
	files host.FS
	dir   string
	own   string
}

// Open implements fsutil.FS; a disk is only listed.
func (d disk) Open(string) (io.ReadCloser, error) { return nil, errors.ErrUnsupported }

// Walk implements fsutil.FS.
func (d disk) Walk(ctx context.Context, rel string, fn fs.WalkDirFunc) error {
	entries, err := d.files.ReadDir(filepath.Join(d.dir, rel))
	if err != nil {
		return err
	}
	for _, e := range entries {
		if ctx.Err() != nil {
			return context.Cause(ctx)
		}
		if filepath.Join(d.dir, rel, e.Name()) == d.own {
			continue
		}
		stat, err := d.stat(filepath.Join(rel, e.Name()))
		if errors.Is(err, fs.ErrNotExist) || stat == nil && err == nil {
			continue
		}
		if err == nil {
			err = fn(stat.Path, &fsutil.DirEntryInfo{Stat: stat}, nil)
		}
		switch {
		case err == filepath.SkipDir && e.IsDir():
			continue
		case err == filepath.SkipDir:
			return nil
		case err == nil && e.IsDir():
			err = d.Walk(ctx, stat.Path, fn)
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// stat is an entry as it is sent; nil for what is no file, folder or link.
func (d disk) stat(rel string) (*types.Stat, error) {
	info, err := d.files.Lstat(filepath.Join(d.dir, rel))
	if err != nil {
		return nil, err
	}
	s := &types.Stat{Path: rel, Mode: uint32(info.Mode()), ModTime: info.ModTime().UnixNano()}
	switch {
	case info.Mode().IsRegular():
		s.Size = info.Size()
	case info.Mode()&fs.ModeSymlink != 0:
		s.Linkname, err = d.files.Readlink(filepath.Join(d.dir, rel))
	case !info.IsDir():
		return nil, nil
	}
	return s, err
}

package artifact

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"path/filepath"
	"slices"

	"github.com/erlmcp/runner/runtime/host"
)

// Tree is a file or a folder as it was found. Copy and Hash read it: from then on its entries tell what was read.
type Tree struct {
	Path    string       // where it is
	Entries []host.Entry // what is in a folder, in Walk's order; of a file, itself under the name ""
	Bytes   int64        // in its files
	Skipped []string     // of a folder that is in use: its sockets, pipes and devices
	mode    fs.FileMode
	live    bool
}

// Find looks at a file or a folder. It refuses what Walk refuses.
func Find(f host.FS, name string) (*Tree, error) {
	info, err := f.Stat(name)
	if err != nil {
		return nil, err
	}
	t := &Tree{Path: name, mode: info.Mode()}
	if !info.IsDir() {
		return t, t.add(f, "", info)
	}
	return t, Walk(f, name, func(rel string, info fs.FileInfo) error { return t.add(f, rel, info) })
}

// FindLive looks at a folder that a program works in meanwhile. Links may lead anywhere: they are kept, not followed.
// What vanishes is left out, and so is what is no file, folder or link.
func FindLive(f host.FS, name string) (*Tree, error) {
	info, err := f.Lstat(name)
	if err != nil {
		return nil, err
	}
	if !info.IsDir() {
		return nil, fmt.Errorf("%s: it is %s", name, Kind(info.Mode()))
	}
	t := &Tree{Path: name, mode: info.Mode(), live: true}
	return t, walk(f, name, "", true, func(rel string, info fs.FileInfo) error { return t.add(f, rel, info) })
}

// TreeOf is a folder of which a manifest tells what is in it.
func TreeOf(name string, entries []host.Entry) *Tree {
	t := &Tree{Path: name, Entries: entries, mode: fs.ModeDir | 0o755}
	for _, e := range entries {
		t.Bytes += e.Size
	}
	return t
}

func (t *Tree) add(f host.FS, rel string, info fs.FileInfo) (err error) {
	e := host.Entry{Path: rel, Mode: info.Mode().Type() | info.Mode().Perm()}
	switch e.Mode.Type() {
	case 0:
		e.Size = info.Size()
		t.Bytes += e.Size
	case fs.ModeDir:
		e.Mode |= ownerRWX
	case fs.ModeSymlink:
		e.Link, err = f.Readlink(filepath.Join(t.Path, rel))
		if t.live && errors.Is(err, fs.ErrNotExist) {
			return nil
		}
	default:
		if !t.live {
			return errors.New("it is " + Kind(info.Mode()))
		}
		t.Skipped = append(t.Skipped, rel)
		return nil
	}
	t.Entries = append(t.Entries, e)
	return err
}

// ownerRWX is what a copied folder always allows its owner, who must be able to fill it and to delete it.
const ownerRWX = 0o700

// IsFolder reports whether the tree is a folder.
func (t *Tree) IsFolder() bool { return t.mode.IsDir() }

// Digest is what Digest gives for the tree, once it was copied or hashed.
func (t *Tree) Digest() string {
	if !t.IsFolder() {
		return t.Entries[0].SHA256
	}
	return DigestOf(t.Entries)
}

// block is what a file system commonly gives out at a time.
const block = 4096

// Room is how many bytes a copy takes on a disk.
func (t *Tree) Room() int64 {
	n := int64(block)
	for _, e := range t.Entries {
		n += (max(e.Size, 1) + block - 1) / block * block
	}
	return n
}

// Hash reads every file, some at a time.
func (t *Tree) Hash(ctx context.Context, f host.FS) error {
	return newPass(ctx, f, t).each(func(p *pass, e *host.Entry) error {
		in, err := p.open(e)
		if err != nil {
			return err
		}
		return errors.Join(p.pump(e, in, nil), in.Close())
	})
}

// Copy makes a copy under a name that is free. Its files and its directories are durable when it returns, its name in
// the directory above is not. Modes are kept, owners and times are not; no block is written where the file system can
// share it. What it has made of a copy that ends with an error stays.
func (t *Tree) Copy(ctx context.Context, f host.FS, to string) error {
	return t.CopyAnd(ctx, f, to, func() error { return nil })
}

// CopyAnd is Copy that calls something when the tree's entries tell what was read, while the disk writes.
func (t *Tree) CopyAnd(ctx context.Context, f host.FS, to string, meanwhile func() error) error {
	p := newPass(ctx, f, t)
	dirs, err := p.frame(to)
	if err != nil {
		return err
	}
	err = p.each(func(p *pass, e *host.Entry) error { return p.copy(e, filepath.Join(to, e.Path)) })
	side := make(chan error, 1)
	if err == nil {
		go func() { side <- meanwhile() }()
	} else {
		side <- nil
	}
	return errors.Join(p.settle(dirs, err), <-side)
}

// frame makes the folders and the links of a copy.
func (t *Tree) frame(f host.FS, to string) (dirs []string, err error) {
	if !t.IsFolder() {
		return nil, nil
	}
	for _, e := range slices.Concat([]host.Entry{{Mode: t.mode.Type() | t.mode.Perm() | ownerRWX}}, t.Entries) {
		name := filepath.Join(to, e.Path)
		switch e.Mode.Type() {
		case fs.ModeDir:
			dirs = append(dirs, name)
			if err = f.Mkdir(name, e.Mode.Perm()); err == nil {
				err = f.Chmod(name, e.Mode.Perm()) // the umask has had its way with Mkdir's
			}
		case fs.ModeSymlink:
			err = f.Symlink(e.Link, name)
		}
		if err != nil {
			return nil, err
		}
	}
	return dirs, nil
}

// Copy copies what Find finds; see Tree.Copy.
func Copy(ctx context.Context, f host.FS, from, to string) error {
	t, err := Find(f, from)
	if err != nil {
		return err
	}
	return t.Copy(ctx, f, to)
}

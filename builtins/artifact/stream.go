package artifact

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"hash"
	"io"
	"os"
	"path/filepath"
	"slices"

	"github.com/erlmcp/runner/runtime/host"
)

// Stream gives the tree to visit, one entry after the other, with the content of files. A file gives as many bytes as
// it had when it was opened, though it be cut off meanwhile. While one is visited the next are read and hashed.
func (t *Tree) Stream(ctx context.Context, f host.FS, visit func(e host.Entry, in io.Reader) error) error {
	p := newPass(ctx, f, t)
	coming := make(chan *ahead, atATime)
	p.group.Go(func() error { p.read(coming); return nil })
	gone, err := map[string]bool{}, error(nil)
	for a := range coming {
		if err == nil {
			err = p.give(a, visit)
		}
		if gone[a.e.Path] = a.in != nil && a.e.SHA256 == ""; err != nil {
			p.stop(err)
		}
		a.close(p)
	}
	if err = cmp.Or(err, context.Cause(ctx), p.end()); err != nil {
		return err
	}
	t.Entries = slices.DeleteFunc(t.Entries, func(e host.Entry) bool { return gone[e.Path] })
	t.Bytes = p.done
	return nil
}
// stream is the content of a file.
type stream struct {
	p    *pass
	in   io.Reader
	left int64
	cut  bool
	sum  hash.Hash
}

func (s *stream) Read(b []byte) (int, error) {
	if s.p.ctx.Err() != nil {
		return 0, context.Cause(s.p.ctx)
	}
	if s.left == 0 {
		return 0, io.EOF
	}
	b = b[:min(int64(len(b)), s.left)]
	n := 0
	if !s.cut {
		var err error
		if n, err = s.in.Read(b); err != nil && err != io.EOF {
			return n, err
		}
		s.cut = err == io.EOF
	}
	if s.cut && n == 0 {
		clear(b)
		n = len(b)
	}
	s.left -= int64(n)
	s.sum.Write(b[:n])
	s.p.progress(int64(n), 0)
	return n, nil
}

// Writer makes a folder of which a manifest tells what is in it, and the content comes one file after the other.
type Writer struct {
	pass *pass
	to   string
	dirs []string
}

// Writer makes the folders and the links of the tree.
func (t *Tree) Writer(ctx context.Context, f host.FS, to string) (*Writer, error) {
	p := newPass(ctx, f, t)
	dirs, err := p.frame(to)
	return &Writer{p, to, dirs}, err
}

// Put writes a file, which must be what the manifest says of it. The disk holds it when Close has returned.
func (w *Writer) Put(e host.Entry, in io.Reader) error {
	if !e.Mode.IsRegular() {
		return nil
	}
	name, got := filepath.Join(w.to, e.Path), e
	out, err := w.pass.f.Open(name, os.O_WRONLY|os.O_CREATE|os.O_EXCL, e.Mode.Perm())
	if err != nil {
		return err
	}
	err = w.pass.pump(&got, in, out)
	if err == nil && got != e {
		err = fmt.Errorf("%s is not what it was", e.Path)
	}
	if err == nil {
		err = w.pass.allow(out, name, e.Mode.Perm())
	}
	if err != nil {
		return errors.Join(err, out.Close())
	}
	w.pass.begin(&got, func(p *pass, _ *host.Entry) error { return p.keep(out) })
	return nil
}

// Close waits for the disk.
func (w *Writer) Close() error { return w.pass.settle(w.dirs) }

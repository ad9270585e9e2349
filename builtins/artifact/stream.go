package artifact

import (
	"bytes"
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
func (t *Tree) Stream(ctx context.Context, f host.FS, visit func(e host.Entry, in io.Reader) error) (err error) {
	ctx, stop := context.WithCancelCause(ctx)
	p := newPass(ctx, f, t)
	coming, gone := make(chan *ahead, atATime), map[string]bool{}
	go p.readAhead(coming)
	for a := range coming {
		<-a.done
		if err == nil {
			if err = p.give(a, visit); err != nil {
				stop(err)
			}
		}
		gone[a.e.Path] = a.e.Mode.IsRegular() && a.e.SHA256 == ""
		a.close(p)
	}
	stop(nil)
	if err != nil {
		return err
	}
	t.Entries = slices.DeleteFunc(t.Entries, func(e host.Entry) bool { return gone[e.Path] })
	t.Bytes = p.done
	return nil
}

// ahead is an entry that is to be visited. Of a file, a buffer full is read before.
type ahead struct {
	e    *host.Entry
	in   host.File
	rest *stream
	buf  []byte
	data []byte
	err  error
	done chan struct{}
}

// readAhead ends when all was taken. Whoever takes an entry closes it.
func (p *pass) readAhead(coming chan<- *ahead) {
	defer close(coming)
	for i := range p.tree.Entries {
		a := &ahead{e: &p.tree.Entries[i], done: make(chan struct{})}
		if a.e.Mode.IsRegular() {
			a.buf = <-p.buffers // here, for those that come first to get one first
			p.group.Go(func() error { defer close(a.done); a.read(p); return nil })
		} else {
			close(a.done)
		}
		coming <- a
	}
}

func (a *ahead) read(p *pass) {
	if a.err = context.Cause(p.ctx); a.err != nil {
		return
	}
	if a.in, a.err = p.open(a.e); a.err != nil {
		return
	}
	if a.buf == nil {
		a.buf = make([]byte, buffer)
	}
	a.rest = &stream{p: p, in: a.in, left: a.e.Size, sum: sha256.New()}
	n, err := io.ReadFull(a.rest, a.buf[:min(int64(buffer), a.e.Size)])
	a.data, a.err = a.buf[:n], err
}

func (p *pass) give(a *ahead, visit func(host.Entry, io.Reader) error) error {
	if !a.e.Mode.IsRegular() {
		return visit(*a.e, nil)
	}
	return p.visit(a.e, func(p *pass, e *host.Entry) error {
		if a.err != nil {
			return a.err
		}
		if err := visit(*e, io.MultiReader(bytes.NewReader(a.data), a.rest)); err != nil {
			return err
		}
		e.SHA256 = "sha256:" + hex.EncodeToString(a.rest.sum.Sum(nil))
		p.progress(0, 1)
		return nil
	})
}

func (a *ahead) close(p *pass) {
	if a.in != nil {
		a.in.Close()
	}
	if a.e.Mode.IsRegular() {
		p.buffers <- a.buf
	}
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
func (w *Writer) Close() error { return w.pass.settle(w.dirs, w.pass.group.Wait()) }

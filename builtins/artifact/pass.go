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
	"path/filepath"
	"slices"
	"sync"
	"sync/atomic"
	"syscall"

	"golang.org/x/sync/errgroup"

	"github.com/erlmcp/runner/runtime/host"
	"github.com/erlmcp/runner/runtime/op"
)

// The files under way at a time, and the bytes of each in memory. More of either was not faster: with four, one waits
// for the disk while another is hashed.
const (
	atATime = 4
	buffer  = 256 << 10
)

// Where each file is synced by itself, so many wait for it, and so many are synced at a time: by then the disk has been
// writing them for a while, and the journal of the file system takes many of them at once.
const (
	together = 64
	syncs    = 16
	many     = 64 // files for which a barrier may be worth more than a sync for each
)

// pass is one reading of a tree's files.
type pass struct {
	tree    *Tree
	f       host.FS
	ctx     context.Context
	group   *errgroup.Group
	buffers chan []byte
	copies  atomic.Bool  // the file system cannot clone
	barrier host.Barrier // where there is one for all that is written

	mu      sync.Mutex
	written []host.File // and not synced yet
	done    int64       // bytes
	total   int64
	said    int64
	files   int
}

func newPass(ctx context.Context, f host.FS, t *Tree) *pass {
	p := &pass{tree: t, f: f, total: t.Bytes, buffers: make(chan []byte, atATime)}
	p.group, p.ctx = errgroup.WithContext(ctx)
	p.group.SetLimit(atATime)
	for range atATime {
		p.buffers <- nil
	}
	return p
}

// begin visits a file, when one of those under way has ended.
func (p *pass) begin(e *host.Entry, visit func(*pass, *host.Entry) error) {
	p.group.Go(func() error { return p.visit(e, visit) })
}

// each visits the files, some at a time, and waits for their end. Of a live tree those that have vanished are left out.
func (p *pass) each(visit func(*pass, *host.Entry) error) error {
	t := p.tree
	for i := range t.Entries {
		if e := &t.Entries[i]; e.Mode.IsRegular() {
			p.begin(e, visit)
		}
	}
	if err := p.group.Wait(); err != nil {
		return err
	}
	t.Entries = slices.DeleteFunc(t.Entries, func(e host.Entry) bool { return e.Mode.IsRegular() && e.SHA256 == "" })
	t.Bytes = p.done
	return nil
}

func (p *pass) visit(e *host.Entry, visit func(*pass, *host.Entry) error) error {
	if p.ctx.Err() != nil {
		return context.Cause(p.ctx)
	}
	err := visit(p, e)
	if p.tree.live && (errors.Is(err, errVanished) || errors.Is(err, fs.ErrNotExist)) {
		e.SHA256 = ""
		return nil
	}
	if err != nil && p.ctx.Err() == nil {
		err = fmt.Errorf("%s: %w", filepath.Join(p.tree.Path, e.Path), Plainly(err))
	}
	return err
}

// frame makes the folders and the links of a copy, behind a barrier where there is one: it comes before all that is
// written.
func (p *pass) frame(to string) (dirs []string, err error) {
	files := 0
	for _, e := range p.tree.Entries {
		if e.Mode.IsRegular() {
			files++
		}
	}
	if files >= many {
		p.barrier, err = p.f.Barrier(filepath.Dir(to), files)
	}
	if err != nil && !errors.Is(err, errors.ErrUnsupported) {
		return nil, err
	}
	dirs, err = p.tree.frame(p.f, to)
	if err != nil && p.barrier != nil {
		err = errors.Join(err, p.barrier.Close())
	}
	return dirs, err
}

// keep ends a file that was written: settle makes it durable, or what is kept later.
func (p *pass) keep(out host.File) error {
	if p.barrier != nil {
		return out.Close()
	}
	host.Hasten(out)
	var full []host.File
	p.mu.Lock()
	if p.written = append(p.written, out); len(p.written) == together {
		full, p.written = p.written, nil
	}
	p.mu.Unlock()
	return syncAll(full)
}

// settle ends a copy whose files were written, or that err has ended. When it has returned without an error, they and the
// folders are durable.
func (p *pass) settle(dirs []string, err error) error {
	if p.barrier != nil {
		if err == nil {
			err = p.barrier.Sync()
		}
		return errors.Join(err, p.barrier.Close())
	}
	if err != nil {
		for _, f := range p.written {
			f.Close()
		}
		return err
	}
	if err := syncAll(p.written); err != nil {
		return err
	}
	var group errgroup.Group
	group.SetLimit(syncs)
	for _, d := range dirs {
		group.Go(func() error { return p.f.SyncDir(d) })
	}
	return group.Wait()
}

func syncAll(files []host.File) error {
	var group errgroup.Group
	group.SetLimit(syncs)
	for _, f := range files {
		group.Go(func() error { return errors.Join(f.Sync(), f.Close()) })
	}
	return group.Wait()
}

// errVanished is a file that something else stands in for.
var errVanished = errors.New("it is not what it was when the folder was listed")

// open opens a file as it was found. In a live tree a pipe or a link may have taken its place, and opening a pipe
// would wait for its other end.
func (p *pass) open(e *host.Entry) (host.File, error) {
	flag := os.O_RDONLY
	if e.Path != "" {
		flag |= syscall.O_NOFOLLOW | syscall.O_NONBLOCK
	}
	in, err := p.f.Open(filepath.Join(p.tree.Path, e.Path), flag, 0)
	if errors.Is(err, syscall.ELOOP) || errors.Is(err, syscall.ENXIO) {
		return nil, errVanished
	}
	if err != nil {
		return nil, err
	}
	info, err := in.Stat()
	if err == nil && !info.Mode().IsRegular() {
		err = errVanished
	}
	if err != nil {
		return nil, errors.Join(err, in.Close())
	}
	e.Size = info.Size()
	return in, nil
}

// copy makes a durable copy of a file.
func (p *pass) copy(e *host.Entry, to string) error {
	in, err := p.open(e)
	if err != nil {
		return err
	}
	defer in.Close()
	perm := e.Mode.Perm()
	cloned, err := p.clone(e, to)
	if err != nil {
		return err
	}
	flag := os.O_WRONLY | os.O_CREATE | os.O_EXCL
	if cloned {
		flag = os.O_RDWR
	}
	out, err := p.f.Open(to, flag, perm)
	if err != nil {
		return err
	}
	if cloned {
		e.Size = 1 << 62 // all of what was cloned, however much that is
		err = p.pump(e, out, nil)
	} else {
		err = p.pump(e, in, out)
	}
	if err == nil {
		err = p.allow(out, to, perm)
	}
	if err != nil {
		return errors.Join(err, out.Close())
	}
	return p.keep(out)
}

// allow gives a new file its mode, where the umask has had its way with Open's.
func (p *pass) allow(out host.File, name string, perm fs.FileMode) error {
	info, err := out.Stat()
	if err == nil && info.Mode() != perm {
		err = p.f.Chmod(name, perm)
	}
	return err
}

// clone shares the blocks of a file, where the file system can; it is asked until it says no.
func (p *pass) clone(e *host.Entry, to string) (bool, error) {
	if p.copies.Load() {
		return false, nil
	}
	err := p.f.Clone(filepath.Join(p.tree.Path, e.Path), to, 0o600)
	if errors.Is(err, errors.ErrUnsupported) {
		p.copies.Store(true)
		return false, nil
	}
	return err == nil, err
}

// pump reads a file to its end, or to where that was when it was opened: a log that grows has no other. The entry tells
// what was read.
func (p *pass) pump(e *host.Entry, in io.Reader, out io.Writer) error {
	buf := <-p.buffers
	defer func() { p.buffers <- buf }()
	if buf == nil {
		buf = make([]byte, buffer)
	}
	sum, left := sha256.New(), e.Size
	for left > 0 {
		if p.ctx.Err() != nil {
			return context.Cause(p.ctx)
		}
		n, err := in.Read(buf[:min(int64(len(buf)), left)])
		left -= int64(n)
		sum.Write(buf[:n])
		if out != nil && n > 0 {
			if _, err := out.Write(buf[:n]); err != nil {
				return err
			}
		}
		p.progress(int64(n), 0)
		if err == io.EOF {
			break
		}
		if err != nil {
			return err
		}
	}
	e.Size -= left
	e.SHA256 = "sha256:" + hex.EncodeToString(sum.Sum(nil))
	p.progress(0, 1)
	return nil
}

// How much is done between two words about it.
const (
	bytesAWord = 4 << 20
	filesAWord = 64
)

func (p *pass) progress(bytes int64, files int) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.done += bytes
	p.files += files
	if p.done-p.said >= bytesAWord || p.files >= filesAWord {
		op.Progress(p.ctx, p.done, max(p.total, p.done), "bytes")
		p.said, p.files = p.done, 0
	}
}

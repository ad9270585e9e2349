package journal

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"time"

	"github.com/erlmcp/runner/runtime/event"
	"github.com/erlmcp/runner/runtime/host"
)

// Root is the home of a host root: ROOT/.runner, with the lease by flock(2).
type Root struct {
	Files host.FS
	Path  string // the root, absolute
}

var _ Home = Root{}

// Target is the home's id.
func (r Root) Target() string { return "host:" + r.Path }

func (r Root) dir(names ...string) string {
	return filepath.Join(append([]string{r.Path, ".runner"}, names...)...)
}

// network are the magic numbers of statfs(2) of file systems on which flock does not hold between machines, or not
// after a lost connection: NFS, SMB, SMB2, CIFS, AFS, Ceph, 9P.
func network() map[int64]string {
	return map[int64]string{0x6969: "NFS", 0x517b: "SMB", 0xfe534d42: "SMB", 0xff534d42: "CIFS", 0x5346414f: "AFS", 0x00c36400: "Ceph", 0x01021997: "9P"}
}

// Take implements Home. The kernel gives the lease back when the process ends, however it ends.
func (r Root) Take(ctx context.Context, o Owner, queue func(Owner, int)) (Lease, error) {
	if err := r.make(); err != nil {
		return nil, r.cannot(o, err)
	}
	space, err := r.Files.Space(r.dir())
	if err != nil {
		return nil, r.cannot(o, err)
	}
	if name := network()[space.Type]; name != "" {
		return nil, fmt.Errorf("cannot take the lease of %s: it lies on %s, where a file lock does not exclude other machines", r.Path, name)
	}
	l, err := r.take(ctx, o, queue)
	if err != nil {
		return nil, err
	}
	return l, nil
}

// cannot says why the lease is not taken; of what is not allowed, also who is not.
func (r Root) cannot(o Owner, err error) error {
	if at := (*fs.PathError)(nil); errors.Is(err, fs.ErrPermission) && errors.As(err, &at) {
		err = fmt.Errorf("%s may not %s %s: %w", cmp.Or(o.User, "this user"), doing(at.Op), at.Path, fs.ErrPermission)
	}
	return fmt.Errorf("cannot take the lease of %s: %w", r.Path, err)
}

// doing is the name of a call in words.
func doing(call string) string {
	switch call {
	case "mkdir":
		return "make"
	case "stat", "lstat", "statfs":
		return "look at"
	}
	return "write to"
}

// make makes the folder. Until there is a log in it, it is made durable again: who made it may have been killed before.
func (r Root) make() error {
	if err := host.MkdirAll(r.Files, r.dir(), 0o755); err != nil {
		return err
	}
	if _, err := r.Files.Lstat(r.logs()); !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	for _, dir := range []string{r.Path, filepath.Dir(r.Path)} {
		if err := r.Files.SyncDir(dir); err != nil && !errors.Is(err, fs.ErrPermission) {
			return err
		}
	}
	return nil
}

// take does not pass those who wait already, even when the lease is free for a moment between two of them.
func (r Root) take(ctx context.Context, o Owner, queue func(Owner, int)) (*rootLease, error) {
	if queue == nil {
		l, err := r.tryLease(o)
		if held := (*Held)(nil); errors.As(err, &held) && held.By.Host == o.Host && host.Gone(held.By.PID) {
			return r.outlive(ctx, o, err)
		}
		return l, err
	}
	if waiting, err := r.tickets(); err == nil && len(waiting) == 0 || errors.Is(err, fs.ErrNotExist) {
		if l, err := r.tryLease(o); !isHeld(err) {
			return l, err
		}
	}
	return r.wait(ctx, o, queue)
}

// dying is how long the lock of a process that is gone may stay: a child that it had forked holds it until its exec.
const dying = time.Second

// outlive takes the lease of a holder that is dead already.
func (r Root) outlive(ctx context.Context, o Owner, held error) (*rootLease, error) {
	short, cancel := host.SystemClock{}.Timeout(ctx, dying, held)
	defer cancel()
	l, err := r.lockLease(short, o)
	if err != nil && ctx.Err() != nil {
		return nil, context.Cause(ctx)
	}
	return l, err
}

func isHeld(err error) bool {
	var held *Held
	return errors.As(err, &held)
}

// tryLease takes the lease if it is free.
func (r Root) tryLease(o Owner) (*rootLease, error) {
	for {
		f, err := r.Files.Open(r.dir("lease"), os.O_RDWR|os.O_CREATE, 0o644)
		if err != nil {
			return nil, r.cannot(o, err)
		}
		switch got, err := host.TryLock(f); {
		case err != nil:
			f.Close()
			return nil, r.cannot(o, err)
		case !got:
			by := readOwner(f)
			f.Close()
			return nil, &Held{Target: r.Target(), By: by}
		}
		if l, err := r.claim(f, o); !errors.Is(err, ErrLost) {
			return l, err
		}
	}
}

// claim signs a lease file that was just locked: ErrLost where it was replaced between open and lock.
func (r Root) claim(f host.File, o Owner) (*rootLease, error) {
	l := &rootLease{root: r, f: f}
	if err := l.Check(context.Background()); err != nil {
		return nil, errors.Join(err, host.Unlock(f))
	}
	return l, l.sign(o)
}

func readOwner(f io.ReadSeeker) Owner {
	var o Owner
	if _, err := f.Seek(0, io.SeekStart); err == nil {
		b, _ := io.ReadAll(io.LimitReader(f, 64<<10))
		json.Unmarshal(b, &o) // what is being written right now reads as nobody
	}
	return o
}

// Logs implements Home.
func (r Root) Logs(context.Context) ([]string, error) { return listLogs(r.Files, r.logs()) }

// Read implements Home.
func (r Root) Read(_ context.Context, run string) ([]event.Record, error) {
	return readLog(r.Files, r.logs(), run)
}

// Blob implements Home.
func (r Root) Blob(_ context.Context, digest string) ([]byte, error) {
	b, err := host.ReadFile(r.Files, filepath.Join(r.logs(), filepath.Base(digest)+".blob"), 1<<30)
	if err == nil && host.SHA256(b) != digest {
		err = fmt.Errorf("cannot read the blob %s: its bytes have another digest", digest)
	}
	return b, err
}

type rootLease struct {
	root Root
	f    host.File
}

func (l *rootLease) sign(o Owner) error {
	b, err := json.Marshal(o)
	if err == nil {
		_, err = l.f.Seek(0, io.SeekStart)
	}
	if err == nil {
		_, err = l.f.Write(b) // over the last owner: that needs no space on a disk that is full
	}
	if err == nil {
		err = l.f.Truncate(int64(len(b)))
	}
	if err != nil {
		return errors.Join(fmt.Errorf("cannot sign the lease of %s: %w", l.root.Path, err), host.Unlock(l.f))
	}
	return nil
}

// Check implements Lease: somebody may have removed the file, or the whole root, and another run locked a new one.
func (l *rootLease) Check(context.Context) error {
	held, err := l.f.Stat()
	if errors.Is(err, fs.ErrClosed) {
		return fmt.Errorf("%w: it was released", ErrLost)
	}
	if err != nil {
		return err
	}
	there, err := l.root.Files.Stat(l.root.dir("lease"))
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	if err != nil || !os.SameFile(held, there) {
		return fmt.Errorf("%w: %s was removed or replaced", ErrLost, l.root.dir("lease"))
	}
	return nil
}

// Open implements Lease.
func (l *rootLease) Open(ctx context.Context, run string) (Writer, error) {
	if err := l.Check(ctx); err != nil {
		return nil, err
	}
	return openFile(l.root.Files, l.root.logs(), run+logSuffix, reserve)
}

// Drop implements Lease.
func (l *rootLease) Drop(ctx context.Context, run string) error {
	if err := l.Check(ctx); err != nil {
		return err
	}
	return l.root.Files.Remove(filepath.Join(l.root.logs(), run+logSuffix))
}

// Release implements Lease.
func (l *rootLease) Release() error {
	if err := host.Unlock(l.f); err != nil && !errors.Is(err, fs.ErrClosed) {
		return err
	}
	return nil
}

package journal

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"

	"github.com/erlmcp/runner/runtime/event"
	"github.com/erlmcp/runner/runtime/host"
)

// reserve is what is set aside for a log before the first effect, in bytes: when the disk fills up meanwhile, the
// records of the undo still find room.
const reserve = 256 << 10

// file is a log in a file of the host.
type file struct {
	fs   host.FS
	dir  string // where blobs lie
	f    host.File
	next int64
	end  int64
	bad  error // a write that failed may have left half a record: nothing is appended behind it
}

// openFile opens a log for appending and cuts off a torn tail.
func openFile(f host.FS, dir, name string, set int64) (Writer, error) {
	if err := host.MkdirAll(f, dir, 0o700); err != nil {
		return nil, err
	}
	path := filepath.Join(dir, name)
	h, err := f.Open(path, os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		return nil, fmt.Errorf("cannot open the log %s: %w", path, host.Plainly(err))
	}
	l := &file{fs: f, dir: dir, f: h}
	if err := l.prepare(set); err != nil {
		h.Close()
		return nil, fmt.Errorf("cannot open the log %s: %w", path, err)
	}
	return l, nil
}

func (l *file) prepare(set int64) error {
	records, good, err := Decode(l.f)
	if err != nil {
		return err
	}
	l.next, l.end = int64(len(records))+1, good
	if err := cutTail(l.f, good); err != nil {
		return err
	}
	if set > 0 {
		// A log that is gone on with has what its first writer set aside: a disk that is full now must not keep anybody
		// from taking that run back.
		if err := host.Reserve(l.f, good+set); err != nil && !(errors.Is(err, syscall.ENOSPC) && len(records) > 0) {
			return err
		}
	}
	if err := l.f.Sync(); err != nil {
		return err
	}
	// Also where the file and the folder are not new: who made them may have been killed before this.
	return errors.Join(l.fs.SyncDir(l.dir), l.fs.SyncDir(filepath.Dir(l.dir)))
}

// Append implements Writer.
func (l *file) Append(_ context.Context, r event.Record, durable bool) error {
	if l.bad != nil {
		return l.bad
	}
	r.Seq = l.next
	line, err := EncodeLine(r)
	if err != nil {
		return err
	}
	if _, err := l.f.Write(line); err != nil {
		// Half a line may be there; the next append must not follow it.
		if _, e := l.f.Seek(l.end, io.SeekStart); e != nil || l.f.Truncate(l.end) != nil {
			l.bad = err
		}
		return err
	}
	l.next, l.end = l.next+1, l.end+int64(len(line))
	if !durable {
		return nil
	}
	if err := syncLog(l.f); err != nil {
		l.bad = err // after a failed fsync nobody knows what is on the disk
		return err
	}
	return nil
}

// Put implements Writer.
func (l *file) Put(_ context.Context, data []byte) (string, error) {
	digest := host.SHA256(data)
	name := filepath.Join(l.dir, digest+".blob")
	if have, err := host.ReadFile(l.fs, name, int64(len(data))); err == nil && bytes.Equal(have, data) {
		return digest, nil
	}
	return digest, host.WriteFile(l.fs, name, data, 0o600)
}

// Close implements Writer.
func (l *file) Close() error { return l.f.Close() }

const logSuffix = ".jsonl"

// listLogs names the runs whose logs lie in a folder, oldest first: ids begin with the time.
func listLogs(f host.FS, dir string) ([]string, error) {
	entries, err := f.ReadDir(dir)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	var out []string
	for _, e := range entries {
		if run, ok := strings.CutSuffix(e.Name(), logSuffix); ok && !strings.HasPrefix(run, ".") {
			out = append(out, run)
		}
	}
	slices.Sort(out)
	return out, nil
}

func readLog(f host.FS, dir, run string) ([]event.Record, error) {
	h, err := f.Open(filepath.Join(dir, run+logSuffix), os.O_RDONLY, 0)
	if err != nil {
		return nil, err
	}
	defer h.Close()
	records, _, err := Decode(h)
	if err != nil {
		return nil, fmt.Errorf("cannot read the log of run %s: %w", run, err)
	}
	return records, nil
}

// Local is the journal of the machine that runs: every fact of every run, in the state directory. It needs no lease:
// each run writes a file of its own.
type Local struct {
	FS  host.FS
	Dir string // .../runs
}

// Create opens the journal of a new run.
func (l Local) Create(run string) (Writer, error) { return openFile(l.FS, l.Dir, run+logSuffix, 0) }

// Runs lists the runs, oldest first.
func (l Local) Runs() ([]string, error) { return listLogs(l.FS, l.Dir) }

// Read gives a run's records, without a torn tail.
func (l Local) Read(run string) ([]event.Record, error) { return readLog(l.FS, l.Dir, run) }

package driver

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/erlmcp/runner/runtime/host"
)

func TestLogsOfEarlierStarts(t *testing.T) {
	p := newPlace(t)
	if tail, err := Tail(p.h, p.root, 5); tail != "" || err != nil {
		t.Errorf("before: %q, %v", tail, err)
	}
	for n := range keepServiceLogs + 3 {
		p.start(process("sh", "-c", fmt.Sprintf("echo start %d", n)))
		p.logs(fmt.Sprintf("start %d", n))
	}
	entries, err := os.ReadDir(filepath.Dir(LogPath(p.root)))
	p.must(err)
	if len(entries) != keepServiceLogs+1 {
		t.Errorf("%d logs", len(entries))
	}
	for back, name := range []string{"", ".1", ".2", ".3", ".4", ".5"} {
		b, err := os.ReadFile(LogPath(p.root) + name)
		if want := fmt.Sprintf("start %d\n", keepServiceLogs+2-back); err != nil || string(b) != want {
			t.Errorf("%s holds %q, want %q; %v", name, b, want, err)
		}
	}
}

func TestTail(t *testing.T) {
	p := newPlace(t)
	p.must(os.MkdirAll(filepath.Dir(LogPath(p.root)), 0o755))
	for want, text := range map[string]string{"b\nc": "a\nb\nc\n", "only": "only", "\uFFFDx": "\xffx\n", "…" + strings.Repeat("y", tailBytes): strings.Repeat("y", 3*tailBytes)} {
		p.must(os.WriteFile(LogPath(p.root), []byte(text), 0o644))
		if got, err := Tail(p.h, p.root, 2); got != want || err != nil {
			t.Errorf("the tail of %.20q is %.20q, %v", text, got, err)
		}
	}
}

// A disk that fills up behind the unit does not keep an undo from stopping and starting the service.
func TestFullDisk(t *testing.T) {
	p := newPlace(t)
	_, digest := p.store(process("sleep", "60"))
	p.must(Start(t.Context(), p.h, p.root, digest))
	faults := &fullDisk{FS: p.h.Files, spare: filepath.Join(p.root, ".runner", "spare")}
	p.h.Files = faults
	if err := Stop(t.Context(), p.h, p.root, p.current()); !errors.Is(err, syscall.ENOSPC) {
		t.Errorf("what cannot be recorded is done: %v", err)
	}
	p.must(Spend(p.h, p.root))
	p.must(Stop(t.Context(), p.h, p.root, p.current()))
	p.must(Start(t.Context(), p.h, p.root, digest))
	if !p.current().Serves() || faults.met != 1 {
		t.Errorf("%+v; the disk was full %d times", p.current(), faults.met)
	}
	p.store(process("sleep", "61"))
	if files, err := os.ReadDir(faults.spare); err != nil || len(files) != spareFiles {
		t.Errorf("set aside again is %v, %v", files, err)
	}
}

// fullDisk has no room for a record while the spare is there.
type fullDisk struct {
	host.FS
	spare string
	met   int
}

func (f *fullDisk) Open(name string, flag int, perm os.FileMode) (host.File, error) {
	if _, err := os.Stat(f.spare); err == nil && strings.HasSuffix(name, ".service.json.new") {
		f.met++
		return nil, &os.PathError{Op: "open", Path: name, Err: syscall.ENOSPC}
	}
	return f.FS.Open(name, flag, perm)
}

package main

import (
	"context"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/erlmcp/runner/runtime/host"
)

// disk is a small file system of its own.
type disk struct {
	t      *testing.T
	dir    string
	inodes bool // what it runs out of, and not of bytes
}

// mount puts a tmpfs of 8 MB on a directory, which is made.
func mount(t *testing.T, dir string) disk {
	t.Helper()
	if err := os.MkdirAll(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	if err := unix.Mount("tmpfs", dir, "tmpfs", 0, "size=8m,nr_inodes=2000,mode=755"); err != nil {
		t.Fatalf("cannot mount a tmpfs of 8 MB: %v; this test needs root, or a user namespace (unshare --user --map-root-user --mount)", err)
	}
	t.Cleanup(func() { unix.Unmount(dir, unix.MNT_DETACH) })
	return disk{t: t, dir: dir}
}

// fill leaves no byte free, or no inode.
func (d disk) fill() {
	if d.inodes {
		err := os.Mkdir(filepath.Join(d.dir, "filler"), 0o700)
		for n := 0; err == nil; n++ {
			err = os.WriteFile(filepath.Join(d.dir, "filler", strconv.Itoa(n)), nil, 0o600)
		}
		if !errors.Is(err, syscall.ENOSPC) {
			d.t.Error(err)
		}
		return
	}
	f, err := os.OpenFile(filepath.Join(d.dir, "filler"), os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		d.t.Error(err)
		return
	}
	defer f.Close()
	for size := 64 << 10; size > 0; size /= 2 {
		for err = nil; err == nil; _, err = f.Write(make([]byte, size)) {
		}
		if !errors.Is(err, syscall.ENOSPC) {
			d.t.Error(err)
		}
	}
}

func (d disk) free() {
	d.t.Helper()
	if _, err := os.Lstat(filepath.Join(d.dir, "filler")); err != nil {
		d.t.Fatal("the disk was never full:", err)
	}
	if err := os.RemoveAll(filepath.Join(d.dir, "filler")); err != nil {
		d.t.Fatal(err)
	}
}

// readOnly makes what is opened from now on read-only, as a kernel does that has met errors on the disk. What is open
// stays so: the service goes on writing its log.
func (d disk) readOnly() (writable func()) {
	d.t.Helper()
	err := unix.Mount(d.dir, d.dir, "", unix.MS_BIND, "")
	if err == nil {
		err = unix.Mount("", d.dir, "", unix.MS_BIND|unix.MS_REMOUNT|unix.MS_RDONLY, "")
	}
	if err != nil {
		d.t.Fatalf("cannot mount %s read-only: %v; this test needs root, or a user namespace", d.dir, err)
	}
	return func() {
		if err := unix.Unmount(d.dir, unix.MNT_DETACH); err != nil {
			d.t.Fatal(err)
		}
	}
}

// tmpfsSite is a site whose target, on which 1.0.0 serves, has a disk of 8 MB of its own.
func tmpfsSite(t *testing.T) (faultSite, disk) {
	t.Helper()
	s := bareSite(t)
	d := mount(t, s.root())
	s.must(0, s.to("production", "1.0.0")...)
	s.wants("1.0.0")
	return s, d
}

// meets calls do once, before a file or directory is made whose path has a part in it.
func meets(part string, do func()) func(*host.Host) *host.Host {
	return func(h *host.Host) *host.Host {
		w := *h
		w.Files = &watched{FS: h.Files, part: part, do: sync.OnceFunc(do)}
		return &w
	}
}

type watched struct {
	host.FS
	part string
	do   func()
}

func (w *watched) Open(name string, flag int, perm fs.FileMode) (host.File, error) {
	if flag&os.O_CREATE != 0 && strings.Contains(name, w.part) {
		w.do()
	}
	return w.FS.Open(name, flag, perm)
}

// asks calls do once, before the first request for health.
func asks(do func()) func(*host.Host) *host.Host {
	return func(h *host.Host) *host.Host {
		w := *h
		w.Net = asked{h.Net, sync.OnceFunc(do)}
		return &w
	}
}

type asked struct {
	host.Net
	do func()
}

func (a asked) Do(ctx context.Context, r host.Request) (host.Response, error) {
	a.do()
	return a.Net.Do(ctx, r)
}

// The disk of the target is full, or fills up on the way, before anything of the old version was touched.
func TestDiskFullBeforeTheSwitch(t *testing.T) {
	t.Run("bytes", func(t *testing.T) { fullBeforeTheSwitch(t, false) })
	t.Run("inodes", func(t *testing.T) { fullBeforeTheSwitch(t, true) })
}

func fullBeforeTheSwitch(t *testing.T, inodes bool) {
	const full = "no space left on device"
	s, d := tmpfsSite(t)
	d.inodes = inodes
	pid := s.service()
	for _, c := range []struct {
		where, environment string
		fill               func(func()) func(*host.Host) *host.Host
		code               int
		says               []string
	}{
		{"before the undo log is opened", "production", func(fill func()) func(*host.Host) *host.Host { fill(); return nil }, 1,
			[]string{"cannot back up what serves " + s.root() + ": ", "nothing is changed", "hint: free space "}},
		{"within the install", "production", func(fill func()) func(*host.Host) *host.Host { return meets("releases/.new-", fill) }, 1,
			[]string{"cannot install mcpd into " + s.root(), full, "nothing is changed", "hint: free space or inodes on the disk that it names"}},
		{"when the release gets its number", "production", func(fill func()) func(*host.Host) *host.Host { return meets(".sequence.new", fill) }, 1,
			[]string{"cannot install mcpd into " + s.root(), full, "nothing is changed"}},
		{"before the service is stopped", "production", func(fill func()) func(*host.Host) *host.Host { return meets("/services/", fill) }, 10,
			[]string{"releases.activate", full, "every change is taken back", "1.0.0 serves and is healthy"}},
	} {
		s.fails(c.code, c.fill(d.fill), s.to(c.environment, "1.1.0"), c.says...)
		if s.untouched(pid, "1.0.0"); t.Failed() {
			t.Fatal(c.where)
		}
		d.free()
	}
	s.fails(1, nil, s.to("big", "1.1.0"), "cannot install mcpd into "+s.root()+": it needs 9.", "and the disk has ", "hint: free space on the disk that holds "+s.root())
	s.fails(18, nil, []string{"deploy.star", "production"}, "production is not ready to be deployed to:\n", "the disk under "+s.root()+" has ")
	s.untouched(pid, "1.0.0")
	s.goesOn("1.1.0")
}

// On a disk that is full already a run makes room for its records by dropping the oldest ones, so that tidy.star can
// delete what fills it.
func TestTidyOnAFullDisk(t *testing.T) {
	t.Run("bytes", func(t *testing.T) { tidyOnAFullDisk(t, false) })
	t.Run("inodes", func(t *testing.T) { tidyOnAFullDisk(t, true) })
}

func tidyOnAFullDisk(t *testing.T, inodes bool) {
	s, d := tmpfsSite(t)
	d.inodes = inodes
	s.must(0, s.to("production", "1.1.0")...)
	s.must(10, s.to("production", "crash")...)
	d.fill()
	s.must(0, "tidy.star", "production")
	s.says("verdict: done")
	s.wants("1.1.0")
	d.free()
	s.goesOn("1.2.0")
}

// The disk fills up when the old version is stopped, or because of the new one, which then falls ill: the old one is
// started again all the same.
func TestDiskFullBehindTheSwitch(t *testing.T) {
	t.Run("bytes", func(t *testing.T) { fullBehindTheSwitch(t, false) })
	t.Run("inodes", func(t *testing.T) { fullBehindTheSwitch(t, true) })
}

func fullBehindTheSwitch(t *testing.T, inodes bool) {
	s, d := tmpfsSite(t)
	d.inodes = inodes
	where := "cannot start release 000002: "
	if inodes { // a link takes one
		where = "cannot switch " + s.root()
	}
	s.fails(10, stops(d.fill), s.to("production", "1.1.0"), where, "no space left on device", "1.0.0 serves and is healthy")
	s.wants("1.0.0")
	d.free()
	s.fails(10, asks(d.fill), s.to("broken", "1.1.0"), "503 unhealthy", "1.0.0 serves and is healthy; 1.1.0 was wanted")
	s.wants("1.0.0")
	d.free()
	s.goesOn("1.1.0")
}

// The journal is history: a run does not begin without it, and goes on without it.
func TestDiskFullAtTheJournal(t *testing.T) {
	s := servedSite(t)
	state := filepath.Join(s.home, "state")
	d := mount(t, state)
	pid := s.service()
	d.fill()
	s.fails(1, nil, s.to("production", "1.1.0", "--state", state), "cannot make the state directory "+state, "no space left on device", "hint: --state DIR keeps it elsewhere")
	s.untouched(pid, "1.0.0")
	d.free()
	s.fails(0, meets("releases/.new-", d.fill), s.to("production", "1.1.0", "--state", state),
		"the journal of this run ends here: ", "no space left on device", "production serves mcpd 1.1.0\n", "1.1.0 serves and is healthy")
	s.wants("1.1.0")
	d.free()
	s.must(0, "runs", "--state", state)
	run, _, _ := strings.Cut(s.out.String(), " ")
	s.fails(0, nil, []string{"log", run, "--state", state}, "== Roll out")
	s.must(0, s.to("production", "1.2.0", "--state", state)...)
	s.goesOn("1.0.0")
}

func TestReadOnlyRoot(t *testing.T) {
	s, d := tmpfsSite(t)
	pid := s.service()
	writable := d.readOnly()
	s.fails(1, nil, s.to("production", "1.1.0"), "cannot take the lease of "+s.root(), "read-only file system", "nothing is changed")
	s.untouched(pid, "1.0.0")
	writable()
	for where, code := range map[string]int{"releases/.new-": 1, "/services/": 10} {
		s.fails(code, meets(where, func() { writable = d.readOnly() }), s.to("production", "1.1.0"), "read-only file system")
		s.untouched(pid, "1.0.0")
		writable()
	}
	s.goesOn("1.1.0")
}

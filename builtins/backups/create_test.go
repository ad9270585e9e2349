package backups

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"

	"github.com/erlmcp/runner/builtins/layout"
	"github.com/erlmcp/runner/builtins/releases"
	"github.com/erlmcp/runner/runtime/host"
	"github.com/erlmcp/runner/runtime/host/hosttest"
	"github.com/erlmcp/runner/runtime/op"
)

var forms = map[string]bool{"folder": false, "archive": true}

func TestCreate(t *testing.T) {
	s := served(t)
	b := s.create(Create{})
	rel, err := releases.Current{Root: s.root}.Do(t.Context(), s.h)
	s.must(err)
	if b.Name != first || b.Path != s.path("backups", first) || b.Kind != "backup" || b.Release != "000001" || b.Version != "1.0.0" ||
		b.Digest != rel.Digest || b.Config != rel.Config || b.Config == "" || !b.Good || b.Accepted != 1 || b.Archive || b.Artifact.Digest != rel.Digest {
		t.Errorf("made %+v", b)
	}
	same(t, "the backup", tree(t, b.Path, layout.BackupManifest), tree(t, s.path("releases/000001")))
	if to, err := os.Readlink(filepath.Join(b.Path, "data")); to != s.path("shared/data") {
		t.Errorf("data leads to %s, %v", to, err)
	}
	s.must(s.verify(first))
	if entries, _ := os.ReadDir(s.path("backups")); len(entries) != 1 {
		t.Errorf("left: %v", entries)
	}
}

// Another at the same second, in either form, gets a name of its own; the list is in the order of their making.
func TestNames(t *testing.T) {
	s := served(t)
	s.create(Create{})
	s.create(Create{Archive: true})
	s.create(Create{Kind: "pre-rollback"})
	s.create(Create{})
	same(t, "the list", s.list(), []string{first, first + "-2", "app-pre-rollback-20260126-120000", first + "-3"})
	s.must(os.RemoveAll(s.path("backups", first)))
	s.create(Create{})
	same(t, "the list", s.list(), []string{first + "-2", "app-pre-rollback-20260126-120000", first + "-3", first})
}

func TestNothingServes(t *testing.T) {
	s := newSite(t)
	for range 2 {
		b, err := Create{Root: s.root, Kind: "backup", Key: "r/1"}.Do(t.Context(), s.h)
		if b != nil || err != nil {
			t.Errorf("%+v, %v", b, err)
		}
		s.install(releases.Install{Artifact: s.folder("1")}) // and one that is not live changes nothing about it
	}
	if _, err := os.Stat(s.path("backups")); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("backups: %v", err)
	}
}

// said is a Speaker that keeps the output.
type said struct {
	op.Silent
	lines []string
}

func (s *said) Output(line string) { s.lines = append(s.lines, line) }

// A release in use holds pipes and sockets, and files that are not what was installed.
func TestLiveRelease(t *testing.T) {
	for form, archive := range forms {
		s := served(t)
		release := s.path("releases/000001")
		s.must(syscall.Mkfifo(filepath.Join(release, "pipe.w"), 0o600))
		l, err := net.Listen("unix", filepath.Join(release, "sock"))
		s.must(err)
		defer l.Close()
		s.write(filepath.Join(release, "etc/a"), "edited", 0o640)
		s.must(os.Remove(filepath.Join(release, "link")))
		heard := &said{}
		b, err := Create{Root: s.root, Kind: "backup", Archive: archive, Key: "r/1"}.Do(op.WithSpeaker(t.Context(), heard), s.h)
		s.must(err)
		same(t, form+": the output", heard.lines, []string{"changed since release 000001 was installed: etc/a, link", "left out, since they are no files: pipe.w, sock"})
		s.must(s.verify(b.Name))
		// What served comes back, under the digest of what it is.
		rel := s.install(releases.Install{Artifact: b.Artifact})
		if text, err := os.ReadFile(s.path("releases", rel.ID, "etc/a")); string(text) != "edited" {
			t.Errorf("%s: etc/a is %q, %v", form, text, err)
		}
		if digest := s.folder("1.0.0").Digest; rel.Digest == digest || rel.Digest != b.Digest {
			t.Errorf("%s: the digest is %s", form, rel.Digest)
		}
	}
}

// A node writes while it is copied: what is in the backup is what its manifest says.
func TestWrittenMeanwhile(t *testing.T) {
	for form, archive := range forms {
		s := served(t)
		release := s.path("releases/000001")
		for i := range 40 {
			s.write(filepath.Join(release, fmt.Sprintf("log/%02d", i)), strings.Repeat("x", 1<<16), 0o644)
		}
		stop, writer := make(chan struct{}), sync.WaitGroup{}
		writer.Go(func() {
			for n := 0; ; n++ {
				select {
				case <-stop:
					return
				default:
				}
				name := filepath.Join(release, fmt.Sprintf("log/%02d", n%40))
				switch n / 40 % 4 {
				case 0:
					os.Remove(name)
				case 1:
					os.WriteFile(name, []byte("short"), 0o644)
				default:
					f, err := os.OpenFile(name, os.O_APPEND|os.O_CREATE|os.O_WRONLY, 0o644)
					if err == nil {
						f.WriteString(strings.Repeat("y", 1<<15))
						f.Close()
					}
				}
			}
		})
		for range 10 {
			b := s.create(Create{Archive: archive})
			if err := s.verify(b.Name); err != nil {
				t.Fatalf("%s: %v", form, err)
			}
		}
		close(stop)
		writer.Wait()
	}
}

// The release is deleted while it is copied: that is no empty backup.
func TestDeletedMeanwhile(t *testing.T) {
	for form, archive := range forms {
		s := served(t)
		s.h.Files = &once{FS: s.h.Files, at: "content", do: func() { s.must(os.Rename(s.path("releases/000001"), s.path("releases/.old-000001"))) }}
		_, err := Create{Root: s.root, Kind: "backup", Archive: archive, Key: "r/1"}.Do(t.Context(), s.h)
		fails(t, err, "cannot back up what serves "+s.root+": release 000001 was deleted while it was copied", "")
		if entries, _ := os.ReadDir(s.path("backups")); len(entries) != 0 {
			t.Errorf("%s: left: %v", form, entries)
		}
	}
}

// once calls do before the first file or folder of a name is made.
type once struct {
	host.FS
	at string
	do func()
	sync.Once
}

func (o *once) meet(name string) {
	if filepath.Base(name) == o.at {
		o.Once.Do(o.do)
	}
}

func (o *once) Mkdir(name string, perm os.FileMode) error {
	o.meet(name)
	return o.FS.Mkdir(name, perm)
}

func (o *once) Open(name string, flag int, perm os.FileMode) (host.File, error) {
	o.meet(name)
	return o.FS.Open(name, flag, perm)
}

func TestCreateRefuses(t *testing.T) {
	s := served(t)
	elsewhere := t.TempDir()
	s.must(os.Symlink(elsewhere, s.path("backups")))
	c := Create{Root: s.root, Kind: "backup", Key: "r/1"}
	_, err := c.Do(t.Context(), s.h)
	fails(t, err, s.path("backups")+" is a link, and backups are kept in a folder of the root alone", "mount that at "+s.path("backups"))
	if entries, _ := os.ReadDir(elsewhere); len(entries) != 0 {
		t.Errorf("written: %v", entries)
	}
	s.must(os.Remove(s.path("backups")))
	for what, space := range map[string]host.Space{"it needs 1.": {Bytes: 1 << 20, Inodes: -1}, "it needs 78 inodes, and the disk has 70 left": {Bytes: 1 << 30, Inodes: 70}} {
		h := *s.h
		h.Files = small{s.h.Files, space}
		_, err = c.Do(t.Context(), &h)
		fails(t, err, what, "the disk that holds "+s.root)
	}
	if entries, _ := os.ReadDir(s.path("backups")); len(entries) != 0 {
		t.Errorf("written: %v", entries)
	}
	ctx, cancel := context.WithCancelCause(t.Context())
	stop := errors.New("stop")
	cancel(stop)
	for _, archive := range forms {
		c.Archive = archive
		if _, err := c.Do(ctx, s.h); !errors.Is(err, stop) {
			t.Errorf("told to stop: %v", err)
		}
	}
	if entries, _ := os.ReadDir(s.path("backups")); len(entries) != 0 {
		t.Errorf("left: %v", entries)
	}
}

type small struct {
	host.FS
	space host.Space
}

func (s small) Space(string) (host.Space, error) { return s.space, nil }

func TestFullDisk(t *testing.T) {
	for form, archive := range forms {
		s := served(t)
		noise, err := exec.Command("head", "-c", "100000", "/dev/urandom").Output()
		s.must(err)
		s.write(s.path("releases/000001/big"), string(noise), 0o644)
		faults := hosttest.NewFaults(s.h.Files)
		h := *s.h
		h.Files = faults
		c := Create{Root: s.root, Kind: "backup", Archive: archive, Key: "r/1"}
		for _, n := range []int64{0, 1 << 15, 100_100} {
			faults.FailAfterBytes(n)
			if _, err := c.Do(t.Context(), &h); !errors.Is(err, syscall.ENOSPC) {
				t.Errorf("%s, after %d bytes: %v", form, n, err)
			}
			if entries, _ := os.ReadDir(s.path("backups")); len(entries) != 0 {
				t.Errorf("%s, after %d bytes: left %v", form, n, entries)
			}
		}
		faults.Heal()
		b, err := c.Do(t.Context(), &h)
		s.must(err)
		s.must(s.verify(b.Name))
		if faults.Met() < 3 {
			t.Errorf("only %d faults", faults.Met())
		}
	}
}

// Killed at each of its calls and tried again with its key, it makes one backup, and that is whole.
func TestKilledAnywhere(t *testing.T) {
	for form, archive := range forms {
		t.Run(form, func(t *testing.T) {
			t.Parallel()
			for n := 1; ; n++ {
				s := served(t)
				c := Create{Root: s.root, Kind: "backup", Archive: archive, Key: "r/1"}
				m := hosttest.NewMortal(s.h)
				m.DieTornAt(n)
				_, err := c.Do(t.Context(), m.Host())
				if m.Where() == "" {
					s.must(err)
					if n < 15 {
						t.Errorf("only %d calls", n)
					}
					return
				}
				for _, name := range s.list() { // before anybody tries again
					if err := s.verify(name); err != nil {
						t.Errorf("killed at %q: %v", m.Where(), err)
					}
				}
				b, err := c.Do(t.Context(), s.h)
				if err != nil {
					t.Fatalf("killed at %q: %v", m.Where(), err)
				}
				again, err := c.Do(t.Context(), s.h)
				if err != nil || *again != *b || b.Name != first || b.Good != true {
					t.Errorf("killed at %q: %+v, again %+v, %v", m.Where(), b, again, err)
				}
				if entries, _ := os.ReadDir(s.path("backups")); len(entries) != 1 {
					t.Errorf("killed at %q: left %v", m.Where(), entries)
				}
				if err := s.verify(b.Name); err != nil {
					t.Errorf("killed at %q: %v", m.Where(), err)
				}
			}
		})
	}
}

// The power goes as soon as the op has said that it is done: the backup is there, whole.
func TestPowerLoss(t *testing.T) {
	for form, archive := range forms {
		s := served(t)
		v := hosttest.NewVolatile(t, s.h.Project)
		s.h.Files = v
		b := s.create(Create{Archive: archive})
		rel := s.install(releases.Install{Artifact: b.Artifact})
		whole := func() []string { // that its folder is gone where it was made is durable later
			all := append(tree(t, s.path("backups")), tree(t, s.path("releases"))...)
			return slices.DeleteFunc(all, func(line string) bool { return strings.HasPrefix(line, ".new-") })
		}
		want := whole()
		v.Crash()
		same(t, form+" after the crash", whole(), want)
		s.must(s.verify(b.Name))
		_, m, err := layout.At(s.h, s.root).ReadFiles(rel.ID)
		if err != nil || len(m.Files) != 8 {
			t.Errorf("%s: %d files, %v", form, len(m.Files), err)
		}
	}
}

func TestAtOnce(t *testing.T) {
	s := served(t)
	const n = 8
	errs, all := make([]error, n), sync.WaitGroup{}
	for i := range n {
		all.Go(func() {
			_, errs[i] = Create{Root: s.root, Kind: "backup", Archive: i%2 == 0, Key: op.Key(fmt.Sprintf("r%d/1", i))}.Do(t.Context(), s.h)
		})
	}
	all.Wait()
	s.must(errors.Join(errs...))
	names := s.list()
	slices.Sort(names)
	if len(slices.Compact(names)) != n {
		t.Errorf("the list is %q", names)
	}
	for _, name := range names {
		s.must(s.verify(name))
	}
	if entries, _ := os.ReadDir(s.path("backups")); len(entries) != n {
		t.Errorf("left: %v", entries)
	}
}

// Another's attempt that lives is not swept away; one that has died is.
func TestSweep(t *testing.T) {
	s := served(t)
	for _, name := range []string{".new-live", ".new-dead", ".new-bare"} {
		s.must(os.MkdirAll(s.path("backups", name), 0o755))
	}
	s.write(s.path("backups/.new-dead/lock"), "", 0o644)
	f, err := host.OS{}.Open(s.path("backups/.new-live/lock"), os.O_CREATE|os.O_RDWR, 0o644)
	s.must(err)
	defer f.Close()
	if free, err := host.TryLock(f); !free || err != nil {
		t.Fatal(free, err)
	}
	s.create(Create{})
	var left []string
	entries, _ := os.ReadDir(s.path("backups"))
	for _, e := range entries {
		left = append(left, e.Name())
	}
	same(t, "what is left", left, []string{".new-live", first})
}

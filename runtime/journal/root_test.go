package journal_test

import (
	"context"
	"errors"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/erlmcp/runner/runtime/host"
	"github.com/erlmcp/runner/runtime/host/hosttest"
	"github.com/erlmcp/runner/runtime/journal"
	"github.com/erlmcp/runner/runtime/journal/homesuite"
)

func TestRootIsAHome(t *testing.T) {
	homesuite.Run(t, func(t *testing.T) (func() journal.Home, func()) {
		root := filepath.Join(t.TempDir(), "root")
		return func() journal.Home { return home(root) },
			func() { must(t, os.Remove(filepath.Join(root, ".runner", "lease"))) }
	})
}

// A lease is lost when its file is not the one at its place any more, whatever has happened to it.
func TestRootLeaseIsTakenAway(t *testing.T) {
	for name, steal := range map[string]func(root, lease string) error{
		"removed": func(_, lease string) error { return os.Remove(lease) },
		"replaced": func(_, lease string) error {
			return errors.Join(os.WriteFile(lease+".new", nil, 0o644), os.Rename(lease+".new", lease))
		},
		"replaced by a copy": func(_, lease string) error {
			b, err := os.ReadFile(lease)
			return errors.Join(err, os.Remove(lease), os.WriteFile(lease, b, 0o644))
		},
		"the whole root moved": func(root, _ string) error { return os.Rename(root, root+".old") },
	} {
		t.Run(name, func(t *testing.T) {
			root := filepath.Join(t.TempDir(), "root")
			l := take(t, home(root), "a")
			must(t, l.Check(t.Context()))
			must(t, steal(root, filepath.Join(root, ".runner", "lease")))
			if err := l.Check(t.Context()); !errors.Is(err, journal.ErrLost) {
				t.Errorf("check: %v", err)
			}
			heir := take(t, home(root), "b")
			must(t, heir.Check(t.Context()))
			if err := l.Check(t.Context()); !errors.Is(err, journal.ErrLost) {
				t.Errorf("check, with an heir: %v", err)
			}
		})
	}
}

// spaceOf is a file system of another type.
type spaceOf struct {
	host.FS
	magic int64
}

func (s spaceOf) Space(name string) (host.Space, error) {
	got, err := s.FS.Space(name)
	got.Type = s.magic
	return got, err
}

func TestRootRefusesNetworkFileSystems(t *testing.T) {
	for magic, want := range map[int64]string{0x6969: "NFS", 0xff534d42: "CIFS", 0xfe534d42: "SMB", 0x01021997: "9P", 0xef53: "", 0x01021994: ""} {
		h := journal.Root{Files: spaceOf{host.OS{}, magic}, Path: t.TempDir()}
		for _, queue := range []func(journal.Owner, int){nil, func(journal.Owner, int) {}} {
			l, err := h.Take(t.Context(), owner("a"), queue)
			switch {
			case want == "":
				must(t, err, l.Release())
			case err == nil || !strings.Contains(err.Error(), want) || !strings.Contains(err.Error(), h.Path):
				t.Errorf("on %#x: %v, want a refusal that names %s and the root", magic, err, want)
			}
		}
		if names, _ := filepath.Glob(h.Path + "/.runner/*"); want != "" && len(names) > 0 {
			t.Errorf("on %s it leaves %q", want, names)
		}
	}
}

// What the disk refuses is an error at once, and never a reason to go round.
func TestRootLeaseOnABrokenDisk(t *testing.T) {
	for _, c := range []struct{ call, name string }{
		{"stat", ".runner"}, {"space", ".runner"},
		{"create", "lease"}, {"stat", "lease"}, {"seek", "lease"}, {"write", "lease"}, {"truncate", "lease"},
	} {
		for _, queue := range []func(journal.Owner, int){nil, func(journal.Owner, int) {}} {
			root := t.TempDir()
			take(t, home(root), "before").Release()
			faults := hosttest.NewFaults(host.OS{})
			faults.Fail(c.call, c.name, syscall.EIO)
			done := make(chan error, 1)
			go func() {
				_, err := journal.Root{Files: faults, Path: root}.Take(t.Context(), owner("a"), queue)
				done <- err
			}()
			select {
			case err := <-done:
				if !errors.Is(err, syscall.EIO) || errors.Is(err, journal.ErrLost) {
					t.Errorf("%s %s fails: %v", c.call, c.name, err)
				}
			case <-time.After(time.Minute):
				faults.Heal()
				t.Errorf("%s %s fails, and the take goes round %d times", c.call, c.name, faults.Met())
				continue
			}
			faults.Heal()
			take(t, home(root), "after")
		}
	}
}

func TestRootOwnerHalfWritten(t *testing.T) {
	root := t.TempDir()
	take(t, home(root), "a")
	lease := filepath.Join(root, ".runner", "lease")
	whole, err := os.ReadFile(lease)
	must(t, err)
	for n := range whole {
		must(t, os.WriteFile(lease, whole[:n], 0o644))
		_, err := home(root).Take(t.Context(), owner("b"), nil)
		var held *journal.Held
		if !errors.As(err, &held) || held.By != (journal.Owner{}) {
			t.Fatalf("with %d bytes of its owner, the lease is %v", n, err)
		}
		if !strings.Contains(err.Error(), "a run that has not said its name yet") {
			t.Fatalf("an unnamed owner reads %q", err)
		}
	}
	must(t, os.WriteFile(lease, []byte(strings.Repeat("[", 100)), 0o644))
	if _, err := home(root).Take(t.Context(), owner("b"), nil); !strings.Contains(err.Error(), "not said its name") {
		t.Errorf("garbage for an owner reads %q", err)
	}
}

// A shorter owner leaves nothing of a longer one before it.
func TestRootOwnerIsReplaced(t *testing.T) {
	root := t.TempDir()
	take(t, home(root), strings.Repeat("long", 100)).Release()
	take(t, home(root), "b")
	_, err := home(root).Take(t.Context(), owner("c"), nil)
	var held *journal.Held
	if !errors.As(err, &held) || held.By != owner("b") {
		t.Errorf("held: %v", err)
	}
}

func TestRootKeepsItsRecordsPrivate(t *testing.T) {
	old := syscall.Umask(0)
	defer syscall.Umask(old)
	root := t.TempDir()
	log, err := take(t, home(root), "a").Open(t.Context(), "a")
	must(t, err)
	defer log.Close()
	digest, err := log.Put(t.Context(), []byte("a secret"))
	must(t, err, log.Append(t.Context(), note(1, 1), true))
	for name, want := range map[string]fs.FileMode{"runs": 0o700, "runs/a.jsonl": 0o600, "runs/" + digest + ".blob": 0o600} {
		info, err := os.Stat(filepath.Join(root, ".runner", name))
		must(t, err)
		if info.Mode().Perm() != want {
			t.Errorf("%s has mode %04o, want %04o", name, info.Mode().Perm(), want)
		}
	}
}

func TestRootRefusesABlobWithOtherBytes(t *testing.T) {
	root := t.TempDir()
	log, err := take(t, home(root), "a").Open(t.Context(), "a")
	must(t, err)
	defer log.Close()
	digest, err := log.Put(t.Context(), []byte("an old config file"))
	must(t, err)
	for _, rot := range []string{"", "an old config fil", "an old config filf"} {
		must(t, os.WriteFile(filepath.Join(root, ".runner", "runs", digest+".blob"), []byte(rot), 0o600))
		if _, err := home(root).Blob(t.Context(), digest); err == nil || !strings.Contains(err.Error(), digest) {
			t.Errorf("a blob of %q is read: %v", rot, err)
		}
		again, err := log.Put(t.Context(), []byte("an old config file"))
		must(t, err)
		if b, err := home(root).Blob(t.Context(), again); err != nil || string(b) != "an old config file" {
			t.Errorf("put again over %q: %q, %v", rot, b, err)
		}
	}
}

// Who asks while others wait does not slip in between two of them, however the moment is.
func TestRootNewcomersDoNotPassTheQueue(t *testing.T) {
	root := t.TempDir()
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	for round := range 100 {
		holder := take(t, home(root), "holder")
		waits, came := make(chan bool, 9), make(chan string, 2)
		come := func(name string) error {
			l, err := home(root).Take(ctx, owner(name), func(journal.Owner, int) { waits <- true })
			if err != nil {
				return err
			}
			came <- name
			return l.Release()
		}
		done := make(chan error, 1)
		go func() { done <- come("first") }()
		<-waits
		must(t, holder.Release(), come("newcomer"), <-done)
		if name := <-came; name != "first" {
			t.Fatalf("round %d: the %s has the lease before the one who waited", round, name)
		}
	}
}

// A process that a dead holder had forked has its lock until the exec: the lease is taken when that has passed.
func TestLockOutlivesItsHolderForAMoment(t *testing.T) {
	root := journal.Root{Files: host.OS{}, Path: t.TempDir()}
	ended := exec.Command("true")
	if err := ended.Run(); err != nil {
		t.Fatal(err)
	}
	dead := journal.Owner{Run: "dead", Host: "here", PID: ended.Process.Pid}
	l, err := root.Take(t.Context(), dead, nil)
	if err != nil {
		t.Fatal(err)
	}
	time.AfterFunc(50*time.Millisecond, func() { l.Release() })
	next, err := root.Take(t.Context(), journal.Owner{Run: "next", Host: "here", PID: 1}, nil)
	if err != nil {
		t.Fatalf("the lease of a dead holder: %v", err)
	}
	next.Release()
	again, err := root.Take(t.Context(), dead, nil)
	if err != nil {
		t.Fatal(err)
	}
	defer again.Release()
	var held *journal.Held
	if _, err := root.Take(t.Context(), journal.Owner{Run: "next", Host: "elsewhere"}, nil); !errors.As(err, &held) {
		t.Errorf("the lease of another machine's holder: %v", err)
	}
}

package journal_test

import (
	"bytes"
	"errors"
	"os"
	"syscall"
	"testing"

	"github.com/erlmcp/runner/runtime/host"
	"github.com/erlmcp/runner/runtime/host/hosttest"
	"github.com/erlmcp/runner/runtime/journal"
)

// faulty opens the log of run a, with n records in it, on a disk that can fail.
func faulty(t *testing.T, n int) (*hosttest.Faults, journal.Root, journal.Writer, string) {
	t.Helper()
	root, name := logFile(t, nil)
	faults := hosttest.NewFaults(host.OS{})
	h := journal.Root{Files: faults, Path: root}
	log, err := take(t, h, "a").Open(t.Context(), "a")
	must(t, err)
	t.Cleanup(func() { log.Close() })
	for i := range n {
		must(t, log.Append(t.Context(), note(i+1, 3*i), true))
	}
	return faults, h, log, name
}

// The disk fills up at any byte of a record: the record is refused, what was there stays, and when there is room again
// the log goes on.
func TestDiskFullWithinARecord(t *testing.T) {
	all := lines(t, 4)
	before, whole := bytes.Join(all[:3], nil), bytes.Join(all, nil)
	for n := range all[3] {
		faults, h, log, name := faulty(t, 3)
		faults.FailAfterBytes(int64(n))
		for range 2 {
			if err := log.Append(t.Context(), note(4, 9), true); !errors.Is(err, syscall.ENOSPC) {
				t.Fatalf("full at byte %d: %v", n, err)
			}
		}
		if got, _ := os.ReadFile(name); !bytes.Equal(got, before) {
			t.Fatalf("full at byte %d: the file holds %q", n, got)
		}
		faults.Heal()
		must(t, log.Append(t.Context(), note(4, 9), true))
		if got, _ := os.ReadFile(name); !bytes.Equal(got, whole) || len(records(t, h)) != 4 {
			t.Fatalf("healed after byte %d: the file holds %q", n, got)
		}
	}
}

// Half a record that cannot be cut off again ends the log for this writer: nothing follows it. The next one cuts it.
func TestHalfARecordThatStays(t *testing.T) {
	for _, call := range []string{"truncate", "seek"} {
		for n := range lines(t, 4)[3] {
			faults, h, log, name := faulty(t, 3)
			faults.FailAfterBytes(int64(n))
			faults.Fail(call, ".jsonl", syscall.EIO)
			if err := log.Append(t.Context(), note(4, 9), true); err == nil {
				t.Fatal("a record that does not fit is taken")
			}
			left, err := os.ReadFile(name)
			must(t, err)
			faults.Heal()
			if err := log.Append(t.Context(), note(4, 9), true); err == nil {
				t.Fatalf("%s failed at byte %d, and the next record is taken", call, n)
			}
			if got, _ := os.ReadFile(name); !bytes.Equal(got, left) || len(records(t, h)) != 3 {
				t.Fatalf("%s failed at byte %d: the file holds %q", call, n, got)
			}
			must(t, log.Close(), os.Remove(h.Path+"/.runner/lease")) // the writer is gone, and so is its lease
			goOn(t, h.Path, name, 3, call)
		}
	}
}

// After a failed fsync nobody knows what is on the disk: nothing is appended any more, also when the next would do.
func TestNothingFollowsAFailedSync(t *testing.T) {
	faults, h, log, name := faulty(t, 3)
	faults.Fail("sync", ".jsonl", syscall.EIO)
	must(t, log.Append(t.Context(), note(4, 9), false))
	if err := log.Append(t.Context(), note(5, 9), true); !errors.Is(err, syscall.EIO) {
		t.Fatalf("a record that is not durable is taken: %v", err)
	}
	left, err := os.ReadFile(name)
	must(t, err)
	faults.Heal()
	for _, durable := range []bool{true, false} {
		if err := log.Append(t.Context(), note(6, 9), durable); !errors.Is(err, syscall.EIO) {
			t.Errorf("behind a failed fsync: %v", err)
		}
	}
	if got, _ := os.ReadFile(name); !bytes.Equal(got, left) {
		t.Errorf("something was appended: %q", got)
	}
	if n := len(records(t, h)); n != 5 {
		t.Errorf("%d records", n)
	}
}

// Whatever fails while a log is opened or a blob is put: an error, nothing open, nothing damaged, and the next time it
// works.
func TestOpenAndPutOnABrokenDisk(t *testing.T) {
	for _, call := range []string{"create", "read", "stat", "truncate", "seek", "sync", "syncdir", "mkdir", "write", "rename", "chmod"} {
		for _, torn := range []string{"", "torn"} {
			root, name := logFile(t, append(bytes.Join(lines(t, 3), nil), torn...))
			faults := hosttest.NewFaults(host.OS{})
			l := take(t, journal.Root{Files: faults, Path: root}, "a")
			for _, at := range []string{".jsonl", ".blob", ".new", "runs", "fresh"} {
				faults.Fail(call, at, syscall.EIO)
			}
			var failed []error
			for _, run := range []string{"a", "b"} {
				log, err := l.Open(t.Context(), run)
				if err == nil {
					_, err = log.Put(t.Context(), []byte("an old config file"))
					log.Close()
				}
				if err != nil {
					failed = append(failed, err)
				}
			}
			for _, err := range failed {
				if !errors.Is(err, syscall.EIO) {
					t.Errorf("%s fails: %v", call, err)
				}
			}
			if met := faults.Met(); met > 0 && len(failed) == 0 {
				t.Errorf("%s fails %d times, and nobody hears of it", call, met)
			}
			faults.Heal()
			must(t, l.Release())
			goOn(t, root, name, 3, call)
		}
	}
}

func TestJournalOfThisMachine(t *testing.T) {
	j := journal.Local{FS: host.OS{}, Dir: t.TempDir() + "/state/runs"}
	if runs, err := j.Runs(); err != nil || len(runs) > 0 {
		t.Fatalf("before the first run: %q, %v", runs, err)
	}
	for _, run := range []string{"b", "a"} {
		log, err := j.Create(run)
		must(t, err, log.Append(t.Context(), note(1, 5), false), log.Append(t.Context(), note(2, 5), false), log.Close())
	}
	runs, err := j.Runs()
	must(t, err)
	if len(runs) != 2 || runs[0] != "a" {
		t.Errorf("the runs are %q", runs)
	}
	if got, err := j.Read("b"); err != nil || len(got) != 2 || got[1].Seq != 2 || got[1].Fact != note(2, 5).Fact {
		t.Errorf("the journal of b is %v, %v", got, err)
	}
	if _, err := j.Read("c"); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("the journal of a run that never was: %v", err)
	}
}

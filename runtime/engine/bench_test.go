package engine

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/erlmcp/runner/runtime/event"
	"github.com/erlmcp/runner/runtime/host"
	"github.com/erlmcp/runner/runtime/journal"
	"github.com/erlmcp/runner/runtime/op"
	"github.com/erlmcp/runner/runtime/secret"
)

// BenchmarkChange is a Change with next to no effect: its inverse is found, and recorded with its start durably before
// the effect, then its end. x-fsync is against one write of as many bytes with one fsync, in the same run.
func BenchmarkChange(b *testing.B) {
	w := &world{root: b.TempDir(), fail: map[string]error{}}
	if err := os.Mkdir(filepath.Join(w.root, "values"), 0o755); err != nil {
		b.Fatal(err)
	}
	reg, err := op.NewRegistry(map[string][]*op.Spec{"toy": {op.Change(w, Set{}), op.Undo(w, Unset{})}}, nil)
	if err != nil {
		b.Fatal(err)
	}
	home := journal.Root{Files: host.OS{}, Path: w.root}
	r := New(Config{ID: "run-1", Registry: reg,
		Host:      &host.Host{Files: host.OS{}, Clock: host.SystemClock{}, Secrets: &secret.Vault{Scrubber: &secret.Scrubber{}}},
		Home:      func(any) (string, journal.Home, error) { return home.Target(), home, nil },
		Explain:   func(err error) event.RunFailed { return event.RunFailed{Error: err.Error()} },
		Mistake:   func(error) bool { return false },
		Catchable: func(error) bool { return true },
	})
	end := r.Main(b.Context(), func(ctx context.Context) error {
		if _, err := r.Lease(ctx, "", nil, "", ""); err != nil {
			return err
		}
		n := 0
		change := func() error {
			n++
			wire, err := reg.Encode(Set{Name: "a", Value: fmt.Sprint(n)})
			if err != nil {
				return err
			}
			set, err := reg.Decode(wire)
			if err == nil {
				_, err = r.Perform(ctx, set)
			}
			return err
		}
		return against(b, filepath.Join(w.root, ".runner", "runs", "run-1.jsonl"), change)
	})
	if end.Exit != 0 {
		b.Fatalf("exit %d: %v", end.Exit, end.Differs)
	}
}

// against measures change, which appends to a log, against a bare append of as many bytes to a file beside it.
func against(b *testing.B, log string, change func() error) error {
	size := func() int64 {
		info, err := os.Stat(log)
		if err != nil {
			b.Fatal(err)
		}
		return info.Size()
	}
	before := size()
	if err := change(); err != nil {
		return err
	}
	record := make([]byte, size()-before)
	f, err := os.Create(log + ".bare")
	if err != nil {
		return err
	}
	defer f.Close()
	var ours, bare time.Duration
	for b.Loop() {
		begun := time.Now()
		err := change()
		done := time.Now()
		ours += done.Sub(begun)
		_, writeErr := f.Write(record)
		if err := errors.Join(err, writeErr, f.Sync()); err != nil {
			return err
		}
		bare += time.Since(done)
	}
	b.ReportMetric(float64(ours.Nanoseconds())/float64(b.N), "ns/op")
	b.ReportMetric(float64(ours)/float64(bare), "x-fsync")
	return nil
}

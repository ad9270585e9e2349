package journal_test

import (
	"errors"
	"fmt"
	"path/filepath"
	"testing"

	"github.com/erlmcp/runner/runtime/event"
	"github.com/erlmcp/runner/runtime/host"
	"github.com/erlmcp/runner/runtime/host/hosttest"
	"github.com/erlmcp/runner/runtime/journal"
)

// promised is what a writer was told to be durable.
type promised struct {
	records int
	blobs   []string
}

// work takes the lease, opens the log of run a and appends to it until something fails: a record that rides along, a
// record that must be durable, a blob, and again.
func work(t *testing.T, h journal.Home, p *promised) error {
	l, err := h.Take(t.Context(), owner("a"), nil)
	if err != nil {
		return err
	}
	defer l.Release()
	log, err := l.Open(t.Context(), "a")
	if err != nil {
		return err
	}
	defer log.Close()
	next := p.records
	for i := range 2 {
		for _, durable := range []bool{false, true} {
			next++
			if err := log.Append(t.Context(), note(next, 40*i), durable); err != nil {
				return err
			}
			if durable {
				p.records = next
			}
		}
		digest, err := log.Put(t.Context(), fmt.Append(nil, "content ", i))
		if err != nil {
			return err
		}
		p.blobs = append(p.blobs, digest)
	}
	return nil
}

// holds reports what of the promises is not on the disk.
func (p promised) holds(t *testing.T, h journal.Home) error {
	got, err := h.Read(t.Context(), "a")
	if err != nil && p.records > 0 || errors.Is(err, journal.ErrDamaged) {
		return err
	}
	if len(got) < p.records {
		return fmt.Errorf("%d records of %d are left", len(got), p.records)
	}
	for i, r := range got {
		if r.Seq != int64(i+1) || r.Fact.(event.Noted).Text[0] != byte('1'+i) {
			return fmt.Errorf("record %d is %+v", i+1, r)
		}
	}
	for _, digest := range p.blobs {
		if _, err := h.Blob(t.Context(), digest); err != nil {
			return err
		}
	}
	return nil
}

// world is a disk that can lose power, with a root that is not there yet.
func world(t *testing.T) (*hosttest.Volatile, journal.Root) {
	dir := t.TempDir()
	v := hosttest.NewVolatile(t, dir)
	return v, journal.Root{Files: v, Path: filepath.Join(dir, "root")}
}

func TestPowerLoss(t *testing.T) {
	v, h := world(t)
	var p promised
	must(t, work(t, h, &p))
	v.Crash()
	must(t, p.holds(t, h))
	if p.records == 0 || len(p.blobs) == 0 {
		t.Fatal("nothing was promised")
	}
}

// The runner is killed at each of its calls and the power goes: what was promised is there, and the log goes on.
func TestKilledAtEveryCallThenPowerLoss(t *testing.T) {
	everyCall(t, func(t *testing.T, v *hosttest.Volatile, h journal.Root, p *promised) {
		v.Crash()
		must(t, p.holds(t, h))
		*p = promised{records: len(left(t, h))}
		must(t, work(t, h, p))
	})
}

// The runner is killed at each of its calls, the next one goes on, and only then the power goes: nothing that the next
// was promised rests on a call that the first did not come to.
func TestKilledAtEveryCallThenContinuedThenPowerLoss(t *testing.T) {
	everyCall(t, func(t *testing.T, v *hosttest.Volatile, h journal.Root, p *promised) {
		must(t, p.holds(t, h))
		*p = promised{records: len(left(t, h))}
		must(t, work(t, h, p))
		v.Crash()
		must(t, p.holds(t, h))
	})
}

func left(t *testing.T, h journal.Root) []event.Record {
	runs, err := h.Logs(t.Context())
	must(t, err)
	if len(runs) == 0 {
		return nil
	}
	return records(t, h)
}

func everyCall(t *testing.T, then func(*testing.T, *hosttest.Volatile, journal.Root, *promised)) {
	for n := 1; ; n++ {
		v, h := world(t)
		m := hosttest.NewMortal(&host.Host{Files: v})
		m.DieTornAt(n)
		var p promised
		err := work(t, journal.Root{Files: m.Host().Files, Path: h.Path}, &p)
		if err == nil {
			if n < 20 {
				t.Errorf("the whole work are %d calls", n)
			}
			return
		}
		t.Run(fmt.Sprint(n, " ", m.Where()[:6]), func(t *testing.T) {
			if !errors.Is(err, hosttest.ErrDead) {
				t.Fatal(err)
			}
			then(t, v, h, &p)
			if t.Failed() {
				t.Log("killed at", m.Where())
			}
		})
	}
}

package home

import (
	"bytes"
	"context"
	"crypto/rand"
	"encoding/json"
	"fmt"
	"io/fs"
	"slices"

	"github.com/erlmcp/runner/builtins/record"
	"github.com/erlmcp/runner/runtime/event"
	"github.com/erlmcp/runner/runtime/host"
	"github.com/erlmcp/runner/runtime/journal"
)

// An undo log is a row of numbered records, the slots, each with the lines of some facts. Nobody can write where another
// has written, and who opens a log takes a slot before anything else: so a run that has lost its lease, and does not
// know it yet, finds its next slot taken, or has written before the log was opened, where it is seen.
//
// A slot that is a base holds all that stood before it; the slots below it mean nothing any more. So a log that is
// closed becomes one record, and is whole wherever that ends.

const logKind = "log."

func slotName(run string, n int64) string { return fmt.Sprintf("%s%s.%09d", logKind, run, n) }

// slotOf reads the name of a slot.
func slotOf(name string) (run string, n int64, ok bool) {
	rest, ok := bytes.CutPrefix([]byte(name), []byte(logKind))
	dot := bytes.LastIndexByte(rest, '.')
	if !ok || dot < 1 || !scan(string(rest[dot:]), ".%d", &n) {
		return "", 0, false
	}
	return string(rest[:dot]), n, true
}

// slotHead is the first line of a slot.
type slotHead struct {
	Base bool `json:"base,omitempty"`
}

// log is an undo log as it was read.
type log struct {
	slots []record.Record // all that are there
	top   int64           // the highest number
	base  int             // the index of the last base, from which on slots count
	lines []byte
}

// rereads is how often a log is read again that seems to lack a slot.
const rereads = 3

func (p place) read(ctx context.Context, run string) (*log, error) {
	if err := sound(run); err != nil {
		return nil, err
	}
	for reread := 0; ; reread++ {
		found, err := p.reg.List(ctx, logKind+run+".")
		if err != nil {
			return nil, err
		}
		l, err := assemble(found)
		if err == nil || reread == rereads {
			if err != nil {
				err = fmt.Errorf("cannot read the undo log of run %s: %w", run, err)
			}
			return l, err
		}
	}
}

func assemble(found []record.Record) (*log, error) {
	l := &log{slots: found}
	var expect int64 = 1
	for i, rec := range found {
		_, n, ok := slotOf(rec.Name)
		first, lines, whole := bytes.Cut(rec.Data, []byte("\n"))
		var head slotHead
		if err := json.Unmarshal(first, &head); !ok || !whole || err != nil {
			return nil, fmt.Errorf("%w: %s is no part of a log", journal.ErrDamaged, rec.Name)
		}
		if head.Base {
			l.lines, l.base, expect = nil, i, n
		}
		if n != expect {
			expect = -1 // unless a base follows, something is missing
			continue
		}
		l.lines, l.top, expect = append(l.lines, lines...), n, n+1
	}
	if expect < 0 {
		return nil, fmt.Errorf("%w: a part of it is missing", journal.ErrDamaged)
	}
	return l, nil
}

func (l *log) decode() ([]event.Record, error) {
	records, good, err := journal.Decode(bytes.NewReader(l.lines))
	if err == nil && good != int64(len(l.lines)) {
		err = fmt.Errorf("%w at its end", journal.ErrDamaged) // records come as a whole or not at all
	}
	return records, err
}

// writer appends to a log.
type writer struct {
	*lease
	run    string
	slot   int64 // the next one
	below  []record.Record
	lines  []byte // all that the log holds
	fresh  []byte // what of it is in no slot yet
	count  int64
	unsure *record.Record // a slot of which the answer was lost
	made   int
	bad    error
}

// Open implements journal.Lease.
func (l *lease) Open(ctx context.Context, run string) (journal.Writer, error) {
	if err := l.Check(ctx); err != nil {
		return nil, err
	}
	for {
		have, err := l.read(ctx, run)
		if err != nil {
			return nil, err
		}
		records, err := have.decode()
		if err != nil {
			return nil, fmt.Errorf("cannot open the undo log of run %s: %w", run, err)
		}
		w := &writer{lease: l, run: run, slot: have.top + 1, below: have.slots, lines: have.lines, count: int64(len(records)), made: l.made}
		won, err := w.put(ctx, w.record(false, nil))
		if err != nil {
			return nil, fmt.Errorf("cannot open the undo log of run %s: %w", run, err)
		}
		if won {
			return w, nil
		}
	}
}

func (w *writer) record(base bool, lines []byte) record.Record {
	head, _ := json.Marshal(slotHead{base})
	return record.Record{Name: slotName(w.run, w.slot), Of: w.run, Mark: rand.Text(), Data: slices.Concat(head, []byte("\n"), lines)}
}

// put takes the next slot. After an error the same record must be put again before another is.
func (w *writer) put(ctx context.Context, rec record.Record) (bool, error) {
	won, err := w.reg.Put(ctx, rec)
	if err != nil {
		w.unsure = &rec
		return false, err
	}
	w.unsure = nil
	if won {
		w.slot++
		w.below = append(w.below, rec)
	}
	return won, nil
}

// Append implements journal.Writer. What is not durable yet goes with the next that must be.
func (w *writer) Append(ctx context.Context, r event.Record, durable bool) error {
	if w.bad != nil {
		return w.bad
	}
	if err := w.settle(ctx); err != nil {
		return err
	}
	r.Seq = w.count + 1
	line, err := journal.EncodeLine(r)
	if err != nil {
		return err
	}
	w.count++
	w.lines, w.fresh = append(w.lines, line...), append(w.fresh, line...)
	if !durable {
		return nil
	}
	return w.flush(ctx)
}

// settle finds out what became of a slot of which the answer was lost.
func (w *writer) settle(ctx context.Context) error {
	if w.unsure == nil {
		return nil
	}
	return w.took(w.put(ctx, *w.unsure))
}

// took is the end of a put: the slot of a log that this run has opened can be taken by a successor only.
func (w *writer) took(won bool, err error) error {
	switch {
	case err != nil:
		return fmt.Errorf("cannot write the undo log of run %s: %w", w.run, err)
	case !won:
		w.bad = fmt.Errorf("%w: another run writes the undo log of run %s", journal.ErrLost, w.run)
	}
	return w.bad
}

// flush writes what is in no slot yet. Where all records had vanished, that is everything.
func (w *writer) flush(ctx context.Context) error {
	if err := w.lock(ctx); err != nil {
		return err
	}
	made, kept, since := w.lease.made, w.kept, w.since
	w.unlock()
	rec := w.record(false, w.fresh)
	if made != w.made {
		for digest, b := range kept {
			if _, err := w.reg.Put(ctx, record.Record{Name: blobName(digest, b.run), Of: b.run, Data: b.data}); err != nil {
				w.unsure, w.fresh = &rec, nil
				return err
			}
		}
		rec = w.record(true, w.lines)
	}
	w.fresh, w.made = nil, made
	if err := w.took(w.put(ctx, rec)); err != nil {
		return err
	}
	if w.clock.Now().Sub(since) >= tired { // it took long: perhaps somebody else has read the log before it was there
		return w.Check(ctx)
	}
	return nil
}

// Put implements journal.Writer.
func (w *writer) Put(ctx context.Context, data []byte) (string, error) {
	digest := host.SHA256(data)
	_, err := w.reg.Put(ctx, record.Record{Name: blobName(digest, w.run), Of: w.run, Data: data})
	if err != nil {
		return digest, fmt.Errorf("cannot keep a blob of run %s: %w", w.run, err)
	}
	if err := w.lock(ctx); err != nil {
		return digest, err
	}
	defer w.unlock()
	w.kept[digest] = kept{w.run, slices.Clone(data)}
	return digest, nil
}

// Close implements journal.Writer.
func (w *writer) Close() error {
	if w.bad != nil {
		return nil // who has written behind it sees to the rest
	}
	ctx, cancel := w.clock.Timeout(context.Background(), farewell, w.deaf())
	defer cancel()
	err := w.settle(ctx)
	if err == nil && len(w.fresh) > 0 {
		err = w.flush(ctx)
	}
	if err == nil {
		err = w.compact(ctx)
	}
	w.bad = fmt.Errorf("cannot write the undo log of run %s: %w", w.run, fs.ErrClosed)
	return err
}

// compact makes one slot of all. The base is there before anything goes, so each step leaves the whole log.
func (w *writer) compact(ctx context.Context) error {
	if len(w.below) > 1 {
		old := w.below
		if err := w.took(w.put(ctx, w.record(true, w.lines))); err != nil {
			return err
		}
		record.DeleteAll(ctx, w.reg, old) // what stays means nothing, and goes with the log
	}
	return nil
}

// drop removes a log and its blobs. A log of many slots is made one first: what is left of a half-removed one must not
// read as a run that never finished.
func (l *lease) drop(ctx context.Context, run string) error {
	have, err := l.read(ctx, run)
	if err != nil {
		return err
	}
	if len(have.slots)-have.base > 1 {
		w := &writer{lease: l, run: run, slot: have.top + 1, below: have.slots, lines: have.lines}
		if err := w.compact(ctx); err != nil {
			return err
		}
	}
	all, err := l.reg.ListOf(ctx, run)
	if err != nil {
		return err
	}
	for _, rec := range all { // blobs come first, and of the log its base last
		if err := l.reg.Delete(ctx, rec); err != nil {
			return err
		}
	}
	return nil
}

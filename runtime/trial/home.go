package trial

import (
	"bytes"
	"context"
	"fmt"
	"slices"
	"sync"

	"github.com/erlmcp/runner/runtime/event"
	"github.com/erlmcp/runner/runtime/host"
	"github.com/erlmcp/runner/runtime/journal"
)

// home keeps the lease, the undo logs and the hold of one target in memory.
type home struct {
	target string
	watch  func(f event.Fact) (after func() error, err error) // asked before a record is written

	mu     sync.Mutex
	holder *lease
	runs   []string
	logs   map[string][]event.Record
	blobs  map[string][]byte
	hold   *journal.Hold
}

// lease is held while it is its home's holder.
type lease struct {
	*home
	owner journal.Owner
}

// Take implements journal.Home. In a trial nobody gives a lease back while another waits for it.
func (h *home) Take(_ context.Context, o journal.Owner, _ func(journal.Owner, int)) (journal.Lease, error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.holder != nil {
		return nil, &journal.Held{Target: h.target, By: h.holder.owner}
	}
	h.holder = &lease{h, o}
	return h.holder, nil
}

// lose gives the lease to nobody behind its holder's back.
func (h *home) lose() {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.holder = nil
}

// Logs implements journal.Home.
func (h *home) Logs(context.Context) ([]string, error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	return slices.Clone(h.runs), nil
}

// Read implements journal.Home.
func (h *home) Read(_ context.Context, run string) ([]event.Record, error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	return slices.Clone(h.logs[run]), nil
}

// Blob implements journal.Home.
func (h *home) Blob(_ context.Context, digest string) ([]byte, error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	b, ok := h.blobs[digest]
	if !ok {
		return nil, fmt.Errorf("cannot read the blob %s: there is none", digest)
	}
	return b, nil
}

// Hold implements journal.Home.
func (h *home) Hold(context.Context) (*journal.Hold, error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.hold, nil
}

// SwapHold implements journal.Home.
func (h *home) SwapHold(_ context.Context, _, now *journal.Hold) error {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.hold = now
	return nil
}

// Check implements journal.Lease.
func (l *lease) Check(context.Context) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.held()
}

func (l *lease) held() error {
	if l.holder != l {
		return fmt.Errorf("%w: another run took it", journal.ErrLost)
	}
	return nil
}

// Open implements journal.Lease.
func (l *lease) Open(_ context.Context, run string) (journal.Writer, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if !slices.Contains(l.runs, run) {
		l.runs = append(l.runs, run)
	}
	return &writer{l, run}, l.held()
}

// Drop implements journal.Lease.
func (l *lease) Drop(_ context.Context, run string) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.runs = slices.DeleteFunc(l.runs, func(r string) bool { return r == run })
	delete(l.logs, run)
	return l.held()
}

// Release implements journal.Lease.
func (l *lease) Release() error {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.holder == l {
		l.home.holder = nil
	}
	return nil
}

type writer struct {
	*lease
	run string
}

// Append implements journal.Writer. A record goes over the wire and back, as it does on a disk.
func (w *writer) Append(_ context.Context, r event.Record, _ bool) error {
	after, err := w.watch(r.Fact)
	if err != nil {
		return err
	}
	w.mu.Lock()
	err = w.held()
	if err == nil {
		r.Seq = int64(len(w.logs[w.run]) + 1)
		var wire []byte
		var back event.Record
		if wire, err = r.MarshalJSON(); err == nil {
			err = back.UnmarshalJSON(wire)
			w.logs[w.run] = append(w.logs[w.run], back)
		}
	}
	w.mu.Unlock()
	if err != nil {
		return err
	}
	return after()
}

// Put implements journal.Writer.
func (w *writer) Put(_ context.Context, data []byte) (string, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	digest := host.SHA256(data)
	w.blobs[digest] = bytes.Clone(data)
	return digest, nil
}

// Close implements journal.Writer.
func (w *writer) Close() error { return nil }

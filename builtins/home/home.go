// Package home keeps what journal.Home asks for, the lease, the undo logs and the hold of a target, as records of a
// register with the target: so that any machine that reaches the target finds them. It knows nothing of what the target
// is, and needs no file on any host.
package home

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"slices"
	"strconv"
	"strings"

	"github.com/erlmcp/runner/builtins/record"
	"github.com/erlmcp/runner/runtime/event"
	"github.com/erlmcp/runner/runtime/host"
	"github.com/erlmcp/runner/runtime/journal"
)

// Home is the home of one target.
type Home struct {
	Target string                                         // its id
	Server string                                         // what people call that which has the records, such as "the Docker engine"
	Open   func(context.Context) (record.Register, error) // reaches them
	Host   *host.Host
}

var _ journal.Home = Home{}

// place is a home that has been reached.
type place struct {
	reg    record.Register
	clock  host.Clock
	target string
	server string
	here   where
	procs  host.Procs
	boot   string
}

// where is the process that holds a lease or waits for one, for those on the same machine: they need not wait to see
// that it is gone. Space is the boot and the process namespace, without which its number means nothing.
type where struct {
	Space string `json:"space,omitempty"`
	PID   int    `json:"pid"`
	Start uint64 `json:"start,omitempty"`
}

// standpoint is this process; others cannot look at it where the machine does not say enough.
func standpoint(boot string) where {
	w := where{PID: os.Getpid()}
	space, err := os.Readlink("/proc/self/ns/pid")
	stat, e := os.ReadFile("/proc/self/stat")
	fields := strings.Fields(string(stat[bytes.LastIndexByte(stat, ')')+1:])) // behind the name, which may hold anything
	if err != nil || e != nil || boot == "" || len(fields) < 20 {
		return w
	}
	if w.Start, err = strconv.ParseUint(fields[19], 10, 64); err == nil {
		w.Space = boot + " " + space
	}
	return w
}

func (h Home) open(ctx context.Context) (place, error) {
	reg, err := h.Open(ctx)
	return place{
		reg: reg, clock: h.Host.Clock, target: h.Target, server: h.Server,
		here: standpoint(h.Host.Boot), procs: h.Host.Procs, boot: h.Host.Boot,
	}, err
}

// deaf is the cause of an end for want of an answer.
func (p place) deaf() error { return fmt.Errorf("%s does not answer", p.server) }

// seen reports whether a process can be looked at from here.
func (p place) seen(w where) bool { return w.Space != "" && w.Space == p.here.Space }

// process is one that can be seen.
func (p place) process(w where) host.Proc { return host.Proc{PID: w.PID, Start: w.Start, Boot: p.boot} }

// gone reports that a process has ended, as far as this one can see.
func (p place) gone(w where) bool { return p.seen(w) && !p.procs.Alive(p.process(w)) }

// Take implements journal.Home.
func (h Home) Take(ctx context.Context, o journal.Owner, queue func(journal.Owner, int)) (journal.Lease, error) {
	p, err := h.open(ctx)
	if err != nil {
		return nil, err
	}
	l, err := newTaker(p, o, queue).take(ctx)
	if err != nil {
		return nil, err
	}
	return l, nil
}

// Logs implements journal.Home.
func (h Home) Logs(ctx context.Context) ([]string, error) {
	p, err := h.open(ctx)
	if err != nil {
		return nil, err
	}
	all, err := p.reg.List(ctx, logKind)
	var runs []string
	for _, rec := range all {
		if run, _, ok := slotOf(rec.Name); ok && !slices.Contains(runs, run) {
			runs = append(runs, run)
		}
	}
	slices.Sort(runs)
	return runs, err
}

// Read implements journal.Home.
func (h Home) Read(ctx context.Context, run string) ([]event.Record, error) {
	p, err := h.open(ctx)
	if err != nil {
		return nil, err
	}
	log, err := p.read(ctx, run)
	if err != nil {
		return nil, err
	}
	if len(log.slots) == 0 {
		return nil, fmt.Errorf("cannot read the undo log of run %s: %s has none", run, p.target)
	}
	records, err := log.decode()
	if err != nil {
		return nil, fmt.Errorf("cannot read the undo log of run %s: %w", run, err)
	}
	return records, nil
}

// Blob implements journal.Home.
func (h Home) Blob(ctx context.Context, digest string) ([]byte, error) {
	p, err := h.open(ctx)
	if err != nil {
		return nil, err
	}
	found, err := p.reg.List(ctx, blobKind+digest+".")
	if err != nil {
		return nil, err
	}
	for _, rec := range found {
		if host.SHA256(rec.Data) == digest {
			return rec.Data, nil
		}
	}
	if len(found) > 0 {
		return nil, fmt.Errorf("cannot read the blob %s: its bytes have another digest", digest)
	}
	return nil, fmt.Errorf("cannot read the blob %s: %s has none", digest, p.target)
}

// blobKind is what names of blobs begin with: blob.DIGEST.RUN. A blob that two runs have put is there twice, so that it
// can go with either.
const blobKind = "blob."

func blobName(digest, run string) string { return blobKind + digest + "." + run }

// sound refuses a run's id that could not be a part of a record's name.
func sound(run string) error {
	if run == "" || strings.Trim(run, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-_") != "" {
		return fmt.Errorf("cannot keep an undo log of run %q: want letters, digits, - and _", run)
	}
	return nil
}

package home

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/erlmcp/runner/builtins/record"
	"github.com/erlmcp/runner/runtime/journal"
)

// The lease is a row of numbered records, the terms. Who made the one with the highest number holds it, or nobody where
// that says so. Holding on, taking over and giving back are one and the same: to make the next term, which the register
// lets one of all do who try. So a holder that comes late with its renewal and a taker that gave it up cannot both
// succeed, however long either was asleep in between.
//
// A term is removed only when a higher one is there; else its number could be taken twice. Who wins a number that was
// removed meanwhile, for it had not looked for long, has won nothing: it looks again, and is not the highest.

const (
	// beat is how often a holder makes its next term, and one that waits renews its ticket.
	beat = 5 * time.Second
	// tired is the age of a term from which its holder makes the next one before it changes anything.
	tired = 10 * time.Second
	// stale is how long a term or a ticket has stood still, by the clock of who looks, when its run is taken for dead.
	stale = 15 * time.Second
	// retry is the pause behind a request that failed.
	retry = time.Second
	// parting is how long a run that has waited takes to remove what it has shown, at most.
	parting = 3 * time.Second
)

const (
	leaseKind  = "lease."
	termKind   = leaseKind + "term."
	ticketKind = leaseKind + "ticket."
	askKind    = leaseKind + "ask."
)

// sign is what a term or a ticket says: who made it.
type sign struct {
	ID    string        `json:"id,omitempty"` // of one Take; "" where the lease was given back
	Owner journal.Owner `json:"owner"`
	Where where         `json:"where"`
}

// term is the right to change the target. The zero term stands before the first.
type term struct {
	sign
	n int64
}

// held reports whether somebody has the lease by this term.
func (t term) held() bool { return t.n > 0 && t.ID != "" }

// ticket is a place in the queue. Its count tells that the run lives.
type ticket struct {
	sign
	n, count int64
	records  []record.Record
}

// before is the order of the queue.
func (t ticket) before(o ticket) bool { return t.n < o.n || t.n == o.n && t.ID < o.ID }

// view is what the register has said about the lease.
type view struct {
	top             term
	terms           []record.Record // all of them, the highest last
	tickets         []ticket        // in their order
	asks            []record.Record // by those who want a sign of life
	asked, answered time.Time
}

func termName(n int64) string          { return fmt.Sprintf("%s%012d", termKind, n) }
func ticketName(n, count int64) string { return fmt.Sprintf("%s%09d.%012d", ticketKind, n, count) }

func (s sign) record(name string) record.Record {
	b, _ := json.Marshal(s) // nothing in it can fail
	return record.Record{Name: name, Data: b}
}

// look asks for all that concerns the lease.
func (p place) look(ctx context.Context) (view, error) {
	v := view{asked: p.clock.Now()}
	all, err := p.reg.List(ctx, leaseKind)
	if err != nil {
		return v, err
	}
	v.answered = p.clock.Now()
	for _, rec := range all {
		var s sign
		if json.Unmarshal(rec.Data, &s) != nil {
			s.ID = rec.Mark // it is somebody's, who cannot be read
		}
		var n, count int64
		switch {
		case strings.HasPrefix(rec.Name, askKind):
			v.asks = append(v.asks, rec)
		case scan(rec.Name, termKind+"%d", &n):
			v.terms, v.top = append(v.terms, rec), term{s, n} // sorted by name, the highest comes last
		case scan(rec.Name, ticketKind+"%d.%d", &n, &count):
			v.queue(ticket{s, n, count, []record.Record{rec}})
		}
	}
	return v, nil
}

func scan(name, format string, into ...any) bool {
	n, err := fmt.Sscanf(name, format, into...)
	return err == nil && n == len(into)
}

// queue adds a ticket; of one, several counts may be there.
func (v *view) queue(t ticket) {
	for i := range v.tickets {
		if have := &v.tickets[i]; have.n == t.n && have.ID == t.ID {
			have.count = max(have.count, t.count)
			have.records = append(have.records, t.records...)
			return
		}
	}
	v.tickets = append(v.tickets, t)
	slices.SortFunc(v.tickets, func(a, b ticket) int {
		if a.before(b) {
			return -1
		}
		return 1
	})
}

// next makes the term behind the highest of a view, and looks whether it is the highest: only then it counts.
func (p place) next(ctx context.Context, v view, s sign) (view, bool, error) {
	rec := s.record(termName(v.top.n + 1))
	won, err := p.reg.Put(ctx, rec)
	if err != nil || !won {
		return v, false, err
	}
	now, err := p.look(ctx)
	if err != nil {
		return v, false, err
	}
	if now.top.n != v.top.n+1 || now.top.ID != s.ID {
		if now.top.n > v.top.n+1 {
			p.reg.Delete(ctx, rec) // it was made below a higher one, where it stands for nothing
		}
		return now, false, nil
	}
	return now, true, nil
}

// tidy removes the terms below the highest of a view. What cannot be removed now, the next holder removes.
func (p place) tidy(ctx context.Context, v view) {
	for _, old := range v.terms[:max(len(v.terms)-1, 0)] {
		p.reg.Delete(ctx, old)
	}
}

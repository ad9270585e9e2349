package homesuite

import (
	"errors"
	"sync"
	"time"

	"github.com/erlmcp/runner/runtime/journal"
)

func hold(who string) *journal.Hold {
	return &journal.Hold{Who: who, Why: "database migration", Since: time.Date(2026, 1, 26, 12, 0, 0, 0, time.UTC)}
}

// holds wants a hold by somebody, "" for none, as every machine sees it.
func (w *world) holds(who string) {
	w.Helper()
	got, err := w.open().Hold(w.ctx)
	w.must(err)
	if got == nil && who != "" || got != nil && *got != *hold(who) {
		w.Fatalf("the hold is %+v, want %q's", got, who)
	}
}

// heldFirst: a hold is there before the first deployment, and its end too.
func heldFirst(w *world) {
	h := w.open()
	w.holds("")
	w.must(h.SwapHold(w.ctx, nil, nil))
	w.must(h.SwapHold(w.ctx, nil, hold("ana")))
	w.holds("ana")
	logs, err := h.Logs(w.ctx)
	if w.must(err); len(logs) > 0 {
		w.Errorf("a hold has made the logs %v", logs)
	}
	w.must(w.take(w.open(), "a").Release())
	w.must(w.open().SwapHold(w.ctx, hold("ana"), nil))
	w.holds("")
}

// heldMeanwhile: a hold neither needs the lease nor disturbs it.
func heldMeanwhile(w *world) {
	l := w.take(w.open(), "a")
	w.must(w.open().SwapHold(w.ctx, nil, hold("ana")))
	w.must(l.Check(w.ctx))
	w.notes(w.log(l, "a"), "a", 1, 2)
	w.must(l.Release())
	w.holds("ana")
	w.must(w.take(w.open(), "b").Release())
}

// heldByOthers: nobody puts a hold in the place of one that they have not seen.
func heldByOthers(w *world) {
	a, b := w.open(), w.open()
	w.must(a.SwapHold(w.ctx, nil, hold("ana")))
	longer := hold("ben")
	longer.Until = longer.Since.Add(2 * time.Hour)
	for _, was := range []*journal.Hold{nil, hold("ben"), longer} {
		if err := b.SwapHold(w.ctx, was, longer); !errors.Is(err, journal.ErrHoldChanged) {
			w.Errorf("ana's hold is replaced where %+v is expected: %v", was, err)
		}
	}
	if err := b.SwapHold(w.ctx, hold("ben"), nil); !errors.Is(err, journal.ErrHoldChanged) {
		w.Errorf("ana's hold is ended by who expects ben's: %v", err)
	}
	w.holds("ana")
	w.must(b.SwapHold(w.ctx, hold("ana"), longer))
	if got, err := a.Hold(w.ctx); err != nil || *got != *longer {
		w.Errorf("the hold is %+v (%v), want %+v", got, err, longer)
	}
}

// heldAtOnce: of many that hold a free target at once, one does.
func heldAtOnce(w *world) {
	names := []string{"ana", "ben", "cleo", "dan", "eve", "fay"}
	errs := make([]error, len(names))
	var wg sync.WaitGroup
	for i, name := range names {
		home := w.open()
		wg.Go(func() { errs[i] = home.SwapHold(w.ctx, nil, hold(name)) })
	}
	wg.Wait()
	winner := ""
	for i, err := range errs {
		switch {
		case err == nil && winner == "":
			winner = names[i]
		case !errors.Is(err, journal.ErrHoldChanged):
			w.Errorf("%s, behind %q: %v", names[i], winner, err)
		}
	}
	if winner == "" {
		w.Fatal("nobody holds it")
	}
	w.holds(winner)
}

package home

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"

	"github.com/erlmcp/runner/builtins/record"
	"github.com/erlmcp/runner/runtime/journal"
)

// The hold is a row of numbered records, of which the highest counts; the end of a hold is one too. Who swaps makes the
// next number. As with terms, what is highest is never removed.
const holdKind = "hold."

// maxHold is the largest record of a hold, in bytes.
const maxHold = 64 << 10

// held reads the hold, its number, and all records of holds.
func (p place) held(ctx context.Context) (h *journal.Hold, n int64, all []record.Record, err error) {
	if all, err = p.reg.List(ctx, holdKind); err != nil || len(all) == 0 {
		return nil, 0, nil, err
	}
	top := all[len(all)-1]
	if !scan(top.Name, holdKind+"%d", &n) || json.Unmarshal(top.Data, &h) != nil || h != nil && (h.Who == "" || h.Why == "" || h.Since.IsZero()) {
		where := fmt.Sprintf("%s (%s)", p.target, p.reg.Where(top.Name))
		return nil, n, all, &journal.Unreadable{Where: where, Why: errors.New("it does not say who, why and since when")}
	}
	return h, n, all, nil
}

// Hold implements journal.Home.
func (h Home) Hold(ctx context.Context) (*journal.Hold, error) {
	p, err := h.open(ctx)
	if err != nil {
		return nil, err
	}
	hold, _, _, err := p.held(ctx)
	return hold, err
}

// SwapHold implements journal.Home.
func (h Home) SwapHold(ctx context.Context, was, now *journal.Hold) error {
	p, err := h.open(ctx)
	if err != nil {
		return err
	}
	there, n, all, err := p.held(ctx)
	if err != nil {
		return err
	}
	if !same(there, was) {
		return journal.ErrHoldChanged
	}
	if there == nil && now == nil {
		return nil
	}
	data, err := json.Marshal(now)
	if err != nil {
		return err
	}
	if len(data) > maxHold {
		return fmt.Errorf("cannot hold %s: the reason is too long", p.target)
	}
	rec := record.Record{Name: fmt.Sprintf("%s%012d", holdKind, n+1), Data: data}
	won, err := p.reg.Put(ctx, rec)
	if err != nil {
		return err
	}
	if !won {
		return journal.ErrHoldChanged
	}
	_, top, _, err := p.held(ctx)
	if err != nil {
		return err
	}
	if top > n+1 { // others have gone on from another hold of that number, and have removed it
		p.reg.Delete(ctx, rec)
		return journal.ErrHoldChanged
	}
	for _, old := range all {
		p.reg.Delete(ctx, old)
	}
	return nil
}

func same(a, b *journal.Hold) bool {
	if a == nil || b == nil {
		return a == b
	}
	return a.Who == b.Who && a.Why == b.Why && a.Since.Equal(b.Since) && a.Until.Equal(b.Until)
}

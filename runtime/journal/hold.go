package journal

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"strings"
	"time"
	"unicode"

	"github.com/erlmcp/runner/runtime/host"
)

// Hold is a target that nobody may change for a while.
type Hold struct {
	Who   string    `json:"who"`
	Why   string    `json:"why"`
	Since time.Time `json:"since"`
	Until time.Time `json:"until,omitzero"` // zero: until somebody ends it
}

// Over reports whether the hold's time has passed. A hold of which the clock says that it has not begun counts: only
// another clock has set it.
func (h Hold) Over(now time.Time) bool { return !h.Until.IsZero() && !now.Before(h.Until) }

// Text is such as "by ana since 12:00 UTC until 14:00 UTC: database migration", seen from now: a day other than today
// is named.
func (h Hold) Text(now time.Time) string {
	at := func(t time.Time) string {
		t = t.UTC()
		if t.Format(time.DateOnly) == now.UTC().Format(time.DateOnly) {
			return t.Format("15:04 UTC")
		}
		return t.Format("2006-01-02 15:04 UTC")
	}
	until := ""
	if !h.Until.IsZero() {
		until = " until " + at(h.Until)
	}
	return fmt.Sprintf("by %s since %s%s: %s", oneLine(h.Who), at(h.Since), until, oneLine(h.Why))
}

// oneLine is a text without what would move a terminal's cursor.
func oneLine(s string) string {
	return strings.Join(strings.FieldsFunc(s, func(r rune) bool { return unicode.IsSpace(r) || !unicode.IsGraphic(r) }), " ")
}

func (h *Hold) equal(o *Hold) bool {
	if h == nil || o == nil {
		return h == o
	}
	return h.Who == o.Who && h.Why == o.Why && h.Since.Equal(o.Since) && h.Until.Equal(o.Until)
}

// ErrHoldChanged is a hold that somebody else has set or ended meanwhile.
var ErrHoldChanged = errors.New("somebody else has changed the hold meanwhile")

// Unreadable is a record of a hold that says nothing. It holds the target all the same: somebody meant something by it.
type Unreadable struct {
	Where string
	Why   error
}

func (u *Unreadable) Error() string {
	return fmt.Sprintf("cannot read the hold at %s: %s", u.Where, u.Why)
}

// Unwrap gives the cause.
func (u *Unreadable) Unwrap() error { return u.Why }

// maxHold is the largest record of a hold, in bytes.
const maxHold = 64 << 10

// Hold implements Home.
func (r Root) Hold(context.Context) (*Hold, error) {
	b, err := host.ReadFile(r.Files, r.dir("hold"), maxHold)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	var h Hold
	if err == nil && (json.Unmarshal(b, &h) != nil || h.Who == "" || h.Why == "" || h.Since.IsZero()) {
		err = errors.New("it does not say who, why and since when")
	}
	if err != nil {
		return nil, &Unreadable{r.dir("hold"), cause(err)}
	}
	return &h, nil
}

// cause is what lies under an error that names the path again.
func cause(err error) error {
	var p *fs.PathError
	if errors.As(err, &p) {
		return p.Err
	}
	return err
}

// SwapHold implements Home.
func (r Root) SwapHold(ctx context.Context, was, now *Hold) error {
	if now == nil {
		if was == nil {
			return nil
		}
	} else if err := r.make(); err != nil {
		return err
	}
	door, err := r.Files.Open(r.dir(".hold.door"), os.O_RDWR|os.O_CREATE, 0o644)
	if err != nil {
		return err
	}
	if err := host.Lock(ctx, door); err != nil {
		return err
	}
	defer host.Unlock(door)
	there, err := r.Hold(ctx)
	if err != nil {
		return err
	}
	if !there.equal(was) {
		return ErrHoldChanged
	}
	if now == nil {
		return errors.Join(r.Files.Remove(r.dir("hold")), r.Files.SyncDir(r.dir()))
	}
	b, err := json.Marshal(now)
	if err != nil {
		return err
	}
	return host.WriteFile(r.Files, r.dir("hold"), append(b, '\n'), 0o644)
}

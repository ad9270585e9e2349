package releases

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"path/filepath"

	"github.com/erlmcp/runner/runtime/host"
	"github.com/erlmcp/runner/runtime/op"
)

// Accept is releases.accept.
type Accept struct {
	_    op.Doc `doc:"Marks the release that serves as good: rollback chooses among good releases, and retention keeps them. Call it after health was proved and before commit."`
	Root string `json:"root" doc:"The host root."`
	Key  op.Key `json:"key"`
}

// Summary implements op.Op.
func (a Accept) Summary() string { return "mark what serves " + a.Root + " as good" }

// Target implements op.Targeted.
func (a Accept) Target(h *host.Host) string { return h.RootTarget(a.Root) }

// Inverse implements op.Reversible.
func (a Accept) Inverse(_ context.Context, h *host.Host) (any, error) {
	r := at(h, a.Root)
	id, err := r.live()
	if err != nil || id == "" {
		return nil, err
	}
	was, _, err := r.readMark(id)
	return Unaccept{Root: r.path, ID: id, Want: was, Of: a.Key}, err
}

// Do implements op.Op.
func (a Accept) Do(_ context.Context, h *host.Host) (Release, error) {
	r := at(h, a.Root)
	id, err := r.live()
	if err != nil {
		return Release{}, err
	}
	if id == "" {
		return Release{}, fmt.Errorf("cannot mark what serves %s as good: nothing serves", r.path)
	}
	if _, _, err := r.read(id); err != nil {
		return Release{}, fmt.Errorf("cannot mark what serves %s as good: %w", r.path, err)
	}
	all, err := r.all()
	if err != nil {
		return Release{}, err
	}
	order := 1
	for _, rel := range all {
		order = max(order, rel.Accepted+1)
	}
	b, err := json.Marshal(mark{order, a.Key})
	if err != nil {
		return Release{}, err
	}
	if err := host.MkdirAll(h.Files, filepath.Dir(r.mark(id)), 0o755); err != nil {
		return Release{}, err
	}
	if err := host.WriteFile(h.Files, r.mark(id), b, 0o644); err != nil {
		return Release{}, fmt.Errorf("cannot mark release %s as good: %w", id, err)
	}
	rel, _, err := r.read(id)
	rel.Live = true
	return rel, err
}

// Unaccept is the inverse of Accept.
type Unaccept struct {
	_    op.Doc `doc:"Gives a release the mark back that it had, or none."`
	Root string `json:"root" doc:"The host root, absolute."`
	ID   string `json:"id" doc:"The release."`
	Want string `json:"want" doc:"The mark that it had, as it stood in its file; empty for none."`
	Of   op.Key `json:"of" doc:"The key of the op that is taken back."`
}

// Summary implements op.Op.
func (u Unaccept) Summary() string { return fmt.Sprintf("take back that release %s is good", u.ID) }

// Do implements op.Op.
func (u Unaccept) Do(_ context.Context, h *host.Host) (op.Restored, error) {
	r := at(h, u.Root)
	found, m, err := r.readMark(u.ID)
	switch {
	case err != nil:
		return op.Restored{}, err
	case found == u.Want:
		return op.Restored{Already: true}, nil
	case m.Key != u.Of:
		return op.Restored{}, &op.Conflict{What: r.mark(u.ID), Wanted: describe(u.Want), Found: describe(found)}
	case u.Want != "":
		return op.Restored{}, host.WriteFile(h.Files, r.mark(u.ID), []byte(u.Want), 0o644)
	}
	return op.Restored{}, errors.Join(h.Files.Remove(r.mark(u.ID)), h.Files.SyncDir(filepath.Dir(r.mark(u.ID))))
}

func describe(mark string) string {
	if mark == "" {
		return "absent"
	}
	return mark
}

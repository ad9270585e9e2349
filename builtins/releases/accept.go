package releases

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"path/filepath"

	"github.com/erlmcp/runner/builtins/layout"
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
	id, err := r.Live()
	if err != nil || id == "" {
		return nil, err
	}
	was, _, err := r.ReadMark(id)
	return Unaccept{Root: r.Path, ID: id, Want: was, Of: a.Key}, err
}

// Do implements op.Op.
func (a Accept) Do(_ context.Context, h *host.Host) (Release, error) {
	r := at(h, a.Root)
	id, err := r.Live()
	if err != nil {
		return Release{}, err
	}
	if id == "" {
		return Release{}, fmt.Errorf("cannot mark what serves %s as good: nothing serves", r.Path)
	}
	if _, _, err := r.Read(id); err != nil {
		return Release{}, fmt.Errorf("cannot mark what serves %s as good: %w", r.Path, err)
	}
	all, err := r.All()
	if err != nil {
		return Release{}, err
	}
	order := 1
	for _, rel := range all {
		order = max(order, rel.Accepted+1)
	}
	b, err := json.Marshal(layout.Mark{Order: order, Key: a.Key})
	if err != nil {
		return Release{}, err
	}
	if err := host.MkdirAll(h.Files, filepath.Dir(r.Mark(id)), 0o755); err != nil {
		return Release{}, err
	}
	if err := host.WriteFile(h.Files, r.Mark(id), b, 0o644); err != nil {
		return Release{}, fmt.Errorf("cannot mark release %s as good: %w", id, err)
	}
	rel, _, err := r.Read(id)
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
	found, m, err := r.ReadMark(u.ID)
	switch {
	case err != nil:
		return op.Restored{}, err
	case found == u.Want:
		return op.Restored{Already: true}, nil
	case m.Key != u.Of:
		return op.Restored{}, &op.Conflict{What: r.Mark(u.ID), Wanted: describe(u.Want), Found: describe(found)}
	case u.Want != "":
		return op.Restored{}, host.WriteFile(h.Files, r.Mark(u.ID), []byte(u.Want), 0o644)
	}
	return op.Restored{}, errors.Join(h.Files.Remove(r.Mark(u.ID)), h.Files.SyncDir(filepath.Dir(r.Mark(u.ID))))
}

func describe(mark string) string {
	if mark == "" {
		return "absent"
	}
	return mark
}

// Package releases installs versions of an application on a host root, side by side, and switches between them. What
// serves is one link, ROOT/current; the package never edits what lies inside a release.
package releases

import (
	"context"
	"errors"
	"fmt"
	"io/fs"

	"github.com/erlmcp/runner/builtins/layout"
	"github.com/erlmcp/runner/runtime/builtin"
	"github.com/erlmcp/runner/runtime/host"
	"github.com/erlmcp/runner/runtime/op"
)

// Family is the releases family on a host.
func Family(h *host.Host) builtin.Family {
	return builtin.NewFamily("releases",
		"Versions of an application on a host root, side by side under ROOT/releases; ROOT/current is the one that serves.",
		op.Make(h, Install{}),
		op.Change(h, Activate{}),
		op.Undo(h, Reactivate{}),
		op.Change(h, Accept{}),
		op.Undo(h, Unaccept{}),
		op.Watch(h, Current{}),
		op.Watch(h, Serves{}),
		op.Read(h, List{}),
		op.Watch(h, Fits{Copies: 2}),
		op.Final(h, Prune{Keep: 5, KeepFailed: 3}, "deleted releases cannot be brought back"),
	)
}

// Release is a version installed on a root.
type Release = layout.Release

// root is a host root as this family changes it.
type root struct{ layout.Root }

func at(h *host.Host, path string) root { return root{layout.At(h, path)} }

// link makes current name the release.
func (r root) link(id string) error {
	return host.ReplaceLink(r.Host.Files, "releases/"+id, r.Current())
}

// Current is releases.current.
type Current struct {
	_    op.Doc `doc:"Reads which release serves; None where there is none."`
	Root string `json:"root" doc:"The host root."`
}

// Summary implements op.Op.
func (c Current) Summary() string { return "read which release serves " + c.Root }

// Do implements op.Op.
func (c Current) Do(_ context.Context, h *host.Host) (*Release, error) {
	r := at(h, c.Root)
	id, err := r.Live()
	if err != nil || id == "" {
		return nil, err
	}
	rel, _, err := r.Read(id)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, op.Hint(fmt.Errorf("%s names %s, which is not there", r.Current(), id), "see the releases in %s", r.Releases())
	}
	rel.Live = true
	return &rel, err
}

// List is releases.list.
type List struct {
	_    op.Doc `doc:"Lists the releases on a root, oldest first."`
	Root string `json:"root" doc:"The host root."`
}

// Summary implements op.Op.
func (l List) Summary() string { return "list the releases of " + l.Root }

// Do implements op.Op.
func (l List) Do(_ context.Context, h *host.Host) ([]Release, error) { return at(h, l.Root).All() }

package releases

import (
	"cmp"
	"context"
	"fmt"
	"path/filepath"
	"slices"

	"github.com/erlmcp/runner/builtins/driver"
	"github.com/erlmcp/runner/builtins/layout"
	"github.com/erlmcp/runner/runtime/host"
	"github.com/erlmcp/runner/runtime/op"
)

// Prune is releases.prune.
type Prune struct {
	_          op.Doc `doc:"Deletes old releases. The live one and the last good one stay whatever the numbers say; what killed runs left half made goes."`
	Root       string `json:"root" doc:"The host root."`
	Keep       int    `json:"keep" doc:"How many good releases stay, the latest accepted first."`
	KeepFailed int    `json:"keep_failed" doc:"How many releases that were never accepted stay, the newest first."`
	Key        op.Key `json:"key"`
}

// Pruned is the result of Prune.
type Pruned struct {
	Deleted []string `json:"deleted" doc:"The releases that were deleted."`
	Freed   op.Size  `json:"freed" doc:"The size of their files."`
}

// Check implements op.Checked.
func (p Prune) Check() error {
	if p.Keep < 1 {
		return fmt.Errorf("keep: want 1 or more, got %d", p.Keep)
	}
	if p.KeepFailed < 0 {
		return fmt.Errorf("keep_failed: want 0 or more, got %d", p.KeepFailed)
	}
	return nil
}

// Summary implements op.Op.
func (p Prune) Summary() string {
	return fmt.Sprintf("prune the releases of %s, keeping %d good ones", p.Root, p.Keep)
}

// Target implements op.Targeted.
func (p Prune) Target(h *host.Host) string { return h.RootTarget(p.Root) }

// Difference implements op.Differ.
func (p Prune) Difference(_ context.Context, h *host.Host) ([]string, error) {
	old, err := p.old(at(h, p.Root))
	var out []string
	for _, rel := range old {
		out = append(out, fmt.Sprintf("delete release %s (%s)", rel.ID, layout.Versioned(rel.Version)))
	}
	return out, err
}

// old are the releases to delete: never the one that a process runs from, though current may lead to another.
func (p Prune) old(r root) ([]Release, error) {
	all, err := r.All()
	if err != nil {
		return nil, err
	}
	runs, err := driver.Current(r.Host, r.Path)
	return slices.DeleteFunc(retire(all, p.Keep, p.KeepFailed), func(rel Release) bool {
		return runs.Alive && runs.Loaded.Release == rel.ID
	}), err
}

// retire chooses what to delete: it is the law of retention, and pure.
func retire(all []Release, keep, keepFailed int) []Release {
	byAge := slices.Clone(all)
	slices.SortFunc(byAge, func(a, b Release) int {
		return cmp.Or(cmp.Compare(b.Accepted, a.Accepted), cmp.Compare(b.ID, a.ID))
	})
	var out []Release
	good, failed := 0, 0
	for _, rel := range byAge {
		switch {
		case rel.Live:
			if rel.Good {
				good++
			}
		case rel.Good:
			if good++; good > max(keep, lastGood(byAge)) {
				out = append(out, rel)
			}
		default:
			if failed++; failed > keepFailed {
				out = append(out, rel)
			}
		}
	}
	slices.SortFunc(out, func(a, b Release) int { return cmp.Compare(a.ID, b.ID) })
	return out
}

// lastGood is how many good releases must stay so that the last one that is not live is among them: what to go back to.
func lastGood(byAge []Release) int {
	for i, rel := range byAge {
		if rel.Good && !rel.Live {
			return i + 1
		}
	}
	return 0
}

// Do implements op.Op. A release is renamed away as one step before it is deleted file by file: no half release is
// ever found under a number.
func (p Prune) Do(ctx context.Context, h *host.Host) (Pruned, error) {
	r := at(h, p.Root)
	if err := r.sweep(); err != nil {
		return Pruned{}, fmt.Errorf("cannot prune %s: %w", r.Path, err)
	}
	old, err := p.old(r)
	if err != nil {
		return Pruned{}, fmt.Errorf("cannot prune %s: %w", r.Path, err)
	}
	var done Pruned
	for i, rel := range old {
		if ctx.Err() != nil {
			return done, context.Cause(ctx)
		}
		op.Progress(ctx, int64(i), int64(len(old)), "releases")
		if err := r.delete(rel.ID); err != nil {
			return done, fmt.Errorf("cannot delete release %s: %w", rel.ID, err)
		}
		if err := op.Half(ctx, "deleted "+rel.ID); err != nil {
			return done, err
		}
		done.Deleted = append(done.Deleted, rel.ID)
		done.Freed += rel.Size
	}
	ids, _, err := r.IDs()
	if err != nil {
		return done, err
	}
	return done, driver.Sweep(h, r.Path, func(release string) bool { return slices.Contains(ids, release) })
}

func (r root) delete(id string) error {
	f := r.Host.Files
	gone := filepath.Join(r.Releases(), ".old-"+id)
	if err := f.Rename(r.Release(id), gone); err != nil {
		return err
	}
	if err := f.SyncDir(r.Releases()); err != nil {
		return err
	}
	if err := host.RemoveAll(f, r.Mark(id)); err != nil {
		return err
	}
	return host.RemoveAll(f, gone)
}

// sweep deletes what killed runs left: half made releases and half deleted ones. The lease is held: no install of
// another run that deploys here is under way.
func (r root) sweep() error {
	_, others, err := r.IDs()
	if err != nil {
		return err
	}
	for _, name := range others {
		if ours := filepath.Ext(name) != "" && (name[:min(5, len(name))] == ".new-" || name[:min(5, len(name))] == ".old-"); ours {
			if err := host.RemoveAll(r.Host.Files, filepath.Join(r.Releases(), name)); err != nil {
				return err
			}
		}
	}
	return nil
}

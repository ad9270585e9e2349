package backups

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"

	"github.com/erlmcp/runner/builtins/layout"
	"github.com/erlmcp/runner/runtime/host"
	"github.com/erlmcp/runner/runtime/op"
)

// Prune is backups.prune.
type Prune struct {
	_          op.Doc `doc:"Deletes old backups of either kind. The last good one, and the one that backups.find gives, stay whatever the numbers say; one whose manifest cannot be read stays for a person to look at; what killed runs left half made goes."`
	Root       string `json:"root" doc:"The host root."`
	Keep       int    `json:"keep" doc:"How many good backups stay, the newest first."`
	KeepFailed int    `json:"keep_failed" doc:"How many backups of releases that were not accepted stay, the newest first."`
	Key        op.Key `json:"key"`
}

// Pruned is the result of Prune.
type Pruned struct {
	Deleted []string `json:"deleted" doc:"The backups that were deleted."`
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
	return fmt.Sprintf("prune the backups of %s, keeping %d good ones", p.Root, p.Keep)
}

// Target implements op.Targeted.
func (p Prune) Target(h *host.Host) string { return h.RootTarget(p.Root) }

// Difference implements op.Differ.
func (p Prune) Difference(ctx context.Context, h *host.Host) ([]string, error) {
	old, err := p.old(ctx, layout.At(h, p.Root))
	var out []string
	for _, b := range old {
		out = append(out, fmt.Sprintf("delete the backup %s (%s)", b.ID, layout.Versioned(b.Version)))
	}
	return out, err
}

func (p Prune) old(ctx context.Context, r layout.Root) ([]layout.Backup, error) {
	all, err := listed(ctx, r, true)
	if err != nil {
		return nil, err
	}
	live, err := serves(r)
	return retire(all, live, p.Keep, p.KeepFailed), err
}

// retire chooses what to delete: it is the law of retention, and pure.
func retire(all []layout.Backup, live *layout.Release, keep, keepFailed int) (out []layout.Backup) {
	precious, _ := back(all, live)
	good, failed := 0, 0
	for _, b := range slices.Backward(all) {
		if b.Good {
			if good++; good > keep && b.ID != precious.ID {
				out = append(out, b)
			}
		} else if failed++; failed > keepFailed {
			out = append(out, b)
		}
	}
	slices.Reverse(out)
	return out
}

// Do implements op.Op. A backup is renamed away as one step before it is deleted file by file: no half one is ever found
// under a name.
func (p Prune) Do(ctx context.Context, h *host.Host) (Pruned, error) {
	r := layout.At(h, p.Root)
	done, err := p.prune(ctx, r)
	if err != nil && ctx.Err() == nil {
		err = fmt.Errorf("cannot prune the backups of %s: %w", r.Path, err)
	}
	return done, err
}

func (p Prune) prune(ctx context.Context, r layout.Root) (done Pruned, err error) {
	dir, err := r.Backups()
	if err != nil {
		return done, err
	}
	old, err := p.old(ctx, r)
	if err != nil {
		return done, err
	}
	if err := p.sweep(ctx, r, dir); err != nil {
		return done, err
	}
	for i, b := range old {
		if ctx.Err() != nil {
			return done, context.Cause(ctx)
		}
		op.Progress(ctx, int64(i), int64(len(old)), "backups")
		if err := remove(r.Host.Files, dir, b); err != nil {
			return done, fmt.Errorf("%s: %w", b.ID, err)
		}
		if err := op.Half(ctx, "deleted "+b.ID); err != nil {
			return done, err
		}
		done.Deleted = append(done.Deleted, b.ID)
		done.Freed += op.Size(b.Size)
	}
	return done, nil
}

func remove(f host.FS, dir string, b layout.Backup) error {
	gone := filepath.Join(dir, ".old-"+b.ID)
	if err := f.Rename(b.Path, gone); err != nil {
		return err
	}
	if err := f.SyncDir(dir); err != nil {
		return err
	}
	return host.RemoveAll(f, gone)
}

// sweep deletes what killed runs left half made or half deleted.
func (p Prune) sweep(ctx context.Context, r layout.Root, dir string) error {
	_, _, others, err := r.AllBackups(true)
	if err != nil || len(others) == 0 {
		return err
	}
	turn, err := r.Turn(ctx, "backups.lock", "a backup to begin or to take its name")
	if err != nil {
		return err
	}
	defer host.Unlock(turn)
	for _, name := range others {
		if strings.HasPrefix(name, ".old-") {
			if err := host.RemoveAll(r.Host.Files, filepath.Join(dir, name)); err != nil {
				return err
			}
		}
	}
	return sweep(r, dir)
}

// sweep deletes the folders of attempts that have died: nobody holds their locks. It is the turn of who calls it.
func sweep(r layout.Root, dir string) error {
	entries, err := r.Host.Files.ReadDir(dir)
	if err != nil {
		return err
	}
	for _, e := range entries {
		name := filepath.Join(dir, e.Name())
		if !strings.HasPrefix(e.Name(), ".new-") || held(r.Host.Files, name) {
			continue
		}
		if err := host.RemoveAll(r.Host.Files, name); err != nil {
			return err
		}
	}
	return nil
}

// held reports whether an attempt lives; what cannot be looked into may be another user's, and live.
func held(f host.FS, name string) bool {
	lock, err := f.Open(filepath.Join(name, "lock"), os.O_RDONLY|syscall.O_NOFOLLOW, 0)
	if err != nil {
		return !errors.Is(err, fs.ErrNotExist) && !errors.Is(err, syscall.ENOTDIR)
	}
	defer host.Unlock(lock)
	free, err := host.TryLock(lock)
	return !free || err != nil
}

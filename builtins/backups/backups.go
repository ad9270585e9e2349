// Package backups keeps full copies of the release that serves under ROOT/backups, finds one to go back to, and reads
// it back before anybody relies on it. It restores nothing: what it gives is an artifact, which releases.install takes.
package backups

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"slices"
	"strings"
	"time"

	"github.com/erlmcp/runner/builtins/artifact"
	"github.com/erlmcp/runner/builtins/layout"
	"github.com/erlmcp/runner/runtime/builtin"
	"github.com/erlmcp/runner/runtime/host"
	"github.com/erlmcp/runner/runtime/op"
)

// Family is the backups family on a host.
func Family(h *host.Host) builtin.Family {
	return builtin.NewFamily("backups",
		"Full copies of the release that serves, under ROOT/backups. What an application keeps in ROOT/shared is not in them.",
		op.Make(h, Create{Kind: "backup"}),
		op.Read(h, Find{}),
		op.Read(h, List{}),
		op.Read(h, Verify{}),
		op.Final(h, Prune{Keep: 5, KeepFailed: 3}, "deleted backups cannot be brought back"),
	)
}

// Backup is a copy of a release.
type Backup struct {
	Name     string            `json:"name" doc:"Its name, such as erlmcp-backup-20260126-120000."`
	Path     string            `json:"path" doc:"Its folder, or its archive."`
	Kind     string            `json:"kind" doc:"Why it was made: backup or pre-rollback."`
	Release  string            `json:"release" doc:"The release that it is a copy of, by its number."`
	Version  string            `json:"version" doc:"The application's version."`
	Digest   string            `json:"digest" doc:"The digest of the artifact that it makes again, which is the one that was installed, unless a person changed the release."`
	Config   string            `json:"config" doc:"The digest of the configuration that was installed with the release, empty for none."`
	Good     bool              `json:"good" doc:"Whether the release was accepted after its health was proved."`
	Accepted int               `json:"accepted" doc:"The order of acceptance, as the release had it; 0 where it never was."`
	Created  time.Time         `json:"created" doc:"When it was made; for people, never for order."`
	Size     op.Size           `json:"size" doc:"The size of its files."`
	Archive  bool              `json:"archive" doc:"Whether it is one file, a .tar.zst."`
	Artifact artifact.Artifact `json:"artifact" doc:"What releases.install takes to make the release again."`
}

func shown(b layout.Backup) Backup {
	var size int64
	for _, e := range b.Entries {
		if e.Installed {
			size += e.Size
		}
	}
	return Backup{
		Name: b.ID, Path: b.Path, Kind: b.Kind, Release: b.Release, Version: b.Version, Digest: b.Digest, Config: b.Config,
		Good: b.Good, Accepted: b.Accepted, Created: b.Created, Size: op.Size(b.Size), Archive: b.Archive,
		Artifact: artifact.Artifact{Name: b.Name, Path: b.Path, Digest: b.Digest, Version: b.Version, Platform: b.Platform, Size: op.Size(size)},
	}
}

// List is backups.list.
type List struct {
	_    op.Doc `doc:"Lists the backups of a root, newest last. One whose manifest cannot be read is named in the output and left out."`
	Root string `json:"root" doc:"The host root."`
}

// Summary implements op.Op.
func (l List) Summary() string { return "list the backups of " + l.Root }

// Do implements op.Op.
func (l List) Do(ctx context.Context, h *host.Host) ([]Backup, error) {
	all, err := whole(ctx, layout.At(h, l.Root))
	if err != nil {
		return nil, fmt.Errorf("cannot list the backups of %s: %w", l.Root, err)
	}
	var out []Backup
	for _, b := range all {
		out = append(out, shown(b))
	}
	return out, nil
}

// whole lists the backups, and says which are damaged.
func whole(ctx context.Context, r layout.Root) ([]layout.Backup, error) {
	all, damaged, _, err := r.AllBackups()
	out := op.Output(ctx)
	defer out.Close()
	for _, d := range damaged {
		fmt.Fprintf(out, "left out: %v\n", d)
	}
	return all, err
}

// Find is backups.find.
type Find struct {
	_    op.Doc `doc:"Finds a backup to go back to: by name, or the latest good one that differs from what serves, in its artifact or its configuration."`
	Root string `json:"root" doc:"The host root."`
	Name string `json:"name,omitempty" doc:"The name of a backup; the latest good one when left out."`
}

// Check implements op.Checked.
func (f Find) Check() error {
	if f.Name == "" {
		return nil
	}
	return nameable(f.Name)
}

// nameable refuses what could lead anywhere else than to a backup.
func nameable(name string) error {
	if name == "" || strings.ContainsAny(name, "/\\\x00") || strings.HasPrefix(name, ".") {
		return fmt.Errorf("name: want the name of a backup, such as erlmcp-backup-20260126-120000, got %q", name)
	}
	return nil
}

// Summary implements op.Op.
func (f Find) Summary() string {
	if f.Name == "" {
		return "find the latest good backup of " + f.Root
	}
	return "find the backup " + f.Name
}

// Do implements op.Op.
func (f Find) Do(ctx context.Context, h *host.Host) (Backup, error) {
	r := layout.At(h, f.Root)
	if f.Name != "" {
		b, err := named(r, f.Name)
		return shown(b), err
	}
	all, err := whole(ctx, r)
	if err != nil {
		return Backup{}, fmt.Errorf("cannot find a backup of %s: %w", r.Path, err)
	}
	live, err := serves(r)
	if err != nil {
		return Backup{}, fmt.Errorf("cannot find a backup of %s: %w", r.Path, err)
	}
	if b, ok := back(all, live); ok {
		return shown(b), nil
	}
	why := "none of the %d there is good and differs from what serves"
	if len(all) == 0 {
		return Backup{}, op.Hint(fmt.Errorf("cannot find a backup of %s to go back to: there are none", r.Path), "backups.create makes one of what serves")
	}
	return Backup{}, op.Hint(fmt.Errorf("cannot find a backup of %s to go back to: "+why, r.Path, len(all)), "name one: %s", several(all))
}

// serves is the release that is live, nil for none.
func serves(r layout.Root) (*layout.Release, error) {
	id, err := r.Live()
	if err != nil || id == "" {
		return nil, err
	}
	rel, _, err := r.Read(id)
	return &rel, err
}

// back is the backup to go back to: the latest good one that is not what serves.
func back(all []layout.Backup, live *layout.Release) (layout.Backup, bool) {
	for _, b := range slices.Backward(all) {
		if b.Good && (live == nil || b.Digest != live.Digest || b.Config != live.Config) {
			return b, true
		}
	}
	return layout.Backup{}, false
}

// named is the backup of a name.
func named(r layout.Root, name string) (layout.Backup, error) {
	if err := nameable(name); err != nil {
		return layout.Backup{}, err
	}
	for _, file := range []string{name, name + layout.ArchiveSuffix} {
		b, is, err := r.OpenBackup(file)
		if err != nil && !errors.Is(err, fs.ErrNotExist) {
			return layout.Backup{}, err
		}
		if is {
			return b, nil
		}
	}
	all, _, _, err := r.AllBackups()
	if err != nil {
		return layout.Backup{}, err
	}
	var names []string
	for _, b := range all {
		names = append(names, b.ID)
	}
	hint := "there are none; backups.create makes one of what serves"
	if len(all) > 0 {
		hint = "there are: " + several(all)
	}
	return layout.Backup{}, op.Hint(fmt.Errorf("%s has no backup %s%s", r.Path, name, builtin.DidYouMean(name, names)), "%s", hint)
}

// shownNames is how many backups an error names.
const shownNames = 8

// several names backups, the newest first.
func several(all []layout.Backup) string {
	var names []string
	for _, b := range slices.Backward(all) {
		if len(names) == shownNames {
			names = append(names, fmt.Sprintf("and %d older", len(all)-shownNames))
			break
		}
		name := b.ID + " (" + b.Version
		if !b.Good {
			name += ", never accepted"
		}
		names = append(names, name+")")
	}
	return strings.Join(names, ", ")
}

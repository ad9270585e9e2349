// Package backups keeps full copies of the release that serves under ROOT/backups, finds one to go back to, and reads
// it back before anybody relies on it. It restores nothing: what it gives is an artifact, which releases.install takes.
package backups

import (
	"context"
	"fmt"
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
	Version  string            `json:"version" doc:"The application's version, empty where nobody knows it."`
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
	all, err := listed(ctx, layout.At(h, l.Root), false)
	if err != nil {
		return nil, fmt.Errorf("cannot list the backups of %s: %w", l.Root, err)
	}
	var out []Backup
	for _, b := range all {
		out = append(out, shown(b))
	}
	return out, nil
}

// listed are the backups, in brief or with their entries. It says which are damaged.
func listed(ctx context.Context, r layout.Root, brief bool) ([]layout.Backup, error) {
	all, damaged, _, err := r.AllBackups(brief)
	out := op.Output(ctx)
	defer out.Close()
	for _, d := range damaged {
		fmt.Fprintf(out, "left out: %v\n", d)
	}
	return all, err
}

package releases

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"slices"
	"strings"

	"github.com/erlmcp/runner/builtins/artifact"
	"github.com/erlmcp/runner/builtins/layout"
	"github.com/erlmcp/runner/runtime/host"
	"github.com/erlmcp/runner/runtime/op"
)

// source is what a release is made from: what a build made, or a backup, of which only that is taken which was
// installed once. What a release wrote into itself stays in the backup.
type source struct {
	tree   *artifact.Tree
	size   op.Size // that the artifact claims
	backup *layout.Backup
}

// find looks at the artifact, and refuses what would take the place of runner's own files.
func (i Install) find(r root) (source, error) {
	path := r.Host.Abs(i.Artifact.Path)
	b, is, err := layout.OpenBackup(r.Host.Files, path)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return source{}, err
	}
	if is {
		return i.fromBackup(path, b)
	}
	t, err := artifact.Find(r.Host.Files, path)
	if err != nil {
		return source{}, err
	}
	for _, e := range t.Entries {
		if name, _, _ := strings.Cut(e.Path, "/"); name == layout.ManifestName || name == layout.ConfigDir || name == layout.BackupManifest {
			return source{}, fmt.Errorf("the artifact holds %s, which is a name that runner keeps for itself", name)
		}
	}
	return source{tree: t, size: i.Artifact.Size}, nil
}

// fromBackup chooses what was installed once, and the configuration unless there is another.
func (i Install) fromBackup(path string, b layout.Backup) (source, error) {
	entries := slices.DeleteFunc(slices.Clone(b.Entries), func(e host.Entry) bool {
		return !e.Installed && (i.Config != "" || b.Config == "" || !layout.InConfig(e.Path))
	})
	for _, e := range entries {
		if e.Mode.Type() == fs.ModeSymlink && artifact.LeadsOut(e.Path, e.Link) {
			return source{}, fmt.Errorf("the backup %s holds a link %s to %s, which leads out of it", b.ID, e.Path, e.Link)
		}
	}
	return source{tree: artifact.TreeOf(path, entries), backup: &b}, nil
}

func (s source) room() int64 { return max(int64(s.size), s.tree.Room()) }

func (s source) inodes() int { return len(s.tree.Entries) }

// copy makes the content of the release, durable, and learns its digests.
func (s source) copy(ctx context.Context, f host.FS, to string) error {
	switch {
	case s.backup == nil:
		return s.tree.Copy(ctx, f, to)
	case s.backup.Archive:
		return s.unpack(ctx, f, to)
	}
	want := slices.Clone(s.tree.Entries)
	if err := s.tree.Copy(ctx, f, to); err != nil {
		return s.damaged(err)
	}
	for i, e := range s.tree.Entries {
		if e != want[i] {
			return s.damaged(fmt.Errorf("%s is not what it was", e.Path))
		}
	}
	return nil
}

// unpack takes out of an archive what its manifest names, as it names it.
func (s source) unpack(ctx context.Context, f host.FS, to string) error {
	want := map[string]host.Entry{}
	for _, e := range s.tree.Entries {
		want[e.Path] = e
	}
	w, err := s.tree.Writer(ctx, f, to)
	if err != nil {
		return err
	}
	err = layout.ReadArchive(ctx, f, *s.backup, func(e host.Entry, in io.Reader) error {
		known, wanted := want[e.Path]
		if !wanted {
			return nil
		}
		delete(want, e.Path)
		if e.Mode != known.Mode || e.Link != known.Link || e.Size != known.Size {
			return fmt.Errorf("%s is not what it was", e.Path)
		}
		return w.Put(known, in)
	})
	err = errors.Join(err, w.Close())
	if err == nil && len(want) > 0 {
		err = fmt.Errorf("%d of its files are missing", len(want))
	}
	if err != nil && ctx.Err() == nil {
		err = s.damaged(err)
	}
	return err
}

func (s source) damaged(err error) error {
	return op.Hint(fmt.Errorf("cannot take it from the backup %s: %w", s.backup.ID, artifact.Plainly(err)), "backups.verify says what else is wrong with it")
}

// digest is that of the artifact that was copied.
func (s source) digest() string {
	if s.backup == nil {
		return s.tree.Digest()
	}
	return artifact.DigestOfInstalled(s.tree.Entries, s.backup.Program)
}

// config is the digest of the configuration that a backup holds, which was copied with the rest.
func (s source) config() string {
	if s.backup == nil {
		return ""
	}
	return s.backup.Config
}

// shared are the folders to be linked: those of the backup where none are named.
func (s source) shared(names []string) []string {
	if s.backup == nil || len(names) > 0 {
		return names
	}
	return s.backup.Shared
}

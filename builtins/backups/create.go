package backups

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/erlmcp/runner/builtins/artifact"
	"github.com/erlmcp/runner/builtins/layout"
	"github.com/erlmcp/runner/runtime/host"
	"github.com/erlmcp/runner/runtime/op"
)

// Create is backups.create.
type Create struct {
	_       op.Doc `doc:"Copies the release that serves, with all that it wrote into itself, to ROOT/backups, with a manifest of digests; None where nothing serves. What was copied is on the disk when it returns. Links, as those to ROOT/shared, stay links; sockets, pipes and devices are left out and named in the output."`
	Root    string `json:"root" doc:"The host root."`
	Kind    string `json:"kind" doc:"Why it is made: backup or pre-rollback."`
	Archive bool   `json:"archive,omitempty" doc:"Make one file, NAME.tar.zst, that tar can unpack."`
	Again   bool   `json:"again,omitempty" doc:"Give the last backup again where it is of this release in this state. Both are read for that, byte for byte."`
	Key     op.Key `json:"key"`
}

// Check implements op.Checked.
func (c Create) Check() error {
	if c.Kind != "backup" && c.Kind != "pre-rollback" {
		return fmt.Errorf("kind: want backup or pre-rollback, got %q", c.Kind)
	}
	return nil
}

// Summary implements op.Op.
func (c Create) Summary() string { return "back up what serves " + c.Root }

// Preview implements op.Previewer.
func (c Create) Preview(_ context.Context, h *host.Host) (*Backup, error) {
	r := layout.At(h, c.Root)
	live, err := serves(r)
	if err != nil || live == nil {
		return nil, err
	}
	dir, err := r.Backups()
	if err != nil {
		return nil, err
	}
	b := c.about(h, *live)
	b.Digest, b.Size = live.Digest, int64(live.Size)
	b, err = c.place(r, dir, b)
	out := shown(b)
	out.Artifact.Size = live.Size
	return &out, err
}

// Do implements op.Op.
func (c Create) Do(ctx context.Context, h *host.Host) (*Backup, error) {
	r := layout.At(h, c.Root)
	b, err := c.create(ctx, r)
	if err != nil {
		return nil, fmt.Errorf("cannot back up what serves %s: %w", r.Path, err)
	}
	if b == nil {
		w := op.Output(ctx)
		defer w.Close()
		fmt.Fprintf(w, "nothing serves it: there is nothing to back up\n")
		return nil, nil
	}
	out := shown(*b)
	return &out, nil
}

func (c Create) create(ctx context.Context, r layout.Root) (*layout.Backup, error) {
	dir, err := r.Backups()
	if err != nil {
		return nil, err
	}
	tmp := filepath.Join(dir, ".new-"+layout.FileName(c.Key))
	all, err := r.BriefBackups()
	if err != nil {
		return nil, err
	}
	for _, b := range all {
		if b.Key == c.Key { // by a try that may have been killed before its last steps
			whole, _, err := r.OpenBackup(filepath.Base(b.Path))
			if err != nil {
				return nil, err
			}
			return &whole, settle(r, dir, tmp)
		}
	}
	id, err := r.Live()
	if err != nil || id == "" {
		return nil, err
	}
	rel, _, err := r.Read(id)
	if err != nil {
		return nil, err
	}
	tree, err := artifact.FindLive(r.Host.Files, r.Release(id))
	if err != nil {
		return nil, err
	}
	tree.Entries = slices.DeleteFunc(tree.Entries, func(e host.Entry) bool { return e.Path == layout.BackupManifest })
	if c.Again && len(all) > 0 {
		if b, err := c.again(ctx, r, all[len(all)-1], rel, tree); b != nil || err != nil {
			return b, err
		}
	}
	if err := host.MkdirSpread(r.Host.Files, dir, 0o755); err != nil {
		return nil, err
	}
	if err := r.Room(dir, tree.Room(), len(tree.Entries)); err != nil {
		return nil, err
	}
	lock, err := begin(ctx, r, dir, tmp)
	if err != nil {
		return nil, err
	}
	defer host.Unlock(lock)
	b, err := c.fill(ctx, r, tree, tmp, c.about(r.Host, rel))
	if err != nil {
		return nil, errors.Join(err, host.RemoveAll(r.Host.Files, tmp))
	}
	return b, nil
}

// again is the last backup, where a new one would say the same; nil where it would not.
func (c Create) again(ctx context.Context, r layout.Root, last layout.Backup, rel layout.Release, tree *artifact.Tree) (*layout.Backup, error) {
	now := c.about(r.Host, rel)
	if last.Kind != now.Kind || last.Archive != now.Archive || last.Release != now.Release || last.Accepted != now.Accepted || last.Config != now.Config {
		return nil, nil
	}
	whole, is, err := r.OpenBackup(filepath.Base(last.Path))
	if err != nil || !is {
		return nil, nil // one more is made then
	}
	have, added, err := readBack(ctx, r.Host.Files, whole)
	if ctx.Err() != nil {
		return nil, context.Cause(ctx)
	}
	if err != nil || len(added) > 0 || len(compare(whole.Entries, have)) > 0 {
		return nil, nil
	}
	if err := tree.Hash(ctx, r.Host.Files); err != nil {
		return nil, err
	}
	if len(compare(whole.Entries, tree.Entries)) > 0 {
		return nil, nil
	}
	out := op.Output(ctx)
	defer out.Close()
	fmt.Fprintf(out, "release %s is backed up already, byte for byte, as %s\n", rel.ID, whole.ID)
	return &whole, nil
}

// about is what a backup's manifest tells of the release.
func (c Create) about(h *host.Host, rel layout.Release) layout.Backup {
	return layout.Backup{Kind: c.Kind, Name: rel.Name, Version: rel.Version, Platform: rel.Platform, Config: rel.Config, Release: rel.ID,
		Good: rel.Good, Accepted: rel.Accepted, Created: h.Clock.Now().UTC(), Key: c.Key, Archive: c.Archive}
}

// begin makes the folder that this attempt works in, and holds a lock in it as long as it lives: others sweep away what
// nobody holds.
func begin(ctx context.Context, r layout.Root, dir, tmp string) (host.File, error) {
	turn, err := r.Turn(ctx, "backups.lock", "another backup to begin or to take its name")
	if err != nil {
		return nil, err
	}
	defer host.Unlock(turn)
	if err := sweep(r, dir); err != nil {
		return nil, err
	}
	if err := r.Host.Files.Mkdir(tmp, 0o755); err != nil {
		return nil, err
	}
	lock, err := r.Host.Files.Open(filepath.Join(tmp, "lock"), os.O_RDWR|os.O_CREATE, 0o644)
	if err != nil {
		return nil, errors.Join(err, host.RemoveAll(r.Host.Files, tmp))
	}
	if free, err := host.TryLock(lock); !free || err != nil {
		return nil, errors.Join(errors.New("another attempt has its place"), err, lock.Close())
	}
	return lock, nil
}

// fill makes the backup under a temporary name, durable, and gives it its own.
func (c Create) fill(ctx context.Context, r layout.Root, tree *artifact.Tree, tmp string, b layout.Backup) (*layout.Backup, error) {
	content := filepath.Join(tmp, "content")
	put := func(manifest []byte) error {
		return host.WriteFile(r.Host.Files, filepath.Join(content, layout.BackupManifest), manifest, 0o644)
	}
	describe := func() error { return describe(ctx, r, &b, tree) }
	if c.Archive {
		a, err := layout.NewArchive(ctx, r.Host.Files, content)
		if err != nil {
			return nil, err
		}
		err = tree.Stream(ctx, r.Host.Files, func(e host.Entry, in io.Reader) error { return a.Add(e, in) })
		if err == nil {
			b.Content, err = a.Finish()
		}
		if err == nil {
			err = describe()
		}
		if err != nil {
			return nil, errors.Join(err, a.Close(nil))
		}
		put = a.Close
	} else if err := tree.CopyAnd(ctx, r.Host.Files, content, describe); err != nil {
		return nil, err
	}
	if err := op.Half(ctx, "copied"); err != nil {
		return nil, err
	}
	return c.publish(ctx, r, b, tmp, content, put)
}

// describe tells in the manifest what was copied, and in the output what is remarkable about it.
func describe(ctx context.Context, r layout.Root, b *layout.Backup, tree *artifact.Tree) error {
	if _, err := r.Host.Files.Lstat(r.Release(b.Release)); err != nil { // it was renamed away before it was deleted
		return fmt.Errorf("release %s was deleted while it was copied: %w", b.Release, err)
	}
	_, m, err := r.ReadFiles(b.Release)
	if err != nil {
		return err
	}
	known := map[string]host.Entry{}
	for _, e := range m.Files {
		if layout.InConfig(e.Path) {
			continue
		}
		known[e.Path] = e
		if e.SHA256 == m.Release.Digest { // the artifact was a file
			b.Program = e.Path
		}
	}
	var changed []string
	for i, e := range tree.Entries {
		was, installed := known[e.Path]
		if installed && was.Mode.Type() == e.Mode.Type() {
			delete(known, e.Path)
			tree.Entries[i].Installed = true
			if was.SHA256 != e.SHA256 || was.Link != e.Link {
				changed = append(changed, e.Path)
			}
		}
		if e.Link != "" && e.Link == r.Shared(e.Path) {
			b.Shared = append(b.Shared, e.Path)
		}
	}
	for name := range known {
		changed = append(changed, name)
	}
	b.Entries, b.Size = tree.Entries, tree.Bytes
	b.Digest = artifact.DigestOfInstalled(b.Entries, b.Program)
	out := op.Output(ctx)
	defer out.Close()
	if len(changed) > 0 {
		slices.Sort(changed)
		fmt.Fprintf(out, "changed since release %s was installed: %s\n", b.Release, few(changed))
	}
	if len(tree.Skipped) > 0 {
		fmt.Fprintf(out, "left out, since they are no files: %s\n", few(tree.Skipped))
	}
	return nil
}

func few(names []string) string {
	const most = 10
	if len(names) <= most {
		return strings.Join(names, ", ")
	}
	return fmt.Sprintf("%s and %d more", strings.Join(names[:most], ", "), len(names)-most)
}

// publish gives the backup its name. Two at once, which no lease keeps apart, get two names, one after the other.
func (c Create) publish(ctx context.Context, r layout.Root, b layout.Backup, tmp, content string, put func([]byte) error) (*layout.Backup, error) {
	turn, err := r.Turn(ctx, "backups.lock", "another backup to begin or to take its name")
	if err != nil {
		put(nil)
		return nil, err
	}
	defer host.Unlock(turn)
	dir := filepath.Dir(tmp)
	b, err = c.place(r, dir, b)
	var manifest []byte
	if err == nil {
		manifest, err = b.Seal()
	}
	if err := errors.Join(err, put(manifest)); err != nil {
		return nil, err
	}
	if err := r.Host.Files.Rename(content, b.Path); err != nil {
		return nil, err
	}
	return &b, settle(r, dir, tmp)
}

// place gives a backup its name and its number.
func (c Create) place(r layout.Root, dir string, b layout.Backup) (layout.Backup, error) {
	all, err := r.BriefBackups()
	if err != nil {
		return b, err
	}
	for _, other := range all {
		b.Sequence = max(b.Sequence, other.Sequence)
	}
	b.Sequence++
	base := fmt.Sprintf("%s-%s-%s", strings.TrimLeft(b.Name, "."), b.Kind, b.Created.Format("20060102-150405"))
	for n := 1; ; n++ {
		b.ID = base
		if n > 1 {
			b.ID = fmt.Sprintf("%s-%d", base, n)
		}
		_, folder := r.Host.Files.Lstat(filepath.Join(dir, b.ID))
		_, archive := r.Host.Files.Lstat(filepath.Join(dir, b.ID+layout.ArchiveSuffix))
		if errors.Is(folder, fs.ErrNotExist) && errors.Is(archive, fs.ErrNotExist) {
			break
		}
		if err := errors.Join(folder, archive); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return b, err
		}
	}
	b.Path = filepath.Join(dir, b.ID)
	if c.Archive {
		b.Path += layout.ArchiveSuffix
	}
	return b, nil
}

// settle makes a backup durable under its name, and removes what it was made in.
func settle(r layout.Root, dir, tmp string) error {
	if err := r.Host.Files.SyncDir(dir); err != nil {
		return err
	}
	return host.RemoveAll(r.Host.Files, tmp)
}

package backups

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"path/filepath"
	"slices"
	"strings"

	"github.com/erlmcp/runner/builtins/layout"
	"github.com/erlmcp/runner/runtime/builtin"
	"github.com/erlmcp/runner/runtime/host"
	"github.com/erlmcp/runner/runtime/op"
)

// Find is backups.find.
type Find struct {
	_        op.Doc `doc:"Finds a backup to go back to: by name, by the number or version of the release that it is a copy of, or the latest good one that differs from what serves, in its artifact or its configuration."`
	Root     string `json:"root" doc:"The host root."`
	Name     string `json:"name,omitempty" doc:"The name of a backup, or the number or version of its release: of several the latest good one. The latest good one of all when left out."`
	Releases bool   `json:"releases,omitempty" doc:"The name was looked for among the releases before: where there is no such backup either, the error names those too."`
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
		b, err := f.named(r)
		return shown(b), err
	}
	all, err := listed(ctx, r, true)
	if err != nil {
		return Backup{}, fmt.Errorf("cannot find a backup of %s: %w", r.Path, err)
	}
	live, err := serves(r)
	if err != nil {
		return Backup{}, fmt.Errorf("cannot find a backup of %s: %w", r.Path, err)
	}
	if b, ok := back(all, live); ok {
		b, _, err := r.OpenBackup(filepath.Base(b.Path))
		return shown(b), err
	}
	why := "there are none"
	if len(all) > 0 {
		why = fmt.Sprintf("none of the %d there is good and differs from what serves", len(all))
	}
	hint := "a deployment makes one of what it replaces"
	if there := f.others(r, all, live); there != "" {
		hint = "name one: " + there
	}
	return Backup{}, op.Hint(fmt.Errorf("cannot find a backup of %s to go back to: %s", r.Path, why), "%s", hint)
}

// others names what can be gone back to by its name: backups, and where it was asked for the releases that do not serve.
func (f Find) others(r layout.Root, all []layout.Backup, live *layout.Release) string {
	var rels []layout.Release
	if f.Releases {
		rels, _ = r.All()
		rels = slices.DeleteFunc(rels, func(rel layout.Release) bool { return live != nil && rel.ID == live.ID })
	}
	return there(rels, all)
}

// there names releases and backups.
func there(rels []layout.Release, all []layout.Backup) string {
	if len(rels) == 0 {
		return several(all)
	}
	if len(all) == 0 {
		return "the releases " + severalReleases(rels)
	}
	return "the releases " + severalReleases(rels) + "; the backups " + several(all)
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

// named is the backup of a name, or else of a release that bears it.
func (f Find) named(r layout.Root) (layout.Backup, error) {
	b, err := open(r, f.Name)
	if !errors.Is(err, errNone) {
		return b, err
	}
	all, err := r.BriefBackups()
	if err != nil {
		return layout.Backup{}, err
	}
	var of []layout.Backup
	for _, b := range all {
		if f.Name == b.Release || f.Name == b.Version {
			of = append(of, b)
		}
	}
	if len(of) > 0 {
		chosen := of[len(of)-1]
		for _, b := range of {
			if b.Good {
				chosen = b
			}
		}
		b, _, err := r.OpenBackup(filepath.Base(chosen.Path))
		return b, err
	}
	var rels []layout.Release
	if f.Releases {
		if rels, err = r.All(); err != nil {
			return layout.Backup{}, err
		}
	}
	if dir, err := r.Backups(); err == nil {
		if info, err := r.Host.Files.Lstat(filepath.Join(dir, f.Name)); err == nil && info.IsDir() {
			return layout.Backup{}, op.Hint(fmt.Errorf("%s is no backup: its manifest is missing", filepath.Join(dir, f.Name)), "there are %s", cmp.Or(there(rels, all), "no others"))
		}
	}
	return layout.Backup{}, f.absent(r, all, rels)
}

// absent is the error that says what there is instead.
func (f Find) absent(r layout.Root, all []layout.Backup, rels []layout.Release) error {
	var names []string
	for _, b := range all {
		names = append(names, b.ID, b.Version)
	}
	for _, rel := range rels {
		names = append(names, rel.ID, rel.Version)
	}
	names = slices.DeleteFunc(names, func(n string) bool { return n == "" })
	near := builtin.DidYouMean(f.Name, names)
	switch {
	case f.Releases && len(all)+len(rels) == 0:
		return op.Hint(fmt.Errorf("%s has no release and no backup %s", r.Path, f.Name), "nothing was ever deployed there")
	case f.Releases:
		return op.Hint(fmt.Errorf("%s has no release and no backup %s%s", r.Path, f.Name, near), "there are %s", there(rels, all))
	case len(all) == 0:
		return op.Hint(fmt.Errorf("%s has no backup %s", r.Path, f.Name), "there are none; backups.create makes one of what serves")
	}
	return op.Hint(fmt.Errorf("%s has no backup %s%s", r.Path, f.Name, near), "there are: %s", several(all))
}

// errNone is that no backup has a name.
var errNone = errors.New("there is no backup of that name")

// open is the backup of exactly this name.
func open(r layout.Root, name string) (layout.Backup, error) {
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
	return layout.Backup{}, errNone
}

// shownNames is how many an error names of a kind.
const shownNames = 8

// several names backups, the newest first.
func several(all []layout.Backup) string {
	var names []string
	for _, b := range slices.Backward(all) {
		names = append(names, telling(b.ID, b.Version, b.Good))
	}
	return newest(names)
}

func severalReleases(all []layout.Release) string {
	var names []string
	for _, rel := range slices.Backward(all) {
		names = append(names, telling(rel.ID, rel.Version, rel.Good))
	}
	return newest(names)
}

func telling(name, version string, good bool) string {
	version = layout.Versioned(version)
	if !good {
		version += ", never accepted"
	}
	return name + " (" + version + ")"
}

func newest(names []string) string {
	if more := len(names) - shownNames; more > 0 {
		names = append(names[:shownNames:shownNames], fmt.Sprintf("and %d older", more))
	}
	return strings.Join(names, ", ")
}

// Package releases installs versions of an application on a host root, side by side, and switches between them. What
// serves is one link, ROOT/current; the package never edits what lies inside a release.
package releases

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/erlmcp/runner/builtins/artifact"
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
		op.Read(h, List{}),
		op.Final(h, Prune{Keep: 5, KeepFailed: 3}, "deleted releases cannot be brought back"),
	)
}

// Release is a version installed on a root.
type Release struct {
	ID        string    `json:"id" doc:"Its number, such as 000042."`
	Name      string    `json:"name" doc:"The application's name."`
	Version   string    `json:"version" doc:"The application's version."`
	Digest    string    `json:"digest" doc:"The digest of the artifact that it was made from."`
	Platform  string    `json:"platform" doc:"The platform that it was built for."`
	Size      op.Size   `json:"size" doc:"The size of its files."`
	Installed time.Time `json:"installed" doc:"When it was installed; for people, never for order."`
	Live      bool      `json:"live" doc:"Whether it is the one that serves."`
	Good      bool      `json:"good" doc:"Whether it was accepted after its health was proved."`
	Accepted  int       `json:"accepted" doc:"The order of acceptance: the highest is the latest; 0 where it never was."`
}

// root is the layout of a host root.
type root struct {
	h    *host.Host
	path string
}

func at(h *host.Host, path string) root { return root{h, h.Abs(path)} }

func (r root) current() string           { return filepath.Join(r.path, "current") }
func (r root) releases() string          { return filepath.Join(r.path, "releases") }
func (r root) release(id string) string  { return filepath.Join(r.path, "releases", id) }
func (r root) manifest(id string) string { return filepath.Join(r.release(id), manifestName) }
func (r root) mark(id string) string     { return filepath.Join(r.path, ".runner", "good", id) }
func (r root) own(names ...string) string {
	return filepath.Join(append([]string{r.path, ".runner"}, names...)...)
}

// elsewhere is a link current that a person has made: what it leads to is no release of this root.
type elsewhere struct{ link, target string }

func (e *elsewhere) Error() string {
	return fmt.Sprintf("%s leads to %s, which is no release of this root", e.link, e.target)
}

// live is the id of the release that current leads to, "" where there is no such link.
func (r root) live() (string, error) {
	info, err := r.h.Files.Lstat(r.current())
	if errors.Is(err, fs.ErrNotExist) {
		return "", nil
	}
	if err != nil {
		return "", err
	}
	if info.Mode()&fs.ModeSymlink == 0 {
		return "", op.Hint(fmt.Errorf("cannot read %s: it is no link, and only a link says which release serves", r.current()),
			"move it away; if it is the application itself, install that as a release")
	}
	target, err := r.h.Files.Readlink(r.current())
	if err != nil {
		return "", err
	}
	if id := strings.TrimPrefix(target, "releases/"); isID(id) {
		return id, nil
	}
	return r.leadsTo(target)
}

// leadsTo finds the release that a link written by hand leads to, by an absolute path or through another link.
func (r root) leadsTo(target string) (string, error) {
	ids, _, err := r.ids()
	if err != nil {
		return "", err
	}
	there, _ := r.h.Files.Stat(r.current())
	for _, id := range ids {
		if info, err := r.h.Files.Stat(r.release(id)); err == nil && there != nil && os.SameFile(info, there) {
			return id, nil
		}
	}
	return "", op.Hint(&elsewhere{r.current(), target}, "remove the link, or make it one to a folder of %s", r.releases())
}

// link makes current name the release.
func (r root) link(id string) error {
	return host.ReplaceLink(r.h.Files, "releases/"+id, r.current())
}

func isID(name string) bool {
	n, err := strconv.Atoi(name)
	return err == nil && n > 0 && name == fmt.Sprintf("%06d", n)
}

// ids lists the installed releases in their order, and what else lies among them.
func (r root) ids() (ids, others []string, err error) {
	entries, err := r.h.Files.ReadDir(r.releases())
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil, nil
	}
	for _, e := range entries {
		if e.IsDir() && isID(e.Name()) {
			ids = append(ids, e.Name())
		} else {
			others = append(others, e.Name())
		}
	}
	slices.Sort(ids)
	return ids, others, err
}

// maxManifest is the largest manifest that is read, in bytes: some 300,000 files.
const maxManifest = 64 << 20

func (r root) read(id string) (Release, manifest, error) {
	var m manifest
	if !isID(id) {
		return Release{}, m, fmt.Errorf("cannot read release %q: want a number such as 000042", id)
	}
	b, err := host.ReadFile(r.h.Files, r.manifest(id), maxManifest)
	if err == nil {
		err = json.Unmarshal(b, &m)
	}
	if err != nil {
		return Release{}, m, fmt.Errorf("cannot read release %s: %w", id, artifact.Plainly(err))
	}
	rel := m.Release
	rel.ID = id
	rel.Accepted, err = r.accepted(id)
	rel.Good = rel.Accepted > 0
	return rel, m, err
}

// all lists the releases in the order of their numbers.
func (r root) all() ([]Release, error) {
	ids, _, err := r.ids()
	if err != nil {
		return nil, err
	}
	live, err := r.live()
	if err != nil {
		return nil, err
	}
	var out []Release
	for _, id := range ids {
		rel, _, err := r.read(id)
		if err != nil {
			return nil, err
		}
		rel.Live = id == live
		out = append(out, rel)
	}
	return out, nil
}

// mark is what stands in ROOT/.runner/good/ID.
type mark struct {
	Order int    `json:"order"`
	Key   op.Key `json:"key"`
}

func (r root) readMark(id string) (string, mark, error) {
	var m mark
	b, err := host.ReadFile(r.h.Files, r.mark(id), 4096)
	if errors.Is(err, fs.ErrNotExist) {
		return "", m, nil
	}
	if err == nil {
		err = json.Unmarshal(b, &m)
	}
	if err != nil {
		err = fmt.Errorf("cannot read whether release %s is good: %w", id, err)
	}
	return string(b), m, err
}

func (r root) accepted(id string) (int, error) {
	_, m, err := r.readMark(id)
	return m.Order, err
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
	id, err := r.live()
	if err != nil || id == "" {
		return nil, err
	}
	rel, _, err := r.read(id)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, op.Hint(fmt.Errorf("%s names %s, which is not there", r.current(), id), "see the releases in %s", r.releases())
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
func (l List) Do(_ context.Context, h *host.Host) ([]Release, error) { return at(h, l.Root).all() }

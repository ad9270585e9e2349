// Package layout is how a host root looks on the disk, for the families that read it: its paths, the release that is
// live, the manifests of releases and backups, and the form of an archive. It changes nothing of what serves.
package layout

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/erlmcp/runner/runtime/host"
	"github.com/erlmcp/runner/runtime/op"
)

// Root is a host root.
type Root struct {
	Host *host.Host
	Path string
}

// At is the root at a path.
func At(h *host.Host, path string) Root { return Root{h, h.Abs(path)} }

// Current is the link that says which release serves.
func (r Root) Current() string { return filepath.Join(r.Path, "current") }

// Releases is the folder of the releases.
func (r Root) Releases() string { return filepath.Join(r.Path, "releases") }

// Release is the folder of a release.
func (r Root) Release(id string) string { return filepath.Join(r.Path, "releases", id) }

// Shared is the folder of what outlives releases, or a place in it.
func (r Root) Shared(name string) string { return filepath.Join(r.Path, "shared", name) }

// Own is a place among runner's own records.
func (r Root) Own(names ...string) string {
	return filepath.Join(append([]string{r.Path, ".runner"}, names...)...)
}

// FileName is a key as a file name.
func FileName(k op.Key) string { return strings.ReplaceAll(string(k), "/", ".") }

// Elsewhere is a link current that a person has made: what it leads to is no release of this root.
type Elsewhere struct{ Link, Target string }

func (e *Elsewhere) Error() string {
	return fmt.Sprintf("%s leads to %s, which is no release of this root", e.Link, e.Target)
}

// Live is the id of the release that current leads to, "" where there is no such link.
func (r Root) Live() (string, error) {
	info, err := r.Host.Files.Lstat(r.Current())
	if errors.Is(err, fs.ErrNotExist) {
		return "", nil
	}
	if err != nil {
		return "", err
	}
	if info.Mode()&fs.ModeSymlink == 0 {
		return "", op.Hint(fmt.Errorf("cannot read %s: it is no link, and only a link says which release serves", r.Current()),
			"move it away; if it is the application itself, install that as a release")
	}
	target, err := r.Host.Files.Readlink(r.Current())
	if err != nil {
		return "", err
	}
	if id := strings.TrimPrefix(target, "releases/"); isID(id) {
		return id, nil
	}
	return r.leadsTo(target)
}

// leadsTo finds the release that a link written by hand leads to, by an absolute path or through another link.
func (r Root) leadsTo(target string) (string, error) {
	ids, _, err := r.IDs()
	if err != nil {
		return "", err
	}
	there, _ := r.Host.Files.Stat(r.Current())
	for _, id := range ids {
		if info, err := r.Host.Files.Stat(r.Release(id)); err == nil && there != nil && os.SameFile(info, there) {
			return id, nil
		}
	}
	return "", op.Hint(&Elsewhere{r.Current(), target}, "remove the link, or make it one to a folder of %s", r.Releases())
}

func isID(name string) bool {
	n, err := strconv.Atoi(name)
	return err == nil && n > 0 && name == fmt.Sprintf("%06d", n)
}

// IDs lists the installed releases in their order, and what else lies among them.
func (r Root) IDs() (ids, others []string, err error) {
	entries, err := r.Host.Files.ReadDir(r.Releases())
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

// spare is what must stay free on a disk behind an install or a backup, in bytes and inodes, so that records and links
// can still be written.
const (
	spare       = 1 << 20
	spareInodes = 64
)

// Room compares what is to be written into a folder with what its disk has left.
func (r Root) Room(dir string, bytes int64, inodes int) error {
	space, err := r.Host.Files.Space(dir)
	if err != nil {
		return err
	}
	if need := bytes + spare; space.Bytes < need {
		return op.Hint(fmt.Errorf("it needs %s, and the disk has %s left", op.Size(need), op.Size(space.Bytes)),
			"free space on the disk that holds %s; tidy.star deletes what is old there", r.Path)
	}
	if need := int64(inodes) + spareInodes; space.Inodes >= 0 && space.Inodes < need {
		return op.Hint(fmt.Errorf("it needs %d inodes, and the disk has %d left", need, space.Inodes),
			"delete files on the disk that holds %s; there are too many, however small", r.Path)
	}
	return nil
}

// turn is how long one waits for another that takes a number or a name, which needs a few writes.
const turn = 10 * time.Second

// Turn waits for the turn to take a number or a name, which no lease keeps apart; host.Unlock gives it on. who says
// what one waits for: "another install to take its number".
func (r Root) Turn(ctx context.Context, lock, who string) (host.File, error) {
	if err := host.MkdirAll(r.Host.Files, r.Own(), 0o755); err != nil {
		return nil, err
	}
	f, err := r.Host.Files.Open(r.Own(lock), os.O_RDWR|os.O_CREATE, 0o644)
	if err != nil {
		return nil, err
	}
	free, err := host.TryLock(f)
	if err != nil {
		return nil, errors.Join(err, f.Close())
	}
	if free {
		return f, nil
	}
	op.Waiting(ctx, who, r.Host.Clock.Now().Add(turn))
	limited, cancel := r.Host.Clock.Timeout(ctx, turn, fmt.Errorf("waited %s for %s", turn, who))
	defer cancel()
	if err := host.Lock(limited, f); err != nil { // it has closed the file
		return nil, err
	}
	return f, nil
}

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
	"github.com/erlmcp/runner/runtime/host"
	"github.com/erlmcp/runner/runtime/op"
)

// Install is releases.install.
type Install struct {
	_        op.Doc            `doc:"Installs an artifact as a new release beside the others. It serves nobody until releases.activate; the files are on the disk when it returns."`
	Root     string            `json:"root" doc:"The host root."`
	Artifact artifact.Artifact `json:"artifact" doc:"What a build made: a folder becomes the release, a file its bin/NAME."`
	Shared   []string          `json:"shared,omitempty" doc:"Folders that the release finds linked from ROOT/shared."`
	Key      op.Key            `json:"key"`
}

// manifestName is the file inside a release that tells what was installed.
const manifestName = ".runner-release.json"

// manifest is what stands in a release's manifest.
type manifest struct {
	Release Release `json:"release"`
	Key     op.Key  `json:"key"`
	Files   []file  `json:"files"`
}

// file is one entry of a manifest.
type file struct {
	Path   string      `json:"path"`
	Mode   fs.FileMode `json:"mode"`
	Size   int64       `json:"size"`
	SHA256 string      `json:"sha256,omitempty"`
	Link   string      `json:"link,omitempty"`
}

// listing is what a release holds.
func listing(f host.FS, release string) ([]file, error) {
	var out []file
	err := artifact.Walk(f, release, func(rel string, info fs.FileInfo) error {
		name := filepath.Join(release, rel)
		e := file{Path: rel, Mode: info.Mode()}
		var err error
		switch {
		case info.Mode()&fs.ModeSymlink != 0:
			e.Link, err = f.Readlink(name)
		case !info.IsDir():
			e.SHA256, e.Size, err = artifact.File(f, name)
		}
		out = append(out, e)
		return err
	})
	return out, err
}

// Summary implements op.Op.
func (i Install) Summary() string {
	return fmt.Sprintf("install %s %s into %s", i.Artifact.Name, i.Artifact.Version, i.Root)
}

// Preview implements op.Previewer.
func (i Install) Preview(_ context.Context, h *host.Host) (Release, error) {
	n, err := at(h, i.Root).sequence()
	return i.describe(n+1, h), err
}

func (i Install) describe(n int, h *host.Host) Release {
	a := i.Artifact
	return Release{ID: fmt.Sprintf("%06d", n), Name: a.Name, Version: a.Version, Digest: a.Digest, Platform: a.Platform,
		Size: a.Size, Installed: h.Clock.Now().UTC()}
}

// Do implements op.Op.
func (i Install) Do(ctx context.Context, h *host.Host) (Release, error) {
	r := at(h, i.Root)
	rel, err := i.install(ctx, r)
	if err != nil {
		return Release{}, fmt.Errorf("cannot install %s into %s: %w", i.Artifact.Name, r.path, err)
	}
	return rel, nil
}

func (i Install) install(ctx context.Context, r root) (Release, error) {
	tmp := filepath.Join(r.releases(), ".new-"+fileName(i.Key))
	rel, found, err := r.byKey(i.Key)
	if err != nil {
		return Release{}, err
	}
	if found { // by a try that may have been killed before its last steps
		return rel, r.settle(tmp)
	}
	if err := host.MkdirAll(r.h.Files, r.releases(), 0o755); err != nil {
		return Release{}, err
	}
	if err := i.room(r); err != nil {
		return Release{}, err
	}
	if err := host.RemoveAll(r.h.Files, tmp); err != nil {
		return Release{}, err
	}
	rel, err = i.fill(ctx, r, tmp)
	if err != nil {
		return Release{}, errors.Join(err, host.RemoveAll(r.h.Files, tmp))
	}
	return rel, nil
}

// fileName is a key as a file name.
func fileName(k op.Key) string { return strings.ReplaceAll(string(k), "/", ".") }

// room compares what the release needs with what the disk has left, before anything is written.
func (i Install) room(r root) error {
	space, err := r.h.Files.Space(r.releases())
	if err != nil {
		return err
	}
	need := int64(i.Artifact.Size) + spare
	if space.Bytes < need {
		return op.Hint(fmt.Errorf("it needs %s, and the disk has %s left", op.Size(need), op.Size(space.Bytes)),
			"free space on the disk that holds %s", r.path)
	}
	return nil
}

// spare is what must stay free on the disk behind an install, in bytes, so that records and links can still be written.
const spare = 1 << 20

// fill makes the release under a temporary name, durable in every file and directory, and gives it its number.
func (i Install) fill(ctx context.Context, r root, tmp string) (Release, error) {
	f := r.h.Files
	if err := f.Mkdir(tmp, 0o755); err != nil {
		return Release{}, err
	}
	content := filepath.Join(tmp, "content")
	if err := artifact.Copy(ctx, f, r.h.Abs(i.Artifact.Path), content); err != nil {
		return Release{}, err
	}
	digest, _, err := artifact.Digest(f, content)
	if err != nil {
		return Release{}, err
	}
	if digest != i.Artifact.Digest {
		return Release{}, op.Hint(fmt.Errorf("the artifact has changed since it was built: wanted %s, found %s", i.Artifact.Digest, digest), "build it again")
	}
	if err := op.Half(ctx, "copied"); err != nil {
		return Release{}, err
	}
	release, err := i.shape(f, tmp, content)
	if err != nil {
		return Release{}, err
	}
	files, err := listing(f, release)
	if err != nil {
		return Release{}, err
	}
	if err := i.linkShared(r, release); err != nil {
		return Release{}, err
	}
	return i.publish(ctx, r, tmp, release, files)
}

// shape makes the copied content a release: a folder is one; a file becomes its bin/NAME.
func (i Install) shape(f host.FS, tmp, content string) (string, error) {
	info, err := f.Lstat(content)
	if err != nil || info.IsDir() {
		return content, err
	}
	release := filepath.Join(tmp, "release")
	bin := filepath.Join(release, "bin")
	if err := host.MkdirAll(f, bin, 0o755); err != nil {
		return "", err
	}
	if err := f.Rename(content, filepath.Join(bin, i.Artifact.Name)); err != nil {
		return "", err
	}
	return release, f.SyncDir(bin)
}

// linkShared makes the folders of ROOT/shared that do not exist yet and links them into the release.
func (i Install) linkShared(r root, release string) error {
	for _, name := range i.Shared {
		if !filepath.IsLocal(name) {
			return fmt.Errorf("shared: want a folder inside the release, got %q", name)
		}
		shared := filepath.Join(r.path, "shared", name)
		if err := host.MkdirAll(r.h.Files, shared, 0o755); err != nil {
			return err
		}
		link := filepath.Join(release, name)
		if err := host.MkdirAll(r.h.Files, filepath.Dir(link), 0o755); err != nil {
			return err
		}
		if err := r.h.Files.Symlink(shared, link); err != nil {
			return op.Hint(err, "a folder in shared must not be part of the artifact")
		}
		if err := r.h.Files.SyncDir(filepath.Dir(link)); err != nil {
			return err
		}
	}
	return nil
}

// publish writes the manifest and gives the release the next number. Two installs at once, which no lease keeps apart,
// get two numbers, one after the other.
func (i Install) publish(ctx context.Context, r root, tmp, release string, files []file) (Release, error) {
	turn, err := r.numbering(ctx)
	if err != nil {
		return Release{}, err
	}
	defer turn.Close()
	n, err := r.sequence()
	if err != nil {
		return Release{}, err
	}
	rel := i.describe(n+1, r.h)
	b, err := json.Marshal(manifest{rel, i.Key, files})
	if err != nil {
		return Release{}, err
	}
	if err := host.WriteFile(r.h.Files, filepath.Join(release, manifestName), b, 0o644); err != nil {
		return Release{}, err
	}
	if err := r.reserve(n + 1); err != nil {
		return Release{}, err
	}
	if err := op.Half(ctx, "numbered"); err != nil {
		return Release{}, err
	}
	if err := r.h.Files.Rename(release, r.release(rel.ID)); err != nil {
		return Release{}, err
	}
	return rel, r.settle(tmp)
}

// settle makes a release that has its number durable there, and removes what it was made in.
func (r root) settle(tmp string) error {
	if err := r.h.Files.SyncDir(r.releases()); err != nil {
		return err
	}
	return host.RemoveAll(r.h.Files, tmp)
}

// numbering waits for the turn to take a number; closing the file gives it on.
func (r root) numbering(ctx context.Context) (host.File, error) {
	if err := host.MkdirAll(r.h.Files, r.own(), 0o755); err != nil {
		return nil, err
	}
	f, err := r.h.Files.Open(r.own("sequence.lock"), os.O_RDWR|os.O_CREATE, 0o644)
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
	op.Waiting(ctx, "another install to take its number", r.h.Clock.Now().Add(numberingTurn))
	limited, cancel := r.h.Clock.Timeout(ctx, numberingTurn, errors.New("another install does not end taking its number"))
	defer cancel()
	return f, host.Lock(limited, f) // it closes the file where it fails
}

// numberingTurn is how long an install waits for another that takes its number, which needs a few writes.
const numberingTurn = 10 * time.Second

// sequence is the highest number that was ever given, though its release may be gone.
func (r root) sequence() (int, error) {
	highest := 0
	b, err := host.ReadFile(r.h.Files, r.own("sequence"), 32)
	if err == nil {
		highest, err = strconv.Atoi(strings.TrimSpace(string(b)))
	}
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return 0, fmt.Errorf("cannot read the number of the last release: %w", err)
	}
	ids, _, err := r.ids()
	for _, id := range ids {
		n, _ := strconv.Atoi(id)
		highest = max(highest, n)
	}
	return highest, err
}

// reserve makes a number given for ever, whatever becomes of its release.
func (r root) reserve(n int) error {
	return host.WriteFile(r.h.Files, r.own("sequence"), []byte(strconv.Itoa(n)+"\n"), 0o644)
}

// byKey finds the release that an earlier try of the same op has made.
func (r root) byKey(key op.Key) (Release, bool, error) {
	ids, _, err := r.ids()
	if err != nil {
		return Release{}, false, err
	}
	for _, id := range slices.Backward(ids) {
		rel, m, err := r.read(id)
		if err != nil {
			return Release{}, false, err
		}
		if m.Key == key {
			return rel, true, nil
		}
	}
	return Release{}, false, nil
}

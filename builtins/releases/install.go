package releases

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"github.com/erlmcp/runner/builtins/artifact"
	"github.com/erlmcp/runner/builtins/layout"
	"github.com/erlmcp/runner/runtime/host"
	"github.com/erlmcp/runner/runtime/op"
)

// Install is releases.install.
type Install struct {
	_        op.Doc            `doc:"Installs an artifact as a new release beside the others. It serves nobody until releases.activate; the files are on the disk when it returns."`
	Root     string            `json:"root" doc:"The host root."`
	Artifact artifact.Artifact `json:"artifact" doc:"What a build made: a folder becomes the release, a file its bin/NAME. Or that of a backup, which becomes what it was a backup of."`
	Shared   []string          `json:"shared,omitempty" doc:"Folders that the release finds linked from ROOT/shared; those of the backup when left out for one."`
	Config   string            `json:"config,omitempty" doc:"A file of the project that the release gets as .runner-config/NAME; that of the backup when left out for one."`
	Key      op.Key            `json:"key"`
}

// Summary implements op.Op.
func (i Install) Summary() string {
	return fmt.Sprintf("install %s into %s", i.Artifact, i.Root)
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
		return Release{}, fmt.Errorf("cannot install %s into %s: %w", i.Artifact.Name, r.Path, err)
	}
	return rel, nil
}

func (i Install) install(ctx context.Context, r root) (Release, error) {
	tmp := filepath.Join(r.Releases(), ".new-"+layout.FileName(i.Key))
	rel, found, err := r.byKey(i.Key)
	if err != nil {
		return Release{}, err
	}
	if found { // by a try that may have been killed before its last steps
		return rel, r.settle(tmp)
	}
	if err := host.MkdirSpread(r.Host.Files, r.Releases(), 0o755); err != nil {
		return Release{}, err
	}
	what, err := i.find(r)
	if err != nil {
		return Release{}, err
	}
	if err := r.Room(r.Releases(), what.room(), what.inodes()); err != nil {
		return Release{}, err
	}
	if err := host.RemoveAll(r.Host.Files, tmp); err != nil {
		return Release{}, err
	}
	rel, err = i.fill(ctx, r, what, tmp)
	if err != nil {
		return Release{}, errors.Join(err, host.RemoveAll(r.Host.Files, tmp))
	}
	return rel, nil
}

// fill makes the release under a temporary name, durable in every file and directory, and gives it its number.
func (i Install) fill(ctx context.Context, r root, what source, tmp string) (Release, error) {
	f := r.Host.Files
	if err := f.Mkdir(tmp, 0o755); err != nil {
		return Release{}, err
	}
	content := filepath.Join(tmp, "content")
	if err := what.copy(ctx, f, content); err != nil {
		return Release{}, err
	}
	if digest := what.digest(); digest != i.Artifact.Digest {
		return Release{}, op.Hint(fmt.Errorf("the artifact has changed since it was built: wanted %s, found %s", i.Artifact.Digest, digest), "build it again")
	}
	if err := op.Half(ctx, "copied"); err != nil {
		return Release{}, err
	}
	release, files, err := i.shape(f, what, tmp, content)
	if err != nil {
		return Release{}, err
	}
	config, err := i.configure(ctx, r, what, release, &files)
	if err != nil {
		return Release{}, err
	}
	if err := i.linkShared(r, what.shared(i.Shared), release); err != nil {
		return Release{}, err
	}
	return i.publish(ctx, r, tmp, release, layout.Manifest{Release: Release{Config: config}, Key: i.Key, Files: files})
}

// shape makes the copied content a release: a folder is one; a file becomes its bin/NAME.
func (i Install) shape(f host.FS, what source, tmp, content string) (string, []host.Entry, error) {
	if what.tree.IsFolder() {
		files := slices.Clone(what.tree.Entries)
		for n := range files {
			files[n].Installed = false // all of them are
		}
		return content, files, nil
	}
	release := filepath.Join(tmp, "release")
	bin := filepath.Join(release, "bin")
	if err := host.MkdirAll(f, bin, 0o755); err != nil {
		return "", nil, err
	}
	if err := f.Rename(content, filepath.Join(bin, i.Artifact.Name)); err != nil {
		return "", nil, err
	}
	program := what.tree.Entries[0]
	program.Path = "bin/" + i.Artifact.Name
	return release, []host.Entry{{Path: "bin", Mode: fs.ModeDir | 0o755}, program}, f.SyncDir(bin)
}

// configure gives the release the configuration of its environment, beside what the artifact holds.
func (i Install) configure(ctx context.Context, r root, what source, release string, files *[]host.Entry) (string, error) {
	if i.Config == "" {
		return what.config(), nil
	}
	f := r.Host.Files
	t, err := artifact.Find(f, r.Host.Abs(i.Config))
	if err == nil && t.IsFolder() {
		err = errors.New("it is a directory")
	}
	dir := filepath.Join(release, layout.ConfigDir)
	if err == nil {
		err = host.MkdirAll(f, dir, 0o755)
	}
	name := filepath.Base(i.Config)
	if err == nil {
		err = t.Copy(ctx, f, filepath.Join(dir, name))
	}
	if err == nil {
		err = f.SyncDir(dir)
	}
	if err != nil {
		return "", fmt.Errorf("config: cannot install %s: %w", i.Config, artifact.Plainly(err))
	}
	e := t.Entries[0]
	e.Path = layout.ConfigDir + "/" + name
	*files = append(*files, host.Entry{Path: layout.ConfigDir, Mode: fs.ModeDir | 0o755}, e)
	return e.SHA256, nil
}

// linkShared makes the folders of ROOT/shared that do not exist yet and links them into the release.
func (i Install) linkShared(r root, names []string, release string) error {
	for _, name := range names {
		if !filepath.IsLocal(name) {
			return fmt.Errorf("shared: want a folder inside the release, got %q", name)
		}
		if err := host.MkdirAll(r.Host.Files, r.Shared(name), 0o755); err != nil {
			return err
		}
		link := filepath.Join(release, name)
		if err := host.MkdirAll(r.Host.Files, filepath.Dir(link), 0o755); err != nil {
			return err
		}
		if err := r.Host.Files.Symlink(r.Shared(name), link); err != nil {
			return op.Hint(err, "a folder in shared must not be part of the artifact")
		}
		if err := r.Host.Files.SyncDir(filepath.Dir(link)); err != nil {
			return err
		}
	}
	return nil
}

// publish writes the manifest and gives the release the next number. Two installs at once, which no lease keeps apart,
// get two numbers, one after the other.
func (i Install) publish(ctx context.Context, r root, tmp, release string, m layout.Manifest) (Release, error) {
	turn, err := r.Turn(ctx, "sequence.lock", "another install to take its number")
	if err != nil {
		return Release{}, err
	}
	defer host.Unlock(turn)
	n, err := r.sequence()
	if err != nil {
		return Release{}, err
	}
	config := m.Release.Config
	m.Release = i.describe(n+1, r.Host)
	m.Release.Config = config
	b, err := json.Marshal(m)
	if err != nil {
		return Release{}, err
	}
	if err := host.WriteFile(r.Host.Files, filepath.Join(release, layout.ManifestName), b, 0o644); err != nil {
		return Release{}, err
	}
	if err := r.reserve(n + 1); err != nil {
		return Release{}, err
	}
	if err := op.Half(ctx, "numbered"); err != nil {
		return Release{}, err
	}
	if err := r.Host.Files.Rename(release, r.Release(m.Release.ID)); err != nil {
		return Release{}, err
	}
	return m.Release, r.settle(tmp)
}

// settle makes a release that has its number durable there, and removes what it was made in.
func (r root) settle(tmp string) error {
	if err := r.Host.Files.SyncDir(r.Releases()); err != nil {
		return err
	}
	return host.RemoveAll(r.Host.Files, tmp)
}

// sequence is the highest number that was ever given, though its release may be gone.
func (r root) sequence() (int, error) {
	highest := 0
	b, err := host.ReadFile(r.Host.Files, r.Own("sequence"), 32)
	if err == nil {
		highest, err = strconv.Atoi(strings.TrimSpace(string(b)))
	}
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return 0, fmt.Errorf("cannot read the number of the last release: %w", err)
	}
	ids, _, err := r.IDs()
	for _, id := range ids {
		n, _ := strconv.Atoi(id)
		highest = max(highest, n)
	}
	return highest, err
}

// reserve makes a number given for ever, whatever becomes of its release.
func (r root) reserve(n int) error {
	return host.WriteFile(r.Host.Files, r.Own("sequence"), []byte(strconv.Itoa(n)+"\n"), 0o644)
}

// byKey finds the release that an earlier try of the same op has made.
func (r root) byKey(key op.Key) (Release, bool, error) {
	ids, _, err := r.IDs()
	if err != nil {
		return Release{}, false, err
	}
	for _, id := range slices.Backward(ids) {
		rel, m, err := r.Read(id)
		if err != nil {
			return Release{}, false, err
		}
		if m.Key == key {
			return rel, true, nil
		}
	}
	return Release{}, false, nil
}

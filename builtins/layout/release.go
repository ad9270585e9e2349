package layout

import (
	"bytes"
	"cmp"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"path/filepath"
	"time"

	"github.com/erlmcp/runner/runtime/host"
	"github.com/erlmcp/runner/runtime/op"
)

// The names inside a release that are runner's own.
const (
	ManifestName = ".runner-release.json" // what was installed
	ConfigDir    = ".runner-config"       // holds the configuration that came with the install
)

// Release is a version installed on a root.
type Release struct {
	ID        string    `json:"id" doc:"Its number, such as 000042."`
	Name      string    `json:"name" doc:"The application's name."`
	Version   string    `json:"version" doc:"The application's version, empty where nobody knows it."`
	Digest    string    `json:"digest" doc:"The digest of the artifact that it was made from."`
	Platform  string    `json:"platform" doc:"The platform that it was built for."`
	Config    string    `json:"config" doc:"The digest of the configuration that was installed with it, empty for none."`
	Size      op.Size   `json:"size" doc:"The size of its files."`
	Installed time.Time `json:"installed" doc:"When it was installed; for people, never for order."`
	Live      bool      `json:"live" doc:"Whether it is the one that serves."`
	Good      bool      `json:"good" doc:"Whether it was accepted after its health was proved."`
	Accepted  int       `json:"accepted" doc:"The order of acceptance: the highest is the latest; 0 where it never was."`
}

// Versioned is a version as an addition to a name says it; "" is that of what nobody knows the version of.
func Versioned(version string) string { return cmp.Or(version, "of unknown version") }

// Manifest is what stands in a release's manifest.
type Manifest struct {
	Release Release      `json:"release"`
	Key     op.Key       `json:"key"`
	Files   []host.Entry `json:"files"`
}

// maxManifest is the largest manifest that is read, in bytes: some 300,000 files.
const maxManifest = 64 << 20

// Manifest is the file that tells what was installed as a release.
func (r Root) Manifest(id string) string { return filepath.Join(r.Release(id), ManifestName) }

// Read reads a release and what its manifest says of it; not of its files, which is nearly all of it.
func (r Root) Read(id string) (Release, Manifest, error) { return r.read(id, true) }

// ReadFiles is Read with the files.
func (r Root) ReadFiles(id string) (Release, Manifest, error) { return r.read(id, false) }

func (r Root) read(id string, brief bool) (Release, Manifest, error) {
	var m Manifest
	if !isID(id) {
		return Release{}, m, fmt.Errorf("cannot read release %q: want a number such as 000042", id)
	}
	b, err := host.ReadFile(r.Host.Files, r.Manifest(id), maxManifest)
	if head, list, cut := bytes.Cut(b, []byte(`,"files":`)); cut && brief && bytes.HasSuffix(list, []byte("]}")) { // inside of a string its quotes were escaped
		b = append(head[:len(head):len(head)], '}')
	}
	if err == nil {
		err = json.Unmarshal(b, &m)
	}
	if err != nil {
		return Release{}, m, fmt.Errorf("cannot read release %s: %w", id, host.Plainly(err))
	}
	rel := m.Release
	rel.ID = id
	_, good, err := r.ReadMark(id)
	rel.Accepted, rel.Good = good.Order, good.Order > 0
	return rel, m, err
}

// All lists the releases in the order of their numbers.
func (r Root) All() ([]Release, error) {
	ids, _, err := r.IDs()
	if err != nil {
		return nil, err
	}
	live, err := r.Live()
	if err != nil {
		return nil, err
	}
	var out []Release
	for _, id := range ids {
		rel, _, err := r.Read(id)
		if err != nil {
			return nil, err
		}
		rel.Live = id == live
		out = append(out, rel)
	}
	return out, nil
}

// Mark is what stands in ROOT/.runner/good/ID.
type Mark struct {
	Order int    `json:"order"`
	Key   op.Key `json:"key"`
}

// Mark is the file that says that a release is good.
func (r Root) Mark(id string) string { return r.Own("good", id) }

// ReadMark reads a release's mark, as it stands in its file and as what it says; both are empty for none.
func (r Root) ReadMark(id string) (string, Mark, error) {
	var m Mark
	b, err := host.ReadFile(r.Host.Files, r.Mark(id), 4096)
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

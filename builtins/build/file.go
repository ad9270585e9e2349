package build

import (
	"cmp"
	"context"
	"fmt"
	"path/filepath"

	"github.com/erlmcp/runner/builtins/artifact"
	"github.com/erlmcp/runner/runtime/host"
	"github.com/erlmcp/runner/runtime/op"
)

// File takes what was built before, somewhere else, for an artifact.
type File struct {
	_       op.Doc `doc:"Takes a file or folder that was built before, such as by an earlier step of CI, for an artifact. Its version is empty where nothing says it: health is held to none then."`
	Path    string `json:"path" doc:"The file or folder; a relative path starts at the project."`
	Version string `json:"version,omitempty" doc:"The version that it is; the one that it names itself, as an Erlang release and a Go program may, when left out, else that of its source."`
	Source  Source `json:"source,omitempty" doc:"How the project would build it: by the version there, the *.app.src or the file VERSION it is known that names none itself."`
}

// Source is a way to build that says which version would be built.
type Source interface {
	Recipe()
	place() place
}

// place is where the version of a source is to be found.
type place struct {
	version string
	dir     string
	app     string
}

// Summary implements op.Op.
func (f File) Summary() string { return "take " + f.Path + " for an artifact" }

// Check implements op.Checked.
func (f File) Check() error {
	if f.Version == "" {
		return nil
	}
	return checkVersion("version", f.Version)
}

// Do implements op.Op.
func (f File) Do(_ context.Context, h *host.Host) (artifact.Artifact, error) {
	a := artifact.Artifact{Name: filepath.Base(f.Path), Path: h.Abs(f.Path), Version: f.Version}
	digest, size, err := artifact.Digest(h.Files, a.Path)
	if err != nil {
		return artifact.Artifact{}, fmt.Errorf("cannot take %s: %w", f.Path, artifact.Plainly(err))
	}
	a.Version = cmp.Or(a.Version, ofRelease(h.Files, a.Path), programVersion(h.Files, a.Path))
	if a.Version == "" && f.Source != nil {
		if a.Version, err = f.Source.place().find(h); err != nil {
			return artifact.Artifact{}, err
		}
	}
	a.Digest, a.Size = digest, op.Size(size)
	return a, judge(h.Files, a.Path, &a)
}

// find is the version of the source without its state: what git calls it says nothing of what was built elsewhere.
func (p place) find(h *host.Host) (string, error) {
	if p.version != "" {
		return p.version, nil
	}
	if v, err := appVersion(h.Files, h.Abs(p.dir), p.app); v != "" || err != nil {
		return v, err
	}
	return fileVersion(h.Files, filepath.Join(h.Abs(p.dir), "VERSION"))
}

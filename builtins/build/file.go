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
	_       op.Doc `doc:"Takes a file or folder that was built before, such as by an earlier step of CI, for an artifact."`
	Path    string `json:"path" doc:"The file or folder; a relative path starts at the project."`
	Version string `json:"version,omitempty" doc:"The version that it is; that of the Erlang release that it is, or one made from its digest, when left out."`
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
	if a.Version = cmp.Or(a.Version, releaseVersion(h.Files, a.Path)); a.Version == "" {
		a.Version = "0.0.0-" + digest[len("sha256:"):][:12]
	}
	a.Digest, a.Size = digest, op.Size(size)
	return a, judge(h.Files, a.Path, &a)
}

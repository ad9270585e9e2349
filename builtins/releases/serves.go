package releases

import (
	"context"
	"errors"
	"fmt"
	"io/fs"

	"github.com/erlmcp/runner/builtins/artifact"
	"github.com/erlmcp/runner/builtins/layout"
	"github.com/erlmcp/runner/runtime/host"
	"github.com/erlmcp/runner/runtime/op"
)

// Serves is releases.serves.
type Serves struct {
	_        op.Doc            `doc:"Tells whether the release that current leads to was made of an artifact, with a configuration. Whether its service runs is not looked at."`
	Root     string            `json:"root" doc:"The host root."`
	Artifact artifact.Artifact `json:"artifact" doc:"What a build made."`
	Config   string            `json:"config,omitempty" doc:"The file of the project that configures it; none when left out."`
}

// Summary implements op.Op.
func (s Serves) Summary() string {
	return fmt.Sprintf("compare what serves %s with %s", s.Root, s.Artifact)
}

// Do implements op.Op.
func (s Serves) Do(_ context.Context, h *host.Host) (bool, error) {
	r := layout.At(h, s.Root)
	id, err := r.Live()
	if err != nil || id == "" {
		return false, err
	}
	rel, _, err := r.Read(id)
	if errors.Is(err, fs.ErrNotExist) {
		return false, nil
	}
	if err != nil || rel.Digest != s.Artifact.Digest {
		return false, err
	}
	config := ""
	if s.Config != "" {
		if config, _, err = artifact.File(h.Files, h.Abs(s.Config)); err != nil {
			return false, fmt.Errorf("cannot read the configuration %s: %w", s.Config, artifact.Plainly(err))
		}
	}
	return rel.Config == config, nil
}

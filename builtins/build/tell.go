package build

import (
	"context"

	"github.com/erlmcp/runner/runtime/host"
	"github.com/erlmcp/runner/runtime/op"
)

// Version is build.version.
type Version struct {
	_       op.Doc `doc:"Reads which version the source says that it is: that of the Erlang application, else the first line of the file VERSION; empty where neither says one. It is for what another program builds, such as an image."`
	App     string `json:"app,omitempty" doc:"The application whose *.app.src is read; the only one when it has another name."`
	Version string `json:"version,omitempty" doc:"The version, where it is known otherwise."`
	Dir     string `json:"dir,omitempty" doc:"The folder with the source, the project when left out."`
}

// Summary implements op.Op.
func (v Version) Summary() string { return "read the version of the source" }

// Check implements op.Checked.
func (v Version) Check() error {
	if v.Version == "" {
		return nil
	}
	return checkVersion("version", v.Version)
}

// Do implements op.Op.
func (v Version) Do(_ context.Context, h *host.Host) (string, error) {
	return written(h, wanted{asked: v.Version, dir: v.Dir, app: v.App})
}

// Package artifact is what families that build and families that install share: the artifact, the digest of a file or
// a folder, and a copy that keeps the digest. It builds, installs and decides nothing; it refuses sockets, devices, pipes,
// and links that lead out of their tree.
package artifact

import (
	"strings"

	"github.com/erlmcp/runner/runtime/op"
)

// Artifact is what a build makes and what releases.install takes.
type Artifact struct {
	_        op.Doc  `doc:"What a build made: a file or a folder on this machine, named by the digest of its content."`
	Name     string  `json:"name" doc:"What it is called: the base name of the file or folder."`
	Path     string  `json:"path" doc:"The file or the folder on this machine."`
	Digest   string  `json:"digest" doc:"The digest of its content, such as sha256:9f86d0…; times of change do not count."`
	Version  string  `json:"version" doc:"The version that it was built as, empty where nobody knows it."`
	Platform string  `json:"platform" doc:"Where it runs, such as linux/amd64."`
	Size     op.Size `json:"size" doc:"The bytes in its files."`
}

// String is what people call it: "mcpd 1.2.0", or "mcpd" where nobody knows the version.
func (a Artifact) String() string { return strings.TrimSpace(a.Name + " " + a.Version) }

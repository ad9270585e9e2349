//go:build mutant_local

package journal

import (
	"os"
	"path/filepath"

	"github.com/erlmcp/runner/runtime/host"
)

// A mutant: the undo logs lie on the machine that runs.
func (r Root) logs() string {
	return filepath.Join(os.Getenv("HOME"), ".runner-mutant", host.SHA256([]byte(r.Path)))
}

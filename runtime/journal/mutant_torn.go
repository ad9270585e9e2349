//go:build mutant_torn

package journal

import (
	"io"

	"github.com/erlmcp/runner/runtime/host"
)

// A mutant: a torn tail stays, and records are appended behind it.

func syncLog(f host.File) error { return f.Sync() }

func cutTail(f host.File, _ int64) error {
	_, err := f.Seek(0, io.SeekEnd)
	return err
}

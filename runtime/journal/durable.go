//go:build !mutant_nosync && !mutant_torn

package journal

import (
	"io"

	"github.com/erlmcp/runner/runtime/host"
)

// syncLog makes appended records durable, and cutTail removes a torn tail before the first append. They stand alone
// because two mutants replace them: the crash suite must fail without either.

func syncLog(f host.File) error { return f.Sync() }

// cutTail leaves the file at the end of its good bytes. A log that ends there is not touched: to cut it would give
// back the space that is set aside for it.
func cutTail(f host.File, good int64) error {
	info, err := f.Stat()
	if err == nil && info.Size() > good {
		err = f.Truncate(good)
	}
	if err == nil {
		_, err = f.Seek(good, io.SeekStart)
	}
	return err
}

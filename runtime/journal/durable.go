//go:build !mutant_nosync && !mutant_torn

package journal

import "github.com/erlmcp/runner/runtime/host"

// syncLog makes appended records durable, and cutTail removes a torn tail before the first append. They stand alone
// because two mutants replace them: the crash suite must fail without either.

func syncLog(f host.File) error { return f.Sync() }

func cutTail(f host.File, good int64) error { return f.Truncate(good) }

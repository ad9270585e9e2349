//go:build !mutant_local

package journal

// logs is where the undo logs lie: with the target, so that any machine finds them there.
func (r Root) logs() string { return r.dir("runs") }

//go:build !linux

package host

// Reserve does nothing where the system has no fallocate(2).
func Reserve(File, int64) error { return nil }

// Package host is the outside world: files that must be durable, processes, HTTP and the clock. Nothing else in this
// module starts a process, opens a connection or asks for the time. It decides nothing.
package host

import (
	"context"
	"io/fs"
	"path/filepath"
	"time"

	"github.com/erlmcp/runner/runtime/secret"
)

// Host is what ops depend on. Its parts are interfaces so that tests can put faults, or the death of the machine,
// around the real ones.
type Host struct {
	Files   FS
	Procs   Procs
	Net     Net
	Clock   Clock
	Secrets *secret.Vault

	Project  string   // the project's folder: relative paths start here
	Standard fs.FS    // the files that lie under the project, for those who want them: see Over; nil for none
	Scratch  string   // a folder for what this run makes and nobody needs later
	Env      []string // the environment that processes inherit
	Boot     string   // the machine's boot id
}

// Abs is the path, seen from the project when it is relative.
func (h *Host) Abs(path string) string {
	if filepath.IsAbs(path) {
		return filepath.Clean(path)
	}
	return filepath.Join(h.Project, path)
}

// RootTarget is the id of the target that a host root is.
func (h *Host) RootTarget(root string) string { return "host:" + h.Abs(root) }

// Clock tells the time and lets it pass.
type Clock interface {
	Now() time.Time
	// Sleep returns after d, or at once with the context's error when it ends first.
	Sleep(ctx context.Context, d time.Duration) error
	// Timeout is a context that ends after d, with cause as its cause.
	Timeout(ctx context.Context, d time.Duration, cause error) (context.Context, context.CancelFunc)
}

// SystemClock is the machine's clock.
type SystemClock struct{}

// Now implements Clock.
func (SystemClock) Now() time.Time { return time.Now() }

// Sleep implements Clock.
func (SystemClock) Sleep(ctx context.Context, d time.Duration) error {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
		return nil
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}

// Timeout implements Clock.
func (SystemClock) Timeout(ctx context.Context, d time.Duration, cause error) (context.Context, context.CancelFunc) {
	return context.WithTimeoutCause(ctx, d, cause)
}

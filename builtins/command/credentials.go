package command

import (
	"context"
	"time"

	"github.com/erlmcp/runner/runtime/host"
	"github.com/erlmcp/runner/runtime/secret"
)

// Credentials asks the programs that keep credentials for a registry: its name is what they read, what they print is
// said. Ended is how one failed, "" where it did not.
func Credentials(h *host.Host) func(ctx context.Context, argv []string, registry string, within time.Duration) (said, ended string, err error) {
	return func(ctx context.Context, argv []string, registry string, within time.Duration) (said, ended string, err error) {
		ran, err := Run(ctx, h, Cmd{Argv: argv, Stdin: secret.Plain(registry), Timeout: within, Quiet: true})
		if err == nil && ran.Exit != (host.Exit{}) {
			ended = ran.Exit.String()
		}
		return ran.Stdout, ended, err
	}
}

package driver

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/erlmcp/runner/runtime/host"
	"github.com/erlmcp/runner/runtime/op"
)

// NoAnswer is a node that does not answer, or says no.
type NoAnswer struct{ Why string }

func (n *NoAnswer) Error() string { return "cannot ask the node: " + n.Why }

// Ask calls the start script of the release that runs, with the environment that its node was started with: words such
// as ping, or rpc with a module, a function and arguments. It gives what the script prints.
func (r Running) Ask(ctx context.Context, h *host.Host, words ...string) (string, error) {
	u := r.Loaded
	switch {
	case !r.Alive:
		return "", errors.New("cannot ask the service: it does not run")
	case len(u.Argv) != 2 || u.Argv[1] != "foreground":
		return "", op.Hint(fmt.Errorf("cannot ask the service of release %s: it was not started by a script of relx", u.Release),
			"relx(...) and systemd(...) run releases that can be asked")
	}
	var out, said bytes.Buffer
	cmd := host.Cmd{Argv: slices.Concat(u.Argv[:1], words), Dir: u.Dir, Env: u.Env, User: u.User, Stdout: &out, Stderr: &said}
	exit, err := h.Procs.Run(ctx, cmd, func(p host.Proc) error {
		return op.StartChild(ctx, op.Child{PID: p.PID, Start: p.Start, Boot: p.Boot, Name: u.Argv[0]})
	})
	if err != nil {
		return "", fmt.Errorf("cannot ask the node: %w", err)
	}
	if exit != (host.Exit{}) {
		return "", &NoAnswer{fmt.Sprintf("%s %s: %s: %s", u.Argv[0], words[0], exit, strings.TrimSpace(out.String()+said.String()))}
	}
	return strings.ToValidUTF8(strings.TrimRight(out.String(), "\n"), "\uFFFD"), nil
}

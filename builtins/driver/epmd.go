package driver

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/erlmcp/runner/runtime/host"
)

// NameTaken is a node's name that another node of this machine has.
type NameTaken struct {
	Name  string
	Owner host.PortOwner
}

func (n *NameTaken) Error() string {
	return fmt.Sprintf("the node name %s is taken by %s", n.Name, who(n.Owner))
}

// NameFree is nil where no node of this machine has the name of the unit's node but what runs, which is to be stopped;
// else a *NameTaken. A name that what runs has nobody else can have; of any other epmd is asked, where there is one. One that
// cannot be asked for counts as free.
func (u Unit) NameFree(ctx context.Context, h *host.Host, runs Running) error {
	name := u.nodeName(h)
	if name == "" || runs.Alive && runs.Loaded.nodeName(h) == name {
		return nil
	}
	for _, line := range strings.Split(u.epmd(ctx, h), "\n") {
		var is string
		var port int
		if n, _ := fmt.Sscanf(line, "name %s at port %d", &is, &port); n == 2 && is == name {
			if owner, taken := h.Procs.PortOwner(port); taken {
				return &NameTaken{name, owner}
			}
		}
	}
	return nil
}

// nodeName is what the release's node calls itself at epmd, without its host: "" where that cannot be known before it
// starts, or where it has no name.
func (u Unit) nodeName(h *host.Host) string {
	args, err := arguments(h, u.Dir)
	if err != nil {
		return ""
	}
	variable := func(name string) string { // or NAME:-DEFAULT
		name, other, _ := strings.Cut(name, ":-")
		for _, kv := range u.Env {
			if value, is := strings.CutPrefix(kv, name+"="); is && value != "" {
				return value
			}
		}
		return other
	}
	for _, line := range args {
		if words := strings.Fields(line); len(words) == 2 && (words[0] == "-name" || words[0] == "-sname") {
			name, _, _ := strings.Cut(os.Expand(words[1], variable), "@")
			return name
		}
	}
	return ""
}

// asking is how long epmd may take to say which names it has.
const asking = 2 * time.Second

// epmd is what that of the release, or the machine's, says that it has: nothing where it does not run.
func (u Unit) epmd(ctx context.Context, h *host.Host) string {
	erts, _, err := starts(h, u.Dir)
	if err != nil {
		return ""
	}
	program := filepath.Join(u.Dir, "erts-"+erts, "bin", "epmd")
	if _, err := h.Files.Stat(program); err != nil {
		program = "epmd"
	}
	ctx, cancel := h.Clock.Timeout(ctx, asking, errors.New("epmd does not answer"))
	defer cancel()
	var said bytes.Buffer
	exit, err := h.Procs.Run(ctx, host.Cmd{Argv: []string{program, "-names"}, Dir: u.Dir, Env: u.Env, Stdout: &said, Leash: true}, nil)
	if err != nil || exit != (host.Exit{}) {
		return ""
	}
	return said.String()
}

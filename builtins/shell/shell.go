// Package shell runs programs for scripts, where no family knows better. It starts no shell by itself, puts no secret
// into an argument, and claims nothing about what a program changed: only its author can say that, by undo or leaves.
package shell

import (
	"github.com/erlmcp/runner/runtime/builtin"
	"github.com/erlmcp/runner/runtime/host"
	"github.com/erlmcp/runner/runtime/op"
)

// Family is what scripts see as shell.
func Family(h *host.Host) builtin.Family {
	return builtin.NewFamily("shell", "Runs programs. Use it where no other family does what is wanted.",
		op.Final(h, Run{Timeout: defaultTimeout, OK: []int{0}}, "runner cannot know what a command changed"),
		op.Undo(h, Undo{Timeout: defaultTimeout}),
	)
}

package service

import (
	"context"
	"errors"
	"fmt"
	"regexp"
	"strings"

	"github.com/erlmcp/runner/builtins/driver"
	"github.com/erlmcp/runner/runtime/host"
	"github.com/erlmcp/runner/runtime/op"
)

// Ping is service.ping.
type Ping struct {
	_       op.Doc      `doc:"Asks whether the Erlang node of a root answers, by the script of the release that runs."`
	Root    string      `json:"root" doc:"The host root."`
	Timeout op.Duration `json:"timeout,omitempty" doc:"How long the answer may take."`
}

// Summary implements op.Op.
func (p Ping) Summary() string { return "ping the node of " + p.Root }

// Do implements op.Op. A node that does not answer is a result.
func (p Ping) Do(ctx context.Context, h *host.Host) (bool, error) {
	runs, err := driver.Current(h, h.Abs(p.Root))
	if err != nil || !runs.Alive {
		return false, err
	}
	limited, cancel := limit(ctx, h, "the node to answer a ping", p.Timeout)
	defer cancel()
	answer, err := runs.Ask(limited, h, "ping")
	switch no := (*driver.NoAnswer)(nil); {
	case ctx.Err() != nil:
		return false, context.Cause(ctx)
	case errors.As(err, &no), limited.Err() != nil:
		return false, nil
	}
	return answer == "pong", err
}

// Rpc is service.rpc.
type Rpc struct {
	_        op.Doc      `doc:"Calls a function in the Erlang node of a root, by the script of the release that runs; gives the result as Erlang prints it."`
	Root     string      `json:"root" doc:"The host root."`
	Module   string      `json:"module" doc:"The module."`
	Function string      `json:"function" doc:"The function."`
	Args     string      `json:"args,omitempty" doc:"Its arguments, as an Erlang list; \"[]\" when left out."`
	Timeout  op.Duration `json:"timeout,omitempty" doc:"How long the call may take."`
}

var atom = regexp.MustCompile(`^[a-z][A-Za-z0-9_@]*$`)

// Check implements op.Checked.
func (r Rpc) Check() error {
	for name, word := range map[string]string{"module": r.Module, "function": r.Function} {
		if !atom.MatchString(word) {
			return fmt.Errorf("%s: want an Erlang atom such as erlang, got %q", name, word)
		}
	}
	if r.Args != "" && (!strings.HasPrefix(r.Args, "[") || !strings.HasSuffix(r.Args, "]")) {
		return fmt.Errorf(`args: want an Erlang list such as "[kernel]", got %q`, r.Args)
	}
	return nil
}

// Summary implements op.Op.
func (r Rpc) Summary() string {
	return fmt.Sprintf("call %s:%s in the node of %s", r.Module, r.Function, r.Root)
}

// Target implements op.Targeted.
func (r Rpc) Target(h *host.Host) string { return h.RootTarget(r.Root) }

// Do implements op.Op.
func (r Rpc) Do(ctx context.Context, h *host.Host) (string, error) {
	runs, err := driver.Current(h, h.Abs(r.Root))
	if err != nil {
		return "", err
	}
	ctx, cancel := limit(ctx, h, "the node to answer", r.Timeout)
	defer cancel()
	args := r.Args
	if args == "" {
		args = "[]"
	}
	return runs.Ask(ctx, h, "rpc", r.Module, r.Function, args)
}

func limit(ctx context.Context, h *host.Host, what string, timeout op.Duration) (context.Context, context.CancelFunc) {
	op.Waiting(ctx, what, h.Clock.Now().Add(timeout.D()))
	return h.Clock.Timeout(ctx, timeout.D(), fmt.Errorf("the node does not answer within %s", timeout))
}

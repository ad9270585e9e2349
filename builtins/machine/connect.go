package machine

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"net"
	"strconv"
	"time"

	"github.com/erlmcp/runner/builtins/patient"
	"github.com/erlmcp/runner/runtime/host"
	"github.com/erlmcp/runner/runtime/op"
)

// Connect opens a TCP connection.
type Connect struct {
	_       op.Doc      `doc:"Opens a TCP connection, to a database for example, and closes it. Nothing is sent."`
	Address string      `json:"address" doc:"Where: \"db.internal:5432\"."`
	Timeout op.Duration `json:"timeout" doc:"How long the connection may take."`
}

// Connected is how an attempt to connect went.
type Connected struct {
	_       op.Doc      `doc:"How an attempt to connect went."`
	OK      bool        `json:"ok" doc:"Whether the connection came about."`
	Took    op.Duration `json:"took" doc:"How long it took."`
	Problem string      `json:"problem" doc:"Why it did not come about, empty where it did."`
}

var (
	_ op.Op[*host.Host, Connected] = Connect{}
	_ op.Checked                   = Connect{}
)

// Summary implements op.Op.
func (c Connect) Summary() string { return "connect to " + c.Address }

// Check implements op.Checked.
func (c Connect) Check() error {
	return cmp.Or(checkAddress("address", c.Address), checkTimeout(c.Timeout))
}

func checkTimeout(d op.Duration) error {
	if d <= 0 {
		return errors.New("timeout: want more than 0s")
	}
	return nil
}

// checkAddress refuses what is no host and port.
func checkAddress(name, address string) error {
	host, port, err := net.SplitHostPort(address)
	n, bad := strconv.Atoi(port)
	if err != nil || host == "" || bad != nil || n < 1 || n > 65535 {
		return fmt.Errorf(`%s: want a host and a port such as "db.internal:5432", got %q`, name, address)
	}
	return nil
}

// Do implements op.Op.
func (c Connect) Do(ctx context.Context, h *host.Host) (Connected, error) {
	start := h.Clock.Now()
	err := within(ctx, h, c.Address+" to answer", c.Timeout, func(ctx context.Context) error { return h.Net.Dial(ctx, c.Address) })
	if ctx.Err() != nil {
		return Connected{}, context.Cause(ctx)
	}
	out := Connected{OK: err == nil, Took: op.Duration(h.Clock.Now().Sub(start).Round(time.Millisecond))}
	if err != nil {
		out.Problem = why(err)
	}
	return out, nil
}

// within does what waits for another machine, announced where it takes long.
func within(ctx context.Context, h *host.Host, what string, timeout op.Duration, do func(context.Context) error) error {
	if ctx.Err() != nil {
		return context.Cause(ctx)
	}
	defer patient.Announce(ctx, h, what, timeout.D())()
	limited, cancel := h.Clock.Timeout(ctx, timeout.D(), fmt.Errorf("no answer within %s", timeout))
	defer cancel()
	return do(limited)
}

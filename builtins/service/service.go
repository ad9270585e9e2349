// Package service looks at, starts and stops what serves on a host root, through the release that runs. It never
// switches releases: that is releases.activate, whose stop and start are part of one change.
package service

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/erlmcp/runner/builtins/driver"
	"github.com/erlmcp/runner/runtime/builtin"
	"github.com/erlmcp/runner/runtime/host"
	"github.com/erlmcp/runner/runtime/op"
)

// Family is the service family on a host.
func Family(h *host.Host) builtin.Family {
	return builtin.NewFamily("service",
		"What serves on a host root: whether it runs, and starting and stopping it without a change of release.",
		builtin.Global(driver.Process{Signal: "SIGTERM", Grace: op.Duration(10 * time.Second)}),
		builtin.Global(driver.Relx{Grace: op.Duration(30 * time.Second)}),
		builtin.Global(driver.Systemd{Grace: op.Duration(30 * time.Second)}),
		op.Watch(h, Status{}),
		op.Watch(h, Logs{Lines: 20}),
		op.Ask(h, Ping{Timeout: op.Duration(10 * time.Second)}),
		op.Final(h, Rpc{Timeout: op.Duration(time.Minute)}, "what a node has done cannot be taken back"),
		op.Change(h, Start{}),
		op.Change(h, Stop{}),
		op.Undo(h, Return{}),
	)
}

// State is whether a service runs.
type State struct {
	Running bool   `json:"running" doc:"Whether its process runs."`
	PID     int    `json:"pid" doc:"The process, 0 where none was ever started."`
	Release string `json:"release" doc:"The release that it was started from."`
	Port    int    `json:"port" doc:"The port that it was given, 0 for none."`
	Log     string `json:"log" doc:"The file that it logs to."`
	Same    bool   `json:"same" doc:"Whether it was started as the service that was asked about says now."`
}

func read(h *host.Host, root string) (State, driver.Running, error) {
	runs, err := driver.Current(h, root)
	state := State{Running: runs.Alive, PID: runs.Proc.PID, Release: runs.Loaded.Release, Port: runs.Loaded.Port, Log: driver.LogPath(root)}
	return state, runs, err
}

// Status is service.status.
type Status struct {
	_       op.Doc         `doc:"Reads whether the service of a root runs."`
	Root    string         `json:"root" doc:"The host root."`
	Service driver.Service `json:"service,omitempty" doc:"How it should be run: the result says whether it is."`
}

// Summary implements op.Op.
func (s Status) Summary() string { return "read whether the service of " + s.Root + " runs" }

// Do implements op.Op.
func (s Status) Do(_ context.Context, h *host.Host) (State, error) {
	state, runs, err := read(h, h.Abs(s.Root))
	if err == nil && runs.Alive {
		state.Same, err = runs.As(h, h.Abs(s.Root), s.Service)
	}
	return state, err
}

// Start is service.start.
type Start struct {
	_    op.Doc `doc:"Starts again what was started last on a root. What runs already is left alone."`
	Root string `json:"root" doc:"The host root."`
}

// Summary implements op.Op.
func (s Start) Summary() string { return "start the service of " + s.Root }

// Target implements op.Targeted.
func (s Start) Target(h *host.Host) string { return h.RootTarget(s.Root) }

// Inverse implements op.Reversible.
func (s Start) Inverse(_ context.Context, h *host.Host) (any, error) { return inverse(h, s.Root) }

// Do implements op.Op.
func (s Start) Do(ctx context.Context, h *host.Host) (State, error) {
	root := h.Abs(s.Root)
	state, runs, err := read(h, root)
	if err != nil || runs.Serves() {
		return state, err
	}
	if runs.Unit == "" {
		return state, op.Hint(errors.New("cannot start the service: nothing was ever started on "+root), "releases.activate starts a release")
	}
	if err := driver.Stop(ctx, h, root, runs); err != nil { // one that was asked to end before
		return state, err
	}
	if err := driver.Start(ctx, h, root, runs.Unit); err != nil {
		return state, err
	}
	state, _, err = read(h, root)
	return state, err
}

// Stop is service.stop.
type Stop struct {
	_    op.Doc `doc:"Stops the service of a root, politely first. What does not run is left alone."`
	Root string `json:"root" doc:"The host root."`
}

// Summary implements op.Op.
func (s Stop) Summary() string { return "stop the service of " + s.Root }

// Target implements op.Targeted.
func (s Stop) Target(h *host.Host) string { return h.RootTarget(s.Root) }

// Inverse implements op.Reversible.
func (s Stop) Inverse(_ context.Context, h *host.Host) (any, error) { return inverse(h, s.Root) }

// Do implements op.Op.
func (s Stop) Do(ctx context.Context, h *host.Host) (State, error) {
	root := h.Abs(s.Root)
	_, runs, err := read(h, root)
	if err != nil {
		return State{}, err
	}
	if err := driver.Stop(ctx, h, root, runs); err != nil {
		return State{}, err
	}
	state, _, err := read(h, root)
	return state, err
}

func inverse(h *host.Host, path string) (any, error) {
	root := h.Abs(path)
	runs, err := driver.Current(h, root)
	return Return{Root: root, Unit: runs.Unit, Running: runs.Serves()}, err
}

// Return is the inverse of Start and of Stop.
type Return struct {
	_       op.Doc `doc:"Makes the service of a root run, or not run, as it did before."`
	Root    string `json:"root" doc:"The host root, absolute."`
	Unit    string `json:"unit" doc:"How it was started: the digest of its unit."`
	Running bool   `json:"running" doc:"Whether it ran."`
}

// Summary implements op.Op.
func (r Return) Summary() string {
	if r.Running {
		return "start the service of " + r.Root + " again"
	}
	return "stop the service of " + r.Root + " again"
}

// Do implements op.Op.
func (r Return) Do(ctx context.Context, h *host.Host) (op.Restored, error) {
	runs, err := driver.Current(h, r.Root)
	switch {
	case err != nil:
		return op.Restored{}, err
	case runs.Unit != r.Unit:
		return op.Restored{}, &op.Conflict{What: "the service of " + r.Root, Wanted: "as it was started before",
			Found: fmt.Sprintf("process %d of release %s", runs.Proc.PID, runs.Loaded.Release)}
	case r.Running && runs.Serves(), !r.Running && !runs.Alive:
		return op.Restored{Already: true}, nil
	}
	if err := driver.Stop(ctx, h, r.Root, runs); err != nil || !r.Running {
		return op.Restored{}, err
	}
	return op.Restored{}, driver.Start(ctx, h, r.Root, r.Unit)
}

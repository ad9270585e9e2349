package releases

import (
	"context"
	"errors"
	"fmt"
	"io/fs"

	"github.com/erlmcp/runner/builtins/driver"
	"github.com/erlmcp/runner/builtins/layout"
	"github.com/erlmcp/runner/runtime/host"
	"github.com/erlmcp/runner/runtime/op"
)

// Activate is releases.activate.
type Activate struct {
	_       op.Doc         `doc:"Makes a release the one that serves: stops what runs, switches current, starts the release, as one op with one inverse. It does not wait for health."`
	Root    string         `json:"root" doc:"The host root."`
	ID      string         `json:"id" doc:"The release, by its number."`
	Service driver.Service `json:"service,omitempty" doc:"How the release is run; left out, only the link is switched."`
	Key     op.Key         `json:"key"`
}

// Activated is the result of Activate.
type Activated struct {
	ID      string `json:"id" doc:"The release that serves now."`
	Version string `json:"version" doc:"Its version."`
	From    string `json:"from" doc:"The release that served before, empty where none did."`
}

// LiveVersion implements op.Live.
func (a Activated) LiveVersion() string { return a.Version }

// Summary implements op.Op.
func (a Activate) Summary() string { return fmt.Sprintf("switch %s to %s", a.Root, a.ID) }

// Target implements op.Targeted.
func (a Activate) Target(h *host.Host) string { return h.RootTarget(a.Root) }

// Inverse implements op.Reversible.
func (a Activate) Inverse(_ context.Context, h *host.Host) (any, error) {
	r := at(h, a.Root)
	was, err := r.Live()
	if err != nil {
		return nil, err
	}
	runs, err := driver.Current(h, r.Path)
	if err != nil {
		return nil, err
	}
	return Reactivate{Root: r.Path, Want: was, Unit: runs.Unit, Running: runs.Serves(), Made: a.ID, Of: a.Key}, nil
}

// Do implements op.Op. Everything that can be found out is found out before what runs is stopped.
func (a Activate) Do(ctx context.Context, h *host.Host) (Activated, error) {
	if ctx.Err() != nil {
		return Activated{}, context.Cause(ctx)
	}
	r := at(h, a.Root)
	done, err := a.outcome(r)
	if err != nil {
		return done, err
	}
	runs, err := driver.Current(h, r.Path)
	if err != nil {
		return done, err
	}
	var unit string
	if a.Service != nil {
		if unit, err = a.unit(ctx, h, r, runs); err != nil {
			return done, err
		}
		if err := op.Half(ctx, "unit written"); err != nil {
			return done, err
		}
		if err := driver.Stop(ctx, h, r.Path, runs); err != nil {
			return done, err
		}
		if err := op.Half(ctx, "stopped"); err != nil {
			return done, err
		}
	}
	if err := r.link(a.ID); err != nil {
		return done, fmt.Errorf("cannot switch %s: %w", r.Current(), err)
	}
	if err := op.Half(ctx, "switched"); err != nil || unit == "" {
		return done, err
	}
	return done, driver.Start(ctx, h, r.Path, unit)
}

// unit resolves the service and makes sure that its port and its name are free, or held by what is to be stopped.
func (a Activate) unit(ctx context.Context, h *host.Host, r root, runs driver.Running) (string, error) {
	u, err := a.Service.Unit(h, r.Path, a.ID, a.Key)
	if err != nil {
		return "", err
	}
	if err := u.PortFree(h, runs); err != nil {
		return "", op.Hint(fmt.Errorf("cannot switch to %s: %w", a.ID, err),
			"end that process, or give the service another port; what serves was not touched")
	}
	if err := u.NameFree(ctx, h, runs); err != nil {
		return "", op.Hint(fmt.Errorf("cannot switch to %s: %w", a.ID, err),
			"end that node, or give this one a name of its own: node = \"NAME\"; what serves was not touched")
	}
	return driver.Store(h, r.Path, u)
}

func (a Activate) outcome(r root) (Activated, error) {
	rel, _, err := r.Read(a.ID)
	if err != nil {
		return Activated{}, fmt.Errorf("cannot switch %s: %w", r.Path, err)
	}
	from, err := r.Live()
	return Activated{ID: a.ID, Version: rel.Version, From: from}, err
}

// Preview implements op.Previewer. A release that the plan's own run would install is not there to be read.
func (a Activate) Preview(_ context.Context, h *host.Host) (Activated, error) {
	done, err := a.outcome(at(h, a.Root))
	if errors.Is(err, fs.ErrNotExist) {
		err = op.ErrUnknown
	}
	return done, err
}

// Difference implements op.Differ.
func (a Activate) Difference(_ context.Context, h *host.Host) ([]string, error) {
	r := at(h, a.Root)
	was, err := r.Live()
	if err != nil {
		return nil, err
	}
	from := "nothing"
	if was != "" {
		from = was
		if rel, _, err := r.Read(was); err == nil {
			from = fmt.Sprintf("%s (%s)", was, layout.Versioned(rel.Version))
		}
	}
	to := a.ID
	if rel, _, err := r.Read(a.ID); err == nil {
		to = fmt.Sprintf("%s (%s)", a.ID, layout.Versioned(rel.Version))
	}
	return []string{fmt.Sprintf("current: %s -> %s", from, to)}, nil
}

// evidenceLines is how much of the service's log explains a failure.
const evidenceLines = 20

// Evidence implements op.Witness.
func (a Activate) Evidence(ctx context.Context, h *host.Host) ([]op.Evidence, error) {
	r := at(h, a.Root)
	runs, err := driver.Current(h, r.Path)
	if err != nil || runs.Unit == "" {
		return nil, err
	}
	state := fmt.Sprintf("%s of release %s runs", runs.Name(), runs.Loaded.Release)
	if !runs.Alive {
		state = fmt.Sprintf("%s of release %s has ended", runs.Name(), runs.Loaded.Release)
	}
	lines, where, err := driver.Said(ctx, h, r.Path, runs, evidenceLines)
	if err != nil { // what explains a failure is no failure
		lines = err.Error()
	}
	return []op.Evidence{{Title: "service", Text: state}, {Title: where, Text: lines}}, nil
}

// Reactivate is the inverse of Activate.
type Reactivate struct {
	_       op.Doc `doc:"Makes the release that served before serve again."`
	Root    string `json:"root" doc:"The host root, absolute."`
	Want    string `json:"want" doc:"The release to return to, empty for none."`
	Unit    string `json:"unit" doc:"How that was started: the digest of its unit."`
	Running bool   `json:"running" doc:"Whether it ran."`
	Made    string `json:"made" doc:"The release that it may replace."`
	Of      op.Key `json:"of" doc:"The key of the op that is taken back."`
}

// Summary implements op.Op.
func (b Reactivate) Summary() string {
	if b.Want == "" {
		return fmt.Sprintf("take %s back to no release", b.Root)
	}
	return fmt.Sprintf("switch %s back to %s", b.Root, b.Want)
}

// Do implements op.Op.
func (b Reactivate) Do(ctx context.Context, h *host.Host) (op.Restored, error) {
	r := at(h, b.Root)
	link, err := r.Live()
	if other := (*layout.Elsewhere)(nil); errors.As(err, &other) {
		return op.Restored{}, &op.Conflict{What: r.Current(), Wanted: name(b.Want), Found: other.Target}
	}
	if err != nil {
		return op.Restored{}, err
	}
	runs, err := driver.Current(h, r.Path)
	if err != nil {
		return op.Restored{}, err
	}
	before := runs.Serves() && runs.Loaded.Key != b.Of // what served before the op serves still
	if err := b.conflict(r, link, runs, before); err != nil {
		return op.Restored{}, err
	}
	done := op.Restored{Live: b.version(r)}
	if link == b.Want && before == b.Running && runs.Alive == before {
		done.Already = true
		return done, nil
	}
	return done, b.restore(ctx, r, link, runs, before)
}

func name(id string) string {
	if id == "" {
		return "absent"
	}
	return id
}

// conflict is the third way of the law: the world is neither as wanted nor as the op, or its half, left it.
func (b Reactivate) conflict(r root, link string, runs driver.Running, before bool) error {
	if link != b.Want && link != b.Made {
		return &op.Conflict{What: r.Current(), Wanted: name(b.Want), Found: name(link)}
	}
	if runs.Alive && runs.Loaded.Key != b.Of && runs.Unit != b.Unit {
		return &op.Conflict{What: "the service of " + r.Path, Wanted: "release " + name(b.Want),
			Found: fmt.Sprintf("process %d of release %s", runs.Proc.PID, runs.Loaded.Release)}
	}
	if !b.Running || before {
		return nil
	}
	unit, err := driver.Load(r.Host, r.Path, b.Unit)
	if err != nil {
		return err
	}
	if err := unit.PortFree(r.Host, runs); err != nil { // somebody started something by hand since
		return &op.Conflict{What: fmt.Sprintf("port %d", unit.Port), Wanted: "free for release " + b.Want, Found: err.Error()}
	}
	return nil
}

func (b Reactivate) version(r root) string {
	if b.Want == "" {
		return op.Nothing
	}
	rel, _, err := r.Read(b.Want)
	if err != nil {
		return b.Want
	}
	return rel.Version
}

func (b Reactivate) restore(ctx context.Context, r root, link string, runs driver.Running, before bool) error {
	if err := driver.Spend(r.Host, r.Path); err != nil {
		return err
	}
	if runs.Alive && !before {
		if err := driver.Stop(ctx, r.Host, r.Path, runs); err != nil {
			return err
		}
		if err := op.Half(ctx, "stopped"); err != nil {
			return err
		}
	}
	if link != b.Want {
		if err := b.relink(r); err != nil {
			return fmt.Errorf("cannot switch %s back: %w", r.Current(), err)
		}
		if err := op.Half(ctx, "switched"); err != nil {
			return err
		}
	}
	if !b.Running || before {
		return nil
	}
	return driver.Start(ctx, r.Host, r.Path, b.Unit)
}

func (b Reactivate) relink(r root) error {
	if b.Want != "" {
		return r.link(b.Want)
	}
	if err := r.Host.Files.Remove(r.Current()); err != nil {
		return err
	}
	return r.Host.Files.SyncDir(r.Path)
}

package reconcile

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"time"

	"github.com/containerd/errdefs"
	"github.com/moby/moby/api/types/container"
	"github.com/moby/moby/client"
)

// replaceStopFirst: the new container is made while the old one serves; then the old one goes aside, the new one takes
// its name and starts. An old container gets its name aside before it is told to stop, so that whoever finds it knows
// that it was told.
func (d *doing) replaceStopFirst(ctx context.Context, a *Act) error {
	id, err := d.make(ctx, *a.Want, newName(a.Want.Name, d.plan.Key))
	if err != nil {
		return err
	}
	if err := d.park(ctx, a); err != nil {
		return err
	}
	if err := d.rename(ctx, a.title(), id, a.Want.Name); err != nil {
		return err
	}
	return d.start(ctx, a.title(), a.Want.Name, id)
}

// replaceStartFirst: the old container stops when the new one is ready. Until then the service's name means both, from
// the moment the new one runs: engines cannot give a container that runs another alias without cutting its connections.
// So nothing is lost for a proxy that calls the next address where one refuses, gives up one that is silent, for the
// address of a container that has ended answers nobody, and sends again what got no answer: a program that closes its
// port cuts those who are in its queue.
func (d *doing) replaceStartFirst(ctx context.Context, a *Act) error {
	id, err := d.make(ctx, *a.Want, newName(a.Want.Name, d.plan.Key))
	if err != nil {
		return err
	}
	if err := d.start(ctx, a.title(), a.Want.Name, id); err != nil {
		return err
	}
	if err := d.wait(ctx, Until{Name: a.Want.Name, Title: a.title(), Condition: ready}); err != nil {
		return err
	}
	if err := d.aside(ctx, a); err != nil {
		return err
	}
	if err := d.rename(ctx, a.title(), id, a.Want.Name); err != nil {
		return err
	}
	return d.stop(ctx, a)
}

// park puts a container aside: it bears another name, and stops.
func (d *doing) park(ctx context.Context, a *Act) error {
	if err := d.aside(ctx, a); err != nil {
		return err
	}
	return d.stop(ctx, a)
}

func (d *doing) aside(ctx context.Context, a *Act) error {
	if asideName.MatchString(a.Have.Name) {
		return nil // a run before has done that
	}
	old, name := "the old "+title(*a.Have), parkedName(a.Have.Name, d.plan.Key)
	err := d.rename(ctx, old, a.Have.ID, name)
	if !errdefs.IsNotFound(err) || !d.runs(ctx, a.Have.ID) {
		return err
	}
	// One that crashes is between two starts, and its networks know nothing of it then, which engines call not found.
	if err := d.stop(ctx, a); err != nil {
		return err
	}
	return d.rename(ctx, old, a.Have.ID, name)
}

func (d *doing) rename(ctx context.Context, title, id, name string) error {
	err := d.send(ctx, func(ctx context.Context) error {
		_, err := d.Engine.ContainerRename(ctx, id, client.ContainerRenameOptions{NewName: name})
		return err
	})
	if errdefs.IsNotFound(err) {
		return &words{title + " was removed by somebody else meanwhile", err}
	}
	if err != nil {
		return d.nameTaken(ctx, title, name, err)
	}
	return d.half(ctx, "%s renamed", title)
}

// restart stops a container and starts it again.
func (d *doing) restart(ctx context.Context, a *Act) error {
	if err := d.stopInPlace(ctx, a); err != nil {
		return err
	}
	return d.start(ctx, a.title(), a.Have.Name, a.Have.ID)
}

// stopInPlace stops a container that keeps its name in the end.
func (d *doing) stopInPlace(ctx context.Context, a *Act) error {
	if err := d.park(ctx, a); err != nil {
		return err
	}
	return d.rename(ctx, a.title(), a.Have.ID, a.Have.Name)
}

// discard removes what a run has made and what never came to serve, with the volumes that the engine made for it alone.
func (d *doing) discard(ctx context.Context, a *Act) error {
	if err := d.stop(ctx, a); err != nil {
		return err
	}
	err := d.send(ctx, func(ctx context.Context) error {
		_, err := d.Engine.ContainerRemove(ctx, a.Have.ID, client.ContainerRemoveOptions{RemoveVolumes: !a.Keep, Force: true})
		return err
	})
	if err != nil && !errdefs.IsNotFound(err) {
		return fmt.Errorf("cannot remove %s: %w", a.Have.Name, plain(err))
	}
	return d.half(ctx, "%s removed", a.Have.Name)
}

// back makes a container that is there what it was: its name, its networks, whether it runs.
func (d *doing) back(ctx context.Context, a *Act) error {
	if asideName.MatchString(a.Have.Name) { // it may have been told to stop, and still run
		if err := d.stop(ctx, a); err != nil {
			return err
		}
	}
	if err := d.reconnect(ctx, a); err != nil {
		return err
	}
	if a.Have.Name != a.Want.Name {
		if err := d.rename(ctx, a.title(), a.Have.ID, a.Want.Name); err != nil {
			return err
		}
	}
	if a.Want.Stopped {
		return nil
	}
	return d.start(ctx, a.title(), a.Want.Name, a.Have.ID)
}

// reconnect connects a container to networks that have been made anew since it was in them, by whomever and whenever.
func (d *doing) reconnect(ctx context.Context, a *Act) error {
	got, err := d.Engine.ContainerInspect(ctx, a.Have.ID, client.ContainerInspectOptions{})
	if err != nil {
		return fmt.Errorf("cannot read the container %s: %w", a.Have.Name, plain(err))
	}
	for _, name := range slices.Sorted(maps.Keys(a.Want.Networks)) {
		now, err := d.Engine.NetworkInspect(ctx, name, client.NetworkInspectOptions{})
		if err != nil {
			return fmt.Errorf("cannot read the network %s: %w", name, plain(err))
		}
		was := got.Container.NetworkSettings.Networks[name]
		if was != nil && (was.NetworkID == "" || was.NetworkID == now.Network.ID) {
			continue
		}
		err = d.send(ctx, func(ctx context.Context) error {
			if was != nil {
				d.Engine.NetworkDisconnect(ctx, name, client.NetworkDisconnectOptions{Container: a.Have.ID, Force: true})
			}
			_, err := d.Engine.NetworkConnect(ctx, name, client.NetworkConnectOptions{Container: a.Have.ID, EndpointConfig: a.Want.Networks[name]})
			return err
		})
		if err != nil {
			return fmt.Errorf("cannot connect %s to the network %s: %w", a.title(), name, plain(err))
		}
	}
	return nil
}

// engineGrace is how long engines wait between the signal and the kill where nothing is said.
const engineGrace = 10 * time.Second

func graceOf(a *Act) time.Duration {
	if a.Grace > 0 {
		return a.Grace
	}
	if t := a.Have.Config.StopTimeout; t != nil && *t >= 0 {
		return time.Duration(*t) * time.Second
	}
	return engineGrace
}

// stop ends a container's process: its signal, and after the grace a kill. The engine's own stop would go on without us
// when we end in the middle of it, and stop what an undo has just found running.
func (d *doing) stop(ctx context.Context, a *Act) error {
	if !d.runs(ctx, a.Have.ID) {
		return nil
	}
	name, signal := title(*a.Have), a.Have.Config.StopSignal
	if signal == "" {
		signal = "SIGTERM"
	}
	if err := d.signal(ctx, a.Have.ID, signal); err != nil {
		return fmt.Errorf("cannot stop %s: %w", name, plain(err))
	}
	grace := graceOf(a)
	patient, cancel := d.Clock.Timeout(ctx, grace, nil)
	defer cancel()
	if err := d.gone(patient, a.Have.ID, name, grace); err == nil {
		d.say(ctx, "%s: stopped", a.Have.Name)
		return d.half(ctx, "the old %s stopped", name)
	}
	if ctx.Err() != nil {
		return context.Cause(ctx)
	}
	d.say(ctx, "%s: does not stop by itself within %s, and is killed", a.Have.Name, grace)
	if err := d.send(ctx, func(ctx context.Context) error { return d.kill(ctx, a.Have.ID) }); err != nil {
		return fmt.Errorf("cannot stop %s: %w", name, plain(err))
	}
	return d.half(ctx, "the old %s killed", name)
}

func (d *doing) runs(ctx context.Context, id string) bool {
	got, err := d.Engine.ContainerInspect(ctx, id, client.ContainerInspectOptions{})
	return err != nil && !errdefs.IsNotFound(err) || err == nil && stateOf(got.Container).running()
}

// signal sends a container its stop signal. One that is between two starts cannot get one; it is ended at once.
func (d *doing) signal(ctx context.Context, id, signal string) error {
	err := d.send(ctx, func(ctx context.Context) error {
		_, err := d.Engine.ContainerKill(ctx, id, client.ContainerKillOptions{Signal: signal})
		return err
	})
	switch {
	case errdefs.IsConflict(err):
		return d.send(ctx, func(ctx context.Context) error { return d.kill(ctx, id) })
	case errdefs.IsNotFound(err):
		return nil // somebody has removed it
	}
	return err
}

// kill ends a container at once, in whatever state it is.
func (d *doing) kill(ctx context.Context, id string) error {
	now := 0
	_, err := d.Engine.ContainerStop(ctx, id, client.ContainerStopOptions{Timeout: &now})
	if errdefs.IsNotFound(err) {
		return nil
	}
	return err
}

// gone waits until a container's process has ended.
func (d *doing) gone(ctx context.Context, id, name string, grace time.Duration) error {
	d.saysWaiting(ctx, name+" to stop", grace)
	for {
		w := d.Engine.ContainerWait(ctx, id, client.ContainerWaitOptions{Condition: container.WaitConditionNotRunning})
		select {
		case <-w.Result:
			return nil
		case err := <-w.Error: // the connection broke, or the container is not there
			if ctx.Err() == nil && !d.runs(ctx, id) {
				return nil
			}
			if d.Clock.Sleep(ctx, resume) != nil {
				return err
			}
		case <-ctx.Done():
			return context.Cause(ctx)
		}
	}
}
